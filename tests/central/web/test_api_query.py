"""GET /api/metrics/aggregate through real HTTP: PRD 3.3 with DESIGN's decisions."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocol.times import format_time
from tests.central.harness import Central, running

DAY = 86_400
NOW = int(time.time())
MIDNIGHT = NOW // DAY * DAY - DAY
"""00:00 UTC of yesterday, so that a whole day has passed."""
AGGREGATE = "/api/metrics/aggregate"


def at(hours: float, minutes: float = 0, seconds: float = 0) -> str:
    """A time of yesterday, or days around it."""
    return format_time(int(MIDNIGHT + hours * 3600 + minutes * 60 + seconds))


def points(reply: Any) -> list[tuple[str, Any]]:
    return [(point["timestamp"], point["value"]) for point in reply.json["data"]]


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Central]:
    """A service that holds a day of ``api.requests`` (a counter) and ``db.time`` (a value)."""
    async with running(tmp_path) as central:
        reply = await central.batch(
            *(
                {"name": "api.requests", "type": "counter", "value": value, "recorded_at": recorded_at}
                for value, recorded_at in [
                    (1000, at(0)),
                    (500, at(0, 59, 59)),
                    (1450, at(1, 30)),
                    (7, at(3)),
                    (1, at(23, 59, 59)),
                ]
            ),
            *(
                {"name": "db.time", "type": "value", "value": value, "recorded_at": at(2, 0, value)}
                for value in (5, 1, 3, 2)
            ),
        )
        assert reply.json["rejected"] == 0, reply.text
        yield central


# --- the PRD's example


async def test_the_prds_query_gets_the_prds_answer(stored: Central) -> None:
    query = f"name=api.requests&operation=sum&window=1h&start={at(0)}&end={at(24)}"
    reply = await stored.ask("GET", f"{AGGREGATE}?{query}")
    assert reply.status == 200
    assert reply.text == (
        '{"success":true,"metric":"api.requests","operation":"sum","window":"1h","data":['
        f'{{"timestamp":"{at(0)}","value":1500}},{{"timestamp":"{at(1)}","value":1450}},'
        f'{{"timestamp":"{at(3)}","value":7}},{{"timestamp":"{at(23)}","value":1}}]}}'
    )


# --- operations and windows


@pytest.mark.parametrize(
    ("operation", "value"), [("sum", "11"), ("count", "4"), ("avg", "2.75"), ("min", "1"), ("max", "5")]
)
async def test_each_operation_of_a_window(stored: Central, operation: str, value: str) -> None:
    reply = await stored.query("db.time", operation, "1h", start=at(0), end=at(24))
    assert reply.json["operation"] == operation
    assert f'"data":[{{"timestamp":"{at(2)}","value":{value}}}]' in reply.text


@pytest.mark.parametrize(
    ("window", "starts"),
    [
        ("1m", [at(0), at(0, 59), at(1, 30), at(3), at(23, 59)]),
        ("5m", [at(0), at(0, 55), at(1, 30), at(3), at(23, 55)]),
        ("15m", [at(0), at(0, 45), at(1, 30), at(3), at(23, 45)]),
        ("1h", [at(0), at(1), at(3), at(23)]),
        ("1d", [at(0)]),
    ],
)
async def test_windows_are_aligned_to_utc_and_named_by_their_start(
    stored: Central, window: str, starts: list[str]
) -> None:
    reply = await stored.query("api.requests", "sum", window, start=at(0), end=at(24))
    assert [start for start, _ in points(reply)] == starts


async def test_a_range_is_half_open_and_its_first_window_may_begin_before_it(stored: Central) -> None:
    async def asked(start: str, end: str) -> list[tuple[str, Any]]:
        return points(await stored.query("api.requests", "sum", "1h", start=start, end=end))

    assert await asked(at(0, 0, 1), at(0, 59, 59)) == []
    assert await asked(at(0, 0, 1), at(1)) == [(at(0), 500)]
    assert await asked(at(0, 59, 59), at(1, 30)) == [(at(0), 500)]
    assert await asked(at(0, 59, 59), at(1, 30, 1)) == [(at(0), 500), (at(1), 1450)]
    assert await asked(at(0), at(0, 0, 1)) == [(at(0), 1000)]


@pytest.mark.parametrize("wanted", ["json", "csv"])
@pytest.mark.parametrize(
    ("start", "end", "total"),
    [
        ("00:00:00", "23:59:59.999", 1000 + 500 + 1450 + 7 + 1),
        ("00:00:00", "23:59:59.000000001", 1000 + 500 + 1450 + 7 + 1),
        ("00:00:00", "23:59:59.000", 1000 + 500 + 1450 + 7),
        ("00:00:00.5", "23:59:59", 500 + 1450 + 7),
        ("00:00:00.000000001", "23:59:59.5", 500 + 1450 + 7 + 1),
        ("00:00:00.2", "00:00:00.8", 0),
        ("00:59:58.9", "00:59:59.1", 500),
    ],
)
async def test_a_bound_with_a_fraction_is_rounded_up(
    stored: Central, start: str, end: str, total: int, wanted: str
) -> None:
    day = at(0)[:10]
    for offset in ("Z", "+00:00", "-00:00"):
        reply = await stored.query(
            "api.requests", "sum", "1d", start=f"{day}T{start}{offset}", end=f"{day}T{end}{offset}", format=wanted
        )
        assert reply.status == 200, reply.text
        if wanted == "csv":
            assert sum(int(line.split(",")[2]) for line in reply.text.splitlines()[1:]) == total
        else:
            assert sum(value for _, value in points(reply)) == total


async def test_an_end_at_the_last_moment_of_the_calendar_is_no_fault(stored: Central) -> None:
    for fill in ({}, {"fill": "zero"}):
        reply = await stored.query(
            "api.requests", "sum", "1d", start="9999-12-30T00:00:00Z", end="9999-12-31T23:59:59.999Z", **fill
        )
        assert (reply.status, len(points(reply))) == (200, 2 if fill else 0)


async def test_an_end_in_the_future_is_no_fault(stored: Central) -> None:
    reply = await stored.query("db.time", "count", "1d", start=at(0), end=at(24 * 300))
    assert points(reply) == [(at(0), 4)]


async def test_the_average_is_rounded_half_even_to_four_decimals(central: Central) -> None:
    table: dict[str, tuple[list[float], str]] = {
        "a": ([1, 0, 0], "0.3333"),
        "b": ([0.0001, 0], "0"),
        "c": ([0.0003, 0], "0.0002"),
        "d": ([-1, -1, 0], "-0.6667"),
    }
    for name, (numbers, _) in table.items():
        await central.batch(*({"name": name, "type": "value", "value": number} for number in numbers))
    got = {name: (await central.query(name, "avg")).text.split('"value":')[1].split("}")[0] for name in table}
    assert got == {name: average for name, (_, average) in table.items()}


async def test_an_average_weighs_summaries_by_their_count(central: Central) -> None:
    await central.batch(
        {"name": "t", "type": "value", "value": 100, "count": 10, "min": 1, "max": 30, "recorded_at": at(1)},
        {"name": "t", "type": "value", "value": 21, "recorded_at": at(5)},
    )
    assert points(await central.query("t", "avg", "1d", start=at(0), end=at(24))) == [(at(0), 11)]


async def test_empty_windows_are_given_on_request(stored: Central) -> None:
    for fill, empty in (("zero", "0"), ("null", "null")):
        reply = await stored.query("api.requests", "sum", "1h", start=at(0, 30), end=at(4), fill=fill)
        data = json.loads(reply.text.replace(f'"value":{empty}', '"value":"empty"'))["data"]
        assert [(row["timestamp"], row["value"]) for row in data] == [
            (at(0), 500),
            (at(1), 1450),
            (at(2), "empty"),
            (at(3), 7),
        ]


# --- CSV


@pytest.mark.parametrize("how", ["parameter", "header"])
async def test_csv_on_request(stored: Central, how: str) -> None:
    parameters = {"format": "csv"} if how == "parameter" else {}
    headers = {"Accept": "text/csv"} if how == "header" else {}
    query = {"name": "db.time,none,api.requests", "operation": "sum", "window": "1h", "start": at(1), "end": at(4)}
    reply = await stored.ask("GET", AGGREGATE, params={**query, **parameters}, headers=headers)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/csv; charset=utf-8; header=present")
    assert reply.text == (
        f"name,timestamp,value\r\ndb.time,{at(2)},11\r\napi.requests,{at(1)},1450\r\napi.requests,{at(3)},7\r\n"
    )
    assert reply.headers["Vary"] == "Accept"
    assert "RateLimit-Remaining" in reply.headers
    assert "Metrics-Complete" not in reply.headers


async def test_csv_has_exact_digits_and_empty_cells(stored: Central) -> None:
    await stored.value("exact", "9999999999999999.9999")
    assert (await stored.query("exact", "max", format="csv")).text.endswith("Z,9999999999999999.9999,true\r\n")
    reply = await stored.query("db.time", "max", "1h", start=at(2), end=at(4), fill="null", format="csv")
    assert reply.text.splitlines()[1:] == [f"db.time,{at(2)},5", f"db.time,{at(3)},"]
    reply = await stored.query("db.time", "max", "1h", start=at(2), end=at(4), fill="zero", format="csv")
    assert reply.text.splitlines()[1:] == [f"db.time,{at(2)},5", f"db.time,{at(3)},0"]


async def test_the_format_wins_over_the_header(stored: Central) -> None:
    query = {"name": "db.time", "operation": "max", "window": "1h", "start": at(0), "end": at(24), "format": "json"}
    reply = await stored.ask("GET", AGGREGATE, params=query, headers={"Accept": "text/csv"})
    assert reply.json["data"]
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(("format", "operation", "field"), [("csv", "mean", "operation"), ("xlsx", "sum", "format")])
async def test_an_error_is_json_also_for_who_wants_csv(
    stored: Central, format: str, operation: str, field: str
) -> None:
    query = {"name": "a", "operation": operation, "window": "1h", "start": at(0), "end": at(24), "format": format}
    reply = await stored.ask("GET", AGGREGATE, params=query, headers={"Accept": "text/csv"})
    assert reply.error == (400, "VALIDATION_ERROR", field)
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_large_csv_answer_is_whole(stored: Central) -> None:
    reply = await stored.query("db.time", "sum", "1m", start=at(0), end=at(24 * 7), fill="zero", format="csv")
    assert len(reply.text.splitlines()) == 1 + 7 * 1440


async def test_a_fill_reaches_to_the_edges_of_the_calendar(central: Central) -> None:
    edges = [("0001-01-01", "0001-01-01T00:02:00Z"), ("9999-12-31T23:58:00Z", "9999-12-31T23:59:59Z")]
    for start, end in edges:
        reply = await central.query("nobody", "sum", "1m", start=start, end=end, fill="zero")
        assert len(points(reply)) == 2, reply.text


# --- names


async def test_several_names_are_answered_by_name(stored: Central) -> None:
    reply = await stored.query("db.time,nobody,api.requests", "sum", "1d", start=at(0), end=at(24))
    assert reply.json == {
        "success": True,
        "metric": "db.time,nobody,api.requests",
        "operation": "sum",
        "window": "1d",
        "data": {
            "db.time": [{"timestamp": at(0), "value": 11}],
            "nobody": [],
            "api.requests": [{"timestamp": at(0), "value": 2958}],
        },
        "unknown": [{"name": "nobody", "near": []}],
    }


async def test_a_name_asked_for_twice_is_answered_once(stored: Central) -> None:
    reply = await stored.query("db.time,db.time", "sum", "1d", start=at(0), end=at(24))
    assert (reply.json["metric"], points(reply)) == ("db.time", [(at(0), 11)])


async def test_an_unknown_name_has_no_data(stored: Central) -> None:
    assert points(await stored.query("nobody", "sum")) == []
    filled = await stored.query("nobody", "max", "1h", start=at(0), end=at(2), fill="null")
    assert points(filled) == [(at(0), None), (at(1), None)]


async def test_names_differ_by_case(stored: Central) -> None:
    assert points(await stored.query("DB.time", "sum")) == []


# --- faults


async def test_a_bad_parameter_is_refused_and_named(stored: Central) -> None:
    good = {"name": "db.time", "operation": "sum", "window": "1h", "start": at(0), "end": at(24)}
    table: list[tuple[dict[str, str | None], str, str]] = [
        ({"name": None}, "VALIDATION_ERROR", "name"),
        ({"name": ""}, "VALIDATION_ERROR", "name"),
        ({"name": "a,"}, "INVALID_NAME", "name"),
        ({"name": "a,,b"}, "INVALID_NAME", "name"),
        ({"name": "a b"}, "INVALID_NAME", "name"),
        ({"name": "a;--"}, "INVALID_NAME", "name"),
        ({"name": "n" * 256}, "INVALID_NAME", "name"),
        ({"operation": None}, "VALIDATION_ERROR", "operation"),
        ({"operation": "SUM"}, "VALIDATION_ERROR", "operation"),
        ({"window": None}, "VALIDATION_ERROR", "window"),
        ({"window": "2m"}, "VALIDATION_ERROR", "window"),
        ({"start": None}, "VALIDATION_ERROR", "start"),
        ({"start": "yesterday"}, "INVALID_TIMESTAMP", "start"),
        ({"start": "1771113600"}, "INVALID_TIMESTAMP", "start"),
        ({"start": "0001-01-01T00:00:00+10:00"}, "INVALID_TIMESTAMP", "start"),
        ({"end": None}, "VALIDATION_ERROR", "end"),
        ({"end": "9999-12-31T23:59:59-10:00"}, "INVALID_TIMESTAMP", "end"),
        ({"end": "2026-02-30"}, "INVALID_TIMESTAMP", "end"),
        ({"end": at(0)}, "VALIDATION_ERROR", "end"),
        ({"end": at(-1)}, "VALIDATION_ERROR", "end"),
        ({"fill": ""}, "VALIDATION_ERROR", "fill"),
        ({"fill": "0"}, "VALIDATION_ERROR", "fill"),
        ({"limit": "5"}, "VALIDATION_ERROR", "limit"),
        ({"Name": "a"}, "VALIDATION_ERROR", "Name"),
    ]
    for change, code, field in table:
        query = {name: text for name, text in {**good, **change}.items() if text is not None}
        reply = await stored.ask("GET", AGGREGATE, params=query)
        assert reply.error == (400, code, field), change


async def test_a_parameter_given_twice_is_refused_and_named(stored: Central) -> None:
    query = f"name=a&operation=sum&window=1h&start={at(0)}&end={at(24)}"
    for again, field in (("name=b", "name"), ("operation=sum", "operation"), (f"start={at(1)}", "start")):
        reply = await stored.ask("GET", f"{AGGREGATE}?{query}&{again}")
        assert reply.error == (400, "VALIDATION_ERROR", field)
        assert "more than once" in reply.message


@pytest.mark.parametrize("offset", ["+02:00", "+0200", "+02"])
async def test_a_plus_that_was_not_escaped_is_understood(stored: Central, offset: str) -> None:
    start, end = at(2).replace("Z", offset), at(26).replace("Z", offset)
    raw = f"{stored.url}{AGGREGATE}?name=db.time&operation=sum&window=1d&start={start}&end={end}"
    async with stored.http.get(raw, headers={"X-API-Key": stored.key}) as answer:
        assert "+0" in str(answer.url)
        assert (await answer.json()).get("data") == [{"timestamp": at(0), "value": 11}]


async def test_a_time_with_a_blank_between_day_and_hour_is_understood(stored: Central) -> None:
    reply = await stored.query("db.time", "sum", "1d", start=at(0)[:16].replace("T", " "), end=at(24)[:10])
    assert points(reply) == [(at(0), 11)], reply.text


async def test_bytes_that_are_no_text_are_refused_and_not_a_crash(stored: Central) -> None:
    for target in (
        b"?\xff=1",
        b"?name=\xff\xfe",
        b"?%ff=1",
        b"?name=%ff",
        b"?%ed%a0%80=1",
        b"?name=a&name=\xff&\xff=1&\xff=2",
    ):
        for path in (AGGREGATE, "/api/metrics"):
            status, body = await raw_get(stored, path.encode() + target)
            assert status == 400, (target, body)


async def raw_get(central: Central, target: bytes) -> tuple[int, bytes]:
    """A GET whose target is sent byte for byte; status and all the rest."""
    host, port = central.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: " + central.key.encode())
    writer.write(b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ")[1]), answer


# --- how much may be asked for


async def test_too_many_windows_are_refused_with_the_window_that_fits(stored: Central) -> None:
    start = "2026-01-01T00:00:00Z"
    table: list[tuple[str, str, int, str | None]] = [
        ("1m", "2026-01-08T15:20:01Z", 1, "5m"),
        ("1m", "2026-03-01", 1, "15m"),
        ("5m", "2027-01-01", 1, "1h"),
        ("1h", "2036-01-01", 1, "1d"),
        ("1d", "2096-01-01", 1, None),
        ("1m", "2026-01-08", 5, "5m"),
        ("1h", "2026-12-31", 6, "1d"),
    ]
    for window, end, names, fits in table:
        reply = await stored.query(",".join(f"n{i}" for i in range(names)), "sum", window, start=start, end=end)
        assert reply.error == (400, "RANGE_TOO_LARGE", "window"), (window, end)
        assert reply.json["error"]["details"]["fits"] == fits
        assert (f"use window={fits}" if fits else "no window fits") in reply.message


async def test_the_largest_ranges_that_are_allowed_are_answered(stored: Central) -> None:
    start = "2026-01-01T00:00:00Z"
    end = "2026-01-08T15:20:00Z"  # 11,000 minutes on
    one = await stored.query("nobody", "sum", "1m", start=start, end=end, fill="zero")
    assert len(points(one)) == 11_000
    many = ",".join(f"n{i}" for i in range(5))
    reply = await stored.query(many, "sum", "1m", start=start, end="2026-01-07T22:40:00Z", fill="null")
    assert sum(map(len, reply.json["data"].values())) == 50_000


async def test_many_names_in_one_question_are_answered(stored: Central) -> None:
    names = [f"name.{i:05}" for i in range(2500)]
    reply = await stored.query(",".join(names), "sum", "1d", start=at(0), end=at(24))
    assert len(reply.json["data"]) == 2500

"""POST /api/metrics/counter, /value and /batch through real HTTP: PRD 3.1, 4.1 and 4.3 with DESIGN's decisions."""

import asyncio
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from multidict import CIMultiDict

from protocol.limits import MAX_BODY_BYTES, MAX_EXPANDED_BYTES
from tests.central.harness import Central, Reply, now_text, process, running

COUNTER = "/api/metrics/counter"
VALUE = "/api/metrics/value"
BATCH = "/api/metrics/batch"
BIG = "9999999999999999.9999"


async def values(central: Central, name: str, operation: str, **parameters: str) -> str:
    """The raw text of the values of an answer: digits, not floats."""
    text = (await central.query(name, operation, **parameters)).text
    return ",".join(part.split("}")[0] for part in text.split('"value":')[1:])


# --- the PRD's examples, to the letter


async def test_the_curl_of_the_prd_with_its_form_content_type_is_recorded(central: Central) -> None:
    reply = await central.post(
        COUNTER, '{"name": "api.requests", "value": 1}', headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (reply.status, reply.text) == (201, '{"success":true,"message":"Counter metric recorded"}')
    assert await central.total("api.requests") == 1


async def test_a_value_is_recorded_with_the_prds_answer(central: Central) -> None:
    reply = await central.post(VALUE, {"name": "response.time", "value": 12.5, "recorded_at": now_text(-60)})
    assert (reply.status, reply.text) == (201, '{"success":true,"message":"Value metric recorded"}')
    assert reply.headers["Content-Type"].startswith("application/json")


async def test_a_batch_is_recorded_with_the_prds_answer(central: Central) -> None:
    items = [{"name": f"n{i % 7}", "value": i, "type": "counter", "recorded_at": now_text()} for i in range(100)]
    reply = await central.batch(*items)
    assert (reply.status, reply.text) == (201, '{"success":true,"accepted":100,"rejected":0,"errors":[]}')


async def test_a_counter_counts_one_unless_told_otherwise(central: Central) -> None:
    for body in ('{"name":"a"}', '{"name":"a","value":41}'):
        assert (await central.post(COUNTER, body)).status == 201
    assert await values(central, "a", "sum") == "42"
    assert await values(central, "a", "count") == "2"


# --- numbers: exact, from their text


async def test_the_largest_number_goes_in_and_out_with_all_its_digits(central: Central) -> None:
    assert (await central.value("big", BIG)).status == 201
    assert (await central.value("small", f"-{BIG}")).status == 201
    for operation in ("sum", "min", "max", "avg"):
        assert await values(central, "big", operation) == BIG
        assert await values(central, "small", operation) == f"-{BIG}"


async def test_ten_times_a_tenth_is_exactly_one(central: Central) -> None:
    for _ in range(10):
        assert (await central.value("tenth", "0.1")).status == 201
    assert await values(central, "tenth", "sum") == "1"
    assert await values(central, "tenth", "avg") == "0.1"


async def test_a_sum_may_be_larger_than_any_one_number(central: Central) -> None:
    await central.batch(*[{"name": "big", "type": "value", "value": 9_999_999_999_999_999}] * 1000)
    assert await values(central, "big", "sum") == "9999999999999999000"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0.30000000000000004", "0.3"),
        ("0.00005", "0"),
        ("0.00015", "0.0002"),
        ("0.00025", "0.0002"),
        ("-0.00015", "-0.0002"),
        ("1e3", "1000"),
        ("1E+2", "100"),
        ("12.5e-1", "1.25"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1e-400", "0"),
        ("9007199254740993", "9007199254740993"),
        ("0.1234567890123456789012345678901234567890", "0.1235"),
    ],
)
async def test_a_number_is_stored_as_its_text_says_to_four_decimals(central: Central, sent: str, stored: str) -> None:
    assert (await central.value("v", sent)).status == 201
    assert await values(central, "v", "sum") == stored


async def test_what_is_no_number_in_range_is_refused_with_its_field(central: Central) -> None:
    bad_value = (400, "INVALID_VALUE", "value")
    bad_json = (400, "INVALID_JSON", "body")
    table = {
        "true": bad_value,
        "false": bad_value,
        "null": bad_value,
        '"1"': bad_value,
        "[1]": bad_value,
        "{}": bad_value,
        "1e400": bad_value,
        "-1e400": bad_value,
        "1e9999999999999999999": bad_value,
        "1e999999999": bad_value,
        "10000000000000000": bad_value,
        "9999999999999999.99995": bad_value,
        "1" * 100: bad_value,
        "NaN": bad_json,
        "Infinity": bad_json,
        "-Infinity": bad_json,
        "+1": bad_json,
        "01": bad_json,
        ".5": bad_json,
        "1.": bad_json,
        "0x10": bad_json,
        "1_000": bad_json,
        "": bad_json,
    }
    assert {sent: (await central.value("v", sent)).error for sent in table} == table
    assert {sent: (await central.counter("c", sent)).error for sent in table} == table


@pytest.mark.parametrize("digits", [4_301, 100_000])
async def test_a_huge_integer_is_a_bad_value_and_no_crash(central: Central, digits: int) -> None:
    status, code, _ = (await central.value("v", "9" * digits)).error
    assert status == 400
    assert code in {"INVALID_VALUE", "INVALID_JSON"}


# --- times


@pytest.mark.parametrize(
    "form",
    [
        "{day}T{time}Z",
        "{day}t{time}z",
        "{day} {time}",
        "{day}T{time}",
        "{day}T{time}.987654321Z",
        "{day}T{time},5+00:00",
    ],
)
async def test_a_time_may_come_in_any_form_of_iso_8601(central: Central, form: str) -> None:
    day, time = now_text(-86_400).rstrip("Z").split("T")
    reply = await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": form.format(day=day, time=time)})
    assert reply.status == 201, reply.text
    point = await central.query("v", "sum", "1m")
    assert point.json["data"] == [{"timestamp": f"{day}T{time[:5]}:00Z", "value": 1}]


@pytest.mark.parametrize(("offset", "hours"), [("+02:00", 2), ("-0530", -5.5), ("+14", 14), ("-12:00", -12)])
async def test_an_offset_is_taken_into_account(central: Central, offset: str, hours: float) -> None:
    local = now_text(-86_400 + hours * 3600).rstrip("Z")
    assert (await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": local + offset})).status == 201
    utc = now_text(-86_400)
    stamp = (await central.query("v", "sum", "1m")).json["data"][0]["timestamp"]
    assert stamp[:13] in {utc[:13], now_text(-86_460)[:13]}


async def test_a_bad_time_is_refused_with_its_field(central: Central) -> None:
    def refused(code: str) -> tuple[int, str, str]:
        return 400, code, "recorded_at"

    table = {
        json.dumps(now_text(-7 * 86_400 - 60)): refused("TIMESTAMP_TOO_OLD"),
        '"1970-01-01T00:00:00Z"': refused("TIMESTAMP_TOO_OLD"),
        '"0001-01-01"': refused("TIMESTAMP_TOO_OLD"),
        json.dumps(now_text(60)): refused("TIMESTAMP_IN_FUTURE"),
        '"9999-12-31T23:59:59Z"': refused("TIMESTAMP_IN_FUTURE"),
        '"0001-01-01T00:00:00+10:00"': refused("INVALID_TIMESTAMP"),
        '"9999-12-31T23:59:59-10:00"': refused("INVALID_TIMESTAMP"),
        "1771113600": refused("INVALID_TIMESTAMP"),
        "1771113600.5": refused("INVALID_TIMESTAMP"),
        '"1771113600"': refused("INVALID_TIMESTAMP"),
        "null": refused("INVALID_TIMESTAMP"),
        "true": refused("INVALID_TIMESTAMP"),
        '""': refused("INVALID_TIMESTAMP"),
        '"yesterday"': refused("INVALID_TIMESTAMP"),
        '"2026-02-30T00:00:00Z"': refused("INVALID_TIMESTAMP"),
        '"2026-02-15T24:00:01Z"': refused("INVALID_TIMESTAMP"),
        '"20260215T000000Z"': refused("INVALID_TIMESTAMP"),
        '"2026-W07-7"': refused("INVALID_TIMESTAMP"),
        '"٢٠٢٦-02-15T00:00:00Z"': refused("INVALID_TIMESTAMP"),
    }
    got = {sent: (await central.post(VALUE, f'{{"name":"v","value":1,"recorded_at":{sent}}}')).error for sent in table}
    assert got == table


async def test_the_skew_of_clocks_that_is_tolerated_is_a_setting(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_CLOCK_SKEW_SECONDS": "600"}) as central:
        assert (await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": now_text(500)})).status == 201


async def test_seven_days_back_is_still_accepted(central: Central) -> None:
    assert (
        await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": now_text(-7 * 86_400 + 30)})
    ).status == 201


# --- fields and names


async def test_a_bad_field_is_refused_and_named(central: Central) -> None:
    table: dict[tuple[str, str], tuple[int, str, str]] = {
        (COUNTER, "{}"): (400, "VALIDATION_ERROR", "name"),
        (VALUE, '{"name":"v"}'): (400, "VALIDATION_ERROR", "value"),
        (COUNTER, '{"name":"c","tags":[]}'): (400, "VALIDATION_ERROR", "tags"),
        (VALUE, '{"name":"v","value":1,"type":"value"}'): (400, "VALIDATION_ERROR", "type"),
        (VALUE, '{"name":"v","value":1,"count":2,"min":0,"max":1}'): (400, "VALIDATION_ERROR", "count"),
        (COUNTER, '{"name":""}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":null}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":7}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a b"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a/b"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a\\n"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a\\u0000"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"é"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"%s"}' % ("n" * 256)): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"\'; DROP TABLE metrics; --"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, "[]"): (400, "VALIDATION_ERROR", "body"),
        (COUNTER, "1"): (400, "VALIDATION_ERROR", "body"),
        (VALUE, "null"): (400, "VALIDATION_ERROR", "body"),
        (BATCH, "[]"): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, "{}"): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":{}}'): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":[]}'): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":null}'): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":[{}],"extra":1}'): (400, "VALIDATION_ERROR", "extra"),
    }
    assert {sent: (await central.post(*sent)).error for sent in table} == table


async def test_an_unknown_field_is_named_in_the_message_beside_those_that_are_allowed(central: Central) -> None:
    message = (await central.post(COUNTER, '{"name":"c","valeu":2,"unit":"ms"}')).message
    assert message == "unknown field 'unit', 'valeu'; allowed are name, recorded_at, value"


@pytest.mark.parametrize("name", ["a", "A.b_c-9", ".", "-", "0", "n" * 255])
async def test_a_good_name_is_taken_as_it_is(central: Central, name: str) -> None:
    assert (await central.counter(name)).status == 201
    assert (await central.ask("GET", "/api/metrics")).json["data"] == [{"name": name, "type": "counter"}]


# --- bodies


async def test_a_body_that_is_no_json_is_refused(central: Central) -> None:
    table: dict[bytes, tuple[int, str, str | None]] = dict.fromkeys(
        [
            b"",
            b" ",
            b"{",
            b'{"name":"c"',
            b'{"name":"c"} x',
            b'{"name":"c"}{}',
            b"name=c&value=1",
            b"{'name':'c'}",
            b'{"name":"c",}',
            b'{"name":"c"}\0',
            b'{"name":"\xff"}',
            b'{"name":"\xed\xa0\x80"}',
            b'{"name":"\\ud800"}',
            b'\xef\xbb\xbf{"name":"c"}',
            '{"name":"c"}'.encode("utf-16"),
            b"[" * 100_000,
            b"[" * 100_000 + b"]" * 100_000,
            b'{"name":' * 100_000,
            b'{"name":"c","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        ],
        (400, "INVALID_JSON", "body"),
    )
    for path in (COUNTER, VALUE, BATCH):
        assert {body[:40]: (await central.post(path, body)).error for body in table} == {
            body[:40]: error for body, error in table.items()
        }


async def test_gzip_and_zstd_bodies_are_read(central: Central) -> None:
    body = b'{"name":"c","value":2}'
    for encoding, packed in (
        ("gzip", gzip.compress(body)),
        ("x-gzip", gzip.compress(body)),
        ("GZIP", gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("zstd", zstandard.compress(body)),
        ("identity", body),
    ):
        reply = await central.post(COUNTER, packed, headers={"Content-Encoding": encoding})
        assert reply.status == 201, (encoding, reply.text)
    assert await central.total("c") == 10


async def test_a_large_compressed_batch_is_read(central: Central) -> None:
    items = [{"name": f"{'n' * 240}{i}", "type": "value", "value": i} for i in range(1000)]
    body = json.dumps({"metrics": items}).encode()
    packed = zstandard.compress(body, level=1) + zstandard.compress(b" " * 200_000)
    reply = await central.post(BATCH, packed, headers={"Content-Encoding": "zstd"})
    assert reply.json["accepted"] == 1000


async def test_a_torn_or_false_encoding_is_refused(central: Central) -> None:
    body = b'{"name":"c","value":2}'
    zipped, packed = gzip.compress(body), zstandard.compress(body)
    cases = {
        "torn gzip": ("gzip", zipped[:-3]),
        "torn zstd": ("zstd", packed[:-3]),
        "flipped gzip": ("gzip", zipped[:-8] + bytes([zipped[-8] ^ 1]) + zipped[-7:]),
        "garbage after gzip": ("gzip", zipped + b"garbage"),
        "garbage after zstd": ("zstd", packed + b"garbage"),
        "a byte after zstd": ("zstd", packed + b"g"),
        "plain as gzip": ("gzip", body),
        "plain as zstd": ("zstd", body),
        "gzip as zstd": ("zstd", zipped),
        "unknown": ("br", body),
        "nonsense": ("é ;", body),
        "stacked": ("gzip, zstd", zstandard.compress(zipped)),
    }
    got = {
        case: (await central.post(COUNTER, sent, headers={"Content-Encoding": encoding})).error
        for case, (encoding, sent) in cases.items()
    }
    assert got == dict.fromkeys(cases, (400, "VALIDATION_ERROR", "Content-Encoding"))
    assert await central.total("c") == 0


async def test_encodings_stacked_in_two_headers_are_refused(central: Central) -> None:
    headers = CIMultiDict([("X-API-Key", central.key), ("Content-Encoding", "gzip"), ("Content-Encoding", "zstd")])
    body = gzip.compress(b'{"name":"c"}')
    async with central.http.post(central.url + COUNTER, data=body, headers=headers) as answer:
        reply = Reply(answer.status, answer.headers, await answer.text())
    assert reply.error == (400, "VALIDATION_ERROR", "Content-Encoding")


def padded(length: int) -> bytes:
    body = b'{"name":"c","value":1}'
    return body + b" " * (length - len(body))


async def chunks(body: bytes) -> Any:
    for start in range(0, len(body), 60_000):
        yield body[start : start + 60_000]


async def test_a_body_may_be_a_mebibyte_and_no_byte_more(central: Central) -> None:
    too_large = (413, "BODY_TOO_LARGE", "body")
    assert (await central.post(COUNTER, padded(MAX_BODY_BYTES))).status == 201
    assert (await central.post(COUNTER, padded(MAX_BODY_BYTES + 1))).error == too_large
    for length, status in ((MAX_BODY_BYTES, 201), (MAX_BODY_BYTES + 1, 413), (3 * MAX_BODY_BYTES, 413)):
        reply = await central.ask("POST", COUNTER, data=chunks(padded(length)))
        assert (length, reply.status) == (length, status)
    assert (await central.ask("POST", BATCH, data=chunks(padded(2 * MAX_BODY_BYTES)))).error == too_large


async def test_a_body_may_expand_to_eight_mebibytes_and_no_byte_more(central: Central) -> None:
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        headers = {"Content-Encoding": encoding}
        assert (await central.post(COUNTER, pack(padded(MAX_EXPANDED_BYTES)), headers=headers)).status == 201
        reply = await central.post(COUNTER, pack(padded(MAX_EXPANDED_BYTES + 1)), headers=headers)
        assert reply.error == (413, "BODY_TOO_LARGE", "body")


async def test_bombs_are_refused_and_memory_stays_flat(tmp_path: Path) -> None:
    zeros = bytes(64 << 20)
    bombs = {
        "gzip": gzip.compress(zeros) * 15,  # 960 MiB in less than one
        "zstd": zstandard.compress(zeros) * 100,  # 6.4 GiB
    }
    async with process(tmp_path) as (server, central):
        assert (await central.counter("before")).status == 201
        before = server.memory_peak()
        for _ in range(4):
            for encoding, bomb in bombs.items():
                assert len(bomb) <= MAX_BODY_BYTES
                reply = await central.post(BATCH, bomb, headers={"Content-Encoding": encoding})
                assert reply.error == (413, "BODY_TOO_LARGE", "body")
        assert server.memory_peak() - before < 8 * MAX_EXPANDED_BYTES


async def test_a_deep_or_wide_body_is_no_way_to_fill_the_memory(tmp_path: Path) -> None:
    wide = gzip.compress(b'{"metrics":[' + b"{}," * 2_700_000 + b"{}]}")
    async with process(tmp_path) as (server, central):
        assert (await central.counter("before")).status == 201
        before = server.memory_peak()
        for _ in range(3):
            reply = await central.post(BATCH, wide, headers={"Content-Encoding": "gzip"})
            assert reply.error == (400, "BATCH_TOO_LARGE", "metrics")
        assert server.memory_peak() - before < 512 << 20


# --- batches


async def test_a_thousand_items_are_a_batch_and_one_more_is_too_many(central: Central) -> None:
    item = {"name": "c", "type": "counter", "value": 1}
    assert (await central.batch(*[item] * 1000)).json["accepted"] == 1000
    reply = await central.batch(*[item] * 1001)
    assert reply.error == (400, "BATCH_TOO_LARGE", "metrics")
    assert "1001" in reply.message
    assert await central.total("c") == 1000


async def test_good_items_are_stored_and_each_bad_one_gets_its_error(central: Central) -> None:
    good = {"name": "c", "type": "counter", "value": 1}
    table: list[tuple[Any, str | None, str]] = [
        (7, None, "VALIDATION_ERROR"),
        (None, None, "VALIDATION_ERROR"),
        ([], None, "VALIDATION_ERROR"),
        ("c", None, "VALIDATION_ERROR"),
        ({}, None, "VALIDATION_ERROR"),
        ({"name": "c", "value": 1}, "c", "VALIDATION_ERROR"),
        ({**good, "type": "gauge"}, "c", "VALIDATION_ERROR"),
        ({**good, "type": None}, "c", "VALIDATION_ERROR"),
        ({**good, "type": ["counter"]}, "c", "VALIDATION_ERROR"),
        ({**good, "host": "x"}, "c", "VALIDATION_ERROR"),
        ({"name": "c", "type": "counter"}, "c", "VALIDATION_ERROR"),
        ({**good, "name": "a b"}, "a b", "INVALID_NAME"),
        ({**good, "name": 5}, None, "INVALID_NAME"),
        ({**good, "name": "n" * 300}, "n" * 255, "INVALID_NAME"),
        ({**good, "value": "1"}, "c", "INVALID_VALUE"),
        ({**good, "value": True}, "c", "INVALID_VALUE"),
        ({**good, "value": 10**16}, "c", "INVALID_VALUE"),
        ({**good, "recorded_at": 5}, "c", "INVALID_TIMESTAMP"),
        ({**good, "recorded_at": "2020-01-01"}, "c", "TIMESTAMP_TOO_OLD"),
        ({**good, "recorded_at": now_text(90)}, "c", "TIMESTAMP_IN_FUTURE"),
        ({**good, "type": "value"}, "c", "METRIC_TYPE_CONFLICT"),
    ]
    items = [good, *(item for item, _, _ in table), good]
    body = (await central.batch(*items)).json
    assert (body["success"], body["accepted"], body["rejected"]) == (True, 2, len(table))
    got = [(error["index"], error["name"], error["code"]) for error in body["errors"]]
    assert got == [(index, name, code) for index, (_, name, code) in enumerate(table, start=1)]
    assert all(set(error) == {"index", "name", "code", "message"} and error["message"] for error in body["errors"])
    assert await central.total("c") == 2


async def test_a_batch_whose_items_are_all_bad_is_a_201_that_says_so(central: Central) -> None:
    reply = await central.batch(1, {})
    assert reply.status == 201
    assert (reply.json["accepted"], reply.json["rejected"]) == (0, 2)


async def test_an_unknown_field_of_an_item_is_named(central: Central) -> None:
    body = (await central.batch({"name": "c", "type": "counter", "value": 1, "hots": "x"})).json
    assert "'hots'" in body["errors"][0]["message"]


# --- summaries


async def test_a_summary_counts_as_the_samples_it_stands_for(central: Central) -> None:
    summary = {"name": "t", "type": "value", "value": 30.5, "count": 3, "min": 8, "max": 12.75}
    plain = {"name": "t", "type": "value", "value": 1}
    counter = {"name": "c", "type": "counter", "value": 7.5, "count": 3.3333, "min": 1, "max": 4}
    assert (await central.batch(summary, plain, counter)).json["accepted"] == 3
    table = {
        ("t", "sum"): "31.5",
        ("t", "count"): "4",
        ("t", "avg"): "7.875",
        ("t", "min"): "1",
        ("t", "max"): "12.75",
        ("c", "sum"): "7.5",
        ("c", "count"): "3.3333",
        ("c", "avg"): "2.25",
        ("c", "min"): "1",
        ("c", "max"): "4",
    }
    assert {asked: await values(central, *asked) for asked in table} == table


async def test_a_summary_that_contradicts_itself_is_refused(central: Central) -> None:
    good = {"name": "t", "type": "value", "value": 10, "count": 2, "min": 4, "max": 6}

    def without(*fields: str) -> dict[str, Any]:
        return {name: value for name, value in good.items() if name not in fields}

    table: list[tuple[dict[str, Any], str, str]] = [
        (without("count"), "VALIDATION_ERROR", "count"),
        (without("min"), "VALIDATION_ERROR", "min"),
        (without("max"), "VALIDATION_ERROR", "max"),
        (without("min", "max"), "VALIDATION_ERROR", "min"),
        ({**good, "count": 0}, "INVALID_VALUE", "count"),
        ({**good, "count": -1}, "INVALID_VALUE", "count"),
        ({**good, "count": 0.00001}, "INVALID_VALUE", "count"),
        ({**good, "count": "2"}, "INVALID_VALUE", "count"),
        ({**good, "count": None}, "INVALID_VALUE", "count"),
        ({**good, "min": 7}, "INVALID_VALUE", "min"),
        ({**good, "max": True}, "INVALID_VALUE", "max"),
        ({**good, "min": -1e17}, "INVALID_VALUE", "min"),
    ]
    errors = (await central.batch(*(item for item, _, _ in table))).json["errors"]
    assert [(error["code"], field in error["message"]) for error, (_, _, field) in zip(errors, table, strict=True)] == [
        (code, True) for _, code, _ in table
    ]


async def test_min_may_equal_max_and_one_sample_may_be_a_summary(central: Central) -> None:
    item = {"name": "t", "type": "value", "value": 5, "count": 1, "min": 5, "max": 5}
    assert (await central.batch(item)).json["accepted"] == 1


# --- types and caps


async def test_a_name_keeps_its_type_for_ever(central: Central) -> None:
    assert (await central.counter("a")).status == 201
    reply = await central.value("a", "1")
    assert reply.error == (400, "METRIC_TYPE_CONFLICT", "name")
    assert reply.message == "'a' is a counter and cannot take a value; use another name"
    assert (await central.value("b", "1")).status == 201
    assert (await central.counter("b")).error == (400, "METRIC_TYPE_CONFLICT", "name")


async def test_the_first_of_two_types_in_one_batch_wins(central: Central) -> None:
    items = [{"name": "a", "type": kind, "value": 1} for kind in ("value", "counter", "value")]
    body = (await central.batch(*items)).json
    assert [(error["index"], error["code"]) for error in body["errors"]] == [(1, "METRIC_TYPE_CONFLICT")]


async def test_only_one_of_two_types_at_once_wins(central: Central) -> None:
    replies = await asyncio.gather(central.counter("a"), central.value("a", "1"))
    assert sorted(reply.status for reply in replies) == [201, 400]
    assert await central.total("a", "count") == 1


async def test_names_are_capped_loudly(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_MAX_NAMES": "2"}) as central:
        for name in ("a", "b"):
            assert (await central.counter(name)).status == 201
        reply = await central.counter("c")
        assert reply.error == (400, "TOO_MANY_METRICS", "name")
        assert "capped at 2" in reply.message
        body = (await central.batch(*({"name": name, "type": "counter", "value": 1} for name in "abc"))).json
        assert [(error["name"], error["code"]) for error in body["errors"]] == [("c", "TOO_MANY_METRICS")]
        assert await central.total("a") == 2


async def test_names_made_by_one_key_are_capped_for_that_key_alone(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_MAX_NAMES_PER_KEY": "1"}) as central:
        _, one = await central.new_key("ingest")
        _, other = await central.new_key("ingest")
        assert (await central.counter("a", key=one)).status == 201
        assert (await central.counter("b", key=one)).error == (400, "TOO_MANY_METRICS", "name")
        assert (await central.counter("b", key=other)).status == 201
        assert (await central.counter("b", key=one)).status == 201


async def test_rejected_items_are_counted_by_their_code(central: Central) -> None:
    await central.batch({"name": "c", "type": "counter", "value": 1}, 7, {"name": "c", "type": "value", "value": 1})
    await central.value("v", "true")
    await central.value("c", "1")
    table = {"VALIDATION_ERROR": 1, "METRIC_TYPE_CONFLICT": 2, "INVALID_VALUE": 1}
    got = {code: await central.meter(f'fiesta_items_rejected_total{{code="{code}"}}') for code in table}
    assert got == table
    assert await central.meter("fiesta_points_stored_total") == 1


async def test_the_average_is_the_sum_over_the_count(central: Central) -> None:
    for number in ("1", "1", "0"):
        await central.value("v", number)
    assert Decimal(await values(central, "v", "avg")) == Decimal("0.6667")

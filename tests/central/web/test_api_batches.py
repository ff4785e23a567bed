"""POST /api/metrics/batch through real HTTP: partial success, summaries, types and caps of names."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.central.harness import Central, now_text, running

# --- batches


async def test_a_thousand_items_are_a_batch_and_one_more_is_too_many(central: Central) -> None:
    item = {"name": "c", "type": "counter", "value": 1}
    assert (await central.batch(*[item] * 1000)).json["accepted"] == 1000
    reply = await central.batch(*[item] * 1001)
    assert reply.error == (400, "BATCH_TOO_LARGE", "metrics")
    assert "1001" in reply.message
    assert await central.total("c") == 1000


SPREAD = {"name": "t", "type": "value", "value": 9.5, "count": 3, "min": -5, "max": 7.25, "histogram": "AYUTAdATAg"}
"""A summary of -5, 7.25 and 7.25 with its histogram."""


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
        ({**good, "histogram": "AYUTAdATAg"}, "c", "VALIDATION_ERROR"),
        ({**SPREAD, "count": 4}, "t", "INVALID_HISTOGRAM"),
        ({**SPREAD, "min": -6}, "t", "INVALID_HISTOGRAM"),
        ({**SPREAD, "max": 8}, "t", "INVALID_HISTOGRAM"),
        ({**SPREAD, "histogram": "AYUTAdATAg="}, "t", "INVALID_HISTOGRAM"),
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


async def test_a_summary_with_a_histogram_counts_and_singles_take_none(central: Central) -> None:
    assert (await central.batch(SPREAD, SPREAD)).json["accepted"] == 2
    assert [await central.total("t", operation) for operation in ("sum", "count", "min", "max")] == [19, 6, -5, 7.25]
    reply = await central.ask("POST", "/api/metrics/value", json={"name": "t", "value": 1, "histogram": "AYUTAdATAg"})
    assert (reply.status, reply.json["error"]["details"]) == (400, {"field": "histogram"})


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [("GET", "/health", None), ("GET", "/nowhere", None), ("POST", "/api/metrics/batch", None), ("GET", "/docs", None)],
)
async def test_every_answer_says_that_histograms_and_tags_are_taken(
    central: Central, method: str, path: str, key: str | None
) -> None:
    assert (await central.ask(method, path, key=key)).headers["Metrics-Accepts"] == "histograms, tags"


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
    assert {asked: await central.digits(*asked) for asked in table} == table


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
        assert "at most 2 names" in reply.message
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
    assert Decimal(await central.digits("v", "avg")) == Decimal("0.6667")

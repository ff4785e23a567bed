"""Queries of many names at once through real HTTP: by pattern, with several operations, in every format."""

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from central.query.parameters import MOST_MATCHED
from tests.central.harness import Central, running

AGGREGATE = "/api/metrics/aggregate"
START = "2026-02-15T00:00:00Z"


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Central]:
    async with running(tmp_path) as central:
        await central.batch(
            *({"name": name, "type": "counter", "value": 2} for name in ("shop.orders", "shop.eu.orders", "other")),
            *({"name": "shop.ms", "type": "value", "value": value, "tags": {"h": "a"}} for value in (1, 3)),
        )
        yield central


async def ask(central: Central, **parameters: str) -> Any:
    given = {"operation": "sum", "window": "1d", "start": "-1d", "end": "now", **parameters}
    return await central.ask("GET", AGGREGATE, params=given)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"match": "shop.*"}, ["shop.ms", "shop.orders"]),
        ({"match": "shop.ord*"}, ["shop.orders"]),  # an object, also of one name
        ({"match": "{other,shop.*.orders}"}, ["other", "shop.eu.orders"]),
        ({"match": "shop.*", "name": "other,shop.orders"}, ["other", "shop.orders", "shop.ms"]),
        ({"match": "shop.*", "operation": "sum,p95"}, ["shop.ms"]),
    ],
)
async def test_a_pattern_stands_for_names(stored: Central, parameters: dict[str, str], names: list[str]) -> None:
    reply = await ask(stored, **parameters)
    assert reply.status == 200, reply.text
    assert list(reply.json["data"]) == names
    assert all(len(points) == 1 for points in reply.json["data"].values())
    assert "unknown" not in reply.json


async def test_a_pattern_that_means_no_name_is_unknown(stored: Central) -> None:
    reply = await ask(stored, match="none.{a,b}", name="other,othre")
    assert list(reply.json["data"]) == ["other", "othre"]
    assert reply.json["unknown"] == [{"name": "othre", "near": ["other"]}, {"name": "none.{a,b}", "near": []}]
    assert reply.headers["Metrics-Unknown"] == "othre,none.{a,b}"


async def test_groups_of_a_pattern_are_a_list(stored: Central) -> None:
    reply = await ask(stored, match="shop.*", group_by="h")
    assert [(group["metric"], group["tags"], group["points"][0]["value"]) for group in reply.json["data"]] == [
        ("shop.ms", {"h": "a"}, 4),
        ("shop.orders", {"h": None}, 2),
    ]


async def test_every_format_says_the_same_of_several_operations(stored: Central) -> None:
    asked = {"match": "shop.*", "operation": "sum,count,max"}
    expected = {("shop.ms", "4", "2", "3"), ("shop.orders", "2", "1", "2")}

    def values_of(name: str, one: Any) -> tuple[str, ...]:
        return (name, *(str(one[operation]) for operation in ("sum", "count", "max")))

    answer = (await ask(stored, **asked)).json["data"]
    assert {values_of(name, point) for name, points in answer.items() for point in points} == expected
    for reply in (
        await ask(stored, **asked, format="jsonl"),
        await stored.ask(
            "GET", AGGREGATE, params={**asked, "window": "1d", "start": "-1d", "end": "now"}, headers=JSON_LINES
        ),
    ):
        assert reply.headers["Content-Type"] == "application/x-ndjson"
        lines = [json.loads(line, parse_float=Decimal) for line in reply.text.splitlines()]
        assert {values_of(line["name"], line) for line in lines} == expected
        assert all(line["partial"] and line["timestamp"].endswith("T00:00:00Z") for line in lines)
    table = csv.DictReader(io.StringIO((await ask(stored, **asked, format="csv")).text))
    assert {values_of(row["name"], row) for row in table} == expected


JSON_LINES = {"Accept": "application/jsonl"}


@pytest.mark.parametrize(
    ("parameters", "field", "said"),
    [
        ({}, "name", "name is required"),
        ({"match": ""}, "match", "match must be a pattern such as shop.*"),
        ({"match": "a{b"}, "match", "match has a '{' at character 2 that is never closed"),
        ({"match": "{other,shop.ord*}", "operation": "p95"}, "operation", "other is a counter and has no p95"),
        ({"match": "other", "format": "xml"}, "format", "format must be one of json, csv, jsonl"),
    ],
)
async def test_a_fault_is_named(stored: Central, parameters: dict[str, str], field: str, said: str) -> None:
    reply = await ask(stored, **parameters)
    assert reply.error == (400, "VALIDATION_ERROR", field)
    assert said in reply.message


async def test_a_pattern_of_too_many_names_is_refused_in_words(central: Central) -> None:
    await central.batch(*({"name": f"n{number}", "type": "counter", "value": 1} for number in range(MOST_MATCHED)))
    reply = await ask(central, match="n*")
    assert (reply.status, len(reply.json["data"])) == (200, MOST_MATCHED)
    await central.counter("n")
    reply = await ask(central, match="n*")
    assert reply.error == (400, "VALIDATION_ERROR", "match")
    assert reply.message == "match means too many metrics; write one that means fewer; a query may be of 1,000"

"""A name that is sent with several StatsD types, through real HTTP: stored, reported and listed."""

from typing import Any

import pytest

from protocol.statsd_types import MAX_RENAMED
from tests.central.harness import Central, Reply


def item(name: str, kind: str = "value", value: int = 1) -> dict[str, Any]:
    return {"name": name, "type": kind, "value": value}


async def send(central: Central, types: str, *items: Any, key: str | None = None) -> Reply:
    """A batch as an agent sends it."""
    again = {} if key is None else {"Idempotency-Key": key}
    return await central.batch(*items, headers={"Metrics-Statsd-Types": types, **again})


async def test_four_types_of_one_name_are_stored_apart_and_the_answer_says_so(central: Central) -> None:
    reply = await send(
        central, "ctgs", item("a", "counter", 1), item("a", value=2), item("a", value=3), item("a", value=4)
    )
    assert reply.json == {"success": True, "accepted": 4, "rejected": 0, "errors": []}
    assert reply.headers["Metrics-Renamed"] == "a.timing,a.gauge,a.set"
    assert [await central.total(name) for name in ("a", "a.timing", "a.gauge", "a.set")] == [1, 2, 3, 4]


async def test_names_that_fit_are_not_spoken_of(central: Central) -> None:
    assert "Metrics-Renamed" not in (await send(central, "c-t", item("a", "counter"), item("b"), item("c"))).headers
    assert "Metrics-Renamed" not in (await central.batch(item("c"))).headers


async def test_a_retry_gets_the_first_answer_and_stores_nothing(central: Central) -> None:
    items = [item("a", "counter"), item("a", value=5)]
    first, again = [await send(central, "ct", *items, key="k") for _ in range(2)]
    assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
    assert [await central.total(name) for name in ("a", "a.timing")] == [1, 5]


async def test_an_item_that_says_nothing_keeps_the_conflict(central: Central) -> None:
    await send(central, "t", item("a"))
    reply = await central.batch(item("a", "counter"))
    assert [error["code"] for error in reply.json["errors"]] == ["METRIC_TYPE_CONFLICT"]
    assert (await central.counter("a")).error == (400, "METRIC_TYPE_CONFLICT", "name")
    assert (await central.value("a", "7")).status == 201


@pytest.mark.parametrize("types", ["", "c", "ccc", "cx", "c t"])
async def test_a_header_that_does_not_fit_the_batch_is_refused(central: Central, types: str) -> None:
    reply = await send(central, types, item("a", "counter"), item("b", "counter"))
    assert reply.error == (400, "VALIDATION_ERROR", "Metrics-Statsd-Types")


async def test_letters_belong_to_the_items_as_sent_also_behind_a_bad_one(central: Central) -> None:
    reply = await send(central, "cgts", item("a", "counter"), {"name": "bad"}, item("a", value=5), item("b", "counter"))
    assert [(error["index"], error["code"]) for error in reply.json["errors"]] == [
        (1, "VALIDATION_ERROR"),
        (3, "VALIDATION_ERROR"),
    ]
    assert reply.json["errors"][1]["message"] == "a set has the type 'value', not 'counter'"
    assert await central.total("a.timing") == 5


async def test_the_list_shows_types_and_clashes(central: Central) -> None:
    await send(central, "ct", item("a", "counter"), item("a"))
    await central.counter("b")
    listed = [
        {"name": "a", "type": "counter", "statsd_type": "counter"},
        {"name": "a.timing", "type": "value", "statsd_type": "timing", "clash_of": "a"},
        {"name": "b", "type": "counter"},
    ]
    assert (await central.ask("GET", "/api/metrics")).json["data"] == listed
    assert (await central.ask("GET", "/api/metrics?clashes=true")).json["data"] == listed[1:2]
    assert (await central.ask("GET", "/api/metrics?clashes=yes")).error == (400, "VALIDATION_ERROR", "clashes")


async def test_an_answer_names_a_few_of_many_clashes(central: Central) -> None:
    names = [f"n{number}" for number in range(MAX_RENAMED + 5)]
    await send(central, "c" * len(names), *(item(name, "counter") for name in names))
    reply = await send(central, "t" * len(names), *(item(name) for name in names))
    assert reply.json["accepted"] == len(names)
    assert reply.headers["Metrics-Renamed"].split(",") == [f"{name}.timing" for name in names[:MAX_RENAMED]]

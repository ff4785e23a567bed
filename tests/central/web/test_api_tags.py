"""Tags through real HTTP: filters, groups, lists and the deletion of a series, compared with brute force."""

import itertools
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from protocol.times import format_time
from tests.central.harness import Central, running

DAY = 86_400
MIDNIGHT = int(time.time()) // DAY * DAY - DAY
SPAN = {"start": format_time(MIDNIGHT), "end": format_time(MIDNIGHT + DAY), "window": "1d"}
TAGS: list[dict[str, str]] = [
    {},
    {"env": "prod", "host": "web-1"},
    {"env": "prod", "host": "web-2", "canary": ""},
    {"env": "test", "host": 'd"b-1'},
    {"host": "日本"},
]
AMOUNTS = [1, 2, 4, 8, 16]
ITEMS = [
    {"name": name, "type": kind, "value": amount * factor, "recorded_at": format_time(MIDNIGHT + hour * 3600 + 7)}
    | ({"tags": tags} if tags else {})
    for name, kind, factor in (("shop.orders", "counter", 1), ("shop.ms", "value", 10))
    for hour, (tags, amount) in itertools.product(range(3), zip(TAGS, AMOUNTS, strict=True))
]


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Central]:
    """A service with a counter and a value of five series each, one of them without tags, and a name without any."""
    async with running(tmp_path) as central:
        reply = await central.batch(
            *ITEMS, {"name": "plain", "type": "counter", "value": 3, "recorded_at": SPAN["start"]}
        )
        assert reply.json["rejected"] == 0, reply.text
        yield central


async def ask(central: Central, **parameters: str) -> Any:
    reply = await central.ask("GET", "/api/metrics/aggregate", params=SPAN | {"operation": "sum"} | parameters)
    assert reply.status == 200, reply.text
    return reply.json["data"]


def sums(data: Any) -> dict[tuple[Any, ...], float]:
    """The one value of each group by the values of its tags."""
    return {tuple(group["tags"].values()): group["points"][0]["value"] for group in data}


async def test_without_tags_a_name_is_the_sum_over_all_its_series(stored: Central) -> None:
    assert await ask(stored, name="shop.orders") == [{"timestamp": SPAN["start"], "value": 93}]
    assert sum(sums(await ask(stored, name="shop.orders", group_by="host")).values()) == 93


@pytest.mark.parametrize(
    ("filters", "amount"),
    [
        ("env:prod", 2 + 4),
        ("host:web-*", 2 + 4),
        ("host:web-*,!canary:*", 2),
        ("!canary:*", 1 + 2 + 8 + 16),
        ("canary:", 4),
        ("!env:*", 1 + 16),
        ("!host:*", 1),
        ("host:日*", 16),
        ('host:d"b-1', 8),
        ("env:prod,host:web-2,canary:*", 4),
    ],
)
async def test_filters_choose_series(stored: Central, filters: str, amount: int) -> None:
    (group,) = await ask(stored, name="shop.orders", tags=filters)
    assert (group["metric"], group["tags"]) == ("shop.orders", {})
    assert [point["value"] for point in group["points"]] == [3 * amount]


async def test_filters_that_no_series_meets_give_no_group(stored: Central) -> None:
    assert await ask(stored, name="shop.orders", tags="env:nowhere") == []
    assert await ask(stored, name="plain", tags="env:*") == []
    (group,) = await ask(stored, name="plain", tags="!env:*")
    assert group["points"][0]["value"] == 3


async def test_groups_have_a_null_where_a_series_lacks_the_key(stored: Central) -> None:
    assert sums(await ask(stored, name="shop.orders", group_by="env")) == {(None,): 51, ("prod",): 18, ("test",): 24}
    both = sums(await ask(stored, name="shop.orders", group_by="env,canary", tags="env:prod"))
    assert both == {("prod", None): 6, ("prod", ""): 12}
    assert sums(await ask(stored, name="plain", group_by="env")) == {(None,): 3}


async def test_groups_work_with_every_operation_and_several_names(stored: Central) -> None:
    data = await ask(
        stored, name="shop.orders,shop.ms", group_by="env", operation="count,avg,min,max,rate", window="1h"
    )
    points = {(group["metric"], group["tags"]["env"]): group["points"] for group in data}
    assert len(points) == 6
    assert points["shop.ms", "prod"][2] == {
        "timestamp": format_time(MIDNIGHT + 7200),
        "count": 2,
        "avg": 30,
        "min": 20,
        "max": 40,
        "rate": Decimal("0.0006"),
    }


async def test_groups_have_percentiles_of_their_own(stored: Central) -> None:
    data = await ask(stored, name="shop.ms", group_by="host", operation="p0,p50,p100")
    found = {group["tags"]["host"]: group["points"][0] for group in data}
    for tags, amount in zip(TAGS, AMOUNTS, strict=True):
        point = found[tags.get("host")]
        assert (point["p0"], point["p100"]) == (amount * 10, amount * 10)
        assert abs(point["p50"] - amount * 10) <= amount * 10 / 256


async def test_the_largest_groups_are_named_and_the_rest_is_one(stored: Central) -> None:
    data = await ask(stored, name="shop.orders", group_by="host", top="2")
    assert [(group["tags"], group.get("rest"), group["points"][0]["value"]) for group in data] == [
        ({"host": "日本"}, None, 48),
        ({"host": 'd"b-1'}, None, 24),
        ({}, True, 21),
    ]
    reply = await stored.ask(
        "GET",
        "/api/metrics/aggregate",
        params=SPAN | {"name": "shop.orders", "operation": "sum", "group_by": "host", "top": "1", "format": "csv"},
    )
    assert reply.text.splitlines()[:3] == [
        "name,host,rest,timestamp,value",
        f"shop.orders,日本,,{SPAN['start']},48",
        f"shop.orders,,true,{SPAN['start']},45",
    ]


@pytest.mark.parametrize("top", ["4", "5", "6"])
async def test_the_largest_come_first_also_where_nearly_all_are_named(stored: Central, top: str) -> None:
    data = await ask(stored, name="shop.orders", group_by="host", top=top)
    assert [group["points"][0]["value"] for group in data] == [48, 24, 12, 6, 3]


@pytest.mark.parametrize("more", [{}, {"top": "1"}, {"operation": "p50", "name": "shop.ms", "top": "1"}])
async def test_a_range_without_a_whole_second_has_no_group(stored: Central, more: dict[str, str]) -> None:
    nothing = {"start": SPAN["start"][:-1] + ".1Z", "end": SPAN["start"][:-1] + ".9Z"}
    assert await ask(stored, **({"name": "shop.orders", "group_by": "host"} | nothing | more)) == []


async def test_raw_edges_of_a_range_know_series_too(stored: Central) -> None:
    cut = {"start": format_time(MIDNIGHT + 3), "end": format_time(MIDNIGHT + 3607), "window": "1h"}
    assert sums(await ask(stored, name="shop.orders", group_by="env", **cut)) == {
        (None,): 17,
        ("prod",): 6,
        ("test",): 8,
    }


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (
            "tags",
            [{"key": "canary", "values": 1}, {"key": "env", "values": 2}, {"key": "host", "values": 4}],
        ),
        ("tags/env", [{"value": "prod", "series": 2}, {"value": "test", "series": 1}]),
        ("tags/host?prefix=web-", [{"value": "web-1", "series": 1}, {"value": "web-2", "series": 1}]),
        ("tags/host?search=b-1", [{"value": 'd"b-1', "series": 1}, {"value": "web-1", "series": 1}]),
        ("tags/host?prefix=*-2", [{"value": "web-2", "series": 1}]),
        ("tags/nothing", []),
        ("series?tags=env:prod", [{"tags": TAGS[1]}, {"tags": TAGS[2]}]),
    ],
)
async def test_tags_are_listed(stored: Central, path: str, data: list[dict[str, Any]]) -> None:
    reply = await stored.ask("GET", f"/api/metrics/shop.orders/{path}")
    assert (reply.status, reply.json["data"], reply.json["next"]) == (200, data, None)


@pytest.mark.parametrize(("path", "field"), [("tags/host", "value"), ("series", "tags")])
async def test_lists_come_in_pages(stored: Central, path: str, field: str) -> None:
    found, after = [], None
    for _ in range(9):
        parameters = {"limit": "1"} | ({} if after is None else {"after": after})
        reply = await stored.ask("GET", f"/api/metrics/shop.orders/{path}", params=parameters)
        found += [one[field] for one in reply.json["data"]]
        after = reply.json["next"]
        if after is None:
            break
    hosts = [tags["host"] for tags in TAGS if tags]
    assert found == (sorted(hosts) if field == "value" else TAGS[1:])


@pytest.mark.parametrize(
    ("path", "status", "field", "said"),
    [
        ("nothing/tags", 404, "name", "there is no metric with this name"),
        ("shop.orders/tags?x=1", 400, "x", "unknown parameter 'x'"),
        ("shop.orders/tags/9a", 400, "key", "'9a' is no key of a tag; a key must be"),
        ("shop.orders/tags/env?limit=0", 400, "limit", "from 1 to 1000"),
        ("shop.orders/tags/env?prefix=a&search=b", 400, "search", "give prefix or search, not both"),
        ("shop.orders/tags/env?prefix=a%3Db", 400, "prefix", "cannot be a part of a value"),
        ("shop.orders/series?tags=env", 400, "tags", "tags has 'env'; a condition is key:value"),
        ("shop.orders/series?after=x", 400, "after", "must be a whole number"),
    ],
)
async def test_a_bad_list_is_refused_in_words(stored: Central, path: str, status: int, field: str, said: str) -> None:
    reply = await stored.ask("GET", f"/api/metrics/{path}")
    assert (reply.status, reply.json["error"]["details"]["field"]) == (status, field)
    assert said in reply.json["error"]["message"]


async def test_samples_of_deleted_series_do_not_pass_for_untagged_ones(stored: Central) -> None:
    for tags in TAGS[1:]:
        text = ",".join(f"{key}:{value}" for key, value in tags.items())
        reply = await stored.ask("DELETE", "/api/admin/metrics/shop.orders/series", params={"tags": text})
        assert reply.status == 200
    assert sums(await ask(stored, name="shop.orders", group_by="env")) == {(None,): 3}
    assert await ask(stored, name="shop.orders") == [{"timestamp": SPAN["start"], "value": 93}]


async def test_a_deleted_series_is_gone_and_the_total_stays(stored: Central) -> None:
    path = "/api/admin/metrics/shop.orders/series"
    for tags, status in (("host:web-1", 404), ("env:prod,host:web-1", 200), ("host:web-1,env:prod", 404), ("", 400)):
        reply = await stored.ask("DELETE", path, params={"tags": tags})
        assert reply.status == status, reply.text
    assert await ask(stored, name="shop.orders") == [{"timestamp": SPAN["start"], "value": 93}]
    assert sums(await ask(stored, name="shop.orders", group_by="env"))["prod",] == 12
    again = {"name": "shop.orders", "type": "counter", "value": 5, "tags": TAGS[1], "recorded_at": SPAN["start"]}
    assert (await stored.batch(again)).status == 201
    assert sums(await ask(stored, name="shop.orders", group_by="env"))["prod",] == 17
    assert await ask(stored, name="shop.orders") == [{"timestamp": SPAN["start"], "value": 98}]

"""GET /api/metrics through real HTTP: names in order, page by page (PRD 4.1.2)."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from central.app import Outside
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, running


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Central]:
    async with running(tmp_path) as central:
        kinds = {"a": "counter", "A": "value", "a.": "counter", "a.b": "value", "a_b": "counter", "b": "value"}
        await central.batch(*({"name": name, "type": kind, "value": 1} for name, kind in kinds.items()))
        yield central


@pytest.mark.parametrize(
    ("query", "names", "following"),
    [
        ("", ["A", "a", "a.", "a.b", "a_b", "b"], None),
        ("?prefix=a", ["a", "a.", "a.b", "a_b"], None),
        ("?prefix=a.", ["a.", "a.b"], None),
        ("?prefix=a_", ["a_b"], None),
        ("?prefix=zzz", [], None),
        ("?limit=2", ["A", "a"], "a"),
        ("?limit=2&after=a", ["a.", "a.b"], "a.b"),
        ("?limit=2&after=a.b", ["a_b", "b"], None),
        ("?limit=6", ["A", "a", "a.", "a.b", "a_b", "b"], None),
        ("?limit=1&prefix=a.&after=a", ["a."], "a."),
        ("?prefix=&after=", ["A", "a", "a.", "a.b", "a_b", "b"], None),
    ],
)
async def test_names_are_listed_in_byte_order_page_by_page(
    named: Central, query: str, names: list[str], following: str | None
) -> None:
    reply = await named.ask("GET", f"/api/metrics{query}")
    assert reply.status == 200
    assert [entry["name"] for entry in reply.json["data"]] == names
    assert reply.json["next"] == following


async def test_the_list_says_what_type_each_name_is(named: Central) -> None:
    reply = await named.ask("GET", "/api/metrics?prefix=a.")
    assert reply.text == (
        '{"success":true,"data":[{"name":"a.","type":"counter"},{"name":"a.b","type":"value"}],"next":null}'
    )


async def test_a_bad_parameter_of_the_list_is_refused_and_named(named: Central) -> None:
    table = {
        "limit=0": "limit",
        "limit=1001": "limit",
        "limit=-1": "limit",
        "limit=ten": "limit",
        "limit=1.5": "limit",
        "limit=%D9%A1": "limit",
        "limit=1&limit=2": "limit",
        "offset=1": "offset",
    }
    got = {query: (await named.ask("GET", f"/api/metrics?{query}")).error for query in table}
    assert got == {query: (400, "VALIDATION_ERROR", field) for query, field in table.items()}
    for query, field in (("prefix=a%20b", "prefix"), ("after=%00", "after"), ("prefix=%25", "prefix")):
        assert (await named.ask("GET", f"/api/metrics?{query}")).error == (400, "INVALID_NAME", field)


async def test_a_hundred_names_are_a_page_and_a_thousand_the_most(central: Central) -> None:
    await central.batch(*({"name": f"n{i:04}", "type": "counter", "value": 1} for i in range(1000)))
    await central.counter("n1000")
    assert len((await central.ask("GET", "/api/metrics")).json["data"]) == 100
    page = (await central.ask("GET", "/api/metrics?limit=1000")).json
    assert (len(page["data"]), page["next"]) == (1000, "n0999")


@pytest.mark.parametrize(
    ("query", "names", "following"),
    [
        ("search=a", ["a", "a.", "a.b", "a_b"], None),
        ("search=A", ["A"], None),
        ("search=A.&ignore_case=true", ["a.", "a.b"], None),
        ("search=b&prefix=a", ["a.b", "a_b"], None),
        ("match=*", ["A", "a", "a_b", "b"], None),
        ("match=a.*", ["a.", "a.b"], None),
        ("match={b,A}", ["A", "b"], None),
        ("match=a*&search=_", ["a_b"], None),
        ("match=*&limit=2", ["A", "a"], "a"),
        ("match=*&limit=2&after=a", ["a_b", "b"], None),
        ("match=x.*", [], None),
    ],
)
async def test_names_are_found_by_any_part_and_by_pattern(
    named: Central, query: str, names: list[str], following: str | None
) -> None:
    reply = await named.ask("GET", f"/api/metrics?{query}")
    assert reply.status == 200, reply.text
    assert [entry["name"] for entry in reply.json["data"]] == names
    assert reply.json["next"] == following
    assert all(entry["last_value"] == 1 and entry["tags"] == [] for entry in reply.json["data"])


async def test_a_name_comes_with_what_was_last_seen_and_a_sparkline(tmp_path: Path) -> None:
    now = 1_771_158_600.0  # half past an hour
    async with running(tmp_path, outside=Outside(clock=lambda: now, bcrypt_cost=QUICK_HASH)) as central:
        times = [format_time(int(now) - seconds) for seconds in (25 * 3600, 7200, 90, 60)]
        await central.batch(
            *({"name": "old", "type": "counter", "value": 1, "recorded_at": at} for at in times[:1]),
            *({"name": "c", "type": "counter", "value": 2.5, "recorded_at": at} for at in (times[1], *times[1:])),
            *({"name": "v", "type": "value", "value": 3, "recorded_at": at, "tags": {"b": "1"}} for at in times[2:]),
            {"name": "v", "type": "value", "value": 4, "recorded_at": times[3], "tags": {"a": "1"}},
        )
        reply = await central.ask("GET", "/api/metrics?sparkline=24h")
    assert reply.json["sparkline"] == {"start": "2026-02-14T13:00:00Z", "window": "1h"}
    seen = "2026-02-15T12:29:00Z"
    first = {"first_seen": "2026-02-15T12:30:00Z"}
    nothing = [None] * 21
    assert reply.json["data"] == [
        {"name": "c", "type": "counter", **first, "last_seen": seen, "age_seconds": 60, "last_value": Decimal("2.5")}
        | {"tags": [], "sparkline": [*nothing, 5, None, 5]},
        {"name": "old", "type": "counter", **first, "last_seen": "2026-02-14T11:00:00Z", "age_seconds": 91_800}
        | {"last_value": None, "tags": [], "sparkline": [None] * 24},
        {"name": "v", "type": "value", **first, "last_seen": seen, "age_seconds": 60, "last_value": Decimal("3.5")}
        | {"tags": ["a", "b"], "sparkline": [*nothing, None, None, Decimal("3.3333")]},
    ]

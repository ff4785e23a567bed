"""GET /api/metrics through real HTTP: names in order, page by page (PRD 4.1.2)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.central.harness import Central, running


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

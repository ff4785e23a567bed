"""central/graphite/paths.py and name_index.py: which lines a path means, on both stores."""

import asyncio
from pathlib import Path

import pytest

from central.graphite import name_index
from central.graphite.name_index import NameIndex
from central.graphite.paths import Finder
from central.ingest.names import Names
from central.query.globs import parse_globs
from central.store.base import Store, StoreUnavailable
from central.store.duck.store import DuckStore
from tests.central.store_help import CAPS, SERIES_CAPS, Clock, name

COUNTERS = ["shop.orders", "shop.orders.eu", "api.requests"]
VALUES = ["shop.checkout_ms", "shop.orders.sum"]
COUNTER_LEAVES = ["avg", "count", "max", "min", "rate", "sum"]
VALUE_LEAVES = ["avg", "count", "max", "median", "min", "p75", "p90", "p95", "p99", "rate", "sum"]


async def finder_of(store: Store) -> Finder:
    for text in COUNTERS:
        await name(store, text, "counter")
    for text in VALUES:
        await name(store, text, "value")
    return Finder(store, Names(store, CAPS, SERIES_CAPS))


async def lines(finder: Finder, pattern: str) -> list[str]:
    """Each line as path=name:operation."""
    return [f"{leaf.path}={leaf.name}:{leaf.operation}" for leaf in await finder.expand(pattern, 100)]


async def test_a_path_means_these_lines(store: Store) -> None:
    cases: list[tuple[str, list[str]]] = [
        ("shop.checkout_ms.p95", ["shop.checkout_ms.p95=shop.checkout_ms:p95"]),
        ("shop.checkout_ms.p99.9", ["shop.checkout_ms.p99.9=shop.checkout_ms:p99.9"]),
        ("shop.check*.p99.9", ["shop.checkout_ms.p99.9=shop.checkout_ms:p99.9"]),
        ("shop.checkout_ms.p42", ["shop.checkout_ms.p42=shop.checkout_ms:p42"]),
        ("shop.checkout_ms", ["shop.checkout_ms=shop.checkout_ms:avg"]),
        ("shop.orders", ["shop.orders=shop.orders:sum"]),
        ("shop.orders.sum", ["shop.orders.sum=shop.orders:sum"]),
        ("shop.orders.sum.max", ["shop.orders.sum.max=shop.orders.sum:max"]),
        ("shop.orders.p95", []),
        ("shop.orders.p101", []),
        (
            "shop.checkout_ms.{p95,p99.9,nothing}",
            [f"shop.checkout_ms.{op}=shop.checkout_ms:{op}" for op in ("p95", "p99.9")],
        ),
        ("shop.checkout_ms.*", [f"shop.checkout_ms.{op}=shop.checkout_ms:{op}" for op in VALUE_LEAVES]),
        ("api.*.*", [f"api.requests.{op}=api.requests:{op}" for op in COUNTER_LEAVES]),
        ("*.requests.m??", ["api.requests.max=api.requests:max", "api.requests.min=api.requests:min"]),
        ("api.*", ["api.requests=api.requests:sum"]),
        ("shop.orders.[e]*", ["shop.orders.eu=shop.orders.eu:sum"]),
        ("nothing", []),
        ("no name at all", []),
        ("nö.*", []),
        ("\udc80", []),
        ("", []),
        ("sum", []),
        (".sum", []),
        ("*", []),
    ]
    finder = await finder_of(store)
    for pattern, found in cases:
        assert await lines(finder, pattern) == found, pattern


async def test_a_line_has_its_metric_and_its_tags(store: Store) -> None:
    finder = await finder_of(store)
    (leaf,) = await finder.expand("shop.checkout_ms.p95", 1)
    assert leaf.metric == await name(store, "shop.checkout_ms", "value")
    assert (leaf.series_id, leaf.tags) == (None, {"name": "shop.checkout_ms.p95"})


async def test_more_lines_than_the_limit_are_refused(store: Store) -> None:
    finder = await finder_of(store)
    assert len(await finder.expand("shop.checkout_ms.*", len(VALUE_LEAVES))) == len(VALUE_LEAVES)
    with pytest.raises(ValueError, match="means more than 10 lines"):
        await finder.expand("shop.checkout_ms.*", 10)
    with pytest.raises(ValueError, match="means too many metrics"):
        await finder.expand("shop.*", 1)


async def test_new_names_are_found_and_deleted_ones_are_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_index, "_AT_ONCE", 2)
    index = NameIndex(store.names)
    assert await index.search(parse_globs("*"), 9) == [[]]
    for text in ("b", "a", "c.x"):
        await name(store, text)
    assert [place.path for place in (await index.search(parse_globs("*"), 9))[0]] == ["a", "b", "c"]
    await store.names.delete("c.x")
    await name(store, "d")
    assert [place.path for place in (await index.search(parse_globs("*"), 9))[0]] == ["a", "b", "d"]
    await store.names.delete("d")
    assert [place.path for place in (await index.search(parse_globs("*"), 9))[0]] == ["a", "b"]


async def test_a_search_that_is_cancelled_leaves_the_names_whole(store: Store) -> None:
    index, wanted = NameIndex(store.names), parse_globs("*.x")
    for round_ in range(5):
        for number in range(3):
            await name(store, f"n{round_}{number}.x")
        searches = [asyncio.create_task(index.search(wanted, 99)) for _ in range(4)]
        await asyncio.sleep(0)
        for search in searches[:3]:
            search.cancel()
        await asyncio.wait(searches)
        assert len(searches[3].result()[0]) == (round_ + 1) * 3
    assert len((await index.search(wanted, 99))[0]) == 15


async def test_while_the_store_is_away_a_search_says_so(tmp_path: Path) -> None:
    store = DuckStore(tmp_path, clock=Clock())
    await store.open()
    await name(store, "a.x")
    index = NameIndex(store.names)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await index.search(parse_globs("*"), 9)

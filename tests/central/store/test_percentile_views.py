"""percentiles_by_hour and series_percentiles_by_hour: the percentiles of the API, or NULL, at every moment."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from central.query.columns import columns_of
from central.query.parameters import Query
from central.query.windows import windows_between
from central.store.base import IdGroup
from central.store.duck.store import DuckStore
from central.store.folding import PERCENTS, HistogramFold
from central.store.mysql.store import MySQLStore
from central.store.plan import plan
from tests.central.mysql_help import opened
from tests.central.query.test_percentiles import numbers_in
from tests.central.store_contract_histograms import at_once, summary
from tests.central.store_contract_tags import series
from tests.central.store_help import NOW, Clock, group, name, plain
from tests.servers import MariaDB

HOUR = NOW - 3_600
VIEW = "SELECT name, count, p50, p75, p90, p95, p99 FROM percentiles_by_hour"
SERIES_VIEW = f"SELECT name, tags, count, {', '.join(PERCENTS)} FROM series_percentiles_by_hour"
Ask = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


async def of_the_api(store: DuckStore | MySQLStore, one: IdGroup) -> tuple[Decimal | None, ...]:
    """What a query says of the hour."""
    found = await store.distribute([one], 3_600, plan(HOUR, NOW, 3_600))
    query = Query(("a",), tuple(PERCENTS), "1h", HOUR, NOW, None)
    columns = columns_of(query, found, [], windows_between(HOUR, NOW, 3_600))
    return tuple(
        None if (number := numbers_in(values)[0]) is None else Decimal(number).scaleb(-4) for values in columns
    )


async def check_views(store: DuckStore | MySQLStore, clock: Clock, ask: Ask) -> None:
    """An hour of a value and of two of its series, before its fold, after it, and with late points."""
    metric, mute, counter = await name(store, "a"), await name(store, "mute"), await name(store, "c", "counter")
    red, blue = await series(store, metric, "c:red", "c:blue")
    lots = [[number * 7_000 + place for number in range(40)] for place in range(3)]
    rows = [
        summary(metric.id, lot, HOUR + place)._replace(series_id=key)
        for place, (lot, key) in enumerate(zip(lots, (red, blue, 0), strict=True))
    ]
    silent = summary(mute.id, [5], HOUR)._replace(histogram=None)
    await store.commit(group([*rows, silent, plain(mute, 3, HOUR), plain(counter, 3, HOUR)]))
    unknown = (None,) * len(PERCENTS)

    async def seen() -> list[tuple[Any, ...]]:
        return sorted(await ask(VIEW)) + sorted(await ask(SERIES_VIEW))

    early = [("a", Decimal(120), *unknown), ("mute", Decimal(2), *unknown)]
    early += [("a", tags, Decimal(40), *unknown) for tags in ("c:blue", "c:red")]
    assert await seen() == early
    await store.tidy(idle=True)
    assert await seen() == early
    clock.now = NOW + 600
    await HistogramFold(store.folding, clock, at_once).round()
    whole = IdGroup(metric.id, metric.id, None)
    of_red, of_blue = (IdGroup(key, metric.id, (key,)) for key in (red, blue))
    expected = [
        ("a", Decimal(120), *await of_the_api(store, whole)),
        early[1],
        ("a", "c:blue", Decimal(40), *await of_the_api(store, of_blue)),
        ("a", "c:red", Decimal(40), *await of_the_api(store, of_red)),
    ]
    assert None not in expected[0]
    assert await seen() == expected
    await store.commit(group([summary(metric.id, [10**9], HOUR)._replace(series_id=red)]))
    late = [("a", Decimal(121), *unknown), *expected[1:3], ("a", "c:red", Decimal(41), *unknown)]
    assert await seen() == late, "none at all is better than one of a part"
    await store.tidy(idle=True)
    await HistogramFold(store.folding, clock, at_once).round()
    assert await seen() == [
        ("a", Decimal(121), *await of_the_api(store, whole)),
        *expected[1:3],
        ("a", "c:red", Decimal(41), *await of_the_api(store, of_red)),
    ]


async def test_a_backup_has_percentiles_of_whole_hours(tmp_path: Path) -> None:
    clock = Clock()
    store = DuckStore(tmp_path, clock=clock, tail_rows=1)
    await store.open()

    def read(cursor: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
        return cursor.execute(sql).fetchall()

    await check_views(store, clock, lambda sql: store.engine.read(lambda cursor: read(cursor, sql)))
    await store.close()


async def test_mysql_has_percentiles_of_whole_hours(mariadb: MariaDB, database: str) -> None:
    clock = Clock()
    async with opened(mariadb, database, clock=clock) as store:
        await check_views(store, clock, lambda sql: asyncio.to_thread(lambda: list(mariadb.run(sql, database))))

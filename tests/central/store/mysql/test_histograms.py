"""central/store/mysql/histograms.py: what only a server of several processes has to show of histograms."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from central.store.folding import HistogramFold
from central.store.mysql.store import MySQLStore
from central.store.plan import Level, Segment
from tests.central.mysql_help import opened
from tests.central.store_contract_histograms import assert_spread, at_once, spread, spread_of, summary
from tests.central.store_help import DAY, FAR, NOW, Clock, group, name
from tests.servers import MariaDB


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(mariadb: MariaDB, database: str, clock: Clock) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database, clock=clock) as store:
        yield store


async def test_queries_read_folded_histograms_and_no_raw_points(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    metric = await name(store, "a")
    rows = [summary(metric.id, [5, 700], NOW - 3600 + second) for second in (0, 61, 3599)]
    await store.commit(group(rows))
    clock.now = NOW + 3600
    await HistogramFold(store.folding, clock, at_once).round()
    mariadb.run("DELETE FROM metric_points", database)
    levels: tuple[Level, ...] = ("minute", "hour")
    for level in levels:
        assert await spread(store, [metric.id], [Segment(level, *FAR)]) == spread_of(rows, *FAR, DAY)


async def test_processes_that_fold_at_once_change_no_answer(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    metrics = [await name(store, f"n{number}") for number in range(60)]
    rows = [summary(metric.id, [5 + second, 700], NOW - 3600 + second) for metric in metrics for second in (0, 61)]
    await store.commit(group(rows))
    clock.now = NOW + 3600
    async with opened(mariadb, database, clock=clock) as other:
        folds = [HistogramFold(one.folding, clock, at_once) for one in (store, other)]
        await asyncio.gather(*(fold.round() for fold in folds))
        await folds[0].round()
        assert await other.folding.stale_hours(NOW - DAY, NOW) == []
    await assert_spread(store, [metric.id for metric in metrics], rows)

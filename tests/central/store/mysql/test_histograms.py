"""central/store/mysql/histograms.py: what only a server of several processes has to show of histograms."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from central.store.folding import HistogramFold
from central.store.mysql.packed import minutes_of
from central.store.mysql.rows import blob
from central.store.mysql.sql import stamp_text
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


async def test_part_of_an_hour_is_read_from_its_row(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    metric = await name(store, "a")
    rows = [summary(metric.id, [5 + second, 700], NOW - 7200 + second) for second in range(0, 7200, 25)]
    await store.commit(group(rows))
    clock.now = NOW + 3600
    await HistogramFold(store.folding, clock, at_once).round()
    mariadb.run("DELETE FROM metric_points", database)
    for start, end in ((NOW - 7200 + 120, NOW - 7200 + 180), (NOW - 5400, NOW - 1800), (NOW - 60, NOW)):
        found = await spread(store, [metric.id], [Segment("minute", start, end)], 300)
        assert found == spread_of(rows, start, end, 300)


async def test_hours_that_were_folded_by_minutes_stay_in_use(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    metrics = [await name(store, text) for text in "ab"]
    rows = [summary(metric.id, [5 + second], NOW - 7200 + second) for metric in metrics for second in (0, 61, 3700)]
    await store.commit(group(rows))
    clock.now = NOW + 3600
    await HistogramFold(store.folding, clock, at_once).round()
    # As the version before had it: a row for each minute, of one name and hour.
    first, hour = metrics[0].id, stamp_text(NOW - 7200)
    ((content,),) = mariadb.run(
        f"SELECT histograms FROM histogram_minute_packed WHERE metric_id = {first} AND bucket = {hour}", database
    )
    for minute, histogram in minutes_of(content):
        mariadb.run(
            "INSERT INTO histogram_minute (metric_id, bucket, samples, histogram)"
            f" VALUES ({first}, {hour} + INTERVAL {minute} MINUTE, 1, {blob(histogram)})",
            database,
        )
    mariadb.run(f"DELETE FROM histogram_minute_packed WHERE metric_id = {first} AND bucket = {hour}", database)
    assert await store.folding.stale_hours(NOW - DAY, NOW) == []
    await assert_spread(store, [metric.id for metric in metrics], rows)
    rows.append(summary(first, [9], NOW - 7200))
    await store.commit(group(rows[-1:]))
    await assert_spread(store, [metric.id for metric in metrics], rows)
    mariadb.run(f"DELETE FROM metric_points WHERE recorded_at <> {stamp_text(NOW - 7200)}", database)
    found = await spread(store, [metric.id for metric in metrics], [Segment("minute", *FAR)])
    assert found == spread_of(rows, *FAR, DAY)


async def test_an_hour_too_large_for_a_row_is_read_from_raw_points(store: MySQLStore, clock: Clock) -> None:
    metric = await name(store, "a")
    values = [step << bit for bit in range(30) for step in range(128, 256)]
    rows = [summary(metric.id, values, NOW - 3600 + 60 * minute) for minute in range(40)]
    await store.commit(group(rows))
    clock.now = NOW + 3600
    await HistogramFold(store.folding, clock, at_once).round()
    assert await store.folding.stale_hours(NOW - DAY, NOW) == []
    await assert_spread(store, [metric.id], rows)


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

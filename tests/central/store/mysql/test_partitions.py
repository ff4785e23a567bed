"""Partitions of the MySQL store: a missing one is made, and making one delays nobody for long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from central.store.base import StoreError
from central.store.mysql.partitions import AHEAD, TABLES, partition_name
from central.store.mysql.store import MySQLStore
from tests.central.mysql_help import disturbing, opened
from tests.central.store_help import DAY, NOW, TODAY, Clock, ask, assert_levels_agree, group, name, plain, request
from tests.servers import MariaDB


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(mariadb: MariaDB, database: str, clock: Clock) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database, clock=clock) as made:
        yield made


@pytest.mark.parametrize("table", TABLES)
async def test_a_missing_partition_heals_and_the_group_goes_in_once(
    mariadb: MariaDB, database: str, store: MySQLStore, table: str
) -> None:
    metric = await name(store, "a")
    gone = ", ".join(partition_name(day) for day in range(TODAY - 1, TODAY + 8))
    mariadb.run(f"ALTER TABLE {table} DROP PARTITION {gone}", database)
    rows = [plain(metric, 5, NOW - DAY), plain(metric, 7)]
    wanted = group(rows, [request()])
    await store.commit(wanted)
    await assert_levels_agree(store, [metric.id], rows)
    assert len(await store.find_requests([wanted.ids[0].id])) == 1


@pytest.mark.parametrize("table", TABLES)
async def test_a_day_without_a_partition_in_the_middle_falls_into_the_next(
    mariadb: MariaDB, database: str, store: MySQLStore, table: str
) -> None:
    metric = await name(store, "a")
    mariadb.run(f"ALTER TABLE {table} DROP PARTITION {partition_name(TODAY)}", database)
    wanted = group([plain(metric, 5)], [request()])
    await store.commit(wanted)
    await assert_levels_agree(store, [metric.id], wanted.rows)


async def test_a_point_of_another_century_makes_no_thousand_partitions(
    mariadb: MariaDB, database: str, store: MySQLStore
) -> None:
    metric = await name(store, "a")
    with pytest.raises(StoreError):
        await store.commit(group([plain(metric, 5, NOW + 3000 * DAY)]))
    assert await ask(store, [metric.id]) == []
    ((parts,),) = mariadb.run(
        "SELECT COUNT(*) FROM information_schema.PARTITIONS"
        f" WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 'metric_points'"
    )
    assert parts < 60


async def test_partitions_are_made_beside_a_reader_and_ingest_goes_on(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5)]
    await store.commit(group(rows))
    clock.now += DAY
    with disturbing(mariadb, database, "SELECT COUNT(*) FROM metric_points"):
        upkeep = asyncio.create_task(store.upkeep())
        for _ in range(20):
            rows.append(plain(metric, 7))
            await store.commit(group(rows[-1:]))
        assert not upkeep.done()
    await upkeep
    await assert_levels_agree(store, [metric.id], rows)
    named = f"PARTITION_NAME = '{partition_name(TODAY + 8)}' AND TABLE_SCHEMA = '{database}'"
    assert mariadb.run(f"SELECT COUNT(*) FROM information_schema.PARTITIONS WHERE {named}") == ((len(TABLES),),)


async def test_two_processes_that_make_partitions_at_once_both_succeed(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    async with opened(mariadb, database, clock=clock) as other:
        clock.now += 3 * DAY
        await asyncio.gather(store.upkeep(), other.upkeep())
    await store.commit(group([plain(await name(store, "a"), 1, NOW + 10 * DAY)]))


async def test_failed_upkeep_is_a_log_line_and_is_tried_again_in_a_minute(
    mariadb: MariaDB, database: str, store: MySQLStore, clock: Clock
) -> None:
    newest = (
        "SELECT COUNT(*) FROM information_schema.PARTITIONS"
        f" WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 'request_ids'"
        f" AND PARTITION_NAME = '{partition_name(TODAY + 1 + AHEAD)}'"
    )
    clock.now += DAY
    mariadb.run("RENAME TABLE request_ids TO elsewhere", database)
    await store.tidy(idle=True)
    mariadb.run("RENAME TABLE elsewhere TO request_ids", database)
    await store.tidy(idle=True)
    assert mariadb.run(newest) == ((0,),)
    clock.now += 61
    await store.tidy(idle=True)
    assert mariadb.run(newest) == ((1,),)

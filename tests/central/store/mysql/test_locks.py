"""central/store/mysql/store.py while others lock its rows: no group is lost or stored twice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from central.store.base import Group, Store, StoreError
from central.store.mysql.store import MySQLStore, TimeLimits
from tests.central.mysql_help import disturbing, opened, until_waiting
from tests.central.store_help import assert_levels_agree, group, name, plain, request
from tests.servers import MariaDB


@pytest.fixture
async def store(mariadb: MariaDB, database: str) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database) as made:
        yield made


async def test_a_lock_held_too_long_is_a_failure_and_later_the_group_goes_in(mariadb: MariaDB, database: str) -> None:
    limits = TimeLimits(write=1.5, lookup=0.5, read=0.5, lock=1)
    async with opened(mariadb, database, limits=limits) as hasty:
        metric = await name(hasty, "a")
        rows = [plain(metric, 5), plain(metric, 7)]
        await hasty.commit(group(rows[:1]))
        wanted = group(rows[1:], [request()])
        with disturbing(mariadb, database, "SELECT * FROM rollup_hour FOR UPDATE"):
            with pytest.raises(StoreError):
                await hasty.commit(wanted)
            await assert_levels_agree(hasty, [metric.id], rows[:1])
        await hasty.commit(wanted)
        await assert_levels_agree(hasty, [metric.id], rows)


async def test_the_victim_of_a_deadlock_goes_in_afterwards(mariadb: MariaDB, database: str, store: MySQLStore) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5), plain(metric, 7)]
    await store.commit(group(rows[:1]))
    # The server ends the one that changed fewer rows, and rather none that wrote to a table it cannot roll back.
    many = ", ".join(["('x', 'value', '2026-01-01', 1, 'x')"] * 1000)
    mariadb.run(f"INSERT INTO rejected_points (name, type, recorded_at, value, reason) VALUES {many}", database)
    heavy = (
        "CREATE TEMPORARY TABLE scratch (id INT) ENGINE = MEMORY",
        "INSERT INTO scratch VALUES (1)",
        "UPDATE rejected_points SET value = 2",
        "SELECT * FROM rollup_hour FOR UPDATE",
    )
    with disturbing(mariadb, database, *heavy) as other:
        running = asyncio.create_task(store.commit(group(rows[1:])))
        await until_waiting(mariadb)
        with other.cursor() as cursor:
            await asyncio.to_thread(cursor.execute, "SELECT * FROM rollup_minute FOR UPDATE")
        assert not running.done()
    await running
    await assert_levels_agree(store, [metric.id], rows)


async def test_many_writers_of_the_same_buckets_never_fail(mariadb: MariaDB, database: str, store: MySQLStore) -> None:
    metrics = [await name(store, f"n{number}") for number in range(30)]
    async with opened(mariadb, database) as other:

        async def write(which: Store, turn: int) -> list[Group]:
            wanted = [group([plain(metric, turn) for metric in metrics[:: (-1) ** turn]]) for _ in range(15)]
            for one in wanted:
                await which.commit(one)
            return wanted

        done = await asyncio.gather(*(write((store, other)[turn % 2], turn) for turn in range(6)))
    rows = [row for groups in done for one in groups for row in one.rows]
    await assert_levels_agree(store, [metric.id for metric in metrics], rows)

"""central/store/mysql/retention.py on a real MariaDB: partitions, readers in the way, several processes.

The contract is run in test_mysql.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.app import Outside
from central.retention import BusyError, Policy, Retention
from central.store.base import StoreUnavailable
from central.store.mysql.connection import Server, Session, connect
from central.store.mysql.partitions import partition_name
from central.store.mysql.pool import Commit, Pool
from central.store.mysql.retention import TABLES, MySQLRetention
from central.store.mysql.store import MySQLStore
from central.store.retention import LogEntry, State
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, running
from tests.central.mysql_help import environ_of, kept, lost, opened, server_of
from tests.central.retention_contract import LINE, filled, swept
from tests.central.store_help import DAY, NOW, Clock, assert_levels_agree, group, name, plain
from tests.patience import PATIENCE, a_moment
from tests.servers import MariaDB

TODAY = NOW // DAY


@pytest.fixture
def server(mariadb: MariaDB, database: str) -> Server:
    return server_of(mariadb, database)


@pytest.fixture
async def store(mariadb: MariaDB, database: str) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database) as store:
        yield store


def partitions(mariadb: MariaDB, database: str, table: str) -> list[str]:
    rows = mariadb.run(
        "SELECT PARTITION_NAME FROM information_schema.PARTITIONS"
        f" WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = '{table}' ORDER BY PARTITION_ORDINAL_POSITION"
    )
    return [found for (found,) in rows]


async def test_points_and_rollups_go_by_partition_a_tables_day_at_a_time(
    store: MySQLStore, mariadb: MariaDB, database: str
) -> None:
    await filled(store)
    pieces = []
    while piece := await store.retention.drop(LINE):
        pieces.append(piece.what)
    days = [partition_name(day) for day in (TODAY - 8, TODAY - 7)]
    assert pieces == [f"{table}.{day}" for table in TABLES for day in days]
    for table in TABLES:
        assert partitions(mariadb, database, table)[0] == partition_name(LINE // DAY)


async def test_the_last_partition_stays_whatever_is_asked(store: MySQLStore, mariadb: MariaDB, database: str) -> None:
    await swept(store, NOW + 30 * DAY)
    assert partitions(mariadb, database, "metric_points") == [partition_name(TODAY + 7)]
    await store.upkeep()
    metric = await name(store, "a")
    await store.commit(group([plain(metric, 1)]))
    await assert_levels_agree(store, [metric.id], [plain(metric, 1)])


async def test_a_partition_goes_beside_a_reader_and_commits_go_on(
    store: MySQLStore, mariadb: MariaDB, database: str
) -> None:
    metric, rows = await filled(store)
    fresh = [plain(metric, 3, NOW)]
    with mariadb.connect(database) as reader, reader.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT COUNT(*) FROM metric_points")
        cursor.fetchall()
        dropping = asyncio.create_task(swept(store, LINE))
        await wait_for_lock(mariadb, database)
        await store.commit(group(fresh))  # it comes through while the drop waits for the reader
        assert not dropping.done()
        cursor.execute("COMMIT")
        await dropping
    await assert_levels_agree(store, [metric.id], [*(row for row in rows if row.recorded_at >= LINE), *fresh])


async def test_a_drop_that_waits_for_a_reader_stalls_no_commit(
    store: MySQLStore, mariadb: MariaDB, database: str
) -> None:
    """Each commit comes while the drop waits, and is stored before the reader ends."""
    metric, rows = await filled(store)
    with mariadb.connect(database) as reader, reader.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT COUNT(*) FROM metric_points")
        dropping = asyncio.create_task(swept(store, LINE))
        for _ in range(3):
            await wait_for_lock(mariadb, database)
            rows.append(plain(metric, 3, NOW))
            async with asyncio.timeout(PATIENCE):
                await store.commit(group(rows[-1:]))
        assert not dropping.done()
        cursor.execute("COMMIT")
        await dropping
    assert partitions(mariadb, database, "metric_points")[0] == partition_name(LINE // DAY)
    await assert_levels_agree(store, [metric.id], [row for row in rows if row.recorded_at >= LINE])


async def wait_for_lock(mariadb: MariaDB, database: str) -> None:
    """Return when a change waits for a table that is in use."""
    sql = (
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST"
        f" WHERE DB = '{database}' AND INFO LIKE 'LOCK TABLES%' AND STATE LIKE '%metadata lock%'"
    )
    while await asyncio.to_thread(mariadb.run, sql) == ((0,),):
        await a_moment()


async def test_of_two_processes_one_runs_and_the_other_sees_its_line(server: Server, store: MySQLStore) -> None:
    other = MySQLStore(server, clock=Clock())
    clock = Clock(NOW + 60)
    one, two = (Retention(each.retention, Policy(6, 1), clock=clock, ticks=clock) for each in (store, other))
    results = await asyncio.gather(one.run("one"), two.run("two"), return_exceptions=True)
    assert all(result is None or isinstance(result, BusyError) for result in results), results
    assert len(await store.retention.log(9)) == 1
    assert await one.visible_from() == await two.visible_from() == LINE
    await two.restore("two", 9)
    clock.now += 10
    assert await one.visible_from() == LINE - 3 * DAY
    await other.close()


async def run_now(service: Central) -> None:
    """Ask for a run until it is not another process's turn."""
    while (reply := await service.post("/api/admin/retention/run", "")).status == 503:
        await a_moment()
    assert reply.status == 201, reply.text


async def test_two_services_on_one_database_hide_and_remove_the_same(
    mariadb: MariaDB, database: str, tmp_path: Path
) -> None:
    first = int(time.time()) // DAY  # the services' partitions are those of the real time
    clock = Clock(first * DAY + 3_600)
    environ = {
        **environ_of(mariadb, database),
        "METRICS_RETENTION_DAYS": "8",
        "METRICS_RETENTION_GRACE_DAYS": "1",
        "METRICS_ADMIN_KEY": "k" * 40,
    }
    outside = Outside(clock=clock, ticks=clock, bcrypt_cost=QUICK_HASH)
    span = {"start": format_time((first - 9) * DAY), "end": format_time((first + 30) * DAY)}

    async def windows_of(service: Central) -> list[int]:
        reply = await service.query("a", "sum", "1d", **span)
        return [int(point["value"]) for point in reply.json["data"]]

    async with (
        running(tmp_path / "one", environ, outside=outside) as one,
        running(tmp_path / "two", environ, outside=outside) as two,
    ):
        assert (await one.counter("a", "1")).status == 201
        clock.now += 5 * DAY
        assert (await two.counter("a", "2")).status == 201
        clock.now += 4 * DAY
        await run_now(one)
        clock.now += 10  # two sees it within some seconds
        assert [await windows_of(service) for service in (one, two)] == [[2], [2]]
        assert (await two.post("/api/admin/retention/restore", "")).status == 201
        clock.now += 10
        assert [await windows_of(service) for service in (one, two)] == [[1, 2], [1, 2]]
        for service in (one, two):
            clock.now += DAY
            await run_now(service)
        restored = (await one.post("/api/admin/retention/restore", "")).json["data"]
        assert restored["line"] == restored["drop_line"] == format_time((first + 2) * DAY)
        clock.now += 10
        assert [await windows_of(service) for service in (one, two)] == [[2], [2]]
    for table in TABLES:
        assert partitions(mariadb, database, table)[0] == partition_name(first + 2)


@pytest.mark.parametrize(("commit", "is_in"), [(lost, False), (kept, True)])
async def test_a_change_in_doubt_is_unavailable_and_whole_or_not_there(
    server: Server, store: MySQLStore, commit: Commit, is_in: bool
) -> None:
    pool = Pool(lambda: connect(server, Session()), 1, 5, commit=commit)
    retention = MySQLRetention(pool, pool)
    with pytest.raises(StoreUnavailable, match="not known"):
        await retention.replace(State(), State(line=LINE), [LogEntry(NOW, "hide", LINE, "x")])
    assert (await store.retention.line(), len(await store.retention.log(9))) == ((LINE, 1) if is_in else (0, 0))
    pool.close()

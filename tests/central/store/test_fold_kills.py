"""kill -9 in the middle of a fold of histograms, after each of its statements: no sample is lost or counted twice."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from central.store.base import IdGroup, Row, StoreError
from central.store.distribution import entries_of
from central.store.duck.store import DuckStore
from central.store.mysql.connection import Session, connect
from central.store.mysql.histograms import MySQLFolding
from central.store.mysql.pool import Pool
from central.store.mysql.store import MySQLStore
from central.store.plan import Level, Segment
from protocol.numbers import UNIT
from tests.central.fold_and_die import fold, watched_pool
from tests.central.mysql_help import opened, server_of
from tests.central.store_contract_histograms import spread_of, summary
from tests.central.store_contract_tags import assert_groups, assert_spread, rows_of, series
from tests.central.store_help import DAY, FAR, NOW, Clock, group, name
from tests.servers import MariaDB

ROOT = Path(__file__).parents[3]
AnyStore = DuckStore | MySQLStore
Opens = Callable[[], AbstractAsyncContextManager[AnyStore]]
DeletePoints = Callable[[AnyStore], Awaitable[None]]


async def first_groups(store: AnyStore) -> list[IdGroup]:
    """Two names, a series of the first, and its samples without tags."""
    metrics = [await name(store, text) for text in ("a", "b")]
    (red,) = await series(store, metrics[0], "c:red")
    wholes = [IdGroup(metric.id, metric.id, None) for metric in metrics]
    return [*wholes, IdGroup(red, metrics[0].id, (red,))]


async def add(store: AnyStore, groups: Sequence[IdGroup], number: int) -> list[Row]:
    """Points of the hour that is due, plain, in summaries and with tags; they make it stale again."""
    (first, second), ((red,),) = (groups[0].metric_id, groups[1].metric_id), (groups[2].series_ids or (),)
    rows = [
        Row(first, NOW - 3_600 + number, 7_000 + number, None, None, None),
        Row(first, NOW - 3_500, 5_000_000, None, None, None, series_id=red),
        summary(first, [3, number, 90_000], NOW - 3_599, 33_333)._replace(series_id=red),
        summary(second, [number, -5], NOW - 1, UNIT),
    ]
    await store.commit(group(rows))
    await store.tidy(idle=True)
    return rows


async def folded_after_kills(opens: Opens, where: Sequence[str], delete_points: DeletePoints) -> int:
    """Kill a process after each statement of its fold. Returns how often; fails where an answer is ever wrong."""
    rows: list[Row] = []
    async with opens() as store:
        groups = await first_groups(store)
    async with folding(where) as exit_code:
        for statement in count(1):
            async with opens() as store:
                rows += await add(store, groups, statement)
            code = await exit_code(statement)
            async with opens() as store:
                await assert_groups(store, groups, rows)
                await assert_spread(store, groups, rows)
                if code == 0:
                    await assert_folded(store, groups, rows, delete_points)
                    return statement - 1
            assert code == -signal.SIGKILL
    raise AssertionError("unreachable")


@asynccontextmanager
async def folding(where: Sequence[str]) -> AsyncIterator[Callable[[int], Awaitable[int]]]:
    """Gives the exit code of a process that folds until a statement, see fold_and_die."""
    command = [sys.executable, "-m", "tests.central.fold_and_die", *where]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    numbers, codes = process.stdin, process.stdout
    assert numbers is not None
    assert codes is not None

    async def exit_code(statement: int) -> int:
        numbers.write(b"%d\n" % statement)
        return int(await codes.readline())

    try:
        yield exit_code
    finally:
        numbers.close()
        await process.wait()


async def assert_folded(
    store: AnyStore, groups: Sequence[IdGroup], rows: Sequence[Row], delete_points: DeletePoints
) -> None:
    """Nothing is due, and the merged histograms hold each sample once, also when there are no points to look at."""
    assert await store.folding.stale_hours(NOW - DAY, NOW) == []
    await delete_points(store)
    levels: tuple[Level, ...] = ("minute", "hour")
    for level in levels:
        found = entries_of(*(await store.distribute(groups, DAY, [Segment(level, *FAR)])).spread)
        entries = dict(zip(zip(*(column.tolist() for column in found[:3]), strict=True), found.weights, strict=True))
        assert entries == spread_of(rows_of(groups, rows), *FAR, DAY), level


async def test_a_fold_killed_in_the_embedded_store_changes_no_answer(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opens() -> AsyncIterator[DuckStore]:
        store = DuckStore(tmp_path, clock=Clock(), tail_rows=1)
        await store.open()
        yield store
        await store.close()

    async def delete_points(store: AnyStore) -> None:
        assert isinstance(store, DuckStore)
        await store.engine.write(lambda handle: handle.execute("DELETE FROM metric_points"))

    assert await folded_after_kills(opens, [str(tmp_path)], delete_points) >= 5


async def test_a_fold_killed_beside_mariadb_changes_no_answer(mariadb: MariaDB, database: str) -> None:
    async def delete_points(_: AnyStore) -> None:
        await asyncio.to_thread(mariadb.run, "DELETE FROM metric_points", database)

    where = [mariadb.host, str(mariadb.port), mariadb.user, database]
    kills = await folded_after_kills(lambda: opened(mariadb, database, clock=Clock()), where, delete_points)
    assert kills >= 5


@pytest.mark.parametrize("moment", ["REPLACE INTO histogram_minute", "REPLACE INTO histogram_hour", "COMMIT"])
async def test_a_fold_whose_server_is_killed_changes_no_answer(mariadb: MariaDB, database: str, moment: str) -> None:
    async def kill(sql: str) -> None:
        if sql.startswith(moment) and mariadb.runs:
            await asyncio.to_thread(mariadb.kill)

    async def delete_points(_: AnyStore) -> None:
        await asyncio.to_thread(mariadb.run, "DELETE FROM metric_points", database)

    server = server_of(mariadb, database)
    readers, changers = Pool(lambda: connect(server, Session()), 1, 60), watched_pool(server, kill)
    async with opened(mariadb, database, clock=Clock()) as store:
        groups = await first_groups(store)
        rows = await add(store, groups, 1)
        with pytest.raises(StoreError):
            await fold(MySQLFolding(readers, changers))
        await asyncio.to_thread(mariadb.start)
        await assert_groups(store, groups, rows)
        await assert_spread(store, groups, rows)
        await fold(store.folding)
        await assert_folded(store, groups, rows, delete_points)
    readers.close()
    changers.close()

"""central/store/mysql/store.py under faults: what was acknowledged is stored exactly once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.store.base import Group, IdGroup, NewName, OutcomeUnknown, Page, Refused, StoreError, StoreUnavailable
from central.store.mysql.connection import Connection
from central.store.mysql.pool import Commit, run_commit
from central.store.mysql.store import MySQLStore, TimeLimits
from tests.central.mysql_help import (
    FAULTS,
    Script,
    commit_until_told,
    disturbing,
    kept,
    killed,
    lost,
    opened,
    silent,
    until_waiting,
)
from tests.central.store_contract_tags import assert_groups, series
from tests.central.store_help import CAPS, NOW, TODAY, Clock, ask, assert_levels_agree, group, name, plain, request
from tests.patience import a_moment
from tests.servers import MariaDB

SHORT = TimeLimits(write=1.5, lookup=0.5, read=0.5, lock=1)


@pytest.fixture
def commits() -> Script:
    return Script()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(mariadb: MariaDB, database: str, commits: Script, clock: Clock) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database, commit=commits, clock=clock) as made:
        yield made


@pytest.fixture
async def hasty(mariadb: MariaDB, database: str, commits: Script) -> AsyncIterator[MySQLStore]:
    """A store that waits for nothing long."""
    async with opened(mariadb, database, commit=commits, limits=SHORT) as made:
        yield made


# --- COMMIT in doubt


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize(
    "script",
    [*([fault] for fault in FAULTS), [lost] * 5, [lost, kept], [silent, killed, kept], [kept, kept]],
    ids=lambda script: "-".join(fault.__name__ for fault in script),
)
async def test_a_group_in_doubt_is_stored_once(
    store: MySQLStore, commits: Script, script: list[Commit], with_ids: bool
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5), plain(metric, 7)]
    entries = [request(), request(b"partly")] if with_ids else []
    await store.commit(group(rows[:1]))
    commits.coming = [*script]
    assert await commit_until_told(store, group(rows, entries)) == len(script)
    await assert_levels_agree(store, [metric.id], [rows[0], *rows])
    assert set(await store.find_requests([entry.id for entry in entries])) == {entry.id for entry in entries}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_change_in_doubt_is_unavailable_and_harmless_to_ask_again(
    store: MySQLStore, commits: Script, fault: Commit
) -> None:
    commits.coming = [fault]
    with pytest.raises(StoreUnavailable, match="not known"):
        await store.names.resolve([NewName("a", "value", 1)], CAPS, NOW)
    metric = await name(store, "a")
    assert [found.name for found in await store.names.page(Page("", "", 9))] == ["a"]
    commits.coming = [fault]
    with pytest.raises(StoreUnavailable):
        await store.names.delete("a")
    await store.names.delete("a")
    assert await store.names.find(["a"]) == {}
    assert (await name(store, "a")).id != metric.id


async def test_a_server_stopped_in_the_middle_of_commit_stores_the_group_once(
    mariadb: MariaDB, hasty: MySQLStore, commits: Script
) -> None:
    metric = await name(hasty, "a")
    wanted = group([plain(metric, 5)], [request()])

    async def stop_and_commit(connection: Connection) -> None:
        mariadb.pause()
        await run_commit(connection)

    commits.coming = [stop_and_commit]
    try:
        with pytest.raises(OutcomeUnknown):
            await hasty.commit(wanted)
        with pytest.raises(StoreUnavailable, match="in time"):
            await hasty.commit(wanted, again=True)
    finally:
        mariadb.resume()
    await hasty.commit(wanted, again=True)
    await assert_levels_agree(hasty, [metric.id], wanted.rows)


@pytest.mark.parametrize("days", [(TODAY, TODAY + 1), (TODAY + 1, TODAY), (TODAY, TODAY)])
@pytest.mark.parametrize("first_goes_in", [True, False])
async def test_a_retry_after_midnight_of_a_commit_in_doubt_is_stored_once(
    mariadb: MariaDB, database: str, store: MySQLStore, days: tuple[int, int], first_goes_in: bool
) -> None:
    metric, entry, goes_on = await name(store, "a"), request(), asyncio.Event()
    first, again = (group([plain(metric, 5)], [entry], day=day) for day in days)

    async def hang(connection: Connection) -> None:
        await goes_on.wait()
        await (run_commit if first_goes_in else lost)(connection)

    async with opened(mariadb, database, commit=hang) as dying:
        hanging = asyncio.create_task(dying.commit(first))
        while not await asyncio.to_thread(rows_before_commit, mariadb, database):
            await a_moment()
        retry = asyncio.create_task(store.commit(again))
        await until_waiting(mariadb)
        goes_on.set()
        results = await asyncio.gather(hanging, retry, return_exceptions=True)
    assert [type(result) for result in results] == (
        [type(None), Refused] if first_goes_in else [OutcomeUnknown, type(None)]
    )
    await assert_levels_agree(store, [metric.id], [plain(metric, 5)])


async def test_a_process_that_stands_still_does_not_keep_its_rows(
    mariadb: MariaDB, database: str, store: MySQLStore
) -> None:
    metric, goes_on = await name(store, "a"), asyncio.Event()
    first, second = group([plain(metric, 5)]), group([plain(metric, 7)])

    async def stand(connection: Connection) -> None:
        await goes_on.wait()
        await run_commit(connection)

    async with opened(mariadb, database, commit=stand, limits=TimeLimits(write=60, idle=1)) as standing:
        hanging = asyncio.create_task(standing.commit(first))
        while not await asyncio.to_thread(rows_before_commit, mariadb, database):
            await a_moment()
        await store.commit(second)
        assert not hanging.done()
        goes_on.set()
        with pytest.raises(OutcomeUnknown):
            await hanging
    await store.commit(first, again=True)
    await assert_levels_agree(store, [metric.id], [*first.rows, *second.rows])


def rows_before_commit(mariadb: MariaDB, database: str) -> int:
    """Rows of rollup_hour, the last table that a group writes to, also where they are not committed."""
    dirty = {"init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"}
    with mariadb.connect(database, **dirty) as connection, connection.cursor() as cursor:
        return int(cursor.execute("SELECT * FROM rollup_hour"))


async def test_a_server_stopped_before_commit_is_a_certain_failure(mariadb: MariaDB, hasty: MySQLStore) -> None:
    metric = await name(hasty, "a")
    wanted = group([plain(metric, 5)])
    with mariadb.paused():
        for call in (hasty.commit(wanted), ask(hasty, [metric.id]), hasty.ping(), hasty.names.find(["a"])):
            with pytest.raises(StoreUnavailable):
                await call
    assert await ask(hasty, [metric.id]) == []
    await hasty.commit(wanted)
    await assert_levels_agree(hasty, [metric.id], wanted.rows)


async def test_a_request_that_another_process_stored_is_refused(
    mariadb: MariaDB, database: str, store: MySQLStore, commits: Script
) -> None:
    """Its id alone must not pass for the group's: the other rows would be lost."""
    metric, entry = await name(store, "a"), request()
    wanted = group([plain(metric, 5)], [entry, request()])
    commits.coming = [lost]
    with pytest.raises(OutcomeUnknown):
        await store.commit(wanted)
    async with opened(mariadb, database) as other:
        await other.commit(group([plain(metric, 7)], [entry]))
    for again in (True, False):
        with pytest.raises(Refused):
            await store.commit(wanted, again=again)
    assert set(await store.find_requests([entry.id for entry in wanted.ids])) == {entry.id}
    await assert_levels_agree(store, [metric.id], [plain(metric, 7)])


async def test_a_cancelled_commit_stores_nothing_and_ends_its_session(store: MySQLStore, commits: Script) -> None:
    metric = await name(store, "a")
    begun = asyncio.Event()

    async def wait_for_ever(connection: Connection) -> None:
        begun.set()
        await asyncio.Event().wait()

    commits.coming = [wait_for_ever] * 3
    for _ in range(3):
        running = asyncio.create_task(store.commit(group([plain(metric, 5)])))
        await begun.wait()
        begun.clear()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await store.commit(group([plain(metric, 7)]))
    await assert_levels_agree(store, [metric.id], [plain(metric, 7)])


# --- the server goes away


async def test_sessions_that_died_at_rest_are_nobodys_answer(
    mariadb: MariaDB, store: MySQLStore, database: str
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5), plain(metric, 7)]
    await store.commit(group(rows[:1]))
    await ask(store, [metric.id])
    for (session,) in mariadb.run(f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{database}'"):
        mariadb.run(f"KILL {session}")
    await store.commit(group(rows[1:]))
    await assert_levels_agree(store, [metric.id], rows)


async def test_a_session_that_ends_within_a_transaction_loses_nothing(
    mariadb: MariaDB, database: str, store: MySQLStore
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5), plain(metric, 7)]
    await store.commit(group(rows[:1]))
    with disturbing(mariadb, database, "SELECT * FROM rollup_hour FOR UPDATE"):
        running = asyncio.create_task(store.commit(group(rows[1:], [request()])))
        for _ in range(2):
            await until_waiting(mariadb)
            await asyncio.to_thread(end_waiting, mariadb)
    await running
    await assert_levels_agree(store, [metric.id], rows)


def end_waiting(mariadb: MariaDB) -> None:
    """End the session that waits to write the last rollup: its points and ids are in the transaction."""
    alive = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND"
    ((session,),) = mariadb.run(f"{alive} INFO LIKE '%INTO rollup_hour%'")
    mariadb.run(f"KILL {session}")
    while mariadb.run(f"{alive} ID = {session}"):
        pass


async def test_without_a_server_all_is_unavailable_and_names_its_address(
    mariadb: MariaDB, store: MySQLStore, database: str
) -> None:
    metric = await name(store, "a")
    wanted = group([plain(metric, 5)], [request()])
    mariadb.stop()
    calls = [
        store.commit(wanted),
        store.commit(wanted, again=True),
        store.find_requests([wanted.id]),
        store.names.find(["a"]),
        store.keys.find(["x"]),
        store.ping(),
        ask(store, [metric.id]),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match=f"{database} at 127.0.0.1:{mariadb.port}"):
            await call
    await store.tidy(idle=True)
    mariadb.start()
    await store.commit(wanted, again=True)
    await assert_levels_agree(store, [metric.id], wanted.rows)


async def test_kill_9_of_the_server_loses_and_doubles_nothing_acknowledged(mariadb: MariaDB, hasty: MySQLStore) -> None:
    metrics = [await name(hasty, text) for text in "abc"]
    red, blue = await series(hasty, metrics[0], "c:red", "c:blue")
    acknowledged: list[Group] = []
    up, enough, over = asyncio.Event(), asyncio.Event(), False

    async def store_once(wanted: Group) -> None:
        again = False
        while True:
            await up.wait()
            try:
                await hasty.commit(wanted, again=again)
                return
            except OutcomeUnknown:
                again = True
            except StoreError:
                await asyncio.sleep(0)

    async def write(number: int) -> None:
        while not over:
            rows = [plain(metrics[(number + at) % 3], number + at, NOW + at) for at in range(50)]
            rows += [plain(metrics[0], at, NOW + at)._replace(series_id=(red, blue)[at % 2]) for at in range(number)]
            wanted = group(rows, [request() for _ in range(3)])
            await store_once(wanted)
            acknowledged.append(wanted)
            if len(acknowledged) % 40 == 0:
                enough.set()

    up.set()
    writers = [asyncio.create_task(write(number)) for number in range(4)]
    for _ in range(4):
        await enough.wait()
        enough.clear()
        await asyncio.to_thread(mariadb.kill)
        up.clear()
        await asyncio.to_thread(mariadb.start)
        up.set()
    over = True
    await asyncio.gather(*writers)
    assert len(acknowledged) >= 160
    rows = [row for wanted in acknowledged for row in wanted.rows]
    await assert_levels_agree(hasty, [metric.id for metric in metrics], rows)
    await assert_groups(hasty, [IdGroup(key + 1, metrics[0].id, (key,)) for key in (0, red, blue)], rows)
    ids = [entry.id for wanted in acknowledged for entry in wanted.ids]
    assert set(await hasty.find_requests(ids)) == set(ids)


async def test_a_full_disk_is_unavailable_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    server = MariaDB(tmp_path, "--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:48M")
    server.install()
    server.start()
    try:
        with server.database("full"):
            async with opened(server, "full") as store:
                metric = await name(store, "a")
                groups = 0
                with pytest.raises(StoreUnavailable, match="refuses"):
                    while True:
                        await store.commit(group([plain(metric, 3, NOW + groups % 60)] * 10_000))
                        groups += 1
                assert groups > 0
                ((_, _, weight, total, _, _),) = await ask(store, [metric.id])
                assert (weight, total) == (groups * 10_000 * 10_000, groups * 10_000 * 3)
                await assert_rows_are(server, groups * 10_000)
    finally:
        server.stop()


async def assert_rows_are(server: MariaDB, rows: int) -> None:
    assert server.run("SELECT COUNT(*) FROM full.metric_points") == ((rows,),)

"""central/store/mysql/store.py on a real MariaDB: the store contracts, and what many processes share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.store.base import Caps, NewKey, NewName, Page, RejectedPoint, StaleNames, Store, StoreError
from central.store.mysql.connection import Connection
from central.store.mysql.names import DELETE_ROWS
from central.store.mysql.pool import run_commit
from central.store.mysql.store import MySQLStore
from central.store.plan import Segment
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.mysql_help import Script, kept, opened, server_of, until_waiting
from tests.central.retention_contract import RetentionContract
from tests.central.store_contract import StoreContract
from tests.central.store_help import (
    CAPS,
    NOW,
    Clock,
    OpenStore,
    ask,
    ask_segments,
    assert_levels_agree,
    group,
    name,
    plain,
    request,
)
from tests.servers import MariaDB


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def commits() -> Script:
    return Script()


@pytest.fixture
async def open_store(mariadb: MariaDB, database: str, clock: Clock) -> AsyncIterator[OpenStore]:
    made: list[MySQLStore] = []

    async def open_() -> Store:
        made.append(MySQLStore(server_of(mariadb, database), clock=clock))
        await made[-1].open()
        return made[-1]

    yield open_
    for store in made:
        await store.close()


@pytest.fixture
async def store(mariadb: MariaDB, database: str, clock: Clock, commits: Script) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database, commit=commits, clock=clock) as made:
        yield made


@pytest.fixture
async def other(store: MySQLStore, mariadb: MariaDB, database: str, clock: Clock) -> AsyncIterator[MySQLStore]:
    """The same database, as another process has it."""
    async with opened(mariadb, database, clock=clock) as made:
        yield made


class TestMySQLStore(StoreContract):
    """The contract; but a backup is the work of the server's own tools."""

    async def test_a_backup_while_writes_go_on_is_consistent(self, store: Store, tmp_path: Path) -> None:  # type: ignore[override]
        with pytest.raises(StoreError, match="mysqldump --single-transaction"):
            await store.backup(tmp_path / "copy")

    async def test_a_backup_does_not_overwrite_and_a_failed_one_hinders_no_other(  # type: ignore[override]
        self, store: Store, tmp_path: Path
    ) -> None:
        with pytest.raises(StoreError):
            await store.backup(tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


class TestMySQLRetention(RetentionContract):
    """The contract."""


# --- names that another process deletes


async def test_a_group_with_ids_older_than_a_deletion_goes_in_with_new_ones(
    store: MySQLStore, other: MySQLStore
) -> None:
    version = await store.names.version()
    gone, stays = await name(store, "a"), await name(store, "b")
    wanted = group([plain(gone, 5), plain(stays, 7)], [request()])
    wanted.names_version = version
    assert await other.names.delete("a")
    for again in (False, True):
        with pytest.raises(StaleNames):
            await store.commit(wanted, again=again)
    assert await ask(store, [gone.id, stays.id]) == []
    wanted.names_version = await store.names.version()
    assert wanted.names_version != version
    back = await name(store, "a", "counter")
    wanted.rows[0] = plain(back, 5)
    await store.commit(wanted, again=True)
    await assert_levels_agree(store, [gone.id, back.id, stays.id], wanted.rows)


async def test_a_deletion_waits_for_the_open_commit_and_takes_its_points(
    mariadb: MariaDB, store: MySQLStore, other: MySQLStore, commits: Script
) -> None:
    metric = await name(store, "a")
    wanted = group([plain(metric, 5)])
    wanted.names_version = await store.names.version()
    deleting: list[asyncio.Task[bool]] = []

    async def commit_beside_a_deletion(connection: Connection) -> None:
        deleting.append(asyncio.create_task(other.names.delete("a")))
        await until_waiting(mariadb)
        await run_commit(connection)

    commits.coming = [commit_beside_a_deletion]
    await store.commit(wanted)
    assert await deleting[0] is True
    await other.names.purge()
    assert await ask(store, [metric.id]) == []


async def test_creating_names_does_not_make_names_stale(store: MySQLStore, other: MySQLStore) -> None:
    version = await store.names.version()
    await name(other, "a")
    assert await store.names.version() == version


async def test_what_a_broken_deletion_leaves_is_hidden_and_removed_later(
    mariadb: MariaDB, database: str, store: MySQLStore, commits: Script
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 1, NOW + second) for second in range(2 * DELETE_ROWS + 1)]
    await store.commit(group(rows))
    commits.coming = [kept]
    with pytest.raises(StoreError):
        await store.names.delete("a")
    assert await store.names.find(["a"]) == {}
    left = f"SELECT COUNT(*) FROM {database}.metric_points"
    assert mariadb.run(left) == ((len(rows),),)
    await store.upkeep()
    assert mariadb.run(left) == ((0,),)
    assert mariadb.run(f"SELECT COUNT(*) FROM {database}.deleted_metrics") == ((0,),)


@pytest.mark.parametrize(("caps", "made"), [(Caps(25, 100), 25), (Caps(100, 20), 40)])
async def test_caps_hold_over_processes_that_create_at_once(
    store: MySQLStore, other: MySQLStore, caps: Caps, made: int
) -> None:
    async def create(which: MySQLStore, key_id: int) -> None:
        for turn in range(6):
            await which.names.resolve([NewName(f"{key_id}.{turn}.{at}", "value", key_id) for at in range(5)], caps, NOW)

    await asyncio.gather(create(store, 1), create(other, 2))
    assert len(await store.names.page(Page("", "", 1000))) == made


async def test_processes_that_create_the_same_names_at_once_agree(store: MySQLStore, other: MySQLStore) -> None:
    wanted = [NewName(f"n{number}", "value", 1) for number in range(200)]
    answers = await asyncio.gather(*(which.names.resolve(wanted, CAPS, NOW) for which in (store, other) * 4))
    assert all(answer == answers[0] for answer in answers)


async def test_names_and_ids_beyond_one_statement(store: MySQLStore) -> None:
    wanted = [NewName(f"n{number}", "value", 1) for number in range(2_500)]
    found = await store.names.resolve(wanted, CAPS, NOW)
    assert len({metric.id for metric in found.values()}) == 2_500
    assert await store.names.find([new.name for new in wanted]) == found
    entries = [request(b"x" * 10_000 if number % 20 == 0 else None) for number in range(2_500)]
    await store.commit(group(ids=entries))
    assert len(await store.find_requests([entry.id for entry in entries])) == 2_500


# --- texts and numbers


async def test_odd_texts_harm_nothing(store: MySQLStore) -> None:
    for text in ("a'b", 'a"b', "a\\", "a\\'; DROP TABLE metrics; --", "a\0b", "ä", "a%s", "a\nb", "\ud800"):
        assert await store.names.find([text]) == {}
        assert await store.keys.find([text]) == {}
        assert await store.names.delete(text) is False
        await name(store, "still.here")
        assert set(await store.names.find(["still.here", text])) == {"still.here"}


@pytest.mark.parametrize("text", ['Zoë\'s "team"', "back\\slash", "nul\0", "100 %s", "snow ☃ and 🐻", "x" * 255])
async def test_the_name_of_a_key_comes_back_as_it_was(store: MySQLStore, text: str) -> None:
    made = await store.keys.create(NewKey("id1", text, "h", frozenset({"query"}), 4_000_000_000), NOW)
    assert (await store.keys.list_all(), made.name) == ([made], text)


async def test_a_key_that_breaks_a_rule_of_the_store_leaves_it_working(store: MySQLStore) -> None:
    key = NewKey("x", "x", "h", frozenset({"query"}), 1)
    for wrong in (key._replace(rate_limit=10**15), key._replace(name="x" * 256)):
        with pytest.raises(StoreError):
            await store.keys.create(wrong, NOW)
    assert await store.keys.list_all() == []
    await store.keys.create(key, NOW)
    with pytest.raises(StoreError):
        await store.keys.create(key, NOW)


async def test_rejected_points_are_kept_aside_with_their_group_and_counted(
    mariadb: MariaDB, database: str, store: MySQLStore
) -> None:
    metric = await name(store, "a")
    wanted = group([plain(metric, 5)])
    wanted.rejected = [
        RejectedPoint("b", "counter", NOW, -MAX_UNITS, None, None, None, "METRIC_TYPE_CONFLICT"),
        RejectedPoint("c", "value", NOW, 15_000, UNIT, 1, MAX_UNITS, "it's over a cap", "city:Zürich 'ß'", b"\x01\x00"),
    ]
    for _ in range(2):
        await store.commit(wanted, again=True)
    assert await store.count_rejected() == 2
    columns = "name, type, CAST(value AS CHAR), CAST(samples AS CHAR), reason, tags, histogram"
    assert mariadb.run(f"SELECT {columns} FROM {database}.rejected_points ORDER BY id") == (
        ("b", "counter", "-9999999999999999.9999", None, "METRIC_TYPE_CONFLICT", None, None),
        ("c", "value", "1.5000", "1.0000", "it's over a cap", "city:Zürich 'ß'", b"\x01\x00"),
    )
    await assert_levels_agree(store, [metric.id], wanted.rows)


async def test_a_query_of_any_year_is_answered(store: MySQLStore) -> None:
    metric = await name(store, "a")
    await store.commit(group([plain(metric, 5)]))
    for start, end in ((-(10**10), 10**11), (-(10**10), -(10**9)), (10**10, 10**11)):
        found = await ask_segments(store, [metric.id], 86_400, [Segment("hour", start, end)])
        assert len(found) == (1 if start < NOW < end else 0)

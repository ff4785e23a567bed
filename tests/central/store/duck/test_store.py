"""central/store/duck/store.py: the contract, and the faults that only the embedded store has."""

import asyncio
import contextlib
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import duckdb
import pytest

from central.store.base import (
    Group,
    NewKey,
    NewName,
    NotStored,
    OutcomeUnknown,
    Page,
    Store,
    StoreError,
    StoreUnavailable,
)
from central.store.duck.engine import Connection, Lane, run_checkpoint, run_commit
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.migrations import MigrationError, load
from tests.central.store_contract import StoreContract
from tests.central.store_help import (
    CAPS,
    DAY,
    FAR,
    NOW,
    Clock,
    OpenCopy,
    OpenStore,
    ask,
    assert_levels_agree,
    brute_force,
    group,
    migrate_quickly,
    name,
    plain,
    request,
)

ROOT = Path(__file__).parents[4]
Fault = Callable[[Connection], None]


def lost(connection: Connection) -> None:
    """A COMMIT that raises before it committed."""
    raise duckdb.IOException("no space left on device")


def kept(connection: Connection) -> None:
    """A COMMIT that raises after it committed."""
    run_commit(connection)
    raise duckdb.IOException("no space left on device")


def fatal(connection: Connection) -> None:
    raise duckdb.FatalException("database has been invalidated")


def fatal_kept(connection: Connection) -> None:
    run_commit(connection)
    raise duckdb.FatalException("database has been invalidated")


FAULTS: list[Fault] = [lost, kept, fatal, fatal_kept]
KEPT = {kept, fatal_kept}


class Script:
    """A commit or checkpoint that does what comes next in its script, and then what is right."""

    def __init__(self, right: Fault) -> None:
        self.right = right
        self.coming: list[Fault] = []

    def __call__(self, connection: Connection) -> None:
        (self.coming.pop(0) if self.coming else self.right)(connection)


def restored(copy: Path, folder: Path) -> Path:
    """The folder of a store made from a backup."""
    folder.mkdir()
    copy.rename(folder / FILE_NAME)
    return folder


class TestDuckStore(StoreContract):
    @pytest.fixture
    async def open_store(self, tmp_path: Path, clock: Clock) -> AsyncIterator[OpenStore]:
        opened: list[DuckStore] = []

        async def open_() -> Store:
            migrate_quickly(tmp_path)
            opened.append(DuckStore(tmp_path, clock=clock, tail_rows=1))
            await opened[-1].open()
            return opened[-1]

        yield open_
        for store in opened:
            await store.close()

    @pytest.fixture
    async def open_copy(self, tmp_path: Path) -> AsyncIterator[OpenCopy]:
        opened: list[DuckStore] = []

        async def open_(copy: Path) -> Store:
            opened.append(DuckStore(restored(copy, tmp_path / f"restored{len(opened)}")))
            await opened[-1].open()
            return opened[-1]

        yield open_
        for store in opened:
            await store.close()


# --- COMMIT and its faults


@pytest.fixture
def commits() -> Script:
    return Script(run_commit)


@pytest.fixture
def checkpoints() -> Script:
    return Script(run_checkpoint)


@pytest.fixture
async def store(tmp_path: Path, commits: Script, checkpoints: Script) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, commit=commits, checkpoint=checkpoints, clock=Clock(), tail_rows=1)
    await store.open()
    yield store
    await store.close()


async def commit_until_told(store: Store, wanted: Group) -> int:
    """Commit as base.OutcomeUnknown asks for; returns how many outcomes were unknown."""
    unknown = 0
    while True:
        try:
            await store.commit(wanted, again=unknown > 0)
            return unknown
        except (OutcomeUnknown, NotStored):
            unknown += 1


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize(
    "script",
    [*([fault] for fault in FAULTS), [lost] * 5, [lost, kept], [fatal, lost, fatal_kept], [kept, kept]],
    ids=lambda script: "-".join(fault.__name__ for fault in script),
)
async def test_a_group_in_doubt_is_stored_once(
    store: DuckStore, commits: Script, tmp_path: Path, script: list[Fault], with_ids: bool
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5), plain(metric, 7)]
    entries = [request(), request(b"partly")] if with_ids else []
    await store.commit(group(rows[:1]))
    commits.coming = [*script]
    # The second failure and those after it are looked into at once.
    doubted = next((max(turn - 1, 1) for turn, fault in enumerate(script, 1) if fault in KEPT), len(script))
    assert await commit_until_told(store, group(rows, entries)) == doubted
    commits.coming = []
    expected = brute_force([rows[0], *rows], *FAR, DAY)
    assert await ask(store, [metric.id]) == expected
    assert len(await store.find_requests([entry.id for entry in entries])) == len(entries)
    await store.close()
    again = DuckStore(tmp_path)
    await again.open()
    assert await ask(again, [metric.id]) == expected
    await assert_levels_agree(again, [metric.id], [rows[0], *rows])
    await again.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_group_that_fails_again_is_certainly_in_or_certainly_not(
    store: DuckStore, commits: Script, fault: Fault
) -> None:
    metric = await name(store, "a")
    wanted = group([plain(metric, 5)])
    commits.coming = [lost, fault]
    with pytest.raises(OutcomeUnknown):
        await store.commit(wanted)
    with contextlib.nullcontext() if fault in KEPT else pytest.raises(NotStored):
        await store.commit(wanted, again=True)
    assert len(await ask(store, [metric.id])) == (fault in KEPT)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_read_after_a_commit_in_doubt_says_what_is_durable(
    store: DuckStore, commits: Script, fault: Fault
) -> None:
    metric, entry = await name(store, "a"), request()
    commits.coming = [fault]
    with pytest.raises(OutcomeUnknown):
        await store.commit(group([plain(metric, 5)], [entry]))
    is_in = fault in KEPT
    assert await ask(store, [metric.id]) == (brute_force([plain(metric, 5)], *FAR, DAY) if is_in else [])
    assert set(await store.find_requests([entry.id])) == ({entry.id} if is_in else set())


async def test_reads_while_commits_fail_are_whole_or_unavailable(store: DuckStore, commits: Script) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 3)] * 50
    dice, written = random.Random(4), 0

    async def read() -> None:
        while written < 30:
            at_least = written
            try:
                found = await ask(store, [metric.id])
            except StoreUnavailable:
                continue
            groups, rest = divmod(found[0].total if found else 0, 150)
            assert rest == 0
            assert at_least <= groups <= written + 1

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for _ in range(30):
        commits.coming = dice.choices([lost, kept, fatal, fatal_kept, run_commit], k=2)
        await commit_until_told(store, group(rows))
        written += 1
    await asyncio.gather(*readers)
    assert await ask(store, [metric.id]) == brute_force(rows * 30, *FAR, DAY)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_change_in_doubt_is_unavailable_and_not_made_twice(
    store: DuckStore, commits: Script, fault: Fault
) -> None:
    commits.coming = [fault]
    with pytest.raises(StoreUnavailable, match="not known"):
        await store.names.resolve([NewName("a", "value", 1)], CAPS, NOW)
    assert len(await store.names.find(["a"])) == (fault in KEPT)
    metric = await name(store, "a")
    assert [found.name for found in await store.names.page(Page("", "", 9))] == ["a"]
    commits.coming = [fault]
    with pytest.raises(StoreUnavailable):
        await store.names.delete("a")
    await store.names.delete("a")
    assert await store.names.find(["a"]) == {}
    assert (await name(store, "a")).id != metric.id


async def test_a_key_that_breaks_a_rule_of_the_store_leaves_it_working(store: DuckStore) -> None:
    with pytest.raises(Exception, match="INT32"):
        await store.keys.create(NewKey("x", "x", "h", frozenset({"query"}), 10**15), NOW)
    assert await store.keys.list_all() == []
    assert (await store.keys.create(NewKey("x", "x", "h", frozenset({"query"}), 1), NOW)).id == 1


async def test_a_handle_that_dies_within_a_group_stores_nothing_of_it(store: DuckStore) -> None:
    metric = await name(store, "a")
    await store.commit(group([plain(metric, 1)]))
    await store.engine.write(lambda handle: handle.close())
    entry = request()
    with pytest.raises(StoreError):
        await store.commit(group([plain(metric, 2)], [entry]))
    assert await store.find_requests([entry.id]) == {}
    await store.commit(group([plain(metric, 4)], [entry]))
    await assert_levels_agree(store, [metric.id], [plain(metric, 1), plain(metric, 4)])


# --- checkpoints and other upkeep


@pytest.mark.parametrize("fault", [lost, fatal])
async def test_a_checkpoint_that_always_fails_is_no_requests_answer(
    store: DuckStore, checkpoints: Script, tmp_path: Path, fault: Fault
) -> None:
    log = tmp_path / f"{FILE_NAME}.wal"
    metric = await name(store, "a")
    checkpoints.right = fault
    sizes, rows = [], []
    for turn in range(5):
        rows += (fresh := [plain(metric, turn)] * 100)
        await store.commit(group(fresh, [request()]))
        await store.tidy(idle=True)
        sizes.append(log.stat().st_size)
        assert await ask(store, [metric.id]) == brute_force(rows, *FAR, DAY)
    assert sizes == sorted(set(sizes))
    checkpoints.right = run_checkpoint
    await store.tidy(idle=True)
    assert not log.exists()
    await assert_levels_agree(store, [metric.id], rows)


@pytest.mark.parametrize("fault", FAULTS)
async def test_upkeep_whose_commit_fails_loses_and_doubles_nothing(
    store: DuckStore, commits: Script, fault: Fault
) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5, NOW + second) for second in range(100)]
    for turn in range(3):
        await store.commit(group(rows))
        commits.coming = [fault]
        await store.tidy(idle=True)
        commits.coming = []
        assert await ask(store, [metric.id]) == brute_force(rows * (turn + 1), *FAR, DAY)
    await store.tidy(idle=True)
    await assert_levels_agree(store, [metric.id], rows * 3)


async def test_upkeep_that_cannot_be_done_is_tried_again_later(store: DuckStore) -> None:
    metric = await name(store, "a")
    rows = [plain(metric, 5)]
    await store.commit(group(rows))
    await store.engine.write(lambda handle: handle.execute("ALTER TABLE rollup_hour RENAME TO elsewhere"))
    await store.tidy(idle=True)
    await store.engine.write(lambda handle: handle.execute("ALTER TABLE elsewhere RENAME TO rollup_hour"))
    assert await ask(store, [metric.id]) == brute_force(rows, *FAR, DAY)
    await store.tidy(idle=True)
    await assert_levels_agree(store, [metric.id], rows)


async def test_ids_whose_table_cannot_be_dropped_are_a_log_line_and_no_fault(tmp_path: Path) -> None:
    clock = Clock(NOW - 20 * DAY)
    store = DuckStore(tmp_path, clock=clock)
    await store.open()
    await store.commit(group(ids=[request()], day=int(clock.now // DAY)))
    clock.now = NOW
    await store.engine.write(lambda handle: handle.execute(f"DROP TABLE request_ids_{NOW // DAY - 20}"))
    await store.tidy(idle=False)
    await store.commit(group(ids=[request()]))
    await store.close()


async def test_a_backup_leaves_nothing_attached_also_when_its_client_goes_away(
    store: DuckStore, tmp_path: Path
) -> None:
    metric = await name(store, "a")
    await store.commit(group(plain(metric, 1, NOW + second) for second in range(20_000)))
    await store.backup(tmp_path / "one")
    gone = asyncio.create_task(store.backup(tmp_path / "two"))
    await asyncio.sleep(0)
    gone.cancel()
    await store.engine.read(lambda _: None, lane=Lane.COPY)
    sql = "SELECT database_name FROM duckdb_databases() WHERE NOT internal"
    assert await store.engine.read(lambda cursor: cursor.execute(sql).fetchall()) == [("fiesta",)]


# --- opening


async def test_a_second_process_on_the_file_is_told_clearly(store: DuckStore, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib\n"
        "from central.store.duck.store import DuckStore\n"
        "from central.store.base import StoreUnavailable\n"
        "try:\n"
        "    asyncio.run(DuckStore(pathlib.Path(sys.argv[1])).open())\n"
        "except StoreUnavailable as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the store file cannot be opened:")
    assert "lock" in done.stdout
    await name(store, "still here")


async def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    store = DuckStore(tmp_path)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await store.open()
    await store.close()
    assert (tmp_path / FILE_NAME).read_bytes() == b"no database" * 1000


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE migrations SET checksum = 'edited'", "changed after it was applied"),
        ("INSERT INTO migrations VALUES ('9999_later', 'x', 0)", "upgrade it"),
        ("DELETE FROM migrations", "migration 0001_initial failed"),
    ],
)
async def test_a_file_of_other_migrations_is_refused_and_released(tmp_path: Path, sql: str, message: str) -> None:
    store = DuckStore(tmp_path)
    await store.open()
    assert store.applied == [migration.name for migration in load("duckdb")]
    await store.engine.write(lambda handle: handle.execute(sql))
    await store.close()
    again = DuckStore(tmp_path)
    with pytest.raises(MigrationError, match=message) as caught:
        await again.open()
    # Another configuration is refused as long as any handle is open in this process.
    duckdb.connect(str(tmp_path / FILE_NAME), read_only=True).close()
    assert caught.value.args
    await again.close()

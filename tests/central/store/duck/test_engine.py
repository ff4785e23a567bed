"""central/store/duck/engine.py: threads, time limits, reopening and checkpoints, without metrics."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from central.store.base import StoreError, StoreUnavailable
from central.store.duck import engine as engine_module
from central.store.duck.engine import Connection, Engine, Lane, run_checkpoint

READERS = Lane.LOOK_UP.value
SLOW = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"


def prepare(handle: Connection) -> None:
    handle.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER)")


def count(cursor: Connection) -> int:
    (rows,) = cursor.execute("SELECT count(*) FROM t").fetchall()
    return int(rows[0])


def slow(cursor: Connection) -> None:
    cursor.execute(SLOW).fetchall()


def stubborn(cursor: Connection) -> None:
    """Two slow statements, where the interrupt of the first is swallowed."""
    with suppress(duckdb.InterruptException):
        slow(cursor)
    slow(cursor)


def insert(handle: Connection) -> None:
    handle.execute("INSERT INTO t VALUES (1)")


class Opened:
    """Prepares a handle that was just opened, and counts how often that was."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, handle: Connection) -> None:
        self.times += 1
        prepare(handle)


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
async def engine(tmp_path: Path, opened: Opened) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path / "t.duckdb", opened)
    yield engine
    await engine.close()


def waits(hold: threading.Event) -> None:
    hold.wait()


def begun(work: Callable[[Connection], None]) -> tuple[Callable[[Connection], None], asyncio.Event]:
    """``work`` that sets an event of this loop when it begins."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def run(connection: Connection) -> None:
        loop.call_soon_threadsafe(event.set)
        work(connection)

    return run, event


# --- writes and reads


async def test_the_first_call_opens_the_file(engine: Engine, opened: Opened) -> None:
    assert opened.times == 0
    assert await engine.read(count) == 0
    await engine.write(insert)
    assert await engine.read(count) == 1
    assert opened.times == 1


async def test_an_error_of_a_write_is_the_writers_and_the_handle_stays(engine: Engine, opened: Opened) -> None:
    with pytest.raises(duckdb.CatalogException):
        await engine.write(lambda handle: handle.execute("SELECT * FROM missing"))
    assert await engine.read(count) == 0
    assert opened.times == 1


async def test_an_error_of_a_read_is_a_store_error(engine: Engine) -> None:
    with pytest.raises(StoreError, match="missing"):
        await engine.read(lambda cursor: cursor.execute("SELECT * FROM missing"))
    assert await engine.read(count) == 0


async def test_a_file_that_cannot_be_opened_is_tried_again_at_the_next_call(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "later" / "t.duckdb", prepare)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            await engine.read(count)
    (tmp_path / "later").mkdir()
    assert await engine.read(count) == 0
    await engine.close()


async def test_a_handle_that_cannot_be_prepared_is_released(tmp_path: Path) -> None:
    faults = [ValueError("not ours"), duckdb.IOException("bad disk")]

    def fail_first(handle: Connection) -> None:
        if faults:
            raise faults.pop(0)
        prepare(handle)

    engine = Engine(tmp_path / "t.duckdb", fail_first)
    for expected in (ValueError, StoreUnavailable):
        with pytest.raises(expected) as caught:
            await engine.write(insert)
        duckdb.connect(str(engine.path), read_only=True).close()  # refused while another handle is open
        assert caught.value.args
    await engine.write(insert)
    assert await engine.read(count) == 1
    await engine.close()


# --- time limits


async def test_a_query_that_takes_too_long_is_interrupted_and_the_store_goes_on(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "t.duckdb", prepare, read_seconds=0.05)
    found = await asyncio.gather(*(engine.read(slow) for _ in range(2 * READERS)), return_exceptions=True)
    message = "the query took longer than 0.05 s; ask for a shorter range or fewer names"
    assert [str(error) for error in found] == [message] * 2 * READERS
    await engine.write(insert)
    # Both readers are free again, or these would wait for minutes.
    assert await asyncio.gather(*(engine.read(count, seconds=60) for _ in range(READERS))) == [1] * READERS
    await engine.close()


async def test_a_query_whose_time_was_over_in_the_queue_never_begins(engine: Engine) -> None:
    await engine.write(prepare)
    hold, ran = threading.Event(), []
    starts = []
    for _ in range(READERS):
        work, event = begun(lambda cursor: waits(hold))
        starts.append((asyncio.create_task(engine.read(work)), event))
    for _, event in starts:
        await event.wait()
    with pytest.raises(StoreUnavailable, match="the query took longer"):
        await engine.read(lambda cursor: ran.append(1), seconds=0.01)
    hold.set()
    for task, _ in starts:
        await task
    assert await asyncio.gather(*(engine.read(count) for _ in range(READERS))) == [0] * READERS
    assert ran == []


async def test_a_query_whose_caller_has_gone_is_interrupted(engine: Engine) -> None:
    for _ in range(READERS):
        work, event = begun(stubborn)
        reading = asyncio.create_task(engine.read(work))
        await event.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert await asyncio.gather(*(engine.read(count) for _ in range(READERS))) == [0] * READERS


async def test_no_lane_waits_for_another(engine: Engine) -> None:
    await engine.write(prepare)
    for full in Lane:
        held = [asyncio.create_task(engine.read(slow, lane=full)) for _ in range(2 * full.value)]
        for lane in Lane:
            if lane is not full:
                assert await engine.read(count, lane=lane) == 0
        await engine.write(insert)
        await engine.write(lambda handle: handle.execute("DELETE FROM t"))
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


# --- healing


async def test_a_broken_handle_ends_its_queries_and_is_opened_again(engine: Engine, opened: Opened) -> None:
    await engine.write(insert)
    work, event = begun(slow)
    reading = asyncio.create_task(engine.read(work))
    await event.wait()
    await engine.write(lambda _: engine.break_handle())
    with pytest.raises(StoreUnavailable, match="interrupted"):
        await reading
    assert opened.times == 1
    assert await engine.read(count) == 1
    assert opened.times == 2
    await engine.write(lambda _: engine.break_handle())
    await engine.write(insert)
    assert await engine.read(count) == 2
    assert opened.times == 3


async def test_a_handle_in_doubt_writes_nothing_when_it_is_dropped(engine: Engine) -> None:
    await engine.write(insert)
    before = engine.wal_bytes(), engine.path.read_bytes()
    await engine.write(lambda _: engine.break_handle())
    assert (engine.wal_bytes(), engine.path.read_bytes()) == before


async def test_a_read_that_cannot_be_interrupted_frees_a_broken_handle(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "t.duckdb", prepare, read_seconds=0.1)
    await engine.write(insert)
    hold = threading.Event()
    work, event = begun(lambda cursor: waits(hold))
    reading = asyncio.create_task(engine.read(work, seconds=60))
    await event.wait()
    await engine.write(lambda _: engine.break_handle())
    hold.set()
    await reading
    assert await engine.read(count, seconds=60) == 1
    await engine.close()


# --- closing


async def test_close_ends_a_query_and_refuses_what_comes_after(engine: Engine, opened: Opened) -> None:
    work, event = begun(slow)
    reading = asyncio.create_task(engine.read(work))
    await event.wait()
    await engine.close()
    with pytest.raises(StoreUnavailable):
        await reading
    for call in (engine.read(count), engine.write(count)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call
    assert opened.times == 1


async def test_a_query_while_the_store_closes_is_refused(engine: Engine) -> None:
    await engine.write(lambda _: engine.break_handle())
    reading = asyncio.create_task(engine.read(count))
    closing = asyncio.create_task(engine.close())
    with pytest.raises(StoreUnavailable, match="closed"):
        await reading
    await closing


async def test_close_empties_the_log(engine: Engine) -> None:
    await engine.write(insert)
    assert engine.wal_bytes() > 0
    await engine.close()
    assert engine.wal_bytes() == 0


# --- checkpoints


class Checkpoints:
    """Checkpoints that fail while ``error`` is set; counts the calls."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    def __call__(self, connection: Connection) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        run_checkpoint(connection)


@pytest.fixture
def checkpoints() -> Checkpoints:
    return Checkpoints()


@pytest.fixture
async def checked(tmp_path: Path, opened: Opened, checkpoints: Checkpoints) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path / "t.duckdb", opened, checkpoint=checkpoints)
    await engine.write(insert)
    yield engine
    checkpoints.error = None
    await engine.close()


async def test_a_small_log_is_moved_when_nobody_writes(checked: Engine, checkpoints: Checkpoints) -> None:
    await checked.tidy(idle=False)
    assert checkpoints.calls == 0
    await checked.tidy(idle=True)
    await checked.tidy(idle=True)
    assert (checkpoints.calls, checked.wal_bytes()) == (1, 0)


async def test_a_large_log_is_moved_between_groups(
    checked: Engine, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WAL_BYTES", checked.wal_bytes())
    await checked.tidy(idle=False)
    assert (checkpoints.calls, checked.wal_bytes()) == (1, 0)


async def test_a_checkpoint_that_readers_block_is_put_off(
    checked: Engine, opened: Opened, checkpoints: Checkpoints
) -> None:
    checkpoints.error = duckdb.TransactionException("other transactions are active")
    await checked.tidy(idle=True)
    assert checked.wal_bytes() > 0
    assert await checked.read(count) == 1
    assert opened.times == 1


@pytest.mark.parametrize("error", [duckdb.FatalException("dead"), duckdb.IOException("full"), RuntimeError("odd")])
async def test_after_a_failed_checkpoint_the_file_is_opened_again(
    checked: Engine, opened: Opened, checkpoints: Checkpoints, error: Exception
) -> None:
    checkpoints.error = error
    await checked.tidy(idle=True)
    assert await checked.read(count) == 1
    assert opened.times == 2


async def test_checkpoints_that_fail_are_not_tried_after_every_group(
    checked: Engine, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WAL_BYTES", checked.wal_bytes())
    checkpoints.error = duckdb.IOException("full")
    for _ in range(5):
        await checked.tidy(idle=False)
    assert checkpoints.calls == 1
    while checked.wal_bytes() < 2 * engine_module.WAL_BYTES:
        await checked.write(insert)
    checkpoints.error = None
    await checked.tidy(idle=False)
    assert (checkpoints.calls, checked.wal_bytes()) == (2, 0)


async def test_a_log_that_was_never_moved_is_read_at_the_next_start(
    checked: Engine, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.error = duckdb.IOException("full")
    await checked.close()
    again = Engine(tmp_path / "t.duckdb", prepare)
    assert await again.read(count) == 1
    await again.close()

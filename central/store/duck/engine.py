"""Runs the embedded database: a writer thread, reader threads in lanes, transactions, checkpoints.

It knows nothing about metrics. When a handle breaks, the engine closes it, and the next call opens the file again. The
write-ahead log then decides what is durable.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import duckdb
import structlog

from central.store.base import StoreError, StoreUnavailable

T = TypeVar("T")
P = ParamSpec("P")
Connection = duckdb.DuckDBPyConnection


class Lane(Enum):
    """A lane of readers and its number of threads. A read never waits for a read in another lane."""

    LOOK_UP = 2
    """Short reads that every request needs: keys, names, the retention line, pings."""
    QUERY = 3
    """Users' queries, which may take long."""
    COPY = 1
    """Backups."""


READ_SECONDS: Final = 30.0
WAL_BYTES: Final = 16 << 20
_NEVER: Final = "1TB"
_INTERRUPT_EVERY: Final = 0.05
_SETTINGS: Final = (
    f"SET checkpoint_threshold = '{_NEVER}';"
    " PRAGMA disable_checkpoint_on_shutdown"  # a broken handle must not write when it is closed
)
_log = structlog.get_logger(__name__)


def run_commit(connection: Connection) -> None:
    """Make the open transaction durable."""
    connection.execute("COMMIT")


def run_checkpoint(connection: Connection) -> None:
    """Move the write-ahead log into the file."""
    connection.execute("CHECKPOINT")


@dataclass(slots=True, eq=False)
class _Reading:
    """One call of ``read``: its cursor while it runs, and whether its caller no longer waits."""

    cursor: Connection | None = None
    over: bool = False


class Engine:
    """One database file. Runs ``prepare`` on every new handle, in the writer thread.

    Owns the handle and the threads. A reader's cursor exists only during its call.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[Connection], None],
        *,
        commit: Callable[[Connection], None] = run_commit,
        checkpoint: Callable[[Connection], None] = run_checkpoint,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.path = path
        self._prepare = prepare
        self.run_commit = commit
        self._checkpoint = checkpoint
        self._read_seconds = read_seconds
        self._handle: Connection | None = None
        self._closed = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = {lane: ThreadPoolExecutor(lane.value, f"store-{lane.name.lower()}") for lane in Lane}
        self._readings: set[_Reading] = set()
        self._gate = threading.Condition()
        self._failed_checkpoints = 0

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in the writer thread. Raises StoreUnavailable if the file cannot be opened."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._writer, lambda: work(self._opened()))

    async def read(
        self, work: Callable[[Connection], T], *, lane: Lane = Lane.LOOK_UP, seconds: float | None = None
    ) -> T:
        """Run ``work`` in its lane with a new cursor. Interrupt it when its time is over or its caller is cancelled.

        Raises StoreUnavailable if the file cannot be opened, the handle broke meanwhile or the time is over, and
        StoreError if a statement failed.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._handle is None:
            await self.write(lambda _: None)
            if self._closed:
                raise StoreUnavailable("the store is closed")
        reading = _Reading()
        future = asyncio.get_running_loop().run_in_executor(self._readers[lane], self._read, work, reading)
        limit = self._read_seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(future)
        except TimeoutError:
            raise StoreUnavailable(
                f"the query took longer than {limit:g} s; ask for a shorter range or fewer names"
            ) from None
        finally:
            if not future.done():
                # The caller no longer waits, but the statement still runs. End it, so that it does not occupy a
                # reader thread. Read its exception, or asyncio would log it as never retrieved.
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
                self._end(reading, future)

    async def change(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` in its own transaction in the writer thread.

        Raises StoreError if nothing is stored, and StoreUnavailable if that is not known. Then the handle is dropped.
        Use it only for work that is harmless to do twice.
        """
        return await self.write(lambda handle: self._in_transaction(handle, lambda: work(handle, *args, **kwargs)))

    def _in_transaction(self, handle: Connection, work: Callable[[], T]) -> T:
        try:
            handle.execute("BEGIN")
            result = work()
        except Exception as error:
            self.undo(handle)
            raise StoreError(str(error)) from error
        try:
            self.run_commit(handle)
        except Exception as error:
            # A COMMIT that failed may still have reached the disk. Opening the file again shows whether it did.
            self.break_handle()
            raise StoreUnavailable(f"it is not known whether the change was stored: {error}") from error
        return result

    def undo(self, handle: Connection) -> None:
        """Roll back the open transaction, if there is one. Drops the handle if that fails. Writer thread only."""
        try:
            handle.execute("ROLLBACK")
        except duckdb.TransactionException:  # none was open
            return
        except duckdb.Error as error:
            _log.error("store_handle_broken", error=str(error))
            self.break_handle()

    async def tidy(self, *, idle: bool) -> None:
        """Make a checkpoint if the write-ahead log is large, or if it is not empty and ``idle``. Never raises.

        When a checkpoint fails, no request fails. The engine logs it and opens the file again. What was committed stays
        committed.
        """
        size = self.wal_bytes()
        due = WAL_BYTES * (1 + self._failed_checkpoints)  # a failure reopens the file: do not retry after every group
        if not self._closed and (size >= due or (idle and size > 0)):
            await asyncio.get_running_loop().run_in_executor(self._writer, self._try_checkpoint)

    def wal_bytes(self) -> int:
        """The size of the write-ahead log."""
        try:
            return self.path.with_name(self.path.name + ".wal").stat().st_size
        except OSError:
            return 0

    async def close(self) -> None:
        """Wait for running work, checkpoint, and close the file."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._writer, self._shut)
        self._writer.shutdown()
        for readers in self._readers.values():
            readers.shutdown()

    def break_handle(self) -> None:
        """Close a handle whose state is unknown; the next call opens the file again. Writer thread only."""
        with self._gate:
            # From here on no reader starts on this handle. Running readers keep the broken database open in this
            # process, and opening the file would return that same database. So end them first, within a read's time.
            handle, self._handle = self._handle, None
            patience = time.monotonic() + self._read_seconds
            while self._readings and time.monotonic() < patience:
                for reading in self._readings:
                    _interrupt(reading)
                self._gate.wait(_INTERRUPT_EVERY)
        if handle is None:
            return
        try:
            handle.close()
        except duckdb.Error as error:
            _log.warning("store_close_failed", error=str(error))

    def _opened(self) -> Connection:
        if self._handle is None:
            try:
                handle = duckdb.connect(
                    str(self.path),
                    config={"threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False},
                )
                with contextlib.ExitStack() as undo:
                    undo.callback(handle.close)
                    handle.execute(_SETTINGS)
                    self._prepare(handle)
                    undo.pop_all()
            except duckdb.Error as error:
                raise StoreUnavailable(f"the store file cannot be opened: {error}") from error
            self._handle = handle  # set last, so that no call uses a handle before it is prepared
        return self._handle

    def _read(self, work: Callable[[Connection], T], reading: _Reading) -> T:
        with self._gate:
            if self._handle is None or reading.over:
                raise StoreUnavailable("the store is being opened again")
            cursor = reading.cursor = self._handle.cursor()
            self._readings.add(reading)
        try:
            return work(cursor)
        except duckdb.InterruptException as error:
            raise StoreUnavailable("the query was interrupted") from error
        except duckdb.Error as error:
            raise StoreError(str(error)) from error
        finally:
            with self._gate:
                reading.cursor = None
                cursor.close()
                self._readings.discard(reading)
                self._gate.notify_all()

    def _end(self, reading: _Reading, future: asyncio.Future[T]) -> None:
        """Interrupt a read whose caller no longer waits, or keep it from starting.

        Repeats the interrupt until the read ends, because DuckDB ignores one that arrives between two statements.
        """
        if future.done():
            return
        with self._gate:
            reading.over = True
            _interrupt(reading)
        asyncio.get_running_loop().call_later(_INTERRUPT_EVERY, self._end, reading, future)

    def _try_checkpoint(self) -> None:
        try:
            self._checkpoint(self._opened())
            self._failed_checkpoints = 0
        except duckdb.TransactionException as error:  # a reader is running; the next checkpoint will do it
            _log.debug("checkpoint_postponed", error=str(error))
        except Exception as error:  # no request may fail because of this
            self._failed_checkpoints += 1
            _log.error("checkpoint_failed", error=str(error), in_a_row=self._failed_checkpoints)
            self.break_handle()

    def _shut(self) -> None:
        if self._handle is not None:
            self._try_checkpoint()
        self.break_handle()


def _interrupt(reading: _Reading) -> None:
    if reading.cursor is not None:
        reading.cursor.interrupt()

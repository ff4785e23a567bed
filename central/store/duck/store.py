"""The embedded store: a DuckDB file for one central process. base.Store says what a store promises.

There is only one writer, so request ids need no unique index. ``find_requests`` searches the newest ids in memory, then
each day's Bloom filter. It searches the tables only for ids that a filter probably has.

A group's points go to the *tail*, a small table that every query reads in addition to the rollups. When the tail is
large enough, it is folded into points and rollups in one transaction. So answers are exact at once, and small commits
are cheap: see
docs/decisions/0002-request-ids-without-an-index.md and 0003-the-tail.md.
"""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import numpy as np
import structlog

from central.store.agents import AgentStore
from central.store.base import (
    Group,
    IdGroup,
    KeyStore,
    NameStore,
    NotStored,
    OutcomeUnknown,
    RejectedPoint,
    Remembered,
    RequestId,
    StoreError,
    StoreUnavailable,
)
from central.store.buckets import Buckets
from central.store.distribution import Distribution
from central.store.duck import pack, queries, sql
from central.store.duck.agents import DuckAgents
from central.store.duck.bloom import BloomFilter
from central.store.duck.engine import Connection, Engine, Lane, run_checkpoint, run_commit
from central.store.duck.histograms import DuckFolding
from central.store.duck.keys import DuckKeys
from central.store.duck.names import DuckNames
from central.store.duck.points import DuckPoints
from central.store.duck.retention import DuckRetention
from central.store.duck.series import DuckSeries
from central.store.folding import HistogramFold
from central.store.id_days import days_to_drop, id_day
from central.store.members import members_of
from central.store.migrations import MigrationError, OnMigration, load, one_by_one, pending
from central.store.plan import Segment
from central.store.points import PointStore
from central.store.retention import RetentionStore
from central.store.series import SeriesStore
from protocol.numbers import DECIMALS

T = TypeVar("T")

FILE_NAME: Final = "fiesta.duckdb"
TAIL_ROWS: Final = 32_768
"""The tail is folded at this many rows: few enough for fast queries, enough to make folds rare."""
_MAX_CACHED_REQUESTS: Final = 16_384
_DAY: Final = 86_400
_BACKUP_SECONDS: Final = 3_600
_EXACT: Final = Context(prec=60)
_log = structlog.get_logger(__name__)


class DuckStore:
    """base.Store on one DuckDB file. All arguments except ``folder`` are for tests."""

    writers = 1

    def __init__(
        self,
        folder: Path,
        *,
        commit: Callable[[Connection], None] = run_commit,
        checkpoint: Callable[[Connection], None] = run_checkpoint,
        clock: Callable[[], float] = time.time,
        tail_rows: int = TAIL_ROWS,
    ) -> None:
        self._clock = clock
        self.may_remove: Callable[[], bool] = lambda: True
        """Whether the clock can be trusted for deletions. central.app replaces this function."""
        self._fold_at = tail_rows
        self.engine = Engine(folder / FILE_NAME, self._on_open, commit=commit, checkpoint=checkpoint)
        self.names: NameStore = DuckNames(self.engine)
        self.series: SeriesStore = DuckSeries(self.engine)
        self.keys: KeyStore = DuckKeys(self.engine)
        self.agents: AgentStore = DuckAgents(self.engine)
        self.retention: RetentionStore = DuckRetention(self.engine)
        self.points: PointStore = DuckPoints(self.engine)
        self._filters: dict[int, BloomFilter] = {}
        self._cached_requests: dict[bytes, Remembered] = {}
        self._tail_rows = 0
        self._pack_at = 0.0
        self.folding = DuckFolding(self.engine)
        self._histogram_fold = HistogramFold(self.folding, clock)
        self._on_migration: OnMigration | None = None
        self.applied: list[str] = []
        """Migrations that were applied when the file was opened."""

    async def open(self, on_migration: OnMigration | None = None) -> None:
        """Open the file. Create and migrate it if needed. Raises StoreUnavailable or MigrationError."""
        self._on_migration = on_migration
        await self.engine.write(lambda _: None)

    async def close(self) -> None:
        """See Store."""
        await self._histogram_fold.close()
        await self.engine.close()

    async def ping(self) -> None:
        """See Store."""
        await self.engine.read(lambda cursor: cursor.execute("SELECT 1").fetchall(), seconds=5)

    async def tidy(self, *, idle: bool) -> None:
        """See Store. Drops old ids, folds the tail, packs minutes of past days, starts the fold of histograms.

        Then it lets the engine checkpoint.
        """
        now, may_remove = self._clock(), self.may_remove()
        try:
            for day in days_to_drop(self._filters, int(now // _DAY)) if may_remove else ():
                await self.engine.write(lambda handle, day=day: handle.execute(f"DROP TABLE {_table(day)}"))  # type: ignore[misc]
                del self._filters[day]
                self._cached_requests.clear()  # once per day; ids that are not dropped are still in the tables
            if self._tail_rows >= self._fold_at:
                await self.engine.write(self._fold)
            # If the time is far ahead, the clock was wrong when it was set.
            if may_remove and not 0 < self._pack_at - now <= pack.CHECK_SECONDS:
                await self._pack()
            self._histogram_fold.start_if_due()
        except (duckdb.Error, StoreError) as error:
            _log.warning("upkeep_failed", error=str(error))
        await self.engine.tidy(idle=idle)

    # --- groups and their ids

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """See Store."""
        if not again:
            group.day = id_day(group.day, max(self._filters, default=0))
        # The group's own id is stored with its requests' ids. After a COMMIT in doubt it shows whether all is stored.
        own = RequestId(group.id, bytes(16), None)
        ids = list({entry.id: entry for entry in (own, *group.ids)}.values())
        try:
            if await self.engine.write(lambda handle: self._write_group(handle, group, ids, again=again)):
                self._tail_rows += len(group.rows)
        except OutcomeUnknown as error:
            if not again:
                raise
            # COMMIT failed twice. On a full disk it would fail for ever, so look in the file, which is open again.
            if not await self.engine.write(lambda handle: self._has(handle, group)):
                raise NotStored(f"the group was not stored: {error}") from error
        # The group is durable, so remember its ids. After an error the file is opened again, which reads all ids.
        self._filters.setdefault(group.day, BloomFilter()).add(entry.id for entry in ids)
        for entry in group.ids:
            self._cached_requests[entry.id] = Remembered(entry.fingerprint, entry.answer)
        while len(self._cached_requests) > _MAX_CACHED_REQUESTS:
            del self._cached_requests[next(iter(self._cached_requests))]

    def _write_group(self, handle: Connection, group: Group, ids: list[RequestId], *, again: bool) -> bool:
        """Store the group. Returns False if an earlier call has stored it. Writer thread only.

        Raises StoreError if it fails before COMMIT: then nothing is stored. Raises OutcomeUnknown if COMMIT fails.
        """
        table = _table(group.day)
        try:
            if group.day not in self._filters:
                handle.execute(sql.CREATE_IDS.format(table=table))
            # No other transaction runs, so nothing can store the id between this search and the INSERT below.
            if again and handle.execute(sql.find_ids([table], [group.id])).fetchall():
                return False
            if len(group.rows) + len(ids) <= sql.FEW:
                handle.execute(f"BEGIN; {sql.put_few(table, group.rows, ids)}")
            else:
                put_points, points, texts = sql.point_columns(group.rows) if group.rows else ("", {}, {})
                put_ids = sql.PUT_IDS.format(table=table)
                _put(handle, f"BEGIN; {put_points}; {put_ids}", points, texts, sql.id_columns(ids))
            if group.rejected:
                handle.executemany(sql.PUT_REJECTED, [_aside(point) for point in group.rejected])
        except Exception as error:
            self.engine.undo(handle)
            raise StoreError(f"the group was not stored: {error}") from error
        try:
            self.engine.run_commit(handle)
        except Exception as error:
            # The write-ahead log may hold the group, and this handle may not know it. So no one may read from this
            # handle any more. The next call opens the file again and reads what is durable.
            _log.error("commit_outcome_unknown", error=str(error), group=group.id.hex())
            self.engine.break_handle()
            raise OutcomeUnknown(str(error)) from error
        return True

    def _has(self, handle: Connection, group: Group) -> bool:
        if group.day not in self._filters:  # the filters were read when the file was opened
            return False
        try:
            found = handle.execute(sql.find_ids([_table(group.day)], [group.id])).fetchall()
        except duckdb.Error as error:
            raise StoreUnavailable(f"the group cannot be searched for: {error}") from error
        return bool(found)

    def _fold(self, handle: Connection) -> None:
        """Move the tail into points and rollups in one transaction. A failure is logged and tried again later."""
        try:
            handle.execute(sql.FOLD)
        except duckdb.Error as error:
            _log.error("fold_failed", error=str(error))
            self.engine.undo(handle)
            return
        try:
            self.engine.run_commit(handle)
        except Exception as error:  # folded or not, the store is consistent; opening it again counts the tail
            _log.error("fold_outcome_unknown", error=str(error))
            self.engine.break_handle()
        else:
            self._tail_rows = 0

    async def _pack(self) -> None:
        today = int(self._clock() // _DAY) * _DAY
        self._pack_at = self._clock() + pack.PAUSE_SECONDS
        if not await self.engine.change(pack.pack, today):
            self._pack_at = self._clock() + pack.CHECK_SECONDS

    async def find_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """See Store. Searches no table for ids that are new."""
        found = {key: self._cached_requests[key] for key in ids if key in self._cached_requests}
        filters = self._filters.values()
        possible = [key for key in ids if key not in found and any(key in day for day in filters)]
        if possible:
            statement = sql.find_ids([_table(day) for day in self._filters], possible)
            rows = await self.engine.read(lambda cursor: cursor.execute(statement).fetchall())
            asked = set(possible)
            for high, low, body_high, body_low, answer in rows:
                key = high.to_bytes(8, "big") + low.to_bytes(8, "big")
                if key in asked:
                    found[key] = Remembered(body_high.to_bytes(8, "big") + body_low.to_bytes(8, "big"), answer)
        return found

    async def count_rejected(self) -> int:
        """See Store."""
        statement = "SELECT count(*) FROM rejected_points"
        return int((await self.engine.read(lambda cursor: cursor.execute(statement).fetchall()))[0][0])

    # --- queries

    async def aggregate(
        self, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment], *, extremes: bool = True
    ) -> Buckets:
        """See Store."""
        members = members_of(groups)
        return await self.engine.read(
            lambda cursor: queries.aggregate(cursor, members, window, segments, extremes=extremes), lane=Lane.QUERY
        )

    async def distribute(self, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment]) -> Distribution:
        """See Store."""
        members = members_of(groups)
        return await self.engine.read(
            lambda cursor: queries.distribute(cursor, members, window, segments), lane=Lane.QUERY
        )

    async def backup(self, target: Path) -> None:
        """See Store."""
        await self.engine.read(lambda cursor: _copy(cursor, target), lane=Lane.COPY, seconds=_BACKUP_SECONDS)

    async def under_lock(self, work: Callable[[], Awaitable[T]]) -> T:
        """See Store. No lock is needed: no other process can open the file."""
        return await work()

    # --- opening

    def _on_open(self, handle: Connection) -> None:
        self.applied += _migrate(handle, int(self._clock()), self._on_migration)
        self._filters = _load_filters(handle)
        (self._tail_rows,) = handle.execute("SELECT count(*) FROM tail_points").fetchone() or (0,)
        self._cached_requests = {}


def _put(
    handle: Connection,
    statements: str,
    incoming: dict[str, Any],
    texts: dict[str, Any],
    incoming_ids: dict[str, Any],
) -> None:
    """Run statements, which read the other arguments as tables of their names.

    This is one call of DuckDB because each call waits for the interpreter lock while the event loop is busy: one call
    takes 5 ms per group, separate calls take 14 ms.
    """
    handle.execute(statements)


def _table(day: int) -> str:
    return f"{sql.ID_TABLE}{day}"


def _aside(point: RejectedPoint) -> list[object]:
    numbers = (point.value, point.weight, point.low, point.high)
    decimals = [None if units is None else _EXACT.scaleb(Decimal(units), -DECIMALS) for units in numbers]
    return [point.name, point.kind, point.recorded_at, *decimals, point.reason, point.tags, point.histogram]


def _copy(cursor: Connection, target: Path) -> None:
    """Copy everything from one snapshot. The copy is always detached, also after an error."""
    if target.exists():
        raise StoreError(f"{target} exists already")
    name, quoted = f"copy_{os.urandom(8).hex()}", str(target).replace("'", "''")
    cursor.execute(f"ATTACH '{quoted}' AS {name}")
    try:
        cursor.execute(f"COPY FROM DATABASE {Path(FILE_NAME).stem} TO {name}; CHECKPOINT {name}")
    finally:
        with contextlib.suppress(duckdb.Error):  # fails only if the handle is broken, which detaches the copy too
            cursor.execute(f"DETACH {name}")


def _migrate(handle: Connection, now: int, on_migration: OnMigration | None) -> list[str]:
    handle.execute("CREATE TABLE IF NOT EXISTS migrations (name VARCHAR, checksum VARCHAR, applied_at BIGINT)")
    applied = dict(handle.execute("SELECT name, checksum FROM migrations").fetchall())
    todo = pending(load("duckdb"), applied)
    for migration in one_by_one(todo, on_migration):
        try:
            handle.execute(f"BEGIN; {migration.sql}")
            handle.execute("INSERT INTO migrations VALUES (?, ?, ?)", [migration.name, migration.checksum, now])
            handle.execute("COMMIT")
        except duckdb.Error as error:
            raise MigrationError(f"migration {migration.name} failed: {error}") from error
    return [migration.name for migration in todo]


def _load_filters(handle: Connection) -> dict[int, BloomFilter]:
    tables = handle.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall()
    filters = {}
    for (table,) in tables:
        if table.startswith(sql.ID_TABLE):
            columns = handle.execute(f"SELECT high, low FROM {table}").fetchnumpy()
            of_day = filters[int(table.removeprefix(sql.ID_TABLE))] = BloomFilter()
            of_day.load(columns["high"].astype(np.uint64), columns["low"].astype(np.uint64))
    return filters

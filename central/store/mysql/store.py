"""The store of the production tier: MySQL 8 or MariaDB 10.11, for many processes. See base.Store for the promises.

A group is one transaction: its id, a look at the names' version, its requests' ids, points, both rollups. The unique
key of the ids keeps anything from being stored twice. After the group's own id went in, no earlier attempt at the group
can be in or come in any more, whatever fails then: so the errors after that point are certain.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from central.store.base import (
    Group,
    KeyStore,
    NameStore,
    OutcomeUnknown,
    Refused,
    Remembered,
    RequestId,
    StaleNames,
    StoreError,
    Unsupported,
)
from central.store.buckets import Buckets
from central.store.distribution import Distribution, no_entries
from central.store.id_days import days_to_drop, id_day
from central.store.migrations import OnMigration
from central.store.mysql import migrate, partitions, sql
from central.store.mysql.connection import (
    AGAIN,
    DUPLICATE,
    NO_PARTITION,
    NOT_LOADED,
    Connection,
    Server,
    ServerError,
    Session,
    connect,
)
from central.store.mysql.keys import MySQLKeys
from central.store.mysql.names import MySQLNames
from central.store.mysql.pool import Commit, Pool, run_commit
from central.store.mysql.retention import MySQLRetention
from central.store.mysql.rows import MAX_ROWS, RowLines, lines
from central.store.mysql.series import MySQLSeries
from central.store.plan import Segment
from central.store.retention import RetentionStore
from central.store.series import SeriesStore

T = TypeVar("T")

WRITERS: Final = 2
LOOKUPS: Final = 2
READERS: Final = 4
_DAY: Final = 86_400
_LARGE: Final = 500
_LOADED: Final = range(_LARGE, 50_001)
"""Points of a group for LOAD DATA: fewer go with all else in one packet, more might fill a table in memory."""
_UPKEEP_PAUSE: Final = 60
_IDS_CHUNK: Final = 1_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds that the database may take before we stop waiting for it."""

    write: float = 5.0
    """A transaction, and its COMMIT once more."""
    lookup: float = 3.0
    read: float = 10.0
    lock: int = 3
    """One wait for a row or a table that another transaction holds."""


class MySQLStore:
    """base.Store on one database. ``commit``, ``clock`` and ``limits`` are arguments for fault tests."""

    writers = WRITERS

    def __init__(
        self,
        server: Server,
        *,
        commit: Commit = run_commit,
        clock: Callable[[], float] = time.time,
        limits: TimeLimits | None = None,
    ) -> None:
        limits = limits or TimeLimits()
        self._server = server
        self._clock = clock
        self.may_remove: Callable[[], bool] = lambda: True
        """Whether the clock can be trusted for deletions. central.app replaces this function."""
        writing = Session(limits.lock, prepare=sql.CREATE_SUMS)
        self._writers = Pool(lambda: connect(server, writing), WRITERS, limits.write, commit=commit)
        self._lookups = Pool(lambda: connect(server, Session(limits.lock)), LOOKUPS, limits.lookup)
        reading = Session(limits.lock, select_seconds=int(limits.read) or 1)
        self._readers = Pool(lambda: connect(server, reading), READERS, limits.read, kill=self._kill_query)
        self._changers = Pool(lambda: connect(server, Session(lock_seconds=1)), 1, _UPKEEP_PAUSE)
        self.names: NameStore = MySQLNames(self._lookups, self._readers, self._writers)
        self.series: SeriesStore = MySQLSeries(self._lookups, self._readers, self._writers)
        self.keys: KeyStore = MySQLKeys(self._lookups, self._writers)
        self.retention: RetentionStore = MySQLRetention(self._lookups, self._changers)
        self._kept_day = 0
        self._ids_day = 0
        """When old ids were last dropped; the clock may have to be waited for."""
        self._newest_id_day = 0
        self._next_upkeep = 0.0
        self.applied: list[str] = []
        """Migrations that ``open`` applied."""

    async def open(self, on_migration: OnMigration | None = None) -> None:
        """Migrate and make partitions where needed. Raises StoreUnavailable or MigrationError."""
        self.applied = await migrate.migrate(
            lambda: connect(self._server, Session()), int(self._clock()), on_migration=on_migration
        )
        await self.upkeep()

    async def close(self) -> None:
        """See Store."""
        for pool in (self._writers, self._lookups, self._readers, self._changers):
            pool.close()

    async def _kill_query(self, server_id: int) -> None:
        """End the statement that one of our sessions runs, if any. If that fails, its own time limit ends it."""
        with contextlib.suppress(StoreError):
            await self._lookups.ask(lambda connection: connection.run(f"KILL QUERY {server_id}"))

    async def ping(self) -> None:
        """See Store."""
        await self._lookups.ask(lambda connection: connection.rows("SELECT 1"))

    async def backup(self, target: Path) -> None:
        """See Store; the server's own tools do it, so this raises Unsupported."""
        raise Unsupported(
            "a MySQL database is backed up with the server's tools: mysqldump --single-transaction, or mariadb-backup"
        )

    # --- upkeep

    async def tidy(self, *, idle: bool) -> None:
        """See Store. Runs once per day, and again a minute after a failure."""
        now = self._clock()
        today = int(now // _DAY)
        done = today == self._kept_day and (today == self._ids_day or not self.may_remove())
        # A time far ahead was set by a clock that has been set back since.
        if done or 0 < self._next_upkeep - now <= _UPKEEP_PAUSE:
            return
        self._next_upkeep = now + _UPKEEP_PAUSE
        try:
            await self.upkeep()
        except StoreError as error:
            _log.error("upkeep_failed", error=str(error), next_try_seconds=_UPKEEP_PAUSE)

    async def upkeep(self) -> None:
        """Make the coming days' partitions, drop old ids, remove points of deleted names. Raises StoreError."""
        today = int(self._clock() // _DAY)
        await self._changers.ask(lambda connection: self._keep_partitions(connection, today))
        await self.names.purge()
        self._kept_day = today
        self._next_upkeep = 0.0

    async def _keep_partitions(self, connection: Connection, today: int) -> None:
        made = await partitions.ensure(connection, today, today + partitions.AHEAD)
        used = await partitions.in_use(connection, partitions.IDS)
        self._newest_id_day = max([self._newest_id_day, *used])
        gone: list[int] = []
        if self.may_remove():
            if over := days_to_drop(used, today):
                gone = await partitions.drop_before(connection, partitions.IDS, over[-1] + 1)
            self._ids_day = today
        if made or gone:
            _log.info("partitions_kept", made=len(made), ids_dropped=len(gone))

    # --- groups and their ids

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """See Store.

        Cancelled before COMMIT it stores nothing. Cancelled in COMMIT its outcome is unknown. Its session is closed.
        """
        if len(group.rows) > MAX_ROWS:
            raise StoreError(f"a group holds at most {MAX_ROWS} points, this one {len(group.rows)}")
        if not again:
            group.day = id_day(group.day, self._newest_id_day)
            self._newest_id_day = max(self._newest_id_day, group.day)
        rows = await _off_loop(len(group.rows), lambda: lines(group.id, group.rows))
        by_load = len(group.rows) in _LOADED

        async def mend(error: ServerError) -> bool:
            # Both are no fault of the group's, and nothing of it is stored: the transaction was rolled back.
            nonlocal by_load
            if by_load and error.code in NOT_LOADED:
                _log.warning("load_data_did_not_do", error=str(error), group=group.id.hex())
                by_load = False
                return True
            return error.code == NO_PARTITION and await self._mend_partitions(group)

        try:
            await self._writers.transact(
                lambda connection: _put_group(connection, group, rows, again=again, by_load=by_load), mend=mend
            )
        except OutcomeUnknown as error:
            _log.error("commit_outcome_unknown", error=str(error), group=group.id.hex())
            raise

    async def _mend_partitions(self, group: Group) -> bool:
        """Make the partitions that a group needs and that do not exist. False if that cannot help."""
        today = int(self._clock() // _DAY)
        needed = max([group.day, *(row.recorded_at // _DAY for row in group.rows)])
        last = min(max(needed, today + partitions.AHEAD), today + partitions.FARTHEST)
        made = await self._changers.ask(lambda connection: partitions.ensure(connection, today, last))
        _log.error("partitions_were_missing", made=made, day=partitions.day_text(needed))
        return needed <= last

    async def find_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """See Store."""
        found: dict[bytes, Remembered] = {}
        for at in range(0, len(ids), _IDS_CHUNK):
            statement = sql.find_requests(ids[at : at + _IDS_CHUNK])
            rows = await self._lookups.ask(lambda connection, statement=statement: connection.rows(statement))  # type: ignore[misc]
            found.update((key, Remembered(fingerprint, answer)) for key, fingerprint, answer in rows)
        return found

    async def count_rejected(self) -> int:
        """See Store."""
        rows = await self._lookups.ask(lambda connection: connection.rows("SELECT COUNT(*) FROM rejected_points"))
        return int(rows[0][0])

    # --- queries

    async def aggregate(self, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Buckets:
        """See Store."""
        statement = sql.aggregate(metric_ids, window, segments)
        rows = await self._readers.ask(lambda connection: connection.rows(statement))
        return await _off_loop(sum(count for _, count, _ in rows), lambda: sql.buckets(rows))

    async def distribute(self, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Distribution:
        """See Store. No point has a histogram yet."""
        return Distribution(await self.aggregate(metric_ids, window, segments), no_entries())

    async def under_lock(self, work: Callable[[], Awaitable[T]]) -> T:
        """See Store."""
        async with migrate.locked(lambda: connect(self._server, Session())):
            return await work()


async def _put_group(connection: Connection, group: Group, rows: RowLines, *, again: bool, by_load: bool) -> None:
    """A group's statements up to its COMMIT; none of them does anything where an earlier attempt has stored it.

    Raises Refused when the group is certainly not in. Any other StoreError says so too, unless an earlier attempt is in
    doubt; the transaction is rolled back in each case.
    """
    # The group's own id first. Its key is unique, so this INSERT waits for an earlier attempt that still runs and then
    # tells what became of it: a duplicate is a group that is in. After it no earlier attempt can come in any more.
    statements = sql.request_ids(group.day, [RequestId(group.id, bytes(16), None)])
    # A lock on the names' version: who deletes a name waits for this group, or this group sees that one is gone.
    statements.append(sql.CHECK_NAMES)
    statements += sql.request_ids(group.day, group.ids)
    # A request's id is unique within a day's partition; an attempt before midnight is looked for by a statement.
    other_days = sql.other_day(group.day, group.ids)
    at_other_days = len(statements)
    statements += other_days + sql.rejected(group.rejected)
    texts: list[bytes] = []
    if by_load and connection.loads:
        loads, texts = sql.loads(rows)
        statements += loads
    else:
        statements += await _off_loop(len(group.rows), lambda: sql.inserts(rows))
    try:
        answers = await connection.run_all(statements, texts)
    except ServerError as error:
        if error.at == 0 and error.code == DUPLICATE and again:
            return
        # These say nothing about the group: either its own id is not in yet, or the same transaction may go through.
        if error.at == 0 or error.code in AGAIN | NOT_LOADED or error.code == NO_PARTITION:
            raise
        raise Refused(f"the group was not stored: {error}") from error
    ((version,),) = answers[1]
    if other_days and answers[at_other_days][0][0]:
        raise Refused("a request in the group was stored on another day: look its id up again")
    if group.names_version is not None and version != group.names_version:
        raise StaleNames("a name was deleted meanwhile: resolve the names again")


async def _off_loop(size: int, work: Callable[[], T]) -> T:
    """What ``work`` gives, made beside the event loop where it takes long."""
    return work() if size < _LARGE else await asyncio.to_thread(work)

"""The store for production: MySQL 8 or MariaDB 10.11, for many processes. base.Store says what a store promises.

A group is one transaction: its id, a check of the names' version, its requests' ids, its points, both rollups. A unique
key on the ids prevents that anything is stored twice. Once the group's own id is inserted, no earlier attempt to store
this group can have succeeded or still succeed. So after that, every error means that the group is not stored.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from central.store.agents import AgentStore
from central.store.base import (
    Group,
    IdGroup,
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
from central.store.buckets import Buckets, no_buckets
from central.store.distribution import Distribution, no_spread
from central.store.folding import HistogramFold
from central.store.id_days import days_to_drop, id_day
from central.store.members import members_of
from central.store.migrations import OnMigration
from central.store.mysql import migrate, partitions, queries, sql
from central.store.mysql.agents import MySQLAgents
from central.store.mysql.connection import (
    AGAIN,
    DUPLICATE,
    NO_PARTITION,
    NOT_LOADED,
    Connection,
    Server,
    ServerError,
    Session,
)
from central.store.mysql.histograms import MySQLFolding
from central.store.mysql.keys import MySQLKeys
from central.store.mysql.names import MySQLNames
from central.store.mysql.points import MySQLPoints
from central.store.mysql.pool import Commit, Pool, Readers, run_commit
from central.store.mysql.reads import READERS, ReadFrom, ReadServers
from central.store.mysql.retention import MySQLRetention
from central.store.mysql.rows import MAX_ROWS, RowLines, lines
from central.store.mysql.series import MySQLSeries
from central.store.mysql.servers import ServerCounts, Servers
from central.store.plan import Segment
from central.store.points import PointStore
from central.store.retention import RetentionStore
from central.store.series import SeriesStore

T = TypeVar("T")

WRITERS: Final = 2
LOOKUPS: Final = 2
_DAY: Final = 86_400
_LARGE: Final = 500
_LOADED: Final = range(_LARGE, 50_001)
"""For how many points a group uses LOAD DATA. Fewer fit into one packet; more might not fit into tables in memory."""
_UPKEEP_PAUSE: Final = 60
_IDS_CHUNK: Final = 1_000
_AS_WRITTEN: Final = ReadFrom()
"""Queries go to the server that is written to."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How many seconds the store waits for the database."""

    write: float = 5.0
    """For a transaction, and again for its COMMIT."""
    lookup: float = 3.0
    read: float = 10.0
    lock: int = 3
    """For a row or a table that another transaction has locked."""
    idle: int = 5
    """MariaDB ends a transaction that waits so long for its next statement: its process may stand still."""


class MySQLStore:
    """base.Store on one database. ``commit``, ``clock`` and ``limits`` are arguments for tests."""

    writers = WRITERS

    def __init__(
        self,
        servers: Server | Servers,
        *,
        commit: Commit = run_commit,
        clock: Callable[[], float] = time.time,
        limits: TimeLimits | None = None,
        read_from: ReadFrom = _AS_WRITTEN,
    ) -> None:
        limits = limits or TimeLimits()
        self._servers = servers if isinstance(servers, Servers) else Servers([servers])
        self._watch: asyncio.Task[None] | None = None
        self._clock = clock
        self.may_remove: Callable[[], bool] = lambda: True
        """Whether the clock can be trusted for deletions. central.app replaces this function."""
        writing = Session(limits.lock, idle_seconds=limits.idle, prepare=sql.CREATE_SUMS)
        connect = self._servers.connect
        self._writers = Pool(lambda: connect(writing), WRITERS, limits.write, commit=commit)
        self._lookups = Pool(lambda: connect(Session(limits.lock)), LOOKUPS, limits.lookup)
        reading = Session(limits.lock, select_seconds=int(limits.read) or 1, causal=True)
        self._readers = Pool(lambda: connect(reading), READERS, limits.read, kill=self._kill_query)
        self._changers = Pool(lambda: connect(Session(lock_seconds=1)), 1, _UPKEEP_PAUSE)
        own, short = self._readers, self._lookups
        self._read_servers = (
            ReadServers(read_from, reading, limits.read, first=own, lookups=short) if read_from.servers else None
        )
        self._queries: Readers = self._read_servers or self._readers
        self.names: NameStore = MySQLNames(self._lookups, self._queries, self._writers)
        self.series: SeriesStore = MySQLSeries(self._lookups, self._queries, self._writers)
        self.keys: KeyStore = MySQLKeys(self._lookups, self._writers)
        self.agents: AgentStore = MySQLAgents(self._lookups, self._writers)
        self.retention: RetentionStore = MySQLRetention(self._lookups, self._changers)
        self.points: PointStore = MySQLPoints(self._queries)
        self.folding = MySQLFolding(self._readers, self._changers)
        self._histogram_fold = HistogramFold(self.folding, clock)
        self._kept_day = 0
        self._ids_day = 0
        """The day on which old ids were last dropped. They are not dropped while the clock cannot be trusted."""
        self._newest_id_day = 0
        self._next_upkeep = 0.0
        self.applied: list[str] = []
        """Migrations that ``open`` applied."""

    async def open(self, on_migration: OnMigration | None = None) -> None:
        """Apply migrations and make partitions as needed. Raises StoreUnavailable or MigrationError."""
        if self._servers.several or self._read_servers is not None:
            await self._servers.ask_all()
            self._watch = asyncio.create_task(self._servers.watch(), name="database-watch")
        if self._read_servers is not None:
            await self._read_servers.start(self.server_counts)
        self.applied = await migrate.migrate(self._connect, int(self._clock()), on_migration=on_migration)
        await self.upkeep()

    async def close(self) -> None:
        """See Store."""
        await self._histogram_fold.close()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._read_servers is not None:
            await self._read_servers.close()
        self._servers.close()
        for pool in (self._writers, self._lookups, self._readers, self._changers):
            pool.close()

    @property
    def server_counts(self) -> ServerCounts:
        """Which server is used, and how healthy they are."""
        return self._servers.counts

    async def _connect(self) -> Connection:
        return await self._servers.connect(Session())

    async def _kill_query(self, reader: Connection) -> None:
        """End the running statement of one of our sessions. If this fails, the statement's own time limit ends it."""

        async def kill(connection: Connection) -> None:
            if connection.server == reader.server:  # at another server the number belongs to somebody else
                await connection.run(f"KILL QUERY {reader.server_id}")

        with contextlib.suppress(StoreError):
            await self._lookups.ask(kill)

    async def ping(self) -> None:
        """See Store."""
        self._servers.check()
        # It reads a table: a Galera node that has lost its cluster still answers SELECT 1.
        await self._lookups.ask(lambda connection: connection.rows("SELECT version FROM name_changes"))

    async def backup(self, target: Path) -> None:
        """See Store. Raises Unsupported: the server's own tools make backups."""
        raise Unsupported(
            "a MySQL database is backed up with the server's tools: mysqldump --single-transaction, or mariadb-backup"
        )

    # --- upkeep

    async def tidy(self, *, idle: bool) -> None:
        """See Store. The upkeep runs once per day, and again a minute after a failure. Starts folds of histograms."""
        self._histogram_fold.start_if_due()
        now = self._clock()
        today = int(now // _DAY)
        done = today == self._kept_day and (today == self._ids_day or not self.may_remove())
        # If the next upkeep is further ahead than the pause, the clock was wrong when that time was set.
        if done or 0 < self._next_upkeep - now <= _UPKEEP_PAUSE:
            return
        self._next_upkeep = now + _UPKEEP_PAUSE
        try:
            await self.upkeep()
        except StoreError as error:
            _log.error("upkeep_failed", error=str(error), next_try_seconds=_UPKEEP_PAUSE)

    async def upkeep(self) -> None:
        """Make the next days' partitions, drop old ids, and remove the points of deleted names. Raises StoreError."""
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
                while await connection.run(sql.drop_judges(over[-1] + 1)):
                    pass
            self._ids_day = today
        if made or gone:
            _log.info("partitions_kept", made=len(made), ids_dropped=len(gone))

    # --- groups and their ids

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """See Store.

        Cancelled before COMMIT, it stores nothing; during COMMIT, the outcome is unknown. Its session is closed.
        """
        if len(group.rows) > MAX_ROWS:
            raise StoreError(f"a group may have at most {MAX_ROWS} points; this one has {len(group.rows)}")
        if not again:
            group.day = id_day(group.day, self._newest_id_day)
            self._newest_id_day = max(self._newest_id_day, group.day)
        rows = await _off_loop(len(group.rows), lambda: lines(group.id, group.rows))
        by_load = len(group.rows) in _LOADED

        async def mend(error: ServerError) -> bool:
            # The group is not at fault for these errors. Nothing of it is stored: the transaction was rolled back.
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
        """Make the missing partitions that a group needs. False if a day of the group is too far ahead."""
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
            rows = await self._lookups.ask(partial(Connection.rows, sql=statement))
            found.update((key, Remembered(fingerprint, answer)) for key, fingerprint, answer in rows)
        return found

    async def count_rejected(self) -> int:
        """See Store."""
        rows = await self._lookups.ask(lambda connection: connection.rows("SELECT COUNT(*) FROM rejected_points"))
        return int(rows[0][0])

    # --- queries

    async def aggregate(
        self, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment], *, extremes: bool = True
    ) -> Buckets:
        """See Store."""
        members = members_of(groups)
        if not members.keys:
            return no_buckets()
        rows = await self._queries.ask(
            lambda connection: queries.aggregate(connection, members, window, segments, extremes=extremes)
        )
        return await _off_loop(sum(count for _, count, _ in rows), lambda: sql.buckets(rows, extremes=extremes))

    async def distribute(self, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment]) -> Distribution:
        """See Store."""
        members = members_of(groups)
        if not members.keys:
            return Distribution(no_buckets(), no_spread())
        return await self._queries.ask(lambda connection: queries.distribute(connection, members, window, segments))

    async def under_lock(self, work: Callable[[], Awaitable[T]]) -> T:
        """See Store."""
        async with migrate.locked(self._connect):
            return await work()


async def _put_group(connection: Connection, group: Group, rows: RowLines, *, again: bool, by_load: bool) -> None:
    """Run a group's statements up to its COMMIT. Does nothing if an earlier attempt has stored the group.

    Raises Refused if the group is certainly not stored. Any other StoreError means the same, unless an earlier attempt
    is in doubt. The caller rolls the transaction back in each case.
    """
    # First the group's own id. It has a unique key, so this INSERT waits for an earlier attempt that still runs. If the
    # id is a duplicate, the group is stored already. If not, no earlier attempt can store the group any more.
    statements = sql.request_ids(group.day, [RequestId(group.id, bytes(16), None)])
    # Lock the names' version. A process that deletes a name waits for this group, or this group sees the new version.
    # Where that lock keeps out one node only, a row that both write decides, and comes first.
    if connection.locks_reads_alone:
        statements.append(sql.guard(group.id[0]))
    at_version = len(statements)
    statements.append(sql.CHECK_NAMES)
    statements += sql.request_ids(group.day, group.ids)
    # A request's id is unique only within a day's partition. This statement finds an attempt before midnight.
    other_days = sql.other_day(group.day, group.ids)
    at_other_days = len(statements)
    statements += other_days
    if connection.locks_reads_alone:
        statements += sql.judges(group.day, group.ids)
    statements += sql.rejected(group.rejected)
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
        # These errors do not decide about the group: its id is not stored yet, or the same transaction may succeed.
        if error.at == 0 or error.code in AGAIN | NOT_LOADED or error.code == NO_PARTITION:
            raise
        raise Refused(f"the group was not stored: {error}") from error
    ((version,),) = answers[at_version]
    if other_days and answers[at_other_days][0][0]:
        raise Refused("a request in the group was stored on another day: look up its id again")
    if group.names_version is not None and version != group.names_version:
        raise StaleNames("a name was deleted meanwhile: resolve the names again")


async def _off_loop(size: int, work: Callable[[], T]) -> T:
    """Run ``work`` and return its result. For large sizes, run it in a thread."""
    return work() if size < _LARGE else await asyncio.to_thread(work)

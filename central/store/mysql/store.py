"""The store of the production tier: MySQL 8 or MariaDB 10.11, for many processes. See base.Store for the promises.

A group is one transaction: its id, a look at the names' version, its requests' ids, points, both rollups. The unique
key of the ids is the judge of what is stored once. After the group's own id went in, no earlier attempt at the group
can be in or come in any more, whatever fails then: so the errors after that point are certain.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from central.store.base import (
    Caps,
    Group,
    KeyRow,
    Metric,
    NewKey,
    NewName,
    OutcomeUnknown,
    Refused,
    Remembered,
    RequestId,
    StaleNames,
    StoreError,
    StoreUnavailable,
    Unsupported,
)
from central.store.buckets import Buckets
from central.store.migrations import OnMigration
from central.store.mysql import keys as mysql_keys
from central.store.mysql import migrate as mysql_migrate
from central.store.mysql import names as mysql_names
from central.store.mysql import partitions as mysql_partitions
from central.store.mysql import sql as mysql_sql
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
from central.store.mysql.pool import Commit, Pool, run_commit
from central.store.mysql.retention import MySQLRetention
from central.store.mysql.rows import MAX_ROWS, RowLines, lines
from central.store.plan import Segment
from central.store.retention import RetentionStore
from protocol.item import Kind
from protocol.limits import ID_DAYS

T = TypeVar("T")

WRITERS: Final = 2
LOOKUPS: Final = 2
READERS: Final = 4
_DAY: Final = 86_400
_LARGE: Final = 500
_LOADED: Final = range(_LARGE, 50_001)
"""Points of a group for LOAD DATA: fewer go with all else in one packet, more might fill a table in memory."""
_UPKEEP_PAUSE: Final = 60
_RECALL_CHUNK: Final = 1_000
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
        self._commit = commit
        self._clock = clock
        writing = Session(limits.lock, prepare=mysql_sql.CREATE_SUMS)
        self._writers = Pool(lambda: connect(server, writing), WRITERS, limits.write)
        self._lookups = Pool(lambda: connect(server, Session(limits.lock)), LOOKUPS, limits.lookup)
        reading = Session(limits.lock, select_seconds=int(limits.read) or 1)
        self._readers = Pool(lambda: connect(server, reading), READERS, limits.read)
        self._changers = Pool(lambda: connect(server, Session(lock_seconds=1)), 1, _UPKEEP_PAUSE)
        self.retention: RetentionStore = MySQLRetention(self._lookups, self._changers)
        self._kept_day = 0
        self._next_upkeep = 0.0
        self.applied: list[str] = []
        """Migrations that ``open`` applied."""

    async def open(self, told: OnMigration | None = None) -> None:
        """Migrate and make partitions where needed. Raises StoreUnavailable or MigrationError."""
        self.applied = await mysql_migrate.migrate(
            lambda: connect(self._server, Session()), int(self._clock()), told=told
        )
        await self.upkeep()

    async def close(self) -> None:
        """See Store."""
        for pool in (self._writers, self._lookups, self._readers, self._changers):
            pool.close()

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
        """See Store. Once a day, or a minute after it failed."""
        now = self._clock()
        if int(now // _DAY) == self._kept_day or now < self._next_upkeep:
            return
        self._next_upkeep = now + _UPKEEP_PAUSE
        try:
            await self.upkeep()
        except StoreError as error:
            _log.error("upkeep_failed", error=str(error), next_try_seconds=_UPKEEP_PAUSE)

    async def upkeep(self) -> None:
        """Partitions for the days to come, ids of days gone by, what is left of deleted names. Raises StoreError."""
        today = int(self._clock() // _DAY)

        async def work(connection: Connection) -> None:
            made = await mysql_partitions.ensure(connection, today, today + mysql_partitions.AHEAD)
            gone = await mysql_partitions.drop_before(connection, mysql_partitions.IDS, today - ID_DAYS)
            if made or gone:
                _log.info("partitions_kept", made=len(made), ids_dropped=len(gone))

        await self._changers.ask(work)
        await self.sweep()
        self._kept_day = today

    # --- groups and their ids

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """See Store."""
        if len(group.rows) > MAX_ROWS:
            raise StoreError(f"a group holds at most {MAX_ROWS} points, this one {len(group.rows)}")
        rows = await _off_loop(len(group.rows), lambda: lines(group.id, group.rows))
        by_load = len(group.rows) in _LOADED

        async def mend(error: ServerError) -> bool:
            nonlocal by_load
            if by_load and error.code in NOT_LOADED:
                _log.warning("load_data_did_not_do", error=str(error), group=group.id.hex())
                by_load = False
                return True
            return error.code == NO_PARTITION and await self._mend_partitions(group)

        try:
            await self._writers.transact(
                lambda connection: _put_group(connection, group, rows, again=again, by_load=by_load),
                commit=self._commit,
                mend=mend,
            )
        except OutcomeUnknown as error:
            _log.error("commit_outcome_unknown", error=str(error), group=group.id.hex())
            raise

    async def _mend_partitions(self, group: Group) -> bool:
        """Make the partitions that a group needs and somebody dropped, or nobody made. False when it is no use."""
        today = int(self._clock() // _DAY)
        needed = max([group.day, *(row.recorded_at // _DAY for row in group.rows)])
        last = min(max(needed, today + mysql_partitions.AHEAD), today + mysql_partitions.FARTHEST)
        made = await self._changers.ask(lambda connection: mysql_partitions.ensure(connection, today, last))
        _log.error("partitions_were_missing", made=made, day=mysql_partitions.day_text(needed))
        return needed <= last

    async def recall(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """See Store."""
        found: dict[bytes, Remembered] = {}
        oldest = int(self._clock() // _DAY) - ID_DAYS
        for at in range(0, len(ids), _RECALL_CHUNK):
            sql = mysql_sql.recall(ids[at : at + _RECALL_CHUNK], oldest)
            rows = await self._lookups.ask(lambda connection, sql=sql: connection.rows(sql))  # type: ignore[misc]
            found.update((key, Remembered(fingerprint, answer)) for key, fingerprint, answer in rows)
        return found

    async def count_rejected(self) -> int:
        """See Store."""
        rows = await self._lookups.ask(lambda connection: connection.rows("SELECT COUNT(*) FROM rejected_points"))
        return int(rows[0][0])

    # --- names

    async def names_version(self) -> int | None:
        """See Store."""
        return await self._lookups.ask(mysql_names.version)

    async def resolve(self, wanted: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        """See Store."""
        names = [new.name for new in wanted]
        found = await self._lookups.ask(lambda connection: mysql_names.find(connection, names))
        if all(name in found for name in names):
            return found
        return await self._change(lambda connection: mysql_names.create(connection, wanted, caps, now))

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        """See Store."""
        return await self._lookups.ask(lambda connection: mysql_names.find(connection, names))

    async def list_metrics(self, prefix: str, after: str, limit: int) -> list[tuple[str, Kind]]:
        """See Store."""
        return await self._readers.ask(lambda connection: mysql_names.list_all(connection, prefix, after, limit))

    async def delete_metric(self, name: str) -> bool:
        """See Store."""
        return await self._change(lambda connection: mysql_names.mark_deleted(connection, name))

    async def sweep(self) -> None:
        """See Store. What a failure leaves goes with the next sweep or upkeep."""
        while await self._writers.ask(mysql_names.sweep):
            pass

    # --- queries

    async def aggregate(self, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Buckets:
        """See Store."""
        sql = mysql_sql.aggregate(metric_ids, window, segments)
        rows = await self._readers.ask(lambda connection: connection.rows(sql))
        return await _off_loop(sum(count for _, count, _ in rows), lambda: mysql_sql.buckets(rows))

    # --- keys

    async def find_key(self, public_id: str) -> KeyRow | None:
        """See Store."""
        return await self._lookups.ask(lambda connection: mysql_keys.find(connection, public_id))

    async def list_keys(self) -> list[KeyRow]:
        """See Store."""
        return await self._lookups.ask(mysql_keys.list_all)

    async def create_key(self, key: NewKey, now: int) -> KeyRow:
        """See Store."""
        return await self._change(lambda connection: mysql_keys.create(connection, key, now))

    async def revoke_key(self, key_id: int, now: int) -> KeyRow | None:
        """See Store."""
        return await self._change(lambda connection: mysql_keys.revoke(connection, key_id, now))

    async def rotate_key(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """See Store."""
        return await self._change(lambda connection: mysql_keys.rotate(connection, key_id, hashed, now))

    async def alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """See Store."""
        async with mysql_migrate.locked(lambda: connect(self._server, Session())):
            return await work()

    async def _change(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """A transaction whose unknown outcome is a StoreUnavailable: asking again is harmless for all of these."""
        try:
            return await self._writers.transact(work, commit=self._commit)
        except OutcomeUnknown as error:
            raise StoreUnavailable(f"it is not known whether the change was stored: {error}") from error


async def _put_group(connection: Connection, group: Group, rows: RowLines, *, again: bool, by_load: bool) -> None:
    """A group's statements up to its COMMIT; none of them does anything where an earlier attempt has stored it."""
    statements = mysql_sql.request_ids(group.day, [RequestId(group.id, bytes(16), None)])
    statements.append(mysql_sql.CHECK_NAMES)
    statements += mysql_sql.request_ids(group.day, group.ids)
    looks = mysql_sql.other_day(group.day, group.ids)
    looked_at = len(statements)
    statements += looks + mysql_sql.rejected(group.rejected)
    texts: list[bytes] = []
    if by_load and connection.loads:
        loads, texts = mysql_sql.loads(rows)
        statements += loads
    else:
        statements += await _off_loop(len(group.rows), lambda: mysql_sql.inserts(rows))
    try:
        answers = await connection.run_all(statements, texts)
    except ServerError as error:
        if error.at == 0 and error.code == DUPLICATE and again:
            return
        if error.at == 0 or error.code in AGAIN | NOT_LOADED or error.code == NO_PARTITION:
            raise
        raise Refused(f"the group was not stored: {error}") from error
    ((version,),) = answers[1]
    if looks and answers[looked_at][0][0]:
        raise Refused("a request in the group was stored on another day: look its id up again")
    if group.names_version is not None and version != group.names_version:
        raise StaleNames("a name was deleted meanwhile: resolve the names again")


async def _off_loop(size: int, work: Callable[[], T]) -> T:
    """What ``work`` gives, made beside the event loop where it takes long."""
    return work() if size < _LARGE else await asyncio.to_thread(work)

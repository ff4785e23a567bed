"""Retention in MySQL and MariaDB: it drops partitions, one day of one table at a time. Each takes milliseconds.

The UPDATE of the state checks the row's version. So if several processes write at once, only one succeeds. The number
of rows removed is the server's estimate: counting them would take as long as deleting them.
"""

from collections.abc import Sequence
from typing import Final

from central.store.mysql.connection import Connection
from central.store.mysql.partitions import POINTS, SUMS, drop_before, existing, partition_name
from central.store.mysql.pool import Pool
from central.store.retention import LINE_MOVES, LogEntry, Move, Piece, State

TABLES: Final = (POINTS, *SUMS)
DROP_SECONDS: Final = 60.0
"""How long dropping one partition may take, including the wait for its table."""
_DAY: Final = 86_400
_FIRST: Final = 0
"""The day of the first partition of each table, which is empty and stays."""


class MySQLRetention:
    """RetentionStore on two pools: one for short reads and changes, one whose sessions alter tables."""

    def __init__(self, pool: Pool, upkeep: Pool) -> None:
        self._pool = pool
        self._upkeep = upkeep

    async def line(self) -> int:
        """See RetentionStore."""
        ((line,),) = await self._pool.ask(lambda session: session.rows("SELECT line FROM retention"))
        return int(line)

    async def state(self) -> State:
        """See RetentionStore. One statement, so it reads one snapshot."""
        sql = (
            "SELECT r.version, r.line, r.dropped, r.held_until, r.last_run, r.lease_owner, r.lease_until,"
            " log.done_at, log.line FROM retention AS r"
            f" LEFT JOIN retention_log AS log ON log.action IN {LINE_MOVES} ORDER BY log.id"
        )
        rows = await self._pool.ask(lambda session: session.rows(sql))
        moves = tuple(Move(done_at, line) for *_, done_at, line in rows if done_at is not None)
        return State._make([*rows[0][:7], moves])

    async def replace(self, old: State, new: State, entries: Sequence[LogEntry] = ()) -> bool:
        """See RetentionStore."""
        return await self._pool.change(lambda session: _replace(session, old, new, entries))

    async def log(self, limit: int) -> list[LogEntry]:
        """See RetentionStore."""
        sql = (
            "SELECT done_at, action, line, actor, removed_rows, removed_parts FROM retention_log"
            f" ORDER BY id DESC LIMIT {limit}"
        )
        return [LogEntry(*row) for row in await self._pool.ask(lambda session: session.rows(sql))]

    async def drop(self, before: int) -> Piece | None:
        """See RetentionStore. A piece is the oldest partition of one table. A table's newest partition always stays."""
        return await self._upkeep.ask(lambda session: _drop(session, before // _DAY), DROP_SECONDS)


async def _replace(session: Connection, old: State, new: State, entries: Sequence[LogEntry]) -> bool:
    changed = await session.change(
        "UPDATE retention SET version = %s, line = %s, dropped = %s, held_until = %s, last_run = %s,"
        " lease_owner = %s, lease_until = %s WHERE id = 1 AND version = %s",
        (old.version + 1, *new[1:7], old.version),
    )
    if changed != 1:
        return False
    for entry in entries:
        await session.insert(
            "INSERT INTO retention_log (done_at, action, line, actor, removed_rows, removed_parts)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            entry,
        )
    return True


async def _drop(session: Connection, before_day: int) -> Piece | None:
    for table in TABLES:
        days = [day for day in (await existing(session, table))[:-1] if _FIRST < day < before_day]
        if days:
            rows = await _estimate(session, table, days[0])
            await drop_before(session, table, days[0] + 1)
            return Piece(rows, f"{table}.{partition_name(days[0])}")
    return None


async def _estimate(session: Connection, table: str, day: int) -> int:
    rows = await session.rows(
        "SELECT TABLE_ROWS FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
        " AND PARTITION_NAME = %s",
        (table, partition_name(day)),
    )
    return int(rows[0][0] or 0) if rows else 0

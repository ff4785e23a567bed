"""Retention in the embedded store. It removes raw points and minutes half a million rows at a time, and hours 2,000.

Each call is one transaction in the writer thread, between two groups. Removing a million raw points takes 25 ms. The
table of hours has a primary key, which makes removing a row take 2 to 7 us. So one hour of 100,000 names would delay a
commit by half a second, and smaller slices do not.
"""

from collections.abc import Sequence
from typing import Final

from central.store.duck.engine import Connection, Engine
from central.store.duck.sql import HISTOGRAMS, ROLLUPS
from central.store.retention import LINE_MOVES, LogEntry, Move, Piece, State

SLICE_ROWS: Final = 2_000
PIECE_ROWS: Final = 500_000
_ROW: Final = "version, line, dropped, held_until, last_run, lease_owner, lease_until"
_KEYLESS: Final = {
    "metric_points": [("tail_points", "recorded_at"), ("metric_points", "recorded_at")],
    "rollup_minute": [(table, "bucket") for table in ROLLUPS["minute"]],
    "histograms": [(table, "bucket") for table in HISTOGRAMS.values()],
}
"""The name of a piece -> its tables (without a primary key), each with the column that holds a row's time."""


class DuckRetention:
    """RetentionStore on a DuckDB engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def line(self) -> int:
        """See RetentionStore."""
        ((line,),) = await self._engine.read(lambda cursor: cursor.execute("SELECT line FROM retention").fetchall())
        return int(line)

    async def state(self) -> State:
        """See RetentionStore."""
        return await self._engine.read(_state)

    async def replace(self, old: State, new: State, entries: Sequence[LogEntry] = ()) -> bool:
        """See RetentionStore."""
        return await self._engine.change(_replace, old, new, entries)

    async def log(self, limit: int) -> list[LogEntry]:
        """See RetentionStore."""
        sql = (
            "SELECT done_at, action, line, actor, removed_rows, removed_parts FROM retention_log"
            f" ORDER BY id DESC LIMIT {limit}"
        )
        return await self._engine.read(lambda cursor: [LogEntry(*row) for row in cursor.execute(sql).fetchall()])

    async def drop(self, before: int) -> Piece | None:
        """See RetentionStore."""
        piece = await self._engine.change(_drop, before)
        await self._engine.tidy(idle=False)  # if no group is committed meanwhile, nothing else checkpoints the log
        return piece


def _state(cursor: Connection) -> State:
    """One statement, so both come from one snapshot."""
    moves = f"SELECT list([done_at, line] ORDER BY id) FROM retention_log WHERE action IN {LINE_MOVES}"
    (row,) = cursor.execute(f"SELECT {_ROW}, coalesce(({moves}), []) FROM retention").fetchall()
    return State._make([*row[:-1], tuple(Move(*move) for move in row[-1])])


def _replace(handle: Connection, old: State, new: State, entries: Sequence[LogEntry]) -> bool:
    updated = handle.execute(
        "UPDATE retention SET version = ?, line = ?, dropped = ?, held_until = ?, last_run = ?, lease_owner = ?,"
        " lease_until = ? WHERE version = ?",
        [old.version + 1, *new[1:7], old.version],
    ).fetchone()
    if updated != (1,):
        return False
    (last,) = handle.execute("SELECT coalesce(max(id), 0) FROM retention_log").fetchone() or (0,)
    for number, entry in enumerate(entries, last + 1):
        handle.execute("INSERT INTO retention_log VALUES (?, ?, ?, ?, ?, ?, ?)", [number, *entry])
    return True


def _drop(handle: Connection, before: int) -> Piece | None:
    for what, tables in _KEYLESS.items():
        if rows := sum(_drop_oldest(handle, table, column, before) for table, column in tables):
            return Piece(rows, what)
    for table in ROLLUPS["hour"]:
        old = f"SELECT rowid FROM {table} WHERE bucket < {before} LIMIT {SLICE_ROWS}"
        # The outer condition on ``bucket`` looks redundant. With it, the scan skips blocks without old rows.
        if rows := _deleted(handle, f"DELETE FROM {table} WHERE bucket < {before} AND rowid IN ({old})"):
            return Piece(rows, table)
    return None


def _drop_oldest(handle: Connection, table: str, column: str, before: int) -> int:
    """Remove the rows before ``before``. If there are more than PIECE_ROWS, remove about that many of the oldest."""
    found = handle.execute(f"SELECT count(*), min({column}) FROM {table} WHERE {column} < {before}").fetchone()
    rows, oldest = found or (0, None)
    if not rows:
        return 0
    if rows > PIECE_ROWS:
        before = oldest + max((before - oldest) * PIECE_ROWS // rows, 1)
    return _deleted(handle, f"DELETE FROM {table} WHERE {column} < {before}")


def _deleted(handle: Connection, sql: str) -> int:
    (rows,) = handle.execute(sql).fetchone() or (0,)
    return int(rows)

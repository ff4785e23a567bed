"""Agents in MySQL."""

from collections.abc import Sequence
from functools import partial

from central.store.agents import AgentRow
from central.store.mysql.connection import Connection
from central.store.mysql.pool import Pool

_AT_ONCE = 1_000
"""Rows in a statement. They have 6 MB at most, and usually 0.6 MB."""


class MySQLAgents:
    """AgentStore on two pools: one for look-ups, one for changes."""

    def __init__(self, lookups: Pool, writers: Pool) -> None:
        self._lookups = lookups
        self._writers = writers

    async def note(self, rows: Sequence[AgentRow], forget_before: int, most: int) -> None:
        """See AgentStore. It writes in the order of ids, so that two processes never deadlock."""
        ordered = sorted(rows)
        for first in range(0, len(ordered), _AT_ONCE):
            some = ordered[first : first + _AT_ONCE]
            await self._writers.change(partial(_note, rows=some))
        await self._writers.change(lambda connection: _forget(connection, forget_before, most))

    async def seen_since(self, moment: int) -> list[AgentRow]:
        """See AgentStore."""
        return await self._lookups.ask(lambda connection: _seen_since(connection, moment))


async def _note(connection: Connection, rows: Sequence[AgentRow]) -> None:
    """MySQL sets the columns from left to right, so those that others are compared with come last."""
    marks = ",".join(["(%s, %s, %s, %s, %s, %s)"] * len(rows))
    newer = "VALUES(seen_at) >= seen_at"
    await connection.change(
        f"INSERT INTO agents (id, run, key_id, seen_at, missing, books) VALUES {marks} ON DUPLICATE KEY UPDATE"
        " missing = IF(run = VALUES(run), GREATEST(missing, VALUES(missing)),"
        f" IF({newer}, VALUES(missing), missing)),"
        f" run = IF({newer}, VALUES(run), run), key_id = IF({newer}, VALUES(key_id), key_id),"
        f" books = IF({newer}, VALUES(books), books), seen_at = GREATEST(seen_at, VALUES(seen_at))",
        [value for row in rows for value in row],
    )


async def _forget(connection: Connection, before: int, most: int) -> None:
    await connection.change("DELETE FROM agents WHERE seen_at < %s", (before,))
    ((count,),) = await connection.rows("SELECT COUNT(*) FROM agents", ())
    if count > most:
        await connection.change("DELETE FROM agents ORDER BY seen_at, id LIMIT %s", (count - most,))


async def _seen_since(connection: Connection, moment: int) -> list[AgentRow]:
    sql = "SELECT id, run, key_id, seen_at, missing, books FROM agents WHERE seen_at >= %s"
    return [AgentRow._make(fields) for fields in await connection.rows(sql, (moment,))]

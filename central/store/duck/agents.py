"""Agents in the embedded store. Rows go there as one text of JSON: lists would take 30 times as long to bind."""

import json
from collections.abc import Sequence

from central.store.agents import AgentRow
from central.store.duck.engine import Connection, Engine

_AT_ONCE = 1_000
"""Rows in a transaction. Groups of points are stored between two of them."""


class DuckAgents:
    """AgentStore on a DuckDB engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def note(self, rows: Sequence[AgentRow], forget_before: int, most: int) -> None:
        """See AgentStore."""
        for first in range(0, len(rows), _AT_ONCE):
            await self._engine.change(_note, rows[first : first + _AT_ONCE])
        await self._engine.change(_forget, forget_before, most)

    async def seen_since(self, moment: int) -> list[AgentRow]:
        """See AgentStore."""
        return await self._engine.read(lambda cursor: _seen_since(cursor, moment))


def _note(handle: Connection, rows: Sequence[AgentRow]) -> None:
    handle.execute(
        "INSERT INTO agents SELECT j->>0, j->>1, (j->>2)::BIGINT, (j->>3)::BIGINT, (j->>4)::BIGINT, j->>5"
        " FROM (SELECT unnest(from_json(?, '[\"JSON\"]')) AS j) ON CONFLICT DO UPDATE SET"
        " missing = CASE WHEN agents.run = excluded.run THEN greatest(agents.missing, excluded.missing)"
        " WHEN excluded.seen_at >= agents.seen_at THEN excluded.missing ELSE agents.missing END,"
        " run = CASE WHEN excluded.seen_at >= agents.seen_at THEN excluded.run ELSE agents.run END,"
        " key_id = CASE WHEN excluded.seen_at >= agents.seen_at THEN excluded.key_id ELSE agents.key_id END,"
        " books = CASE WHEN excluded.seen_at >= agents.seen_at THEN excluded.books ELSE agents.books END,"
        " seen_at = greatest(agents.seen_at, excluded.seen_at)",
        [json.dumps(rows)],
    )


def _forget(handle: Connection, before: int, most: int) -> None:
    handle.execute("DELETE FROM agents WHERE seen_at < ?", [before])
    handle.execute(
        "DELETE FROM agents WHERE id IN (SELECT id FROM agents ORDER BY seen_at DESC, id OFFSET ?)",
        [most],
    )


def _seen_since(cursor: Connection, moment: int) -> list[AgentRow]:
    found = cursor.execute(
        "SELECT id, run, key_id, seen_at, missing, books FROM agents WHERE seen_at >= ?", [moment]
    ).fetchall()
    return list(map(AgentRow._make, found))

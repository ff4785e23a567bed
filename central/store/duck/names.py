"""Names in the embedded store."""

import json
from collections.abc import Sequence
from typing import Final

from central.store.base import Caps, CreatedNames, ListedName, Metric, NameDetails, NewName, Page
from central.store.duck.details import describe
from central.store.duck.engine import Connection, Engine, Lane
from central.store.duck.keys import last_id, set_last_id
from central.store.duck.sql import HISTOGRAMS, ROLLUPS
from central.store.owners import claim

_NAMES: Final = "SELECT unnest(from_json(?, '[\"VARCHAR\"]'))"
_OWNED: Final = "metrics LEFT JOIN name_owners ON name_owners.metric_id = metrics.id"


class DuckNames:
    """NameStore on a DuckDB engine. Each change is a transaction of its own, between two groups."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def resolve(self, new_names: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        """See NameStore."""
        return await self._engine.change(_resolve, new_names, caps, now)

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        """See NameStore."""
        return await self._engine.read(lambda cursor: _find(cursor, names))

    async def version(self) -> int | None:
        """See NameStore. No other process can open the file."""
        return None

    async def page(self, wanted: Page) -> list[ListedName]:
        """See NameStore."""
        return await self._engine.read(lambda cursor: page(cursor, wanted), lane=Lane.QUERY)

    async def describe(self, names: Sequence[str], since: int, line: int) -> dict[str, NameDetails]:
        """See NameStore."""
        return await self._engine.read(lambda cursor: describe(cursor, names, since, line), lane=Lane.QUERY)

    async def created_after(self, metric_id: int, limit: int) -> CreatedNames:
        """See NameStore."""
        return await self._engine.read(lambda cursor: _created_after(cursor, metric_id, limit), lane=Lane.QUERY)

    async def delete(self, name: str) -> bool:
        """See NameStore."""
        return await self._engine.change(_delete, name)

    async def purge(self) -> None:
        """See NameStore. Nothing is left to do: ``delete`` removes the points too."""


def page(cursor: Connection, wanted: Page) -> list[ListedName]:
    """See NameStore."""
    only = "AND clash_of IS NOT NULL" if wanted.clashes else ""
    holds = "contains(lower(name), lower(?))" if wanted.search.ignore_case else "contains(name, ?)"
    sql = (
        f"SELECT name, type, owner, clash_of FROM {_OWNED} WHERE starts_with(name, ?) AND name > ? AND {holds} {only}"
        " ORDER BY name LIMIT ?"
    )
    given = [wanted.prefix, wanted.after, wanted.search.text, wanted.limit]
    return [ListedName(*row) for row in cursor.execute(sql, given).fetchall()]


def _created_after(cursor: Connection, metric_id: int, limit: int) -> CreatedNames:
    cursor.execute("BEGIN")  # both statements see one snapshot
    (total,) = cursor.execute("SELECT count(*) FROM metrics").fetchone() or (0,)
    names = cursor.execute("SELECT id, name FROM metrics WHERE id > ? ORDER BY id LIMIT ?", [metric_id, limit])
    return CreatedNames(names.fetchall(), total)


def _find(cursor: Connection, names: Sequence[str]) -> dict[str, Metric]:
    sql = f"SELECT name, id, type, owner FROM {_OWNED} WHERE name IN ({_NAMES})"
    rows = cursor.execute(sql, [json.dumps(list(names))]).fetchall()
    return {name: Metric(key, kind, owner) for name, key, kind, owner in rows}


def _resolve(handle: Connection, new_names: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
    found = _find(handle, [new.name for new in new_names])
    missing = sorted({new.name: new for new in reversed(new_names) if new.name not in found}.values())
    if missing:
        _create(handle, missing, found, caps, now)
    if claims := claim(new_names, found):
        handle.executemany("INSERT INTO name_owners VALUES (?, ?, ?)", [list(one) for one in claims])
    return found


def _create(handle: Connection, missing: Sequence[NewName], found: dict[str, Metric], caps: Caps, now: int) -> None:
    """Create as many of the names as the caps allow, and add them to ``found``."""
    (total,) = handle.execute("SELECT count(*) FROM metrics").fetchone() or (0,)
    by_key = dict(handle.execute("SELECT created_by, count(*) FROM metrics GROUP BY 1").fetchall())
    next_id = last_id(handle, "metrics")
    made = []
    for new in missing:
        count = by_key.get(new.key_id, 0)
        if total >= caps.names or count >= caps.names_per_key:
            continue
        total, by_key[new.key_id], next_id = total + 1, count + 1, next_id + 1
        found[new.name] = Metric(next_id, new.kind)
        made.append({"id": next_id, "name": new.name, "type": new.kind, "key": new.key_id})
    if made:
        handle.execute(
            "INSERT INTO metrics SELECT (j->>'id')::INTEGER, j->>'name', j->>'type', (j->>'key')::BIGINT, ?"
            " FROM (SELECT unnest(from_json(?, '[\"JSON\"]')) AS j)",
            [now, json.dumps(made)],
        )
        set_last_id(handle, "metrics", next_id)


def _delete(handle: Connection, name: str) -> bool:
    metric = _find(handle, [name]).get(name)
    if metric is None:
        return False
    handle.execute("DELETE FROM metrics WHERE id = ?", [metric.id])
    sums = (*ROLLUPS["minute"], *ROLLUPS["hour"], *HISTOGRAMS.values())
    for table in sums:
        handle.execute(
            f"DELETE FROM {table} WHERE metric_id IN (SELECT id FROM series WHERE metric_id = ?)", [metric.id]
        )
    of_names = ("name_owners", "tail_points", "metric_points", "series_tags", "series")
    for table in (*of_names, *sums):
        handle.execute(f"DELETE FROM {table} WHERE metric_id = ?", [metric.id])
    return True

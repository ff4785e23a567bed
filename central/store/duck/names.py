"""Names in the embedded store: plain statements on a handle, inside the caller's transaction."""

import json
from collections.abc import Sequence
from typing import Final

from central.store.base import Caps, Metric, NewName
from central.store.duck.engine import Connection
from central.store.duck.keys import last_id, set_last_id
from central.store.duck.sql import ROLLUPS

_NAMES: Final = "SELECT unnest(from_json(?, '[\"VARCHAR\"]'))"


def find(cursor: Connection, names: Sequence[str]) -> dict[str, Metric]:
    """The metrics of those names that exist."""
    sql = f"SELECT name, id, type FROM metrics WHERE name IN ({_NAMES})"
    return {name: Metric(key, kind) for name, key, kind in cursor.execute(sql, [json.dumps(list(names))]).fetchall()}


def resolve(handle: Connection, wanted: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
    """See Store.resolve."""
    found = find(handle, [new.name for new in wanted])
    missing = sorted({new.name: new for new in reversed(wanted) if new.name not in found}.values())
    if not missing:
        return found
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
    return found


def delete(handle: Connection, name: str) -> bool:
    """See Store.delete_metric."""
    metric = find(handle, [name]).get(name)
    if metric is None:
        return False
    handle.execute("DELETE FROM metrics WHERE id = ?", [metric.id])
    for table in ("tail_points", "metric_points", *ROLLUPS["minute"], *ROLLUPS["hour"]):
        handle.execute(f"DELETE FROM {table} WHERE metric_id = ?", [metric.id])
    return True

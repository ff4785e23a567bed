"""What a list shows of names in the embedded store besides the names."""

import json
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from central.store.base import Metric, NameDetails
from central.store.duck.engine import Connection
from central.store.duck.sql import ROLLUPS, TAIL, within
from central.store.plan import Segment
from protocol.numbers import UNIT

_FOR_EVER: Final = 1 << 60
_MINUTE: Final = 60
_HOUR: Final = 3600


def describe(cursor: Connection, names: Sequence[str], since: int, line: int) -> dict[str, NameDetails]:
    """See NameStore. All statements see one snapshot."""
    cursor.execute("BEGIN")
    rows = cursor.execute(
        "SELECT name, id, type, owner, clash_of, created_at FROM metrics"
        " LEFT JOIN name_owners ON name_owners.metric_id = metrics.id"
        " WHERE name IN (SELECT unnest(from_json(?, '[\"VARCHAR\"]')))",
        [json.dumps(list(names))],
    ).fetchall()
    ids = [row[1] for row in rows]
    if not ids:
        return {}
    keys = _keys(cursor, ids)
    last = {key: (at, _units(weight), _units(total)) for key, at, weight, total in _last_minutes(cursor, ids, since)}
    if quiet := [key for key in ids if key not in last]:
        last |= {key: (at, 0, 0) for key, at in _last_hours(cursor, quiet, line)}
    found = {}
    for name, key, kind, owner, clash_of, first in rows:
        seen, weight, total = last.get(key, (None, 0, 0))
        found[name] = NameDetails(Metric(key, kind, owner), clash_of, first, seen, weight, total, tuple(keys[key]))
    return found


def _keys(cursor: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    listed = ", ".join(map(str, ids))
    sql = f"SELECT DISTINCT metric_id, key FROM series_tags WHERE metric_id IN ({listed}) ORDER BY key"
    keys: defaultdict[int, list[str]] = defaultdict(list)
    for metric_id, key in cursor.execute(sql).fetchall():
        keys[metric_id].append(key)
    return keys


def _last_minutes(cursor: Connection, ids: Sequence[int], since: int) -> list[tuple[int, int, Decimal, Decimal]]:
    """The last minute of each metric, and its number of samples and their sum."""
    tail = (
        f"SELECT metric_id, recorded_at // {_MINUTE} * {_MINUTE} AS t, coalesce(samples, 1) AS samples, value AS total"
    )
    parts = [f"{tail} FROM {TAIL} WHERE {within('recorded_at', Segment('raw', since, _FOR_EVER), ids)}"]
    for table in ROLLUPS["minute"]:
        condition = within("bucket", Segment("minute", since, _FOR_EVER), ids)
        parts.append(f"SELECT metric_id, bucket AS t, samples, total FROM {table} WHERE {condition}")
    rows: list[Any] = cursor.execute(
        f"WITH parts AS MATERIALIZED ({' UNION ALL '.join(parts)}),"
        " newest AS (SELECT metric_id, max(t) AS t FROM parts GROUP BY metric_id)"
        " SELECT metric_id, t, sum(samples), sum(total) FROM parts INNER JOIN newest USING (metric_id, t)"
        " GROUP BY metric_id, t"
    ).fetchall()
    return rows


def _last_hours(cursor: Connection, ids: Sequence[int], line: int) -> list[tuple[int, int]]:
    hours = within("bucket", Segment("hour", line, _FOR_EVER), ids)
    tail = within("recorded_at", Segment("raw", line, _FOR_EVER), ids)
    rows: list[Any] = cursor.execute(
        f"SELECT metric_id, max(t) FROM (SELECT metric_id, bucket AS t FROM rollup_hour WHERE {hours} UNION ALL"
        f" SELECT metric_id, recorded_at // {_HOUR} * {_HOUR} FROM {TAIL} WHERE {tail}) GROUP BY metric_id"
    ).fetchall()
    return rows


def _units(number: Decimal) -> int:
    return int(number * UNIT)

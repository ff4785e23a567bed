"""What a list shows of names in MySQL besides the names."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from central.store.base import Metric, NameDetails
from central.store.mysql.connection import Connection
from central.store.mysql.sql import stamp_text


async def describe(session: Connection, names: Sequence[str], since: int, line: int) -> dict[str, NameDetails]:
    """See NameStore. A name that is deleted meanwhile may have no last value."""
    if not names:
        return {}
    marks = ", ".join(["%s"] * len(names))
    rows = await session.rows(
        "SELECT name, id, type, owner, clash_of, UNIX_TIMESTAMP(created_at) FROM metrics"
        f" LEFT JOIN name_owners ON name_owners.metric_id = metrics.id WHERE name IN ({marks})",
        list(names),
    )
    ids = [row[1] for row in rows]
    if not ids:
        return {}
    keys = await _keys(session, ids)
    minutes = await _last_minutes(session, ids, since)
    last = {key: (int(at), int(weight), int(total)) for key, at, weight, total in minutes}
    if quiet := [key for key in ids if key not in last]:
        last |= {key: (int(at), 0, 0) for key, at in await _last_hours(session, quiet, line) if at is not None}
    found = {}
    for name, key, kind, owner, clash_of, first in rows:
        seen, weight, total = last.get(key, (None, 0, 0))
        found[name] = NameDetails(
            Metric(key, kind, owner), clash_of, int(first or 0), seen, weight, total, tuple(keys[key])
        )
    return found


async def _keys(session: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    keys: defaultdict[int, list[str]] = defaultdict(list)
    sql = f"SELECT DISTINCT metric_id, tag_key FROM series_tags WHERE metric_id IN ({_listed(ids)}) ORDER BY tag_key"
    for metric_id, key in await session.rows(sql):
        keys[metric_id].append(key)
    return keys


async def _last_minutes(session: Connection, ids: Sequence[int], since: int) -> Sequence[tuple[int, int, Any, Any]]:
    """The last minute of each metric, and its number of samples and their sum.

    For each metric the server looks at the end of the key in the few partitions of these days, and reads one row.
    """
    return await session.rows(
        "SELECT minutes.metric_id, UNIX_TIMESTAMP(minutes.bucket), minutes.samples, minutes.total FROM"
        " (SELECT id, (SELECT bucket FROM rollup_minute WHERE rollup_minute.metric_id = metrics.id"
        f" AND bucket >= {stamp_text(since)} ORDER BY bucket DESC LIMIT 1) AS newest"
        f" FROM metrics WHERE id IN ({_listed(ids)})) AS last"
        " INNER JOIN rollup_minute AS minutes ON minutes.metric_id = last.id AND minutes.bucket = last.newest"
        f" WHERE minutes.bucket >= {stamp_text(since)}"
    )


async def _last_hours(session: Connection, ids: Sequence[int], line: int) -> Sequence[tuple[int, int | None]]:
    return await session.rows(
        "SELECT id, UNIX_TIMESTAMP((SELECT MAX(bucket) FROM rollup_hour WHERE rollup_hour.metric_id = metrics.id"
        f" AND bucket >= {stamp_text(line)})) FROM metrics WHERE id IN ({_listed(ids)})"
    )


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))

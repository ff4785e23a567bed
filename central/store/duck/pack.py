"""Packs the embedded store's rollup by minute of days gone by: sorted by name, one row per name and minute.

A fold leaves a name's rows a few at a time all over the day; packed, they lie together, and a query skips the blocks of
other names. A slice is one transaction between two groups. What comes late is packed later, behind what is there.
"""

from typing import Final

from central.store.duck.engine import Connection
from central.store.duck.sql import put_minutes

SLICE_ROWS: Final = 30_000
"""About how many rows a slice moves: a name's day at least."""
PAUSE_SECONDS: Final = 1.0
"""Seconds between two slices, so that commits are hardly delayed."""
CHECK_SECONDS: Final = 3_600.0
"""Seconds until the next try after nothing was left to pack."""
_DAY: Final = 86_400


def pack(handle: Connection, before: int, slice_rows: int = SLICE_ROWS) -> bool:
    """Move one slice of the oldest day that ends by ``before``. False when there is none. Within a transaction."""
    (oldest,) = handle.execute(f"SELECT min(bucket) FROM rollup_minute WHERE bucket < {before}").fetchone() or (None,)
    if oldest is None:
        return False
    start = oldest // _DAY * _DAY
    condition = f"bucket >= {start} AND bucket < {min(start + _DAY, before)}"
    running = f"SELECT metric_id, sum(count(*)) OVER (ORDER BY metric_id) AS moved FROM rollup_minute WHERE {condition}"
    (last,) = handle.execute(
        f"SELECT min(metric_id) FROM ({running} GROUP BY metric_id) WHERE moved >= {slice_rows}"
    ).fetchone() or (None,)
    if last is not None:
        condition += f" AND metric_id <= {last}"
    merged = (
        "SELECT metric_id, bucket, sum(samples) AS samples, sum(total) AS total, min(min_value) AS low,"
        f" max(max_value) AS high FROM rollup_minute WHERE {condition} GROUP BY 1, 2"
    )
    handle.execute(put_minutes("rollup_minute_packed", merged) + f"DELETE FROM rollup_minute WHERE {condition}")
    return True

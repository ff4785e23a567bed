"""Packs the embedded store's rollup by minute for past days: sorted by name, one row per name and minute.

Each fold of the tail adds a few rows per name, so a name's rows are spread over the whole day. Packed, they lie
together, and a query skips the blocks of other names. A slice is one transaction between two groups. Points that
arrive late are packed later, behind the rows that are packed already.
"""

from typing import Final

from central.store.duck.engine import Connection
from central.store.duck.sql import put_minutes

SLICE_ROWS: Final = 30_000
"""About how many rows a slice moves. It moves at least one name's rows of a day."""
PAUSE_SECONDS: Final = 1.0
"""Seconds between two slices. Commits run between them."""
CHECK_SECONDS: Final = 3_600.0
"""Seconds until the next try when nothing was left to pack."""
_DAY: Final = 86_400


def pack(handle: Connection, before: int, slice_rows: int = SLICE_ROWS) -> bool:
    """Move one slice of the oldest day before the time ``before``. False if there is none. Runs in a transaction."""
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

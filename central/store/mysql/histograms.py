"""How samples are spread over their values, in MySQL.

Raw points say it: a plain sample by its value, a summary by its histogram. They come as one text per name and minute,
since the driver takes 8 us per row.
"""

from collections.abc import Sequence

import numpy as np

from central.store.base import StoreError
from central.store.buckets import Column, wide_column
from central.store.distribution import Entries, Histograms, Samples, entries_of
from central.store.mysql.connection import Connection
from central.store.mysql.sql import within
from central.store.plan import Segment

_NARROW_DIGITS = 18
"""Numbers of units with at most this many digits fit into 64 bits."""

Texts = Sequence[tuple[int, int, int, str]]
"""Id, the start of the window or minute, how many points, and their values or histograms with blanks between them."""


async def entries(
    connection: Connection, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]
) -> Entries:
    """The entries of all points in the segments. Call it within a transaction of one snapshot."""
    values, contents = [
        await connection.rows(_points(expression, condition, metric_ids, segments))
        for expression, condition in (("value", "samples IS NULL"), ("HEX(histogram)", "histogram IS NOT NULL"))
    ]
    return entries_of(_samples(values, window), _histograms(contents, window))


def _points(expression: str, condition: str, metric_ids: Sequence[int], segments: Sequence[Segment]) -> str:
    """SELECT of Texts over raw points."""
    return " UNION ALL ".join(
        "SELECT metric_id, UNIX_TIMESTAMP(MIN(recorded_at)) DIV 60 * 60, COUNT(*),"
        f" GROUP_CONCAT({expression} SEPARATOR ' ') FROM metric_points"
        f" WHERE {within('recorded_at', segment, metric_ids)} AND {condition}"
        " GROUP BY metric_id, UNIX_TIMESTAMP(recorded_at) DIV 60"
        for segment in segments
    )


def _samples(rows: Texts, window: int) -> Samples:
    """A value has four decimals, so its digits without the point are its units."""
    text = " ".join([values for *_, values in rows]).replace(".", "")
    units = text.split()
    ids, starts = _places(rows, window, len(units))
    if max(map(len, units), default=0) > _NARROW_DIGITS:
        return Samples(ids, starts, wide_column([int(number) for number in units]))
    return Samples(ids, starts, np.fromstring(text, dtype=np.int64, sep=" ") if units else np.array([], np.int64))


def _histograms(rows: Texts, window: int) -> Histograms:
    encoded = [bytes.fromhex(content) for *_, contents in rows for content in contents.split()]
    return Histograms(*_places(rows, window, len(encoded)), encoded)


def _places(rows: Texts, window: int, found: int) -> tuple[Column, Column]:
    """Id and window's start of each point. Raises StoreError if the server cut a text short."""
    counts = [count for _, _, count, _ in rows]
    if sum(counts) != found:
        raise StoreError("the database cut the answer short: raise its max_allowed_packet, or ask for less")
    ids = np.array([metric_id for metric_id, *_ in rows], dtype=np.int64)
    starts = np.array([start // window * window for _, start, *_ in rows], dtype=np.int64)
    return np.repeat(ids, counts), np.repeat(starts, counts)

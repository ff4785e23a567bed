"""How samples are spread over their values, in the embedded store.

Raw points say it: a plain sample by its value, a summary by its histogram.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from central.store.buckets import Column, wide_column
from central.store.distribution import Entries, Histograms, Samples, entries_of
from central.store.duck.engine import Connection
from central.store.duck.sql import within
from central.store.plan import Segment
from protocol.numbers import UNIT, to_units

_NARROW_END: Final = 9 * 10**14
"""Values below it fit into 64 bits as units."""


def entries(cursor: Connection, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Entries:
    """The entries of all points in the segments, tail included. Call it within a transaction."""
    whole = Segment("raw", segments[0].start, segments[-1].end)
    sources = [("tail_points", whole), *(("metric_points", segment) for segment in segments)]
    return entries_of(
        _samples(cursor, _union("value", "samples IS NULL", metric_ids, window, sources)),
        _histograms(cursor, _union("histogram", "histogram IS NOT NULL", metric_ids, window, sources)),
    )


def _union(
    column: str, condition: str, metric_ids: Sequence[int], window: int, sources: Sequence[tuple[str, Segment]]
) -> str:
    """SELECT of id, window's start and one column of raw points."""
    return " UNION ALL ".join(
        f"SELECT metric_id, recorded_at // {window} * {window} AS start, {column} FROM {table}"
        f" WHERE {within('recorded_at', segment, metric_ids)} AND {condition}"
        for table, segment in sources
    )


def _samples(cursor: Connection, points: str) -> Samples:
    """The plain samples of ``points``. Values of over 64 bits in units are rare and are read one by one."""
    narrow = f"abs(value) < {_NARROW_END}"
    found = cursor.execute(
        f"SELECT metric_id, start, (value * {UNIT})::BIGINT AS value FROM ({points}) WHERE {narrow}"
    ).fetchnumpy()
    wide = cursor.execute(f"SELECT metric_id, start, value FROM ({points}) WHERE NOT ({narrow})").fetchall()
    ids, starts, values = (found[name].astype(np.int64) for name in ("metric_id", "start", "value"))
    if not wide:
        return Samples(ids, starts, values)
    wide_ids, wide_starts, wide_values = zip(*wide, strict=True)
    units: Column = np.concatenate((values.astype(object), wide_column([to_units(value) for value in wide_values])))
    return Samples(np.concatenate((ids, wide_ids)), np.concatenate((starts, wide_starts)), units)


def _histograms(cursor: Connection, points: str) -> Histograms:
    found = cursor.execute(points).fetchnumpy()
    ids, starts = (found[name].astype(np.int64) for name in ("metric_id", "start"))
    return Histograms(ids, starts, [bytes(content) for content in found["histogram"]])

"""The windows of a query: where each begins and ends, also in a time zone, and which of them are not whole. Pure.

Windows are aligned to UTC. With ``tz`` those of an hour and a day begin at local hours and midnights, so that a day has
23 or 25 hours where a clock is changed. The store sums by windows of UTC that fit into all of these, and ``fold`` adds
them up: exact, since count, sum, min and max of parts give those of the whole.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from math import gcd
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from central.store.buckets import Buckets, Column
from central.store.plan import windows_touched

_HOUR: Final = 3_600
_DAY: Final = 86_400
_SAFE: Final = 2**62
"""A sum of 64-bit numbers stays below this, or is made of Python's own."""


class Windows(NamedTuple):
    """Every window that holds a part of a query's range, in order. ``step`` fits into each; all are in seconds."""

    starts: Column
    ends: Column
    step: int


def windows_between(start: int, end: int, seconds: int, zone: ZoneInfo | None = None) -> Windows:
    """The windows of [start, end); with a zone those of an hour or a day are local ones."""
    if zone is None or seconds < _HOUR:
        first, touched = start // seconds, windows_touched(start, end, seconds)
        starts = (first + np.arange(touched, dtype=np.int64)) * seconds
        return Windows(starts, starts + seconds, seconds)
    edges = [*(_days if seconds == _DAY else _hours)(start, end, zone)]
    step = reduce(gcd, edges[1:], edges[0])
    fits = next((size for size in (_HOUR, 900, 60) if step % size == 0), 60)
    return Windows(np.array(edges[:-1], dtype=np.int64), np.array(edges[1:], dtype=np.int64), fits)


def fold(buckets: Buckets, windows: Windows) -> Buckets:
    """Buckets of ``step`` as those of the windows that they lie in. Both are in the order of id and start."""
    if not len(buckets.starts):
        return buckets
    places = np.searchsorted(windows.starts, buckets.starts, side="right") - 1
    first = np.flatnonzero(np.r_[True, (np.diff(buckets.metric_ids) != 0) | (np.diff(places) != 0)])
    return Buckets(
        buckets.metric_ids[first],
        windows.starts[places[first]],
        np.add.reduceat(_roomy(buckets.weights), first),
        np.add.reduceat(_roomy(buckets.totals), first),
        np.minimum.reduceat(buckets.lows, first),
        np.maximum.reduceat(buckets.highs, first),
    )


def not_whole(windows: Windows, start: int, end: int, now: float) -> Column:
    """The starts of the windows that reach beyond [start, end), or have not ended at ``now``."""
    cut: Column = windows.starts[(windows.starts < start) | (windows.ends > end) | (windows.ends > now)]
    return cut


def _roomy(numbers: Column) -> Column:
    """The numbers, as Python's own where their sum could leave 64 bits."""
    if numbers.dtype == object or int(np.abs(numbers).max()) < _SAFE // len(numbers):
        return numbers
    return numbers.astype(object)


def _days(start: int, end: int, zone: ZoneInfo) -> Iterator[int]:
    """Local midnights from the last one at or before ``start`` to the first one at or after ``end``."""
    day = datetime.fromtimestamp(start, zone).date()
    edge = _midnight(day, zone)
    yield edge
    while edge < end:
        day += timedelta(days=1)
        edge = _midnight(day, zone)
        yield edge


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first second of a local day. Where a clock skips midnight it is the moment after the skip."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _hours(start: int, end: int, zone: ZoneInfo) -> Iterator[int]:
    """Local full hours, in the same way. Where a clock is changed by half an hour one window is longer or shorter."""
    edge = start - (start + _offset(start, zone)) % _HOUR
    yield edge
    while edge < end:
        edge += _HOUR
        edge += -(edge + _offset(edge, zone)) % _HOUR
        yield edge


def _offset(moment: int, zone: ZoneInfo) -> int:
    found = datetime.fromtimestamp(moment, UTC).astimezone(zone).utcoffset()
    return int(found.total_seconds()) if found is not None else 0

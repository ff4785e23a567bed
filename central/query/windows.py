"""The windows of a query: where each begins and ends, also in a time zone, and which of them are not whole. Pure.

Windows are aligned to UTC. With ``tz`` those of an hour begin where the local clock shows a whole hour, and those of a
day at the first moment of a local date: a day has 23 or 25 hours where a clock is changed, and an hour that is shown
twice is two windows. The store sums by windows of UTC that fit into all of these, and ``fold`` adds
them up: exact, since count, sum, min and max of parts give those of the whole.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from central.store.buckets import Buckets, Column
from central.store.plan import windows_touched

_HOUR: Final = 3_600
_DAY: Final = 86_400
_MARGIN: Final = 3
"""Windows that are looked at before and behind a range: a zone may have a date twice, or not at all."""
_FIRST, _LAST = -62_135_596_800 + 2 * _DAY, 253_402_300_799 - 2 * _DAY
"""The seconds for which Python knows a local time whatever the zone. Offsets beyond are those of the nearest one."""
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
    around = _MARGIN * seconds
    edges = np.concatenate(list(_edges(start - around, end + around, seconds, zone)))
    from_place, to_place = np.searchsorted(edges, start, "right") - 1, np.searchsorted(edges, end)
    edges = edges[from_place : to_place + 1]
    step = int(np.gcd.reduce(edges))
    fits = next((size for size in (_HOUR, 900, 60) if step % size == 0), 60)
    return Windows(edges[:-1], edges[1:], fits)


def start_of_window(moment: int, seconds: int, zone: ZoneInfo | None = None) -> int:
    """The start of the window that holds ``moment``."""
    return int(windows_between(moment, moment + 1, seconds, zone).starts[0])


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


def _edges(start: int, end: int, seconds: int, zone: ZoneInfo) -> Iterator[Column]:
    """Where windows begin between start and end, in order: a piece for each time in which the offset stays the same."""
    begin, offset = start, _offset(start, zone)
    reached = (start + offset) // seconds - 1  # the latest local hour or date so far, as a number
    for change in (*_changes(start, end, zone), end):
        first = begin + -(begin + offset) % seconds
        found = np.arange(first, change, seconds)
        if first > begin > start and (begin + offset) // seconds > reached:
            found = np.r_[begin, found]  # the clock jumped over the moment at which a window would begin
        if seconds == _DAY:
            found = found[(found + offset) // seconds > reached]  # midnight comes a second time: the day goes on
        yield found
        latest = (change - 1 + offset) // seconds
        reached = max(reached, latest) if seconds == _DAY else latest
        begin, offset = change, _offset(change, zone)


def _changes(start: int, end: int, zone: ZoneInfo) -> list[int]:
    """The moments between start and end at which the offset changes. Two within a day that cancel out do not exist."""
    found = []
    for day in range(start, end, _DAY):
        low, high, before = day, min(day + _DAY, end), _offset(day, zone)
        if _offset(high, zone) == before:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
        if high < end:
            found.append(high)
    return found


def _offset(moment: int, zone: ZoneInfo) -> int:
    """Seconds that the local clock is ahead of UTC."""
    found = datetime.fromtimestamp(min(max(moment, _FIRST), _LAST), zone).utcoffset()
    return int(found.total_seconds()) if found is not None else 0

"""The windows of a query: where each begins and ends, also in a time zone, and which of them are not whole. Pure.

Windows are aligned to UTC. With a time zone, a window of an hour begins when the local clock shows a whole hour, and a
window of a day at the first moment of a local date. So when the clocks change, a day has 23 or 25 hours, and an hour
that the local clock shows twice is two windows. The store sums smaller UTC windows that fit into all of these, and
``fold`` adds them up. That is exact, because count, sum, min, max and histograms can be combined.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from central.store.buckets import Buckets, Column, buckets_of, roomy
from central.store.distribution import Spread
from central.store.plan import windows_touched

_HOUR: Final = 3_600
_DAY: Final = 86_400
_MARGIN: Final = 3
"""How many windows before and after a range are computed too: a time zone may have a date twice, or skip one."""
_FIRST, _LAST = -62_135_596_800 + 2 * _DAY, 253_402_300_799 - 2 * _DAY
"""The seconds for which Python can compute the local time in every zone. Beyond, the nearest one's offset is used."""


class Windows(NamedTuple):
    """The windows that overlap a query's range, in order, in seconds. Every start and end is a multiple of ``step``."""

    starts: Column
    ends: Column
    step: int


def windows_between(start: int, end: int, seconds: int, zone: ZoneInfo | None = None) -> Windows:
    """The windows of [start, end). With a zone, windows of an hour or a day follow the local time."""
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


def spans(windows: Windows, start: int, end: int, most: int) -> list[tuple[int, int]]:
    """[start, end) in pieces of at most ``most`` whole windows, in order; a piece is a start and an end."""
    edges = [*windows.starts[::most].tolist(), end]
    pieces = ((max(first, start), min(after, end)) for first, after in pairwise(edges))
    return [(first, after) for first, after in pieces if first < after]


def start_of_window(moment: int, seconds: int, zone: ZoneInfo | None = None) -> int:
    """The start of the window that holds ``moment``."""
    return int(windows_between(moment, moment + 1, seconds, zone).starts[0])


def fold(buckets: Buckets, windows: Windows) -> Buckets:
    """Combine buckets of ``step`` seconds to buckets per window. Both are in the order of metric id and start."""
    if not len(buckets.starts):
        return buckets
    places = np.searchsorted(windows.starts, buckets.starts, side="right") - 1
    first = np.flatnonzero(np.r_[True, (np.diff(buckets.metric_ids) != 0) | (np.diff(places) != 0)])
    columns = [
        buckets.metric_ids[first],
        windows.starts[places[first]],
        np.add.reduceat(roomy(buckets.weights), first),
        np.add.reduceat(roomy(buckets.totals), first),
    ]
    if len(buckets.lows):
        columns += [np.minimum.reduceat(buckets.lows, first), np.maximum.reduceat(buckets.highs, first)]
    return buckets_of(columns)


def fold_spread(spread: Spread, windows: Windows) -> Spread:
    """Samples and histograms of ``step``, each with the start of the window that it lies in."""

    def starts(column: Column) -> Column:
        start: Column = windows.starts[np.searchsorted(windows.starts, column, side="right") - 1]
        return start

    samples, histograms = spread
    return Spread(
        samples._replace(starts=starts(samples.starts)), histograms._replace(starts=starts(histograms.starts))
    )


def not_whole(windows: Windows, start: int, end: int, now: float) -> Column:
    """The starts of the windows that extend beyond [start, end), or have not ended at ``now``."""
    cut: Column = windows.starts[(windows.starts < start) | (windows.ends > end) | (windows.ends > now)]
    return cut


def _edges(start: int, end: int, seconds: int, zone: ZoneInfo) -> Iterator[Column]:
    """Where windows begin between start and end, in order: an array for each period with the same offset."""
    begin, offset = start, _offset(start, zone)
    reached = (start + offset) // seconds - 1  # the latest local hour or date so far, as a number
    for change in (*_changes(start, end, zone), end):
        first = begin + -(begin + offset) % seconds
        found = np.arange(first, change, seconds)
        if first > begin > start and (begin + offset) // seconds > reached:
            found = np.r_[begin, found]  # the clock jumped over the window's beginning, so it begins at the jump
        if seconds == _DAY:
            found = found[(found + offset) // seconds > reached]  # a second midnight of a date begins no new day
        yield found
        latest = (change - 1 + offset) // seconds
        reached = max(reached, latest) if seconds == _DAY else latest
        begin, offset = change, _offset(change, zone)


def _changes(start: int, end: int, zone: ZoneInfo) -> list[int]:
    """The moments between start and end when the offset changes. No zone changes it twice within a day and back."""
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
    """How many seconds the local clock is ahead of UTC."""
    found = datetime.fromtimestamp(min(max(moment, _FIRST), _LAST), zone).utcoffset()
    return int(found.total_seconds()) if found is not None else 0

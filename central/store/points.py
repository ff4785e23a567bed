"""What an export needs from a store: its raw points, in pieces that a caller bounds.

Nobody else may depend on rows of points: a store is free to keep them in another form. Every store passes
tests/central/store_contract_points.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from central.store.buckets import Column


class Points(NamedTuple):
    """Raw points as columns, in no order. Numbers are in units; a plain sample has the weight of one.

    ``series_ids`` is 0 for a point without tags. ``totals`` is the value of a plain sample, or the sum of a summary.
    """

    metric_ids: Column
    series_ids: Column
    times: Column
    weights: Column
    totals: Column
    lows: Column
    highs: Column


class Span(NamedTuple):
    """Points to read: of these metrics, and of start <= time < end."""

    metric_ids: Sequence[int]
    start: int
    end: int

    def halves(self) -> tuple["Span", "Span"] | None:
        """The earlier and the later half; for a single second, halves of the metrics. None for a single metric then."""
        if self.end - self.start > 1:
            middle = (self.start + self.end) // 2
            return self._replace(end=middle), self._replace(start=middle)
        if len(self.metric_ids) > 1:
            half = len(self.metric_ids) // 2
            return self._replace(metric_ids=self.metric_ids[:half]), self._replace(metric_ids=self.metric_ids[half:])
        return None


class PointStore(Protocol):
    """The raw points. Every method may raise StoreUnavailable."""

    async def read(self, span: Span, limit: int) -> Points | None:
        """All points of a span, of one snapshot; None if they are more than ``limit``, which is 100,000 at most."""

    async def tags(self, series_ids: Sequence[int]) -> dict[int, str]:
        """The tags of those series that exist, in canonical form."""


class TooDense(Exception):
    """A single second of a single metric has more points than may be read at once."""

    def __init__(self, span: Span) -> None:
        super().__init__(f"metric {span.metric_ids[0]} at {span.start}")
        self.span = span


async def pieces(read: Callable[[Span], Awaitable[Points | None]], whole: Span) -> AsyncIterator[Points]:
    """The points of a span in the order of time, in pieces. Where ``read`` finds too many, it is asked for halves.

    Raises TooDense where there is no half.
    """
    left = [whole] if whole.metric_ids and whole.start < whole.end else []
    while left:
        span = left.pop()
        found = await read(span)
        if found is None:
            halves = span.halves()
            if halves is None:
                raise TooDense(span)
            left += reversed(halves)
        elif len(found.times):
            yield found


def no_points() -> Points:
    """An answer without data."""
    return Points(*np.empty((len(Points._fields), 0), dtype=np.int64))


def tags_to_find(found: Points, known: Mapping[int, str | None]) -> list[int]:
    """The series of these points whose tags are not known yet."""
    return [key for key in np.unique(found.series_ids).tolist() if key and key not in known]

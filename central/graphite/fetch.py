"""Reads the lines that targets need: one question to the store for each range, however many lines there are.

Histograms are read only for the lines that are percentiles, and only so many windows at once as the memory allows.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from central.graphite.evaluate import Budget, Node, Want, asks, grown, wants
from central.graphite.lines import Line, Numbers, Range
from central.graphite.paths import Finder, Leaf
from central.graphite.targets import TargetError
from central.graphite.times import MOST
from central.query.columns import columns_of
from central.query.operations import need_extremes, need_histograms
from central.query.tags import UNTAGGED
from central.query.windows import Windows, spans, windows_between
from central.store.base import IdGroup, Store
from central.store.distribution import Distribution, no_spread
from central.store.plan import plan

MOST_LINES: Final = 2_000
"""How many lines one path or expression may mean."""
MOST_LINES_IN_ALL: Final = 20_000
"""How many all paths and expressions of a request may mean."""
_PATHS_AT_ONCE: Final = 100
"""How many paths are looked up together. Each may mean as many lines as a single path may."""
MOST_TURNS: Final = 4
"""How often targets may ask for further ones, these for further ones again, and so on."""
MOST_POINTS: Final = 1_000_000
"""How many numbers a request may read in all."""
_HISTOGRAMS_AT_ONCE: Final = 50_000
"""How many windows are read with their histograms at once. With 500 buckets each, they take some 50 MB."""
_WAYS: Final = {"sum": "sum", "count": "sum", "min": "min", "max": "max"}
"""How windows of an operation are put together. Those of any other are averaged, which is not exact."""
_EXACT: Final = {**_WAYS, "avg": "average"}
"""What a call must ask for so that the store can make the larger windows of an operation itself."""


class _Asked(NamedTuple):
    """Which columns of the store's answer are wanted."""

    columns: Sequence[str]
    fraction_below: int | None = None


class _Target(NamedTuple):
    """A leaf, and the range over which it is drawn."""

    leaf: Leaf
    span: Range


class Fetcher:
    """Reads the lines of one request, whose bounds it keeps. The caller holds a slot for queries.

    ``visible_from`` is the time before which points are hidden.
    """

    def __init__(self, store: Store, finder: Finder, visible_from: int) -> None:
        self._store = store
        self._finder = finder
        self._visible_from = visible_from
        self._lines = 0
        self._points = 0

    async def fetch_all(self, nodes: Sequence[Node], budget: Budget) -> tuple[list[Node], dict[Want, list[Line]]]:
        """The targets with all further ones that they ask for, and what these want. Raises what ``fetch`` raises."""
        whole, found = list(nodes), dict[Want, list[Line]]()
        for _ in range(MOST_TURNS + 1):
            found |= await self.fetch(want for node in whole for want in wants(node) if want not in found)
            if not any(map(asks, whole)):
                return whole, found
            whole = await asyncio.to_thread(_grown, whole, found, budget)
        raise TargetError(f"targets may ask for further targets {MOST_TURNS} times in turn, and these ask again")

    async def fetch(self, wanted: Iterable[Want]) -> dict[Want, list[Line]]:
        """The lines of each. Raises TargetError if there are too many, ValueError for a wrong path, and StoreError."""
        meant = {
            want: [_Target(leaf, _span(want, leaf)) for leaf in leaves]
            for want, leaves in (await self._meant(list(dict.fromkeys(wanted)))).items()
        }
        targets = list(dict.fromkeys((one.leaf.path, one.span) for many in meant.values() for one in many))
        self._points += sum((span.end - span.start) // span.step for _, span in targets)
        if self._points > MOST_POINTS:
            raise TargetError(
                f"reads too much: all targets together read {self._points:,} numbers, and may read {MOST_POINTS:,}; "
                "ask for a shorter range, for fewer lines, or with a smaller maxDataPoints"
            )
        values = await self._read({(one.leaf.path, one.span): one for many in meant.values() for one in many})
        return {
            want: [
                Line(
                    leaf.path, span.start, span.step, values[leaf.path, span], want.text, leaf.tags,
                    _WAYS.get(leaf.operation, "average"),
                )
                for leaf, span in targets_of
                # Only their numbers show whether there are samples without tags.
                if leaf.series_id != UNTAGGED.id or not np.isnan(values[leaf.path, span]).all()
            ]
            for want, targets_of in meant.items()
        }  # fmt: skip

    async def _meant(self, wanted: Sequence[Want]) -> dict[Want, list[Leaf]]:
        """The leaves that each path or expression means. Paths without tags are looked up together."""
        paths = [want for want in wanted if not want.expressions and ";" not in want.text]
        meant: dict[Want, list[Leaf]] = {}
        for at in range(0, len(paths), _PATHS_AT_ONCE):
            some = paths[at : at + _PATHS_AT_ONCE]
            found = await self._finder.expand_all([want.text for want in some], MOST_LINES)
            self._count(sum(map(len, found)))
            meant |= zip(some, found, strict=True)
        series = await self._finder.series_of(
            (want.text for want in wanted if not want.expressions and ";" in want.text), MOST_LINES
        )
        for want in wanted:
            if want not in meant:
                by_tags = self._finder.by_tags
                meant[want] = await by_tags(want.expressions, MOST_LINES) if want.expressions else series[want.text]
                self._count(len(meant[want]))
        return meant

    def _count(self, lines: int) -> None:
        self._lines += lines
        if self._lines > MOST_LINES_IN_ALL:
            raise TargetError(
                f"the paths mean more than {MOST_LINES_IN_ALL:,} lines in all; ask for fewer, or in several requests"
            )

    async def _read(self, targets: dict[tuple[str, Range], _Target]) -> dict[tuple[str, Range], Numbers]:
        made: dict[tuple[str, Range], Numbers] = {}
        for span in dict.fromkeys(one.span for one in targets.values()):
            leaves = [one.leaf for one in targets.values() if one.span == span]
            for histograms in (False, True):
                some = [leaf for leaf in leaves if need_histograms([leaf.operation]) == histograms]
                if some:
                    read = await self._read_range(some, span, histograms=histograms)
                    made |= {(path, span): values for path, values in read.items()}
        return made

    async def _read_range(self, leaves: Sequence[Leaf], span: Range, *, histograms: bool) -> dict[str, Numbers]:
        """The numbers of leaves over one range."""
        keys = {series: key for key, series in enumerate(dict.fromkeys(map(_series, leaves)))}
        groups = [IdGroup(key, metric, None if one is None else (one,)) for (metric, one), key in keys.items()]
        counters = [keys[_series(leaf)] for leaf in leaves if leaf.metric.kind == "counter"]
        operations = tuple(dict.fromkeys(leaf.operation for leaf in leaves))
        windows = windows_between(span.start, span.end, span.step)
        made = {one: np.full((len(groups), len(windows.starts)), np.nan) for one in operations}
        start, end = max(span.start, self._visible_from, 0), min(span.end, MOST)
        at_once = max(1, _HISTOGRAMS_AT_ONCE // len(groups)) if histograms else max(1, len(windows.starts))
        for piece in spans(windows, start, end, at_once) if start < end else ():
            segments = plan(*piece, span.step)
            if histograms:
                found = await self._store.distribute(groups, span.step, segments)
            else:
                extremes = need_extremes(operations)
                summaries = await self._store.aggregate(groups, span.step, segments, extremes=extremes)
                found = Distribution(summaries, no_spread())
            await asyncio.to_thread(_fill, made, found, counters, windows)
        return {leaf.path: made[leaf.operation][keys[_series(leaf)]] for leaf in leaves}


def _fill(made: Mapping[str, Numbers], found: Distribution, counters: Sequence[int], windows: Windows) -> None:
    """Put what was found into the arrays of the operations: a row for each key, a column for each window."""
    rows = found.buckets.metric_ids.astype(np.int64)
    places = (found.buckets.starts.astype(np.int64) - windows.starts[0]) // windows.step
    for operation, column in zip(made, columns_of(_Asked(tuple(made)), found, counters, windows), strict=True):
        numbers = column.numbers.astype(np.float64) / 10**column.decimals
        made[operation][rows, places] = numbers if column.known is None else np.where(column.known, numbers, np.nan)


def _grown(nodes: Sequence[Node], found: Mapping[Want, Sequence[Line]], budget: Budget) -> list[Node]:
    return [grown(node, found, budget) for node in nodes]


def _series(leaf: Leaf) -> tuple[int, int | None]:
    return leaf.metric.id, leaf.series_id


def _span(want: Want, leaf: Leaf) -> Range:
    """The range of a leaf: with the step of a call that the store can do itself, if it is one."""
    span, exact = want.span._replace(now=0), want.exact  # the same windows are one question, whoever asks
    if exact is None or exact[0] % span.step or _EXACT.get(leaf.operation) != exact[1]:
        return span
    return whole(span.start, span.end, exact[0])


def whole(start: int, end: int, step: int) -> Range:
    """The windows of ``step`` that [start, end) touches."""
    return Range(start // step * step, -(-end // step) * step, step)

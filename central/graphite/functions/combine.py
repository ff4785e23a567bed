"""Functions that make one line of several. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

import numpy as np

from central.graphite.functions.function import ALL_LINES, LINES, Function, Parameter
from central.graphite.functions.nodes import key_of, tag_key, tags_of_key, without_nodes
from central.graphite.lines import CONSOLIDATE, Line, Numbers, Range, common_tags, matrix, paths_of
from central.graphite.targets import TargetError

GROUP: Final = "Combine"
_NAMES: Final = {
    "sum": "sumSeries",
    "average": "averageSeries",
    "min": "minSeries",
    "max": "maxSeries",
    "diff": "diffSeries",
    "multiply": "multiplySeries",
    "median": "medianSeries",
    "stddev": "stddevSeries",
    "range": "rangeOfSeries",
    "last": "lastSeries",
    "first": "firstSeries",
    "count": "countSeries",
    "avg_zero": "avg_zeroSeries",
}


def combined(lines: Sequence[Line], way: str) -> list[Line]:
    """One line: at each time the numbers of all lines, put together in a way of CONSOLIDATE. Without lines, none.

    Where all lines have a gap, it has one.
    """
    if not lines:
        return []
    span, values = matrix(lines)
    name = f"{_NAMES[way]}({paths_of(lines)})"
    made = np.where(np.isnan(values).all(axis=1), np.nan, CONSOLIDATE[way](values))
    return [Line(name, span.start, span.step, made, name, common_tags(lines))]


def _combiner(way: str) -> Callable[[Range, Sequence[list[Line]]], list[Line]]:
    def run(_: Range, lists: Sequence[list[Line]]) -> list[Line]:
        return combined([line for lines in lists for line in lines], way)

    run.__doc__ = f"One line: the {way} of all lines at each time."
    return run


def multiply(_: Range, lists: Sequence[list[Line]]) -> list[Line]:
    """The product of all lines at each time, where none of them has a gap."""
    lines = list(chain.from_iterable(lists))
    return lines if len(lines) == 1 else combined(lines, "multiply")


def count(_: Range, lists: Sequence[list[Line]]) -> list[Line]:
    """How many lines there are: the same number at each time."""
    lines = list(chain.from_iterable(lists))
    if not lines:
        return []
    span, values = matrix(lines)
    name = f"countSeries({paths_of(lines)})"
    return [Line(name, span.start, span.step, np.full(len(values), float(len(lines))), name, common_tags(lines))]


def aggregate(_: Range, lines: list[Line], way: str, share: float | None = None) -> list[Line]:
    """One line: all lines, put together by func. With xFilesFactor, only where that share of them has a number."""
    made = combined(lines, way)
    if not made or not share:
        return made
    _span, values = matrix(lines)
    enough = np.count_nonzero(~np.isnan(values), axis=1) >= share * values.shape[1]
    return [line.called(line.name, np.where(enough, line.values, np.nan)) for line in made]


def aggregate_with_wildcards(_: Range, lines: list[Line], way: str, nodes: Sequence[int]) -> list[Line]:
    """Removes nodes from the paths. Lines whose paths are then equal become one line, put together by func."""
    return _grouped(lines, way, lambda line: without_nodes(line, nodes))


def sum_with_wildcards(_: Range, lines: list[Line], nodes: Sequence[int]) -> list[Line]:
    """Removes nodes from the paths. Lines whose paths are then equal become one line, their sum."""
    return _grouped(lines, "sum", lambda line: without_nodes(line, nodes))


def average_with_wildcards(_: Range, lines: list[Line], nodes: Sequence[int]) -> list[Line]:
    """Removes nodes from the paths. Lines whose paths are then equal become one line, their average."""
    return _grouped(lines, "average", lambda line: without_nodes(line, nodes))


def group_by_node(_: Range, lines: list[Line], node: int | str, way: str = "average") -> list[Line]:
    """One line for each value of a node of the path, or of a tag: the lines with this value, put together."""
    return _grouped(lines, way, lambda line: key_of(line, [node]))


def group_by_nodes(_: Range, lines: list[Line], way: str, nodes: Sequence[int | str]) -> list[Line]:
    """One line for each combination of values of nodes or tags: the lines with these values, put together."""
    return _grouped(lines, way, lambda line: key_of(line, nodes))


def group_by_tags(_: Range, lines: list[Line], way: str, tags: Sequence[str]) -> list[Line]:
    """One line for each combination of values of tags: the lines with these values, put together."""
    if not tags:
        raise TargetError("groupByTags: name at least one tag")
    names = {line.tags.get("name", "") for line in lines}
    name = names.pop() if len(names) == 1 else way
    made = _grouped(lines, way, lambda line: tag_key(line, tags, name))
    return [replace(line, tags=tags_of_key(line.name)) for line in made]


def _grouped(lines: list[Line], way: str, key: Callable[[Line], str]) -> list[Line]:
    return [combined(group, way)[0].called(name) for name, group in groups_of(lines, key).items()]


def groups_of(lines: Sequence[Line], key: Callable[[Line], str]) -> dict[str, list[Line]]:
    """The lines by their key. The groups are in the order of their first lines."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    return groups


def aggregate_lists(_: Range, lines: list[Line], others: list[Line], way: str) -> list[Line]:
    """The lines of one list, each put together with the line at the same place of the other list."""
    if len(lines) != len(others):
        raise TargetError(f"the lists have {len(lines)} and {len(others)} lines; give equally many")
    return [
        combined(pair, way)[0].called(f"{_NAMES[way]}({pair[0].name},{pair[1].name})")
        for pair in zip(lines, others, strict=True)
    ]


def _lists(way: str) -> Callable[..., list[Line]]:
    def run(span: Range, lines: list[Line], others: list[Line]) -> list[Line]:
        return aggregate_lists(span, lines, others, way)

    run.__doc__ = f"The {way} of the lines at the same places of two lists."
    return run


def multiply_with_wildcards(_: Range, lines: list[Line], nodes: Sequence[int]) -> list[Line]:
    """Removes nodes from the paths. Lines whose paths are then equal become one line, their product."""
    return _grouped(lines, "multiply", lambda line: without_nodes(line, nodes))


def power(_: Range, lists: Sequence[list[Line]]) -> list[Line]:
    """The first line to the power of the second, and so on, where none of them has a gap."""
    lines = list(chain.from_iterable(lists))
    if not lines:
        return []
    span, values = matrix(lines)
    name = f"powSeries({','.join(line.name for line in lines)})"
    made = values[:, 0]
    for column in range(1, len(lines)):
        made = np.float_power(made, values[:, column])
    made = np.where(np.isnan(values).any(axis=1), np.nan, made)
    return [Line(name, span.start, span.step, made, name, common_tags(lines))]


def percentile_of(_: Range, lines: list[Line], n: float, interpolate: bool = False) -> list[Line]:
    """The percentile of the lines' numbers at each time, not of the samples that the numbers were made of."""
    if not 0 < n <= 100:
        raise TargetError("percentileOfSeries: n must be above 0 and at most 100")
    if not lines:
        return []
    span, values = matrix(lines)
    name = f"percentileOfSeries({lines[0].expression},{n:g})"
    return [Line(name, span.start, span.step, percentile(values, n, interpolate=interpolate), name, common_tags(lines))]


def n_percentile(_: Range, lines: list[Line], n: float) -> list[Line]:
    """For each line, the percentile of its numbers as a constant line. Lines without numbers are left out."""
    if not 0 < n <= 100:
        raise TargetError("nPercentile: n must be above 0 and at most 100")
    return [
        line.called(f"nPercentile({line.name}, {n:g})", np.full(len(line.values), percentile(line.values[None], n)[0]))
        for line in lines
        if not np.isnan(line.values).all()
    ]


def percentile(values: Numbers, n: float, *, interpolate: bool = False) -> Numbers:
    """The percentile of each row; NaN for a row without numbers. ``values`` has NaN for gaps, ``n`` is in percent.

    The rank is n/100 * (count + 1), as in NIST's handbook. It is rounded up, or its fraction is interpolated.
    """
    ordered = np.sort(values, axis=-1)  # NaN comes last
    counts = np.count_nonzero(~np.isnan(values), axis=-1)
    ranks = n / 100 * (counts + 1)
    rank = ranks.astype(np.int64)
    part = ranks - rank
    if not interpolate:
        rank = rank + np.ceil(part).astype(np.int64)
    last = np.maximum(counts - 1, 0)
    low = np.clip(rank - 1, 0, last)
    found = np.take_along_axis(ordered, low[..., None], -1)[..., 0]
    if interpolate:
        above = np.take_along_axis(ordered, np.clip(rank, 0, last)[..., None], -1)[..., 0]
        found = np.where((rank >= 1) & (rank < counts), found + part * (above - found), found)
    made: Numbers = np.where(counts > 0, found, np.nan)
    return made


def mapped(_: Range, lines: list[Line], nodes: Sequence[int | str]) -> list[Line]:
    """All lines, and those with the same values of these nodes one after the other: what reduceSeries reads."""
    return list(chain.from_iterable(groups_of(lines, lambda line: key_of(line, nodes)).values()))


def gathered(_: Range, lists: Sequence[list[Line]]) -> list[Line]:
    """All lines as one list."""
    return [line for lines in lists for line in lines]


def fallback(_: Range, lines: list[Line], fallback_lines: list[Line]) -> list[Line]:
    """The first list, or the second one if the first is empty."""
    return lines or fallback_lines


_WAY: Final = Parameter("func", "aggFunc")
_NODES: Final = Parameter("nodes", "nodeOrTag", many=True)
_POSITIONS: Final = Parameter("position", "node", many=True)
_TWO_LISTS: Final = [
    Parameter("seriesListFirstPos", "seriesList"),
    Parameter("seriesListSecondPos", "seriesList"),
]
_OF_ALL: Final = {
    "sum": ("sumSeries", "sum"),
    "average": ("averageSeries", "avg"),
    "min": ("minSeries",),
    "max": ("maxSeries",),
    "diff": ("diffSeries",),
    "stddev": ("stddevSeries",),
    "range": ("rangeOfSeries",),
}
FUNCTIONS: Final = (
    *(Function(name, GROUP, [ALL_LINES], _combiner(way)) for way, names in _OF_ALL.items() for name in names),
    Function("multiplySeries", GROUP, [ALL_LINES], multiply),
    Function("countSeries", GROUP, [ALL_LINES], count),
    Function("aggregate", GROUP, [LINES, _WAY, Parameter("xFilesFactor", "float", None)], aggregate),
    Function("aggregateWithWildcards", GROUP, [LINES, _WAY, _POSITIONS], aggregate_with_wildcards),
    Function("sumSeriesWithWildcards", GROUP, [LINES, _POSITIONS], sum_with_wildcards),
    Function("averageSeriesWithWildcards", GROUP, [LINES, _POSITIONS], average_with_wildcards),
    Function(
        "groupByNode",
        GROUP,
        [LINES, Parameter("nodeNum", "nodeOrTag"), Parameter("callback", "aggFunc", "average")],
        group_by_node,
    ),
    Function("groupByNodes", GROUP, [LINES, Parameter("callback", "aggFunc"), _NODES], group_by_nodes),
    Function(
        "groupByTags",
        GROUP,
        [LINES, Parameter("callback", "aggFunc"), Parameter("tags", "tag", many=True)],
        group_by_tags,
    ),
    *(Function(f"{way}SeriesLists", GROUP, _TWO_LISTS, _lists(way)) for way in ("sum", "diff", "multiply")),
    Function("aggregateSeriesLists", GROUP, [*_TWO_LISTS, _WAY], aggregate_lists),
    Function("multiplySeriesWithWildcards", GROUP, [LINES, _POSITIONS], multiply_with_wildcards),
    Function("powSeries", GROUP, [ALL_LINES], power),
    Function(
        "percentileOfSeries",
        GROUP,
        [LINES, Parameter("n", "float"), Parameter("interpolate", "boolean", default=False)],
        percentile_of,
    ),
    Function("nPercentile", GROUP, [LINES, Parameter("n", "float")], n_percentile),
    Function("mapSeries", GROUP, [LINES, Parameter("mapNodes", "nodeOrTag", many=True)], mapped),
    Function("group", GROUP, [ALL_LINES], gathered),
    Function("fallbackSeries", GROUP, [LINES, Parameter("fallback", "seriesList")], fallback),
)

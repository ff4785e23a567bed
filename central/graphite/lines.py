"""Lines of numbers over time, and how they are brought to the same step. Pure.

A number is a float; NaN stands where there is none. ``CONSOLIDATE`` are the ways to make one number of several.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from central.graphite.targets import TargetError

Numbers = NDArray[np.float64]
MOST_NUMBERS: Final = 5_000_000
"""How many numbers the lines of one function may hold, so that it does not fill the memory."""


class Range(NamedTuple):
    """What a line is asked for: whole windows of ``step`` seconds, the first at ``start``, the last before ``end``.

    ``now`` is when the request came, from which relative times in targets count.
    """

    start: int
    end: int
    step: int
    now: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """Numbers from ``start``, one for each ``step`` seconds. ``expression`` is the text that it was asked for with."""

    name: str
    start: int
    step: int
    values: Numbers
    expression: str
    tags: Mapping[str, str] = field(default_factory=dict)
    consolidate: str = "average"
    """The way in which several of its numbers become one where a coarser step is needed."""

    @property
    def end(self) -> int:
        """The end of the last number's time."""
        return self.start + self.step * len(self.values)

    def called(self, name: str, values: Numbers | None = None) -> "Line":
        """The line under another name, with other values if there are some."""
        return replace(self, name=name, expression=name, values=self.values if values is None else values)


def _over_numbers(work: Callable[..., Any]) -> Callable[[Numbers], Numbers]:
    """``work`` over the last axis. Where that has no number at all, the result is NaN."""

    def apply(values: Numbers) -> Numbers:
        made: Numbers = np.full(values.shape[:-1], np.nan)
        some = ~np.isnan(values).all(axis=-1)
        if some.any():
            made[some] = work(values[some], axis=-1)
        return made

    return apply


def _count(values: Numbers) -> Numbers:
    counts: Numbers = np.count_nonzero(~np.isnan(values), axis=-1).astype(np.float64)
    return counts


def _spread(values: Numbers, axis: int) -> Numbers:
    made: Numbers = np.nanmax(values, axis=axis) - np.nanmin(values, axis=axis)
    return made


def _difference(values: Numbers, axis: int) -> Numbers:
    """The first number minus all later ones."""
    made: Numbers = 2 * _first(values, axis) - np.nansum(values, axis=axis)
    return made


def _first(values: Numbers, axis: int) -> Numbers:
    places = np.argmax(~np.isnan(values), axis=axis)
    made: Numbers = np.take_along_axis(values, np.expand_dims(places, axis), axis).squeeze(axis)
    return made


def _last(values: Numbers, axis: int) -> Numbers:
    return _first(np.flip(values, axis), axis)


def _average_or_zero(values: Numbers) -> Numbers:
    made: Numbers = np.nan_to_num(values, nan=0.0).mean(axis=-1)
    return made


def _product(values: Numbers) -> Numbers:
    """NaN where one of the numbers is missing."""
    made: Numbers = np.prod(values, axis=-1)
    return made


CONSOLIDATE: Final[Mapping[str, Callable[[Numbers], Numbers]]] = {
    "average": _over_numbers(np.nanmean),
    "avg_zero": _average_or_zero,
    "count": _count,
    "diff": _over_numbers(_difference),
    "first": _over_numbers(_first),
    "last": _over_numbers(_last),
    "max": _over_numbers(np.nanmax),
    "median": _over_numbers(np.nanmedian),
    "min": _over_numbers(np.nanmin),
    "multiply": _product,
    "range": _over_numbers(_spread),
    "stddev": _over_numbers(np.nanstd),
    "sum": _over_numbers(np.nansum),
}
ALIASES: Final = {"avg": "average", "total": "sum", "current": "last", "rangeOf": "range"}


def consolidation(name: str) -> str:
    """The name in CONSOLIDATE. Raises TargetError."""
    known = ALIASES.get(name.removesuffix("Series"), name.removesuffix("Series"))
    if known not in CONSOLIDATE:
        raise TargetError(f"{name[:40]!r} is no way to put numbers together; there are {', '.join(CONSOLIDATE)}")
    return known


def one_number(line: Line, way: str) -> float:
    """All numbers of a line put together; NaN if it has none."""
    return float(CONSOLIDATE[way](line.values[None, :])[0]) if len(line.values) else math.nan


def coarser(line: Line, step: int) -> Line:
    """The line with a step that is a multiple of its own."""
    many = step // line.step
    if many <= 1:
        return line
    values = CONSOLIDATE[line.consolidate](in_rows(line.values, many))
    return replace(line, step=step, values=values)


def in_rows(values: Numbers, many: int) -> Numbers:
    """The values as rows of ``many``; the last row is filled with NaN. A single row has one NaN at the most."""
    many = min(many, len(values) + 1)  # a row may stand for more years than the memory holds
    rows = -(-len(values) // many)
    made: Numbers = np.pad(values, (0, rows * many - len(values)), constant_values=np.nan).reshape(rows, many)
    return made


def matrix(lines: Sequence[Line]) -> tuple[Range, Numbers]:
    """Lines as the columns of an array with one step: of a row for each time. There is at least one line.

    A line that begins later or ends earlier has no numbers there.
    """
    step = math.lcm(*{line.step for line in lines})
    made = [coarser(line, step) for line in lines]
    start, end = min(line.start for line in made), max(line.end for line in made)
    rows = -(-(end - start) // step)
    if rows * len(made) > MOST_NUMBERS:
        raise TargetError(
            f"{len(made):,} lines of {rows:,} numbers are too many; ask for a shorter range or fewer lines"
        )
    values = np.full((rows, len(made)), np.nan)
    for column, line in enumerate(made):
        first = (line.start - start) // step
        values[first : first + len(line.values), column] = line.values[: rows - first]
    return Range(start, start + rows * step, step), values


def paths_of(lines: Sequence[Line]) -> str:
    """The texts that the lines were asked for with, each once."""
    return ",".join(dict.fromkeys(line.expression for line in lines))


def common_tags(lines: Sequence[Line]) -> dict[str, str]:
    """The tags that all lines have with the same value."""
    first, *others = lines
    return {key: value for key, value in first.tags.items() if all(line.tags.get(key) == value for line in others)}

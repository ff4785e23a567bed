"""Functions that choose among lines, or put them in order. Pure."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from central.graphite.functions.combine import percentile
from central.graphite.functions.function import ALL_LINES, LINES, Function, Parameter
from central.graphite.lines import Line, Numbers, Range, matrix, one_number
from central.graphite.regexes import compile_regex
from central.graphite.targets import TargetError

FILTER: Final = "Filter Series"
SORT: Final = "Sorting"
SPECIAL: Final = "Special"
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _number(line: Line, way: str) -> float:
    """The numbers of a line, put together. A line without numbers counts as less than every number."""
    value = one_number(line, way)
    return -math.inf if math.isnan(value) else value


def _ordered(lines: list[Line], way: str, *, largest_first: bool) -> list[Line]:
    """The lines in the order of their numbers, put together. Lines with equal numbers keep their order."""
    values = [_number(line, way) for line in lines]
    places = sorted(range(len(lines)), key=lambda place: values[place], reverse=largest_first)
    return [lines[place] for place in places]


def _first(way: str, *, largest: bool) -> Callable[..., list[Line]]:
    def run(_: Range, lines: list[Line], n: int) -> list[Line]:
        return _ordered(lines, way, largest_first=largest)[: max(0, n)]

    run.__doc__ = f"The n lines with the {'largest' if largest else 'smallest'} {way}."
    return run


def highest(_: Range, lines: list[Line], n: int = 1, way: str = "average") -> list[Line]:
    """The n lines whose numbers, put together, are largest."""
    return _ordered(lines, way, largest_first=True)[: max(0, n)]


def lowest(_: Range, lines: list[Line], n: int = 1, way: str = "average") -> list[Line]:
    """The n lines whose numbers, put together, are smallest."""
    return _ordered(lines, way, largest_first=False)[: max(0, n)]


def filter_series(_: Range, lines: list[Line], way: str, compared: str, threshold: float) -> list[Line]:
    """The lines whose numbers, put together, compare with the threshold as you say."""
    if compared not in _COMPARE:
        raise TargetError(f"filterSeries: operator must be one of {', '.join(_COMPARE)}")
    return [line for line in lines if _COMPARE[compared](_number(line, way), threshold)]


def _bounded(way: str, compared: str) -> Callable[..., list[Line]]:
    def run(span: Range, lines: list[Line], n: float) -> list[Line]:
        return filter_series(span, lines, way, compared, n)

    run.__doc__ = f"The lines whose {way} is {compared} n."
    return run


def sort_by(_: Range, lines: list[Line], way: str = "average", reverse: bool = False) -> list[Line]:
    """The lines in the order of their numbers, put together."""
    return _ordered(lines, way, largest_first=reverse)


def _sorted(way: str, *, largest_first: bool) -> Callable[..., list[Line]]:
    def run(_: Range, lines: list[Line]) -> list[Line]:
        return _ordered(lines, way, largest_first=largest_first)

    run.__doc__ = f"The lines in the order of their {way}, the {'largest' if largest_first else 'smallest'} first."
    return run


def sort_by_name(_: Range, lines: list[Line], natural: bool = False, reverse: bool = False) -> list[Line]:
    """The lines in the order of their names; natural counts digits as numbers."""

    def key(line: Line) -> str:
        return re.sub(r"\d+", lambda found: found.group().zfill(10), line.name) if natural else line.name

    return sorted(lines, key=key, reverse=reverse)


def limit(_: Range, lines: list[Line], n: int) -> list[Line]:
    """The first n lines."""
    return lines[: max(0, n)]


def _matching(*, wanted: bool) -> Callable[..., list[Line]]:
    def run(_: Range, lines: list[Line], pattern: str) -> list[Line]:
        try:
            regex = compile_regex(pattern)
        except ValueError as error:
            raise TargetError(f"pattern {error}") from None
        return [line for line in lines if (regex.search(line.name) is not None) == wanted]

    run.__doc__ = f"The lines whose names the regular expression {'matches' if wanted else 'does not match'}."
    return run


def remove_empty(_: Range, lines: list[Line], share: float | None = None) -> list[Line]:
    """The lines that have a number. With xFilesFactor, those that have one in that share of their points."""
    counts = [np.count_nonzero(~np.isnan(line.values)) for line in lines]
    return [
        line for line, count in zip(lines, counts, strict=True) if count and count >= (share or 0) * len(line.values)
    ]


def unique(_: Range, lists: Sequence[list[Line]]) -> list[Line]:
    """The first line of each name."""
    first: dict[str, Line] = {}
    for lines in lists:
        for line in lines:
            first.setdefault(line.name, line)
    return list(first.values())


def most_deviant(_: Range, lines: list[Line], n: int) -> list[Line]:
    """The n lines whose numbers deviate most from their average."""
    return _ordered(remove_empty(_, lines), "stddev", largest_first=True)[: max(0, n)]


def average_outside(_: Range, lines: list[Line], n: float) -> list[Line]:
    """The lines whose average is not between the percentiles n and 100 - n of all averages."""
    if not lines:
        return []
    averages = np.array([one_number(line, "average") for line in lines])
    low, high = _middle(averages[None, :], n)
    return [line for line, average in zip(lines, averages, strict=True) if not low[0] < average < high[0]]


def outside_at_some_time(_: Range, lines: list[Line], n: float) -> list[Line]:
    """The lines that at some time are not between the percentiles n and 100 - n of all lines."""
    if not lines:
        return []
    _span, values = matrix(lines)
    low, high = _middle(values, n)
    outside = ~((low[:, None] < values) & (values < high[:, None])) & ~np.isnan(values)
    return [line for place, line in enumerate(lines) if outside[:, place].any()]


def _middle(values: Numbers, n: float) -> tuple[Numbers, Numbers]:
    """The percentiles n and 100 - n of each row, the lower one first."""
    n = max(n, 100 - n)
    return percentile(values, 100 - n), percentile(values, n)


def aggregate_line(_: Range, lines: list[Line], way: str = "average", _keep_step: bool = False) -> list[Line]:
    """For each line, a constant line of its numbers, put together."""
    made = []
    for line in lines:
        value = one_number(line, way)
        name = f"aggregateLine({line.name}, {'None' if np.isnan(value) else format(value, 'g')})"
        made.append(line.called(name, np.full(len(line.values), value)))
    return made


_N: Final = Parameter("n", "integer")
_BOUND: Final = Parameter("n", "float")
_AVERAGE: Final = Parameter("func", "aggFunc", "average")
_REVERSE: Final = Parameter("reverse", "boolean", default=False)
_PATTERN: Final = Parameter("pattern", "string")
FUNCTIONS: Final = (
    *(
        Function(f"{word}{name}", FILTER, [LINES, _N], _first(way, largest=word == "highest"))
        for word in ("highest", "lowest")
        for name, way in {"Average": "average", "Current": "last", "Max": "max", "Min": "min"}.items()
        if (word, name) not in {("highest", "Min"), ("lowest", "Max"), ("lowest", "Min")}
    ),
    *(
        Function(f"{word}{end}", FILTER, [LINES, _BOUND], _bounded(way, compared))
        for word, way in {"average": "average", "current": "last", "maximum": "max", "minimum": "min"}.items()
        for end, compared in {"Above": ">", "Below": "<="}.items()
    ),
    Function("highest", FILTER, [LINES, Parameter("n", "integer", 1), _AVERAGE], highest),
    Function("lowest", FILTER, [LINES, Parameter("n", "integer", 1), _AVERAGE], lowest),
    Function(
        "filterSeries",
        FILTER,
        [LINES, Parameter("func", "aggFunc"), Parameter("operator", "string"), Parameter("threshold", "float")],
        filter_series,
    ),
    Function("limit", FILTER, [LINES, _N], limit),
    Function("grep", FILTER, [LINES, _PATTERN], _matching(wanted=True)),
    Function("exclude", FILTER, [LINES, _PATTERN], _matching(wanted=False)),
    Function("removeEmptySeries", FILTER, [LINES, Parameter("xFilesFactor", "float", None)], remove_empty),
    Function("unique", FILTER, [ALL_LINES], unique),
    Function("mostDeviant", FILTER, [LINES, _N], most_deviant),
    Function("averageOutsidePercentile", FILTER, [LINES, _BOUND], average_outside),
    Function("removeBetweenPercentile", FILTER, [LINES, _BOUND], outside_at_some_time),
    Function(
        "aggregateLine", SPECIAL, [LINES, _AVERAGE, Parameter("keepStep", "boolean", default=False)], aggregate_line
    ),
    Function("sortBy", SORT, [LINES, _AVERAGE, _REVERSE], sort_by),
    Function("sortByName", SORT, [LINES, Parameter("natural", "boolean", default=False), _REVERSE], sort_by_name),
    Function("sortByMaxima", SORT, [LINES], _sorted("max", largest_first=True)),
    Function("sortByMinima", SORT, [LINES], _sorted("min", largest_first=False)),
    Function("sortByTotal", SORT, [LINES], _sorted("sum", largest_first=True)),
)

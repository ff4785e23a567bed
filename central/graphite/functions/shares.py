"""Functions that divide lines by each other. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from central.graphite.functions.combine import GROUP, combined, groups_of
from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.functions.nodes import key_of
from central.graphite.lines import Line, Numbers, Range, common_tags, matrix
from central.graphite.targets import TargetError

_MISSING: Final = "MISSING"


def divide(_: Range, lines: list[Line], divisors: list[Line]) -> list[Line]:
    """Each line divided by one other line. There is a gap where that line is 0 or has a gap."""
    if len(divisors) > 1:
        raise TargetError(f"divideSeries: divisorSeries must be one line; the path means {len(divisors)}")
    if not divisors:
        return [_nothing(line, f"divideSeries({line.name},{_MISSING})") for line in lines]
    return [_quotient("divideSeries", line, divisors[0]) for line in lines]


def divide_lists(_: Range, lines: list[Line], divisors: list[Line]) -> list[Line]:
    """The lines of one list, each divided by the line at the same place of the other list."""
    if len(lines) != len(divisors):
        raise TargetError(
            f"divideSeriesLists: the lists have {len(lines)} and {len(divisors)} lines; give equally many"
        )
    return [_quotient("divideSeries", *pair) for pair in zip(lines, divisors, strict=True)]


def _quotient(function: str, line: Line, divisor: Line) -> Line:
    span, values = matrix([line, divisor])
    name = f"{function}({line.name},{divisor.name})"
    return Line(name, span.start, span.step, _divided(values[:, 0], values[:, 1]), name, common_tags([line, divisor]))


def _divided(values: Numbers, by: Numbers) -> Numbers:
    made: Numbers = np.divide(values, by, out=np.full_like(values, np.nan), where=by != 0)
    return made


def _nothing(line: Line, name: str) -> Line:
    return line.called(name, np.full_like(line.values, np.nan))


def as_percent(
    _: Range, lines: list[Line], total: list[Line] | float | None = None, nodes: Sequence[int | str] = ()
) -> list[Line]:
    """Each line as percent of a number, of another line, of the line at the same place, or of all lines together.

    With nodes, each line as percent of the lines of the total with the same nodes.
    """
    if isinstance(total, float):
        if nodes:
            raise TargetError("asPercent: total must be lines or none if there are nodes")
        factor = 100 / total if total else np.nan
        return [line.called(f"asPercent({line.name},{total:g})", line.values * factor) for line in lines]
    if not lines:
        return []
    if nodes:
        return _percent_of_groups(lines, lines if total is None else total, nodes)
    if total is None:
        total = combined(lines, "sum")
    if len(total) == 1:
        total = total * len(lines)
    elif len(total) == len(lines):
        lines, total = sorted(lines, key=_name), sorted(total, key=_name)
    else:
        raise TargetError(f"asPercent: total must be one line or {len(lines)} lines; the path means {len(total)}")
    return [_percent(*pair) for pair in zip(lines, total, strict=True)]


def _percent_of_groups(lines: list[Line], totals: list[Line], nodes: Sequence[int | str]) -> list[Line]:
    """A line whose group has no total gives a line without numbers, and so does a total whose group has no line."""
    of_lines = groups_of(lines, lambda line: key_of(line, nodes))
    of_totals = groups_of(totals, lambda line: key_of(line, nodes))
    made: list[Line] = []
    for key in dict.fromkeys((*of_lines, *of_totals)):
        group, sharing = of_totals.get(key, []), of_lines.get(key, [])
        total = group if len(group) < 2 else combined(group, "sum")
        if not total:
            made += [_nothing(line, f"asPercent({line.name},{_MISSING})") for line in sharing]
        elif not sharing:
            made.append(_nothing(total[0], f"asPercent({_MISSING},{total[0].name})"))
        else:
            made += [_percent(line, total[0]) for line in sharing]
    return made


def _percent(line: Line, total: Line) -> Line:
    share = _quotient("asPercent", line, total)
    return share.called(share.name, share.values * 100)


def _name(line: Line) -> str:
    return line.name


def weighted_average(_: Range, lines: list[Line], weights: list[Line], nodes: Sequence[int | str] = ()) -> list[Line]:
    """Multiplies each line by the weight with the same nodes, and divides their sum by the sum of all weights."""
    if len(lines) != len(weights):
        raise TargetError(f"weightedAverage: there are {len(lines)} averages and {len(weights)} weights; give as many")
    of_lines = {key_of(line, nodes): line for line in lines}
    of_weights = {key_of(line, nodes): line for line in weights}
    pairs = [(line, of_weights[key]) for key, line in of_lines.items() if key in of_weights]
    if not pairs:
        return []
    products = [combined(pair, "multiply")[0] for pair in pairs]
    made = _quotient("weightedAverage", combined(products, "sum")[0], combined(weights, "sum")[0])
    shown = [",".join(sorted({line.expression for line in many})) for many in (lines, weights)]
    return [made.called(f"weightedAverage({', '.join(shown)}, {','.join(map(str, nodes))})")]


_NODES: Final = Parameter("nodes", "nodeOrTag", (), many=True)
FUNCTIONS: Final = (
    Function("divideSeries", GROUP, [LINES, Parameter("divisorSeries", "seriesList")], divide),
    Function("divideSeriesLists", GROUP, [LINES, Parameter("divisorSeriesList", "seriesList")], divide_lists),
    Function("asPercent", GROUP, [LINES, Parameter("total", "seriesListOrNumber", None), _NODES], as_percent),
    Function(
        "weightedAverage",
        GROUP,
        [Parameter("seriesListAvg", "seriesList"), Parameter("seriesListWeight", "seriesList"), _NODES],
        weighted_average,
    ),
)

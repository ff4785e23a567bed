"""Functions that change the numbers of each line on its own. Pure."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from central.graphite.functions.combine import percentile
from central.graphite.functions.function import LINES, Function, Parameter, seconds_of
from central.graphite.lines import Line, Numbers, Range, matrix

GROUP: Final = "Transform"


def _mapped(function: str, work: Callable[..., Any], about: str, blank: str = "") -> Callable[..., list[Line]]:
    """Makes ``run`` of a function that applies ``work`` to the values of each line. Names show the arguments."""

    def run(_: Range, lines: list[Line], *given: Any) -> list[Line]:
        shown = "".join(f",{blank}{one:g}" for one in given)
        return [line.called(f"{function}({line.name}{shown})", work(line.values, *given)) for line in lines]

    run.__doc__ = about
    return run


def _power(values: Numbers, factor: float) -> Numbers:
    """Keeps the gaps: for numpy, anything to the power of 0 is 1, also NaN."""
    return np.where(np.isnan(values), np.nan, np.float_power(values, factor))


def _differences(values: Numbers) -> Numbers:
    return np.diff(values, prepend=np.nan)


def _rises(values: Numbers, most: float | None, least: float | None) -> Numbers:
    """By how much each number is above the one before. The numbers are those of a counter.

    After a fall, the counter has wrapped at ``most`` or restarted at ``least``. Without either, there is a gap.
    """
    if most is not None:
        values = np.where(values > most, np.nan, values)
    if least is not None:
        values = np.where(values < least, np.nan, values)
    rises = _differences(values)
    fell = rises < 0
    if most is not None:
        return np.where(fell, rises + most + 1 - (least or 0), rises)
    return np.where(fell, np.nan if least is None else values - least, rises)


def non_negative_derivative(
    _: Range, lines: list[Line], most: float | None = None, least: float | None = None
) -> list[Line]:
    """The difference from the number before, where it is not negative."""
    return [line.called(f"nonNegativeDerivative({line.name})", _rises(line.values, most, least)) for line in lines]


def per_second(_: Range, lines: list[Line], most: float | None = None, least: float | None = None) -> list[Line]:
    """The difference from the number before per second, where it is not negative."""
    return [
        line.called(f"perSecond({line.name})", np.round(_rises(line.values, most, least) / line.step, 6))
        for line in lines
    ]


def scale_to_seconds(_: Range, lines: list[Line], seconds: float) -> list[Line]:
    """Each number, which is per step, as a number per so many seconds."""
    return [
        line.called(f"scaleToSeconds({line.name},{seconds:g})", np.round(line.values * (seconds / line.step), 6))
        for line in lines
    ]


def keep_last_value(_: Range, lines: list[Line], limit: float) -> list[Line]:
    """Fills each gap of at most ``limit`` points with the number before it."""
    return [line.called(f"keepLastValue({line.name})", _filled(line.values, limit)) for line in lines]


def _filled(values: Numbers, limit: float) -> Numbers:
    known = ~np.isnan(values)
    places = np.arange(len(values))
    before = np.maximum.accumulate(np.where(known, places, -1))
    after = np.minimum.accumulate(np.where(known, places, len(values))[::-1])[::-1]
    fills = ~known & (before >= 0) & (after - before - 1 <= limit)
    made = values.copy()
    made[fills] = values[before[fills]]
    return made


def interpolate(_: Range, lines: list[Line], limit: float) -> list[Line]:
    """Fills each gap of at most ``limit`` points with a straight line."""
    return [line.called(f"interpolate({line.name})", _straight(line.values, limit)) for line in lines]


def _straight(values: Numbers, limit: float) -> Numbers:
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < 2:
        return values
    places = np.arange(len(values))
    made = np.interp(places, known, values[known], left=np.nan, right=np.nan)
    right = np.clip(np.searchsorted(known, places), 1, len(known) - 1)
    wide = known[right] - known[right - 1] - 1 > limit
    return np.where(np.isnan(values) & wide, np.nan, made)


def delay(_: Range, lines: list[Line], steps: int) -> list[Line]:
    """Moves the numbers so many steps later, or earlier if you give a negative number."""
    made = []
    for line in lines:
        by = min(max(steps, -len(line.values)), len(line.values))
        gap = np.full(abs(by), np.nan)
        moved = np.r_[gap, line.values[: len(line.values) - by]] if by >= 0 else np.r_[line.values[-by:], gap]
        made.append(line.called(f"delay({line.name},{steps})", moved))
    return made


def consolidate_by(_: Range, lines: list[Line], way: str) -> list[Line]:
    """The same numbers. Where the answer has a coarser step, this function puts them together."""
    return [replace(line.called(f'consolidateBy({line.name},"{way}")'), consolidate=way) for line in lines]


def cumulative(span: Range, lines: list[Line]) -> list[Line]:
    """The same numbers. Where the answer has a coarser step, they are added up."""
    return consolidate_by(span, lines, "sum")


def _to_zero(values: Numbers) -> Numbers:
    least: Numbers = values - np.fmin.reduce(values, initial=np.inf)
    return least


def _known(values: Numbers) -> Numbers:
    return (~np.isnan(values)).astype(np.float64)


def _changed(values: Numbers) -> Numbers:
    """1 where a number differs from the latest one before it."""
    before = np.r_[np.nan, _filled(values, np.inf)[:-1]]
    made: Numbers = (~np.isnan(values) & ~np.isnan(before) & (values != before)).astype(np.float64)
    return made


def _integral(values: Numbers) -> Numbers:
    return np.where(np.isnan(values), np.nan, np.cumsum(np.nan_to_num(values, nan=0.0)))


def integral_by_interval(span: Range, lines: list[Line], interval: str) -> list[Line]:
    """The sum of all numbers so far. It begins at 0 with the range, and again with each interval."""
    seconds = seconds_of(interval)
    made = []
    for line in lines:
        times = line.start + line.step * np.arange(len(line.values))
        begins = np.flatnonzero(np.diff((times - span.start) // seconds)) + 1
        parts = np.split(np.nan_to_num(line.values, nan=0.0), begins)
        name = f"integralByInterval({line.name},'{interval}')"
        made.append(line.called(name, np.concatenate([np.cumsum(part) for part in parts])))
    return made


def transform_null(
    _: Range, lines: list[Line], default: float = 0.0, reference: list[Line] | None = None
) -> list[Line]:
    """Fills the gaps with a number. With other lines, only at times at which one of them has a number."""
    if not reference:
        return [
            line.called(
                f"transformNull({line.name},{default:g})", np.where(np.isnan(line.values), default, line.values)
            )
            for line in lines
        ]
    span, values = matrix(reference)
    known = np.r_[~np.isnan(values).all(axis=1), False]  # the last one stands for all other times
    made = []
    for line in lines:
        places = (line.start + line.step * np.arange(len(line.values)) - span.start) // span.step
        there = known[np.where((places >= 0) & (places < len(values)), places, -1)]
        name = f"transformNull({line.name},{default:g},referenceSeries)"
        made.append(line.called(name, np.where(np.isnan(line.values) & there, default, line.values)))
    return made


def _logarithm(_: Range, lines: list[Line], base: float) -> list[Line]:
    """The logarithm of each number above 0."""
    divisor = np.log(base) if base > 0 else np.nan
    return [
        line.called(f"log({line.name}, {base:g})", np.log(np.where(line.values > 0, line.values, np.nan)) / divisor)
        for line in lines
    ]


def rounded(_: Range, lines: list[Line], precision: int | None = None) -> list[Line]:
    """Each number rounded to ``precision`` decimals; without it to whole numbers."""
    shown = "" if precision is None else f",{precision}"
    digits = min(max(precision or 0, -300), 300)
    return [line.called(f"round({line.name}{shown})", np.round(line.values, digits)) for line in lines]


def add(_: Range, lines: list[Line], constant: float) -> list[Line]:
    """Each number plus a number."""
    return [line.called(f"add({line.name},{int(constant)})", line.values + constant) for line in lines]


def min_max(_: Range, lines: list[Line]) -> list[Line]:
    """Moves and scales each line, so that its least number becomes 0 and its largest 1."""
    return [line.called(f"minMax({line.name})", _between_0_and_1(line.values)) for line in lines]


def _between_0_and_1(values: Numbers) -> Numbers:
    least, most = np.fmin.reduce(values, initial=np.inf), np.fmax.reduce(values, initial=-np.inf)
    if least == most:
        return np.where(np.isnan(values), np.nan, 0.0)
    made: Numbers = (values - least) / (most - least)
    return made


def _beyond_percentile(function: str, *, above: bool) -> Callable[..., list[Line]]:
    def run(_: Range, lines: list[Line], n: float) -> list[Line]:
        made = []
        for line in lines:
            bound = percentile(line.values[None], n)[0] if len(line.values) else np.nan
            outside = line.values > bound if above else line.values < bound
            made.append(line.called(f"{function}({line.name}, {n:g})", np.where(outside, np.nan, line.values)))
        return made

    run.__doc__ = f"Without the numbers {'above' if above else 'below'} the line's own percentile."
    return run


_LIMIT: Final = Parameter("limit", "intOrInf", float("inf"))
_REFERENCE: Final = Parameter("referenceSeries", "seriesList", None)
_MOST: Final = Parameter("maxValue", "float", None)
_LEAST: Final = Parameter("minValue", "float", None)


def _number(name: str, default: Any = ...) -> list[Parameter]:
    return [LINES, Parameter(name, "float") if default is ... else Parameter(name, "float", default)]


FUNCTIONS: Final = (
    *(
        Function(name, GROUP, parameters, _mapped(name, work, about, " " if name.startswith("remove") else ""))
        for name, parameters, work, about in (
            ("scale", _number("factor"), np.multiply, "Each number times a factor."),
            ("offset", _number("factor"), np.add, "Each number plus a number."),
            ("pow", _number("factor"), _power, "Each number to a power."),
            ("absolute", [LINES], np.abs, "Each number without its sign."),
            ("squareRoot", [LINES], np.sqrt, "The square root of each number."),
            ("exp", [LINES], np.exp, "e to the power of each number."),
            ("logit", [LINES], lambda values: np.log(values / (1 - values)), "The logit of each number from 0 to 1."),
            ("sigmoid", [LINES], lambda values: 1 / (1 + np.exp(-values)), "The sigmoid of each number."),
            ("invert", [LINES], lambda values: 1 / np.where(values == 0, np.nan, values), "1 divided by each number."),
            ("offsetToZero", [LINES], _to_zero, "Each number minus the least of its line."),
            ("derivative", [LINES], _differences, "The difference from the number before."),
            ("integral", [LINES], _integral, "The sum of all numbers so far."),
            ("changed", [LINES], _changed, "1 where a number differs from the one before, else 0."),
            ("isNonNull", [LINES], _known, "1 where there is a number, 0 in a gap."),
            ("removeAboveValue", _number("n"), lambda values, n: np.where(values > n, np.nan, values),
             "Without the numbers above n."),
            ("removeBelowValue", _number("n"), lambda values, n: np.where(values < n, np.nan, values),
             "Without the numbers below n."),
        )
    ),
    Function("integralByInterval", GROUP, [LINES, Parameter("intervalUnit", "interval")], integral_by_interval),
    Function("transformNull", GROUP, [*_number("default", 0.0), _REFERENCE], transform_null),
    Function("add", GROUP, _number("constant"), add),
    Function("round", GROUP, [LINES, Parameter("precision", "integer", None)], rounded),
    Function("minMax", GROUP, [LINES], min_max),
    *(
        Function(name, GROUP, _number("n"), _beyond_percentile(name, above=above))
        for name, above in (("removeAbovePercentile", True), ("removeBelowPercentile", False))
    ),
    Function("log", GROUP, _number("base", 10.0), _logarithm),
    Function("nonNegativeDerivative", GROUP, [LINES, _MOST, _LEAST], non_negative_derivative),
    Function("perSecond", GROUP, [LINES, _MOST, _LEAST], per_second),
    Function("scaleToSeconds", GROUP, [LINES, Parameter("seconds", "float")], scale_to_seconds),
    Function("keepLastValue", GROUP, [LINES, _LIMIT], keep_last_value),
    Function("interpolate", GROUP, [LINES, _LIMIT], interpolate),
    Function("delay", GROUP, [LINES, Parameter("steps", "integer")], delay),
    Function("consolidateBy", GROUP, [LINES, Parameter("consolidationFunc", "aggFunc")], consolidate_by),
    Function("cumulative", GROUP, [LINES], cumulative),
)  # fmt: skip

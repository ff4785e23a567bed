"""Functions that take numbers of another time than the one that is drawn. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError
from central.graphite.times import parse_offset, parse_time

GROUP: Final = "Transform"
_MOST_SHIFTS: Final = 100


def time_shift(span: Range, lines: list[Line], shift: str, _reset: bool = True, _align: bool = False) -> list[Line]:
    """The numbers of another time, drawn now. Without a sign, the time is earlier."""
    by = _shift(span, shift)
    shown = shift if shift[:1] in {"+", "-"} else f"-{shift}"
    return [replace(line, name=f'timeShift({line.name}, "{shown}")', start=line.start - by) for line in lines]


def _shift(span: Range, shift: str) -> int:
    """By how many seconds: whole steps."""
    seconds = parse_offset(shift) if shift[:1] in {"+", "-"} else -parse_offset(shift)
    return seconds // span.step * span.step


def _shifted(span: Range, given: Mapping[str, Any], _step: int) -> Range:
    by = _shift(span, given["timeShift"])
    return span._replace(start=span.start + by, end=span.end + by)


def time_stack(span: Range, lines: list[Line], unit: str, first: int, after: int) -> list[Line]:
    """The numbers of several other times, drawn now: 1d, 0 and 7 give today and each of the six days before."""
    unit = unit if unit[:1] in {"+", "-"} else f"-{unit}"
    made = []
    for number, by in zip(range(first, after), _shifts(span, unit, first, after), strict=True):
        for line in lines:
            place = -(-(span.start + by - line.start) // line.step)
            end = -(-(span.end + by - line.start) // line.step)
            values = line.values[max(0, place) : max(0, end)]
            name = f"timeShift({line.name}, {unit}, {number})"
            made.append(replace(line.called(name, values), start=line.start + max(0, place) * line.step - by))
    return made


def _shifts(span: Range, unit: str, first: int, after: int) -> list[int]:
    """By how many seconds each shift moves the numbers: whole steps. Raises TargetError."""
    if not first < after <= first + _MOST_SHIFTS:
        raise TargetError(f"timeStack: timeShiftEnd must be above timeShiftStart, by {_MOST_SHIFTS} at most")
    seconds = parse_offset(unit) if unit[:1] in {"+", "-"} else -parse_offset(unit)
    return [seconds * number // span.step * span.step for number in range(first, after)]


def _stacked(span: Range, given: Mapping[str, Any], _step: int) -> Range:
    shifts = _shifts(span, given["timeShiftUnit"], given["timeShiftStart"], given["timeShiftEnd"])
    return span._replace(start=span.start + min(shifts), end=span.end + max(shifts))


def time_slice(span: Range, lines: list[Line], begin: str, end: str) -> list[Line]:
    """Only the numbers from one time to another, both included."""
    first, last = _moment(span, "startSliceAt", begin), _moment(span, "endSliceAt", end)
    made = []
    for line in lines:
        times = line.start + line.step * np.arange(len(line.values))
        values = np.where((times >= first) & (times <= last), line.values, np.nan)
        made.append(line.called(f"timeSlice({line.name}, {first}, {last})", values))
    return made


def _moment(span: Range, parameter: str, text: str) -> int:
    try:
        return parse_time(text, span.now)
    except (ValueError, OverflowError) as error:
        raise TargetError(f"{parameter}: {error}") from None


def linear_regression(span: Range, lines: list[Line], begin: str | None = None, end: str | None = None) -> list[Line]:
    """The straight line that is nearest to the numbers of this range, or of another range that you give."""
    source = _source(span, begin, end)
    made = []
    for line in lines:
        known = ~np.isnan(line.values)
        if np.count_nonzero(known) < 2:
            continue
        times = line.start + line.step * np.arange(len(line.values), dtype=np.float64)
        middle, height = times[known].mean(), line.values[known].mean()
        away = times[known] - middle
        slope = (away * (line.values[known] - height)).sum() / (away * away).sum()
        values = height + slope * (np.arange(span.start, span.end, line.step) - middle)
        name = f"linearRegression({line.name}, {source.start}, {source.end})"
        made.append(replace(line.called(name, values), start=span.start))
    return made


def _from_source(span: Range, given: Mapping[str, Any], _step: int) -> Range:
    return _source(span, given["startSourceAt"], given["endSourceAt"])


def _source(span: Range, start: str | None, end: str | None) -> Range:
    begins = span.start if start is None else _moment(span, "startSourceAt", start)
    ends = span.end if end is None else _moment(span, "endSourceAt", end)
    if begins >= ends:
        raise TargetError("linearRegression: startSourceAt must be before endSourceAt")
    return span._replace(start=begins // span.step * span.step, end=-(-ends // span.step) * span.step)


FUNCTIONS: Final = (
    Function(
        "timeShift",
        GROUP,
        [
            LINES,
            Parameter("timeShift", "interval"),
            Parameter("resetEnd", "boolean", default=True),
            Parameter("alignDst", "boolean", default=False),
        ],
        time_shift,
        inner=_shifted,
    ),
    Function(
        "timeStack",
        GROUP,
        [
            LINES,
            Parameter("timeShiftUnit", "interval", "1d"),
            Parameter("timeShiftStart", "integer", 0),
            Parameter("timeShiftEnd", "integer", 7),
        ],
        time_stack,
        inner=_stacked,
        weight=lambda _, given: max(1, given["timeShiftEnd"] - given["timeShiftStart"]),
    ),
    Function(
        "timeSlice",
        GROUP,
        [LINES, Parameter("startSliceAt", "date"), Parameter("endSliceAt", "date", "now")],
        time_slice,
    ),
    Function(
        "linearRegression",
        "Calculate",
        [LINES, Parameter("startSourceAt", "date", None), Parameter("endSourceAt", "date", None)],
        linear_regression,
        inner=_from_source,
    ),
)

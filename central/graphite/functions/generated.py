"""Functions that make a line from their arguments and the time alone. Pure."""

from typing import Final

import numpy as np

from central.graphite.functions.function import Function, Parameter
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError
from central.graphite.times import parse_time

GROUP: Final = "Special"


def constant_line(span: Range, value: float) -> list[Line]:
    """A line with the same number at each time."""
    values = np.full((span.end - span.start) // span.step, float(value))
    return [Line(f"{value:g}", span.start, span.step, values, f"constantLine({value:g})", {"name": f"{value:g}"})]


def threshold(span: Range, value: float, label: str | None = None, _color: str | None = None) -> list[Line]:
    """A line with the same number at each time, under a name of your choice."""
    line = constant_line(span, value)[0]
    return [line if label is None else line.called(label)]


def identity(span: Range, name: str) -> list[Line]:
    """A line whose numbers are its times, in seconds since the epoch."""
    return [_of_times(span, name, span.step)]


def time_line(span: Range, name: str, step: int = 60) -> list[Line]:
    """A line with a point every ``step`` seconds, whose numbers are its times in seconds since the epoch."""
    return [_of_times(span, name, step)]


def sine_line(span: Range, name: str, amplitude: float = 1.0, step: int = 60) -> list[Line]:
    """The sine of the time in seconds since the epoch, times the amplitude."""
    line = _of_times(span, name, step)
    return [line.called(name, np.sin(line.values) * amplitude)]


def _of_times(span: Range, name: str, step: int) -> Line:
    if step < 1:
        raise TargetError("step must be from 1 on")
    step = -(-step // span.step) * span.step  # no finer than the windows
    times = np.arange(span.start, span.end, step, dtype=np.float64)
    return Line(name, span.start, step, times, name, {"name": name})


def vertical_line(span: Range, moment: str, label: str | None = None, _color: str | None = None) -> list[Line]:
    """A mark at one time: two points with the number 1, a second apart."""
    try:
        at = parse_time(moment, span.now)
    except (ValueError, OverflowError) as error:
        raise TargetError(f"verticalLine: ts {error}") from None
    if not span.start <= at <= span.end:
        raise TargetError(f"verticalLine: ts {moment[:40]!r} is not within the range that is drawn")
    name = label if label is not None else f"verticalLine({moment[:40]})"
    return [Line(name, at, 1, np.ones(2), name, {"name": name})]


_NAME: Final = Parameter("name", "string")
_STEP: Final = Parameter("step", "integer", 60)
_LABEL: Final = (Parameter("label", "string", None), Parameter("color", "string", None))
FUNCTIONS: Final = (
    Function("constantLine", GROUP, [Parameter("value", "float")], constant_line),
    Function("threshold", GROUP, [Parameter("value", "float"), *_LABEL], threshold),
    Function("identity", GROUP, [_NAME], identity),
    Function("timeFunction", GROUP, [_NAME, _STEP], time_line),
    Function("sinFunction", GROUP, [_NAME, Parameter("amplitude", "float", 1.0), _STEP], sine_line),
    Function("verticalLine", GROUP, [Parameter("ts", "date"), *_LABEL], vertical_line),
)

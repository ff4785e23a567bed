"""Functions over windows of time, and over other times than those that are drawn. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter, seconds_of
from central.graphite.lines import CONSOLIDATE, MOST_NUMBERS, Line, Range, in_rows
from central.graphite.targets import TargetError
from central.graphite.times import parse_offset

GROUP: Final = "Calculate"
_SHORT: Final = {"average": "avg"}
_LONGEST: Final = 100 * 366 * 86_400


def summarize(_: Range, lines: list[Line], interval: str, way: str = "sum", align_to_from: bool = False) -> list[Line]:
    """One number for each interval; intervals begin at multiples of their length, or where the line begins."""
    end = ", true" if align_to_from else ""
    shown = _SHORT.get(way, way)
    return [
        _summed(line, f'summarize({line.name}, "{interval}", "{shown}"{end})', _interval(interval), way, align_to_from)
        for line in lines
    ]


def smart_summarize(_: Range, lines: list[Line], interval: str, way: str = "sum") -> list[Line]:
    """One number for each interval from the beginning of the line."""
    shown = _SHORT.get(way, way)
    return [
        _summed(line, f'smartSummarize({line.name}, "{interval}", "{shown}")', _interval(interval), way, True)
        for line in lines
    ]


def _summed(line: Line, name: str, seconds: int, way: str, from_start: bool) -> Line:
    seconds = -(-seconds // line.step) * line.step  # no interval can be finer than the numbers
    start = line.start if from_start else line.start // seconds * seconds
    lead, many = (line.start - start) // line.step, seconds // line.step
    if many > MOST_NUMBERS:
        raise TargetError(f"an interval of {many:,} points is too long; it may have {MOST_NUMBERS:,}")
    padded = np.r_[np.full(lead, np.nan), line.values]
    values = CONSOLIDATE[way](in_rows(padded, many))
    return replace(line.called(name, values), start=start, step=seconds)


def _interval(text: str) -> int:
    seconds = seconds_of(text)
    if seconds > _LONGEST:
        raise TargetError(f"the interval {text[:40]!r} is longer than 100 years")
    return seconds


def exact_interval(given: Mapping[str, Any]) -> tuple[int, str] | None:
    """The interval and the way of a summarize that the store can do itself."""
    seconds = _interval(given["intervalString"])
    whole = seconds % 3_600 == 0 or (seconds < 3_600 and seconds % 60 == 0)
    return (seconds, given["func"]) if whole and not given["alignToFrom"] else None


def _moved(function: str, way: str | None) -> Callable[..., list[Line]]:
    def run(span: Range, lines: list[Line], window: int | str, *given: Any) -> list[Line]:
        used, share = (given[0], given[1]) if way is None else (way, given[0])
        name = function if way is not None else f"moving{used.capitalize()}"
        shown = f'"{window}"' if isinstance(window, str) else str(window)
        return [
            _moving(line, f"{name}({line.name},{shown})", _preview(span, window), window, (used, share or 0.0))
            for line in lines
        ]

    run.__doc__ = f"The {way or 'numbers put together'} of the points before each one, within a window."
    return run


def _moving(line: Line, name: str, preview: int, window: int | str, how: tuple[str, float]) -> Line:
    way, share = how
    points = window if isinstance(window, int) else max(1, seconds_of(window) // line.step)
    skipped = max(points, -(-preview // line.step))
    rows = max(0, len(line.values) - skipped)
    if rows * points > MOST_NUMBERS:
        raise TargetError(f"a window of {points:,} points over {rows:,} is too large; give a smaller one")
    start = line.start + skipped * line.step
    if not rows:
        return replace(line.called(name, np.empty(0)), start=start)
    seen = np.lib.stride_tricks.sliding_window_view(line.values, points)[skipped - points :][:rows]
    counts = np.count_nonzero(~np.isnan(seen), axis=-1)
    values = np.where((counts > 0) & (counts >= share * points), CONSOLIDATE[way](seen), np.nan)
    return replace(line.called(name, values), start=start)


def _preview(span: Range, window: int | str) -> int:
    """How many seconds before the range a moving function needs: whole steps."""
    seconds = window * span.step if isinstance(window, int) else seconds_of(window)
    if seconds < 1:
        raise TargetError("the window of a moving function must be positive")
    return -(-seconds // span.step) * span.step


def _earlier(span: Range, given: Mapping[str, Any]) -> Range:
    return span._replace(start=span.start - _preview(span, given["windowSize"]))


def _points(span: Range, given: Mapping[str, Any]) -> int:
    return _preview(span, given["windowSize"]) // span.step


def time_shift(span: Range, lines: list[Line], shift: str, _reset_end: bool = True) -> list[Line]:
    """The numbers of another time, drawn now. Without a sign, the time is earlier."""
    by = _shifted(span, {"timeShift": shift}).start - span.start
    shown = shift if shift[:1] in {"+", "-"} else f"-{shift}"
    return [replace(line, name=f'timeShift({line.name}, "{shown}")', start=line.start - by) for line in lines]


def _shifted(span: Range, given: Mapping[str, Any]) -> Range:
    shift = given["timeShift"]
    seconds = parse_offset(shift) if shift[:1] in {"+", "-"} else -parse_offset(shift)
    by = seconds // span.step * span.step
    return Range(span.start + by, span.end + by, span.step)


_WINDOW: Final = Parameter("windowSize", "intOrInterval")
_SHARE: Final = Parameter("xFilesFactor", "float", None)
_INTERVAL: Final = Parameter("intervalString", "interval")
_SUM: Final = Parameter("func", "aggFunc", "sum")
FUNCTIONS: Final = (
    Function(
        "summarize",
        GROUP,
        [LINES, _INTERVAL, _SUM, Parameter("alignToFrom", "boolean", default=False)],
        summarize,
        exact=exact_interval,
    ),
    Function("smartSummarize", GROUP, [LINES, _INTERVAL, _SUM], smart_summarize),
    *(
        Function(
            f"moving{name}",
            GROUP,
            [LINES, _WINDOW, _SHARE],
            _moved(f"moving{name}", way),
            inner=_earlier,
            weight=_points,
        )
        for name, way in {
            "Average": "average",
            "Sum": "sum",
            "Min": "min",
            "Max": "max",
            "Median": "median",
        }.items()
    ),
    Function(
        "movingWindow",
        GROUP,
        [LINES, _WINDOW, Parameter("func", "aggFunc", "average"), _SHARE],
        _moved("movingWindow", None),
        inner=_earlier,
        weight=_points,
    ),
    Function(
        "timeShift",
        GROUP,
        [LINES, Parameter("timeShift", "interval"), Parameter("resetEnd", "boolean", default=True)],
        time_shift,
        inner=_shifted,
    ),
)

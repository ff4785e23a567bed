"""Functions over windows of time. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter, seconds_of
from central.graphite.lines import CONSOLIDATE, MOST_NUMBERS, Line, Numbers, Range, in_rows
from central.graphite.targets import TargetError
from central.graphite.times import beginning

GROUP: Final = "Calculate"
_SHORT: Final = {"average": "avg"}
_LONGEST: Final = 100 * 366 * 86_400
_UNITS_OF_TIME: Final = "must be one of years, months, weeks, weeks1 to weeks7, days, hours, minutes and seconds"


def summarize(_: Range, lines: list[Line], interval: str, way: str = "sum", align_to_from: bool = False) -> list[Line]:
    """One number for each interval. Intervals begin at multiples of their length, or where the line begins."""
    end = ", true" if align_to_from else ""
    shown = _SHORT.get(way, way)
    return [
        _summed(line, f'summarize({line.name}, "{interval}", "{shown}"{end})', _interval(interval), way, align_to_from)
        for line in lines
    ]


def smart_summarize(_: Range, lines: list[Line], interval: str, way: str = "sum", _align_to: Any = None) -> list[Line]:
    """One number for each interval. The first begins with the range, or with the day, week or month of alignTo."""
    shown = _SHORT.get(way, way)
    return [
        _summed(line, f'smartSummarize({line.name}, "{interval}", "{shown}")', _interval(interval), way, True)
        for line in lines
    ]


def _unit_aligned(span: Range, given: Mapping[str, Any], _step: int) -> Range:
    """The range from the beginning of a unit of time, which ``alignTo`` names: the year, say, or Sunday for weeks7."""
    unit = given["alignTo"]
    if unit is None or isinstance(unit, bool):  # a flag was another parameter once
        return span
    if not isinstance(unit, str):
        raise TargetError(f"smartSummarize: alignTo {_UNITS_OF_TIME}")
    name, first = (unit[:-1], int(unit[-1])) if unit[-1:] in {*"1234567"} else (unit, 1)
    try:
        start = beginning(span.start, name.lower(), first)
    except ValueError:
        raise TargetError(f"smartSummarize: alignTo {_UNITS_OF_TIME}; it is {unit[:40]!r}") from None
    return span._replace(start=start // span.step * span.step)


def _summed(line: Line, name: str, seconds: int, way: str, from_start: bool) -> Line:
    seconds = _whole(seconds, line.step)  # no interval can be finer than the numbers
    start = line.start if from_start else line.start // seconds * seconds
    lead, many = (line.start - start) // line.step, seconds // line.step
    if many > MOST_NUMBERS:
        raise TargetError(f"an interval of {many:,} points is too long; it may have {MOST_NUMBERS:,}")
    padded = np.r_[np.full(lead, np.nan), line.values]
    rows = in_rows(padded, many)
    values = np.where(np.isnan(rows).all(axis=-1), np.nan, CONSOLIDATE[way](rows))
    if way == "avg_zero":  # a gap counts as 0, but what the line does not reach does not
        reached = in_rows(np.r_[np.full(lead, np.nan), np.ones(len(line.values))], many)
        values = values * rows.shape[-1] / np.count_nonzero(~np.isnan(reached), axis=-1)
    return replace(line.called(name, values), start=start, step=seconds)


def _interval(text: str) -> int:
    seconds = seconds_of(text)
    if seconds > _LONGEST:
        raise TargetError(f"the interval {text[:40]!r} is longer than 100 years")
    return seconds


def _whole(seconds: int, step: int) -> int:
    """The seconds, rounded up to whole steps."""
    return -(-seconds // step) * step


def _of_intervals(given: Mapping[str, Any], step: int) -> int:
    return _whole(_interval(given["intervalString"]), step)


def exact_interval(given: Mapping[str, Any]) -> tuple[int, str] | None:
    """The interval in seconds and the way of a summarize that the store can do itself; None if it cannot."""
    seconds = _interval(given["intervalString"])
    whole = seconds % 3_600 == 0 or (seconds < 3_600 and seconds % 60 == 0)
    return (seconds, given["func"]) if whole and not given["alignToFrom"] else None


def _moved(function: str, way: str | None) -> Callable[..., list[Line]]:
    def run(span: Range, lines: list[Line], window: int | str, *given: Any) -> list[Line]:
        used, share = (given[0], given[1]) if way is None else (way, given[0])
        name = function if way is not None else f"moving{used.capitalize()}"
        shown = f'"{window}"' if isinstance(window, str) else str(window)
        return [
            _moving(line, f"{name}({line.name},{shown})", span.start, window, (used, share or 0.0)) for line in lines
        ]

    run.__doc__ = f"The {way or 'numbers put together'} of the points before each one, within a window."
    return run


def _moving(line: Line, name: str, start: int, window: int | str, how: tuple[str, float]) -> Line:
    way, share = how
    points = window if isinstance(window, int) else max(1, seconds_of(window) // line.step)
    skipped = max(points, (start - line.start) // line.step)
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


def _preview(window: int | str, step: int) -> int:
    """How many seconds before the range a moving function needs: whole steps of its lines. Raises TargetError."""
    seconds = window * step if isinstance(window, int) else seconds_of(window)
    if seconds < 1:
        raise TargetError("the window of a moving function must be positive")
    return _whole(seconds, step)


def _earlier(span: Range, given: Mapping[str, Any], step: int) -> Range:
    return span._replace(start=span.start - _preview(given["windowSize"], step))


def _points(span: Range, given: Mapping[str, Any]) -> int:
    return _preview(given["windowSize"], span.step) // span.step


def exponential(span: Range, lines: list[Line], window: int | str) -> list[Line]:
    """An average that forgets: each point weighs less, the longer ago it is."""
    shown = f'"{window}"' if isinstance(window, str) else str(window)
    share = 2 / (1 + (window if isinstance(window, int) else seconds_of(window)))
    return [_forgetting(line, f"exponentialMovingAverage({line.name},{shown})", span.start, share) for line in lines]


def _forgetting(line: Line, name: str, start: int, share: float) -> Line:
    """The points before ``start`` lie before the range. The line begins with their average in place of them."""
    before = max(0, (start - line.start) // line.step)
    first = float(CONSOLIDATE["average"](line.values[None, :before])[0]) if len(line.values[:before]) else np.nan
    average = 0.0 if np.isnan(first) else first
    made = [average]
    for number in line.values[before:].tolist():
        if math.isnan(number):
            made.append(number)
        else:
            average = share * number + (1 - share) * average
            made.append(average)
    return replace(line.called(name, np.round(np.array(made), 6)), start=line.start + before * line.step)


def deviation(_: Range, lines: list[Line], points: int, tolerance: float) -> list[Line]:
    """The standard deviation of the latest points at each time, where enough of them have a number."""
    made = []
    for line in lines:
        if points < 1 or points * len(line.values) > MOST_NUMBERS:
            raise TargetError(f"stdev: points must be from 1 on, and {points:,} are not too many for the range")
        padded = np.r_[np.full(points - 1, np.nan), line.values]
        seen = np.lib.stride_tricks.sliding_window_view(padded, points) if len(line.values) else np.empty((0, points))
        counts = np.count_nonzero(~np.isnan(seen), axis=-1)
        values = np.where((counts > 0) & (counts / points >= tolerance), CONSOLIDATE["stddev"](seen), np.nan)
        made.append(line.called(f"stdev({line.name},{points})", values))
    return made


def hit_count(_: Range, lines: list[Line], interval: str, align: bool = False) -> list[Line]:
    """How many hits each interval has, from lines of hits per second. Intervals end with the line, if not aligned."""
    seconds, end = _interval(interval), ", true" if align else ""
    return [_hits(line, f'hitcount({line.name}, "{interval}"{end})', seconds, align) for line in lines]


def _hits(line: Line, name: str, seconds: int, align: bool) -> Line:
    length = line.end - line.start
    count = length // seconds + 1 if align else -(-length // seconds)
    if count > MOST_NUMBERS:
        raise TargetError(f"hitcount: {count:,} intervals are too many; give a longer one")
    start = line.start if align else line.end - count * seconds
    known = ~np.isnan(line.values)
    # What came until each time grows in straight lines. So the difference of two times is what came between them.
    times = line.start + line.step * np.arange(len(line.values) + 1)
    edges = start + seconds * np.arange(count + 1)

    def between(per_second: Numbers) -> Numbers:
        until = np.r_[0.0, np.cumsum(per_second * line.step)]
        return np.diff(np.interp(edges, times, until))

    hits = np.where(between(known.astype(np.float64)) > 0, between(np.where(known, line.values, 0.0)), np.nan)
    return replace(line.called(name, hits), start=start, step=seconds)


def _aligned(span: Range, given: Mapping[str, Any], _step: int) -> Range:
    """The range from the beginning of its day, hour or minute: the largest of them that fits into an interval."""
    seconds = _interval(given["intervalString"])
    unit = next((unit for unit in (86_400, 3_600, 60) if seconds >= unit), 1)
    return span._replace(start=span.start // unit * unit) if given["alignToInterval"] else span


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
        step=_of_intervals,
    ),
    Function(
        "smartSummarize",
        GROUP,
        [LINES, _INTERVAL, _SUM, Parameter("alignTo", "any", None)],
        smart_summarize,
        inner=_unit_aligned,
        step=_of_intervals,
    ),
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
    Function("exponentialMovingAverage", GROUP, [LINES, _WINDOW], exponential, inner=_earlier, weight=lambda *_: 10),
    Function(
        "stdev",
        GROUP,
        [LINES, Parameter("points", "integer"), Parameter("windowTolerance", "float", 0.1)],
        deviation,
        weight=lambda _, given: max(1, given["points"]),
    ),
    Function(
        "hitcount",
        GROUP,
        [LINES, _INTERVAL, Parameter("alignToInterval", "boolean", default=False)],
        hit_count,
        inner=_aligned,
        step=lambda given, _: _interval(given["intervalString"]),
    ),
)

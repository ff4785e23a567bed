"""Holt-Winters: what a line would have been if it had gone on as before, with its season. Pure.

The method and its constants are those of Brutlag, "Aberrant behavior detection in time series for network monitoring"
(LISA 2000), as Graphite has them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter, seconds_of
from central.graphite.lines import Line, Numbers, Range
from central.graphite.targets import TargetError

GROUP: Final = "Calculate"
_LEVEL: Final = 0.1
"""How fast the level, the season and the deviation follow the numbers."""
_SLOPE: Final = 0.0035
"""How fast the slope follows the level."""
_WORK: Final = 50
"""A number takes as long as so many numbers of another function, because each depends on the one before."""


class _Forecast(NamedTuple):
    """For each number of a line: what was forecast, and by how much forecasts are off at this place of the season."""

    values: Numbers
    deviations: Numbers


def _forecast(values: Numbers, season: int) -> _Forecast:
    """The forecast of a line. ``season`` is the season's length in numbers; 0 stands for no season.

    The first point of a gap has the forecast that was made before the gap. The others have none.
    """
    count = len(values)
    forecasts, deviations, seasonals = [math.nan] * count, [0.0] * count, [0.0] * (count + 1)
    level = slope = 0.0
    known = False  # whether the number before had a level
    ahead = float(values[0]) if count else math.nan
    for place, number in enumerate(values.tolist()):
        forecasts[place] = ahead
        if math.isnan(number):
            known, slope, ahead = False, 0.0, math.nan
            continue
        before = place - season
        seasonal = seasonals[before] if season and before >= 0 else 0.0
        deviation = deviations[before] if season and before >= 0 else 0.0
        last = level if known else number
        level = _LEVEL * (number - seasonal) + (1 - _LEVEL) * (last + slope)
        slope = _SLOPE * (level - last) + (1 - _SLOPE) * slope
        seasonals[place] = _LEVEL * (number - level) + (1 - _LEVEL) * seasonal
        off = abs(number - (0.0 if math.isnan(ahead) else ahead))
        deviations[place] = _LEVEL * off + (1 - _LEVEL) * deviation
        ahead = level + slope + (seasonals[before + 1] if season and before >= -1 else 0.0)
        known = True
    return _Forecast(np.array(forecasts), np.array(deviations))


def forecast(span: Range, lines: list[Line], bootstrap: str, season: str) -> list[Line]:
    """What each number should be, judged by the numbers before it, by the method of Holt and Winters."""
    return [
        _drawn(line, skipped, found.values).called(f"holtWintersForecast({line.name})")
        for line, skipped, found in _forecasts(span, lines, bootstrap, season)
    ]


def bands(span: Range, lines: list[Line], delta: float, bootstrap: str, season: str) -> list[Line]:
    """Where each number should be, judged by the numbers before it: a lower and an upper line for each line."""
    made = []
    for line, skipped, found in _forecasts(span, lines, bootstrap, season):
        for name, sign in (("Lower", -1), ("Upper", 1)):
            band = _drawn(line, skipped, found.values + sign * delta * found.deviations)
            made.append(replace(band, name=f"holtWintersConfidence{name}({line.name})"))
    return made


def area(span: Range, lines: list[Line], delta: float, bootstrap: str, season: str) -> list[Line]:
    """The two lines of holtWintersConfidenceBands for a single line, both under one name."""
    made = bands(span, lines, delta, bootstrap, season)
    if len(made) != 2:
        raise TargetError(f"holtWintersConfidenceArea: seriesList must be one line; it is {len(lines)}")
    return [line.called(f"holtWintersConfidenceArea({lines[0].expression})") for line in made]


def aberration(span: Range, lines: list[Line], delta: float, bootstrap: str, season: str) -> list[Line]:
    """By how much each number is above the upper or below the lower line of holtWintersConfidenceBands, else 0."""
    made = []
    for line, skipped, found in _forecasts(span, lines, bootstrap, season):
        low, high = (found.values + sign * delta * found.deviations for sign in (-1, 1))
        beyond = np.where(line.values > high, line.values - high, np.where(line.values < low, line.values - low, 0.0))
        made.append(_drawn(line, skipped, beyond).called(f"holtWintersAberration({line.name})"))
    return made


def _forecasts(span: Range, lines: list[Line], bootstrap: str, season: str) -> list[tuple[Line, int, _Forecast]]:
    """Each line, how many of its numbers are before the range, and its forecast."""
    preview = _preview(span, bootstrap)
    return [
        (line, preview // line.step, _forecast(line.values, min(seconds_of(season) // line.step, len(line.values))))
        for line in lines
    ]


def _drawn(line: Line, skipped: int, values: Numbers) -> Line:
    """The line with other values, without those before the range."""
    return replace(line, start=line.start + skipped * line.step, values=values[skipped:])


def _preview(span: Range, bootstrap: str) -> int:
    """How many seconds before the range the forecast begins: whole steps."""
    return -(-seconds_of(bootstrap) // span.step) * span.step


def _earlier(span: Range, given: Mapping[str, Any], _step: int) -> Range:
    return span._replace(start=span.start - _preview(span, given["bootstrapInterval"]))


def _function(name: str, run: Callable[..., list[Line]], *others: Parameter) -> Function:
    times = [Parameter("bootstrapInterval", "interval", "7d"), Parameter("seasonality", "interval", "1d")]
    return Function(name, GROUP, [LINES, *others, *times], run, inner=_earlier, weight=lambda *_: _WORK)


_DELTA: Final = Parameter("delta", "float", 3.0)
FUNCTIONS: Final = (
    _function("holtWintersForecast", forecast),
    _function("holtWintersConfidenceBands", bands, _DELTA),
    _function("holtWintersConfidenceArea", area, _DELTA),
    _function("holtWintersAberration", aberration, _DELTA),
)

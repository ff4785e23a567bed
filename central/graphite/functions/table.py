"""All functions by name, as targets call them and as ``/functions`` lists them. Pure."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from central.graphite.functions import (
    appearance,
    combine,
    forecast,
    further,
    generated,
    names,
    select,
    shares,
    shifts,
    transform,
    windows,
)
from central.graphite.functions.function import Function
from central.graphite.functions.reduce import reduce_series
from central.graphite.targets import TargetError

_FAMILIES: Final = (
    combine,
    shares,
    transform,
    windows,
    shifts,
    forecast,
    select,
    generated,
    names,
    further,
    appearance,
)
_SHORT: Final = {
    "avg": "averageSeries",
    "map": "mapSeries",
    "max": "maxSeries",
    "min": "minSeries",
    "pct": "asPercent",
    "reduce": "reduceSeries",
    "sin": "sinFunction",
    "sum": "sumSeries",
    "time": "timeFunction",
    "xFilesFactor": "setXFilesFactor",
}


def function_named(name: str) -> Function:
    """The function of this name. Raises TargetError that first lists similar names, and then all."""
    found = FUNCTIONS.get(name) or FUNCTIONS.get(_SHORT.get(name, ""))
    if found is None:
        alike = get_close_matches(name, FUNCTIONS, n=3)
        there = f"did you mean {' or '.join(alike)}? There" if alike else "there"
        raise TargetError(f"the function {name[:60]} does not exist; {there} are {', '.join(sorted(FUNCTIONS))}")
    return found


_ALL: Final = [one for family in _FAMILIES for one in sorted(family.FUNCTIONS, key=lambda function: function.name)]
FUNCTIONS: Final[Mapping[str, Function]] = {one.name: one for one in (*_ALL, reduce_series(function_named))}

"""All functions by name, as targets call them and as ``/functions`` lists them. Pure."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from central.graphite.functions import appearance, combine, names, select, shifts, transform, windows
from central.graphite.functions.function import Function
from central.graphite.targets import TargetError

_SHORT: Final = {"sum": "sumSeries", "avg": "averageSeries", "max": "maxSeries", "min": "minSeries", "pct": "asPercent"}
FUNCTIONS: Final[Mapping[str, Function]] = {
    function.name: function
    for family in (combine, transform, windows, shifts, select, names, appearance)
    for function in sorted(family.FUNCTIONS, key=lambda one: one.name)
}


def function_named(name: str) -> Function:
    """The function of this name. Raises TargetError that names those that are like it, and then all."""
    found = FUNCTIONS.get(name) or FUNCTIONS.get(_SHORT.get(name, ""))
    if found is None:
        alike = get_close_matches(name, FUNCTIONS, n=3)
        nearest = f"did you mean {' or '.join(alike)}? " if alike else ""
        raise TargetError(f"the function {name[:60]} does not exist; {nearest}There are {', '.join(sorted(FUNCTIONS))}")
    return found

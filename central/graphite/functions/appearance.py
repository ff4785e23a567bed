"""Functions that say how Graphite's own pictures look. Here they only change names, as Graphite does. Pure.

Dashboards that were made for Graphite have them, and a dashboard draws by itself. Only ``stacked`` changes numbers.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError

GROUP: Final = "Graph"


def unchanged(_: Range, lines: list[Line], _look: Any = None) -> list[Line]:
    """The same lines: how they look is up to your dashboard."""
    return lines


def dashed(_: Range, lines: list[Line], length: float) -> list[Line]:
    """The same numbers under another name: how they look is up to your dashboard."""
    return [line.called(f"dashed({line.name}, {length:g})") for line in lines]


def area_between(_: Range, lines: list[Line]) -> list[Line]:
    """Two lines under one name: your dashboard may fill what is between them."""
    if len(lines) != 2:
        raise TargetError(f"areaBetween: seriesList must be two lines; it is {len(lines)}")
    return [line.called(f"areaBetween({lines[1].expression})") for line in lines]


def stacked(_: Range, lines: list[Line], stack: str | None = None) -> list[Line]:
    """Each line plus all lines before it."""
    below, made = np.zeros(max((len(line.values) for line in lines), default=0)), []
    for line in lines:
        below[: len(line.values)] += np.nan_to_num(line.values, nan=0.0)
        values = np.where(np.isnan(line.values), np.nan, below[: len(line.values)])
        made.append(line.called(f"stacked({line.name})" if stack is None else line.name, values))
    return made


def _named(function: str) -> Callable[..., list[Line]]:
    def run(_: Range, lines: list[Line]) -> list[Line]:
        """The same numbers under another name: how they look is up to your dashboard."""
        return [line.called(f"{function}({line.name})") for line in lines]

    return run


FUNCTIONS: Final = (
    Function("alpha", GROUP, [LINES, Parameter("alpha", "float")], unchanged),
    Function("color", GROUP, [LINES, Parameter("theColor", "string")], unchanged),
    Function("dashed", GROUP, [LINES, Parameter("dashLength", "float", 5.0)], dashed),
    Function("lineWidth", GROUP, [LINES, Parameter("width", "float")], unchanged),
    Function("setXFilesFactor", GROUP, [LINES, Parameter("xFilesFactor", "float")], unchanged),
    Function("areaBetween", GROUP, [LINES], area_between),
    Function("stacked", GROUP, [LINES, Parameter("stack", "string", None)], stacked),
    *(Function(name, GROUP, [LINES], _named(name)) for name in ("drawAsInfinite", "secondYAxis")),
)

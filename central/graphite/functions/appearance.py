"""Functions that say how Graphite's own pictures look. Here they only change names, as Graphite does. Pure.

Dashboards that were made for Graphite have them, and a dashboard draws by itself.
"""

from collections.abc import Callable
from typing import Any, Final

from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.lines import Line, Range

GROUP: Final = "Graph"


def unchanged(_: Range, lines: list[Line], _look: Any = None) -> list[Line]:
    """The same lines: how they look is up to your dashboard."""
    return lines


def dashed(_: Range, lines: list[Line], length: float) -> list[Line]:
    """The same numbers under another name: how they look is up to your dashboard."""
    return [line.called(f"dashed({line.name}, {length:g})") for line in lines]


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
    *(Function(name, GROUP, [LINES], _named(name)) for name in ("drawAsInfinite", "secondYAxis")),
)

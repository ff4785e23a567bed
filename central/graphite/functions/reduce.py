"""reduceSeries: calls another function for each group of lines. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from central.graphite.functions.combine import GROUP
from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError

_NODE: Final = Parameter("reduceNode", "node")
_WANTED: Final = Parameter("reduceMatchers", "string", many=True)


def reduce_series(function_named: Callable[[str], Function]) -> Function:
    """The function reduceSeries, which calls other functions by name."""

    def run(span: Range, lines: list[Line], name: str, node: int, wanted: Sequence[str]) -> list[Line]:
        """Calls a function for each group of lines that differ in one node only. It gets the line of each matcher."""
        function = function_named(name)
        if function.inner is not None or function.further is not None:
            raise TargetError(f"reduceSeries: {name} needs lines of its own, so it cannot be called for each group")
        groups: dict[str, dict[str, Line]] = {}
        for line in lines:
            nodes = line.name.split(".")
            if -len(nodes) <= node < len(nodes) and nodes[node] in wanted:
                group = ".".join((*nodes[:node], "reduce", name))
                groups.setdefault(group, {})[nodes[node]] = line
        return [
            _reduced(function, span, group, [found.get(text) for text in wanted]) for group, found in groups.items()
        ]

    return Function("reduceSeries", GROUP, [LINES, Parameter("reduceFunction", "string"), _NODE, _WANTED], run)


def _reduced(function: Function, span: Range, name: str, lines: Sequence[Line | None]) -> Line:
    """The line of a group. It has no numbers if a line of the group is missing, which is None in ``lines``."""
    there = [line for line in lines if line is not None]
    if len(there) < len(lines):
        return there[0].called(name, np.full_like(there[0].values, np.nan))
    made = function.run(span, *function.bind([[line] for line in there], {}).values())
    if len(made) != 1:
        raise TargetError(f"reduceSeries: {function.name} must give one line for each group; it gives {len(made)}")
    return replace(made[0], name=name)

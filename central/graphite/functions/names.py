"""Functions that give lines other names. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.functions.nodes import key_of, path_of
from central.graphite.lines import CONSOLIDATE, Line, Range, consolidation
from central.graphite.regexes import compile_regex
from central.graphite.targets import TargetError

GROUP: Final = "Alias"
_MOST_NAME: Final = 4_096
"""How many characters a replacement may make of a name."""


def alias(_: Range, lines: list[Line], name: str) -> list[Line]:
    """The lines under this name."""
    return [replace(line, name=name) for line in lines]


def alias_by_node(_: Range, lines: list[Line], nodes: Sequence[int | str]) -> list[Line]:
    """The lines under nodes of their paths, by number, or under values of their tags, by key."""
    return [replace(line, name=key_of(line, nodes)) for line in lines]


def alias_by_metric(_: Range, lines: list[Line]) -> list[Line]:
    """The lines under the last nodes of their paths."""
    return [replace(line, name=path_of(line).rpartition(".")[2]) for line in lines]


def substr(_: Range, lines: list[Line], start: int = 0, stop: int = 0) -> list[Line]:
    """The lines under the nodes of their paths from ``start`` to before ``stop``; 0 is the end."""
    return [replace(line, name=".".join(path_of(line).split(".")[start : stop or None])) for line in lines]


def alias_sub(_: Range, lines: list[Line], search: str, replacement: str) -> list[Line]:
    r"""The names with a replacement for each match of a regular expression; \1 is what its first group matched."""
    try:
        regex = compile_regex(search)
        made = [regex.sub(re.sub(r"\\g<([0-9])>", r"\\\1", replacement), line.name) for line in lines]
    except ValueError as error:
        raise TargetError(f"aliasSub: search {error}") from None
    except Exception:
        raise TargetError("aliasSub: replace names a group that search does not have") from None
    if any(len(name) > _MOST_NAME for name in made):
        raise TargetError(f"aliasSub: makes a name of more than {_MOST_NAME:,} characters")
    return [replace(line, name=name) for line, name in zip(lines, made, strict=True)]


def legend_value(_: Range, lines: list[Line], ways: Sequence[str]) -> list[Line]:
    """The names with one number for the whole line each, such as its last one: ``avg``, ``max``, ``last``."""
    for way in ways:
        known = consolidation(way)
        values = [CONSOLIDATE[known](line.values[None, :])[0] if len(line.values) else np.nan for line in lines]
        lines = [
            replace(line, name=f"{line.name} ({way}: {'None' if np.isnan(value) else float(value)})"[:_MOST_NAME])
            for line, value in zip(lines, values, strict=True)
        ]
    return lines


_NODES: Final = Parameter("nodes", "nodeOrTag", many=True)
FUNCTIONS: Final = (
    Function("alias", GROUP, [LINES, Parameter("newName", "string")], alias),
    Function("aliasByNode", GROUP, [LINES, _NODES], alias_by_node),
    Function("aliasByTags", GROUP, [LINES, _NODES], alias_by_node),
    Function("aliasByMetric", GROUP, [LINES], alias_by_metric),
    Function("substr", GROUP, [LINES, Parameter("start", "integer", 0), Parameter("stop", "integer", 0)], substr),
    Function("legendValue", GROUP, [LINES, Parameter("valueTypes", "string", many=True)], legend_value),
    Function("aliasSub", GROUP, [LINES, Parameter("search", "string"), Parameter("replace", "string")], alias_sub),
)

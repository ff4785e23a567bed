"""Functions that ask for further targets once their lines are known. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.functions.names import MOST_NAME, renamed
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError

_FORM: Final = re.compile(r"[-+ #0]*[0-9]{0,2}(?:\.[0-9]{0,2})?([diuoxXeEfFgGrs])", re.ASCII)
"""What may follow the one ``%`` of a name, as in %d or %.2f."""


def _prefixes(given: Mapping[str, Any]) -> list[str]:
    """The beginnings of all lines' names, up to the node with this number: each once, in order."""
    return sorted({".".join(line.name.split(".")[: given["nodeNum"] + 1]) for line in given["seriesList"]})


def _templates(given: Mapping[str, Any]) -> Iterator[str]:
    return (given["templateFunction"].replace("%", prefix) for prefix in _prefixes(given))


def apply_by_node(
    _: Range, lines: list[Line], node: int, _template: str, name: str | None, further: Sequence[list[Line]]
) -> list[Line]:
    """The lines of a template for each beginning of the paths, up to a node. % stands for the beginning."""
    made = []
    for prefix, answer in zip(_prefixes({"seriesList": lines, "nodeNum": node}), further, strict=True):
        named = None if name is None else name.replace("%", prefix)
        if named is not None and len(named) > MOST_NAME:
            raise TargetError(f"applyByNode: newName makes a name of more than {MOST_NAME:,} characters")
        made += [replace(line, name=line.name if named is None else named, expression=prefix) for line in answer]
    return made


def _others(given: Mapping[str, Any]) -> Iterator[str]:
    """The names of the lines that are above the value, with the replacement."""
    above = [line for line in given["seriesList"] if (line.values > given["value"]).any()]
    return renamed("useSeriesAbove", above, given["search"], given["replace"])


def use_series_above(
    _: Range, _lines: list[Line], _value: float, _search: str, _replace: str, further: Sequence[list[Line]]
) -> list[Line]:
    """For each line with a number above the value, other lines: their target is its name with a replacement."""
    return list(chain.from_iterable(further))


def _sources(given: Mapping[str, Any]) -> Iterator[str]:
    return renamed("aliasQuery", given["seriesList"], given["search"], given["replace"])


def alias_query(
    _: Range, lines: list[Line], search: str, replacement: str, name: str, further: Sequence[list[Line]]
) -> list[Line]:
    """Each line under a name with the last number of another target, which is its own name with a replacement."""
    shown, made = _format(name), []
    for line, query, found in zip(lines, renamed("aliasQuery", lines, search, replacement), further, strict=True):
        known = found[0].values[~np.isnan(found[0].values)] if found else np.empty(0)
        if not len(known):
            raise TargetError(f"aliasQuery: {query[:80]!r} has no number")
        made.append(replace(line, name=shown(float(known[-1]))[:MOST_NAME]))
    return made


def _format(name: str) -> Callable[[float], str]:
    """What puts a number into ``name`` in place of %d, %.2f and the like; %% is a percent sign. Raises TargetError."""
    parts = re.split(r"(%%|%[^a-zA-Z%]*[a-zA-Z]?)", name)
    forms = [part for part in parts[1::2] if part != "%%"]
    found = _FORM.fullmatch(forms[0][1:]) if len(forms) == 1 else None
    if found is None:
        raise TargetError(f"aliasQuery: newName must have one number, such as %d or %.2f; it is {name[:40]!r}")
    whole = found.group(1) in "oxX"
    return lambda number: name % (int(number) if whole else number)


_SEARCH: Final = (Parameter("search", "string"), Parameter("replace", "string"))
FUNCTIONS: Final = (
    Function(
        "applyByNode",
        "Combine",
        [
            LINES,
            Parameter("nodeNum", "node"),
            Parameter("templateFunction", "string"),
            Parameter("newName", "string", None),
        ],
        apply_by_node,
        further=_templates,
    ),
    Function(
        "useSeriesAbove",
        "Filter Series",
        [LINES, Parameter("value", "float"), *_SEARCH],
        use_series_above,
        further=_others,
    ),
    Function("aliasQuery", "Alias", [LINES, *_SEARCH, Parameter("newName", "string")], alias_query, further=_sources),
)

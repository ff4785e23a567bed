"""Functions that give lines other names. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from central.graphite.functions.function import LINES, Function, Parameter
from central.graphite.functions.nodes import key_of, path_of
from central.graphite.lines import Line, Range, consolidation, one_number
from central.graphite.regexes import compile_regex
from central.graphite.targets import TargetError

GROUP: Final = "Alias"
MOST_NAME: Final = 4_096
"""How many characters a name may have after a replacement."""
_UNITS: Final = {
    "si": [(prefix, 1000.0**power) for prefix, power in (("P", 5), ("T", 4), ("G", 3), ("M", 2), ("k", 1))],
    "binary": [(f"{prefix}i", 1024.0**power) for prefix, power in (("P", 5), ("T", 4), ("G", 3), ("M", 2), ("K", 1))],
}
"""The prefixes of each system of units, and for each prefix the number from which on it is used."""


def alias(_: Range, lines: list[Line], name: str) -> list[Line]:
    """The lines under this name."""
    return [replace(line, name=name) for line in lines]


def alias_by_node(_: Range, lines: list[Line], nodes: Sequence[int | str]) -> list[Line]:
    """The lines under some nodes of their paths, which you give by number, or values of their tags, by key."""
    return [replace(line, name=key_of(line, nodes)) for line in lines]


def alias_by_metric(_: Range, lines: list[Line]) -> list[Line]:
    """Each line under the last node of its path."""
    return [replace(line, name=path_of(line).rpartition(".")[2]) for line in lines]


def substr(_: Range, lines: list[Line], start: int = 0, stop: int = 0) -> list[Line]:
    """Each line under the nodes of its path from ``start`` on and before ``stop``; 0 for the end."""
    return [replace(line, name=".".join(path_of(line).split(".")[start : stop or None])) for line in lines]


def alias_sub(_: Range, lines: list[Line], search: str, replacement: str) -> list[Line]:
    r"""The names with a replacement for each match of a regular expression; \1 is what its first group matched."""
    names = renamed("aliasSub", lines, search, replacement)
    return [replace(line, name=name) for line, name in zip(lines, names, strict=True)]


def renamed(function: str, lines: Iterable[Line], search: str, replacement: str) -> Iterator[str]:
    """The names of lines with a replacement for each match. Raises TargetError that names the function."""
    try:
        regex = compile_regex(search)
    except ValueError as error:
        raise TargetError(f"{function}: search {error}") from None
    groups = re.sub(r"\\g<([0-9])>", r"\\\1", replacement)
    for line in lines:
        try:
            name = regex.sub(groups, line.name)
        except Exception:
            raise TargetError(f"{function}: replace names a group that search does not have") from None
        if len(name) > MOST_NAME:
            raise TargetError(f"{function}: makes a name of more than {MOST_NAME:,} characters")
        yield name


def legend_value(_: Range, lines: list[Line], ways: Sequence[str]) -> list[Line]:
    """The names with numbers of the whole lines, such as ``avg`` or ``last``. ``si`` or ``binary`` last gives units."""
    system = ways[-1] if ways[-1] in _UNITS else None
    for way in ways[:-1] if system else ways:
        known = consolidation(way)
        lines = [replace(line, name=_with_value(line, way, one_number(line, known), system)) for line in lines]
    return lines


def _with_value(line: Line, way: str, value: float, system: str | None) -> str:
    if system is None:
        return f"{line.name} ({way}: {'None' if np.isnan(value) else value})"[:MOST_NAME]
    return f"{line.name:<20}{way:<5}{'None' if np.isnan(value) else _in_units(value, system):<10}"[:MOST_NAME]


def cacti_style(_: Range, lines: list[Line], system: str | None = None, units: str | None = None) -> list[Line]:
    """The names in a column, with the last, the largest and the least number of each line in further columns."""
    if system is not None and system not in _UNITS:
        raise TargetError(f"cactiStyle: system must be one of {', '.join(_UNITS)}")

    def shown(value: float) -> str:
        return "nan" if np.isnan(value) else _in_units(value, system, units)

    def width(values: Sequence[float]) -> int:
        """A column has three places more than its longest whole number. 0 and no number count as 3."""
        whole = (3.0 if np.isnan(value) else float(int(value) or 3) for value in values)
        return 3 + max((len(shown(value)) for value in whole), default=0)

    columns = {way: [one_number(line, way) for line in lines] for way in ("last", "max", "min")}
    widths = {way: width(values) for way, values in columns.items()}
    longest = max((len(line.name) for line in lines), default=0)
    return [
        replace(
            line,
            name=f"{line.name:<{longest}} Current:{shown(last):<{widths['last']}} Max:{shown(most):<{widths['max']}}"
            f" Min:{shown(least):<{widths['min']}} ",
        )
        for line, last, most, least in zip(lines, *columns.values(), strict=True)
    ]


def _in_units(value: float, system: str | None, units: str | None = None) -> str:
    """The value with two decimals and the prefix for its size, such as 1.50k, or 1.50 kB with ``units``."""
    prefix, size = next((one for one in _UNITS[system] if abs(value) >= one[1]), ("", 1)) if system else ("", 1)
    return f"{value / size:.2f}{' ' if units else ''}{prefix}{units or ''}"


_NODES: Final = Parameter("nodes", "nodeOrTag", many=True)
FUNCTIONS: Final = (
    Function("alias", GROUP, [LINES, Parameter("newName", "string")], alias),
    Function("aliasByNode", GROUP, [LINES, _NODES], alias_by_node),
    Function("aliasByTags", GROUP, [LINES, _NODES], alias_by_node),
    Function("aliasByMetric", GROUP, [LINES], alias_by_metric),
    Function("substr", GROUP, [LINES, Parameter("start", "integer", 0), Parameter("stop", "integer", 0)], substr),
    Function("legendValue", GROUP, [LINES, Parameter("valueTypes", "string", many=True)], legend_value),
    Function(
        "cactiStyle",
        "Special",
        [LINES, Parameter("system", "string", None), Parameter("units", "string", None)],
        cacti_style,
    ),
    Function("aliasSub", GROUP, [LINES, Parameter("search", "string"), Parameter("replace", "string")], alias_sub),
)

"""What an answer says, read from its JSON or CSV: the windows of each line with their numbers. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from protocol.times import parse_time
from tests.central.harness import Reply
from tests.oracle.tagged import Chosen, Line

Row = dict[str, Decimal | None]
"""The numbers of a window by column."""
Answered = dict[Line, list[tuple[int, Row]]]
"""Start and numbers of the windows of each line, in the order of the answer."""


def answered_in_json(reply: Reply, names: Sequence[str], columns: tuple[str, ...], chosen: Chosen) -> Answered:
    """What an answer in JSON says."""
    data = reply.json["data"]
    if chosen.by_series:
        lines = [(_line(group, chosen), group["points"]) for group in data]
    else:
        lines = [(Line(name), data if len(names) == 1 else data[name]) for name in names]
    assert len({line for line, _ in lines}) == len(lines), "two groups have the same tags"
    return {
        line: [_row(point, columns, unavailable=point.get("unavailable", False)) for point in points]
        for line, points in lines
    }


def answered_in_csv(reply: Reply, names: Sequence[str], columns: tuple[str, ...], chosen: Chosen) -> Answered:
    """What an answer in CSV says. A line without windows is not there."""
    found: Answered = {} if chosen.by_series else {Line(name): [] for name in names}
    for fields in csv.DictReader(io.StringIO(reply.text, newline="")):
        cells = {column: cell or None for column, cell in fields.items()}
        rest = cells.get("rest") == "true"
        line = Line(fields["name"], () if rest else tuple(cells[key] for key in chosen.keys or ()), rest)
        found.setdefault(line, []).append(_row(cells, columns, unavailable=cells.get("unavailable") == "true"))
    return found


def _line(group: Mapping[str, Any], chosen: Chosen) -> Line:
    rest = group.get("rest", False)
    assert list(group["tags"]) == ([] if rest else list(chosen.keys or ())), group["tags"]
    return Line(group["metric"], tuple(group["tags"].values()), rest)


def _row(point: Mapping[str, Any], columns: tuple[str, ...], *, unavailable: bool) -> tuple[int, Row]:
    """Start and numbers of a window. It is marked where one of them is not available; a filled one is not."""
    row = {column: _number(point[column if len(columns) > 1 else "value"]) for column in columns}
    assert not unavailable or None in row.values(), point
    return parse_time(point["timestamp"]), row


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)

"""Shows answers: a table and a plot on a terminal, tab-separated lines elsewhere. Numbers keep all digits."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from string import ascii_letters
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import plotext  # draw() alone uses it
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol.times import parse_time
from runtime.redact import one_line

PLOT_HEIGHT: Final = 16
PLOT_MAX_WIDTH: Final = 100
CUT: Final = "*"
"""In a plot, beside the time of a window that is cut or still open."""
_TICKS: Final = 5
_TICK_WIDTH: Final = 14
"""How wide the label of a time with its day is, with a gap."""
_STEPS: Final = (
    *(minutes * 60 for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * 3_600 for hours in (1, 2, 3, 6, 12, 24, 48, 168, 336, 720, 2_160, 8_760)),
)
"""How far from each other the times below a plot may be, in seconds."""
_COLUMNS: Final = ("sum", "count")
"""These operations are drawn as columns from zero, if there is only one series."""
_COLOURS: Final = (12, 2, 9, 6, 13, 3)
"""Of the terminal's 256, readable on light and dark."""
_FINE: Final = "hd"
_ASCII: Final = str.maketrans("\u2502\u2500\u250c\u2510\u2514\u2518\u2524\u251c\u252c\u2534\u253c", "|-+++++++++")
"""The lines of a plot's frame for a terminal that has only ASCII."""
_BETWEEN: Final = "   "
"""Between two entries of a legend."""
_WHOLE: Final = frozenset({"timestamp", "prefix"})
"""Columns of a table that are never broken."""
_NO_VALUE: Final = "-"
_UNAVAILABLE: Final = "unavailable"


class Point(NamedTuple):
    """A window's start as the service wrote it, and its value; None for a window without data."""

    timestamp: str
    value: int | Decimal | None
    partial: bool = False
    """Whether the range cuts the window, or the window has not ended yet."""
    unavailable: bool = False
    """Whether it has data, but a sample of it is in no histogram."""


def show_answer(answer: Mapping[str, Any], console: Console) -> None:
    """Show an answer of GET /api/metrics/aggregate: a row per window, a column per series; and a plot on a terminal."""
    series = series_of(answer)
    if console.is_terminal and not any(series.values()):
        console.file.write("No data in this time range.\n")
        return
    times = sorted({point.timestamp for points in series.values() for point in points})
    columns = [{point.timestamp: _cell(point) for point in points} for points in series.values()]
    cut = {point.timestamp for points in series.values() for point in points if point.partial}
    zone = ZoneInfo(answer["tz"]) if "tz" in answer else None
    rows = [[_local(time, zone), *(column.get(time, _NO_VALUE) for column in columns)] for time in times]
    header = ["timestamp", *series]
    key = _only_key(answer)
    labels = [label.removeprefix(f"{key}:") or label for label in series]
    if len(set(labels)) < len(labels):
        labels, key = list(series), ""
    if console.is_terminal:
        header[1:] = labels
        for row, time in zip(rows, times, strict=True):
            row[0] = _short(row[0]) + CUT * (time in cut)
    elif cut:
        header.append("partial")
        for row, time in zip(rows, times, strict=True):
            row.append("true" if time in cut else "")
    if console.is_terminal and _width(header, rows) > console.width:
        # So that no number is broken into lines, each gets a row of its own.
        keys, fields = _fields(answer, labels)
        rows = [[row[0], *own, cell] for row in rows for own, cell in zip(fields, row[1:], strict=True)]
        show_table(["timestamp", *keys, "value"], rows, console, right_from=1 + len(keys))
    else:
        show_table(header, rows, console, right_from=1)
    if console.is_terminal:
        title = f"{answer['operation']} by {answer['window']} ({answer.get('tz', 'UTC')})"
        if key:
            title += f", per {key}"
        if cut:
            title += f", {CUT} = cut or open"
        columns_drawn = len(series) == 1 and answer["operation"] in _COLUMNS
        width = min(console.width, PLOT_MAX_WIDTH)
        style = Style(width, not console.no_color, columns_drawn, zone, ascii_only=_is_ascii(console))
        console.file.write(f"{draw(series, title, style)}\n")
        if len(series) > 1:
            console.print(
                legend(labels, console.width, coloured=style.colour, ascii_only=style.ascii_only), highlight=False
            )


def _is_ascii(console: Console) -> bool:
    """Whether the terminal has no other characters than ASCII, as far as its encoding says."""
    return not str(getattr(console.file, "encoding", None) or "utf-8").lower().startswith("utf")


def _fields(answer: Mapping[str, Any], labels: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """What a table with a row per number has before the number: the titles, and the cells of each series.

    Groups have a column per key, others one for all.
    """
    data = answer["data"]
    if not (isinstance(data, list) and data and "points" in data[0]):
        return ["series"], [[label] for label in labels]
    keys = list(dict.fromkeys(key for group in data for key in group["tags"]))
    operations = answer["operation"].split(",")
    of_several = len({group["metric"] for group in data}) > 1
    titles = ["metric"] * of_several + keys + ["operation"] * (len(operations) > 1)
    return titles, [
        [group["metric"]] * of_several + _values(group, keys) + [operation] * (len(operations) > 1)
        for group in data
        for operation in operations
    ]


def _values(group: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    if group.get("rest"):
        return ["(rest)"] * len(keys)
    tags = group["tags"]
    return [f"(no {key})" if tags.get(key) is None else tags[key] or '""' for key in keys]


def _local(timestamp: str, zone: ZoneInfo | None) -> str:
    """The time as the service wrote it; with a zone, the same moment as its clocks show it, with its offset."""
    return timestamp if zone is None else datetime.fromtimestamp(parse_time(timestamp), zone).isoformat()


def _only_key(answer: Mapping[str, Any]) -> str:
    """The key by which one metric is grouped; empty where there is none, or there are several."""
    data = answer["data"]
    grouped = isinstance(data, list) and data and "points" in data[0] and len({row["metric"] for row in data}) == 1
    keys = {key for row in data for key in row["tags"]} if grouped else set()
    return str(*keys) if len(keys) == 1 else ""


def _width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many characters wide the table is that holds these rows without a break."""
    return 1 + sum(3 + max(map(len, column)) for column in zip(header, *rows, strict=True))


def _short(time: str) -> str:
    """A time as a table on a terminal shows it: to the minute. One with an offset stays as it is."""
    return time[:16].replace("T", " ") if time.endswith("Z") else time


def unknown_names(answer: Mapping[str, Any]) -> list[str]:
    """A line per name that does not exist, with similar names that do."""
    return [
        f"there is no metric {entry['name']}" + (f"; did you mean {', '.join(entry['near'])}?" if entry["near"] else "")
        for entry in answer.get("unknown", ())
    ]


def series_of(answer: Mapping[str, Any]) -> dict[str, list[Point]]:
    """The points of an answer by name or group; those of several operations also by operation."""
    operations = answer["operation"].split(",")
    by_name = _by_name(answer)
    if len(operations) == 1:
        return {name: [_point(row, row["value"]) for row in rows] for name, rows in by_name.items()}
    return {
        operation if list(by_name) == [answer["metric"]] else f"{name} {operation}": [
            _point(row, row[operation]) for row in rows
        ]
        for name, rows in by_name.items()
        for operation in operations
    }


def _by_name(answer: Mapping[str, Any]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    data, metric = answer["data"], answer["metric"]
    if isinstance(data, dict):
        return data
    if not data or "points" not in data[0]:
        return {metric: data}
    of_several = len({group["metric"] for group in data}) > 1
    return {_label(group, of_several=of_several): group["points"] for group in data}


def _label(group: Mapping[str, Any], *, of_several: bool) -> str:
    """What a group is called: its tags, after the name if there are several. No two groups have the same label.

    No key has a blank and each tag has a colon, so that "no env" and "rest" are no tags.
    """
    tags = [f"no {key}" if value is None else f"{key}:{value}" for key, value in group["tags"].items()]
    own = "rest" if group.get("rest") else ",".join(tags)
    return one_line(" ".join(filter(None, [group["metric"] if of_several or not own else "", own])))


def _point(row: Mapping[str, Any], value: int | Decimal | None) -> Point:
    unavailable = value is None and row.get("unavailable", False)
    return Point(row["timestamp"], value, row.get("partial", False), unavailable)


def _cell(point: Point) -> str:
    return _UNAVAILABLE if point.unavailable else number(point.value)


def number(value: int | Decimal | None) -> str:
    """A number with all its digits and no exponent."""
    return _NO_VALUE if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]], console: Console, *, right_from: int = 99) -> None:
    """Show a table on a terminal; elsewhere a header and one line per row, separated by tabs and never cut.

    Characters that are not printable are escaped. Columns from ``right_from`` on are aligned to the right, for numbers.
    """
    rows = [list(map(one_line, row)) for row in rows]
    if not console.is_terminal:
        for line in (header, *rows):
            console.file.write("\t".join(line) + "\n")
        return
    table = Table(header_style="bold")
    for index, title in enumerate(header):
        # A cell that is too wide for the terminal is folded and never cut: a number without a digit is another number.
        whole = title in _WHOLE
        table.add_column(title, justify="right" if index >= right_from else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


@dataclass(frozen=True, slots=True)
class Style:
    """How a plot looks: its width in characters, as ``columns`` from zero or as lines, with the times of ``zone``."""

    width: int
    colour: bool
    columns: bool = False
    zone: ZoneInfo | None = None
    ascii_only: bool = False


def draw(series: Mapping[str, Sequence[Point]], title: str, style: Style) -> str:
    """A plot of all series. Windows that are cut or open have the sign CUT at their time.

    Values are converted to floats, which is exact enough for a plot.
    """
    figure = plotext.figure
    figure.clear()  # the library keeps one figure for the process
    figure.theme("simple" if style.colour else "colorless")
    figure.title(title)
    moments: set[int] = set()
    cut = {parse_time(point.timestamp) for points in series.values() for point in points if point.partial}
    heights = [0.0] if style.columns else []
    for index, points in enumerate(series.values()):
        known = [(parse_time(point.timestamp), float(point.value)) for point in points if point.value is not None]
        if not known:
            continue
        moments.update(moment for moment, _ in known)
        heights += [value for _, value in known]
        sign, colour = _sign(index, len(series), coloured=style.colour, ascii_only=style.ascii_only)
        marker = plotext.marker(sign or _FINE, colour if style.colour else None)
        signal = figure.signal([moment for moment, _ in known], [value for _, value in known], marker=marker)
        if style.columns:
            signal.fillx()
        else:
            signal.lines()
        figure.draw(signal)
    positions = _ticks(moments, cut & moments, style)
    figure.ruler("x").ticks(positions, _tick_labels(positions, cut, style.zone))
    if heights:
        marks = _marks(min(heights), max(heights))
        figure.ruler("y").lim(marks[0], marks[-1])
        figure.ruler("y").ticks(marks, [f"{mark:,.12g}" for mark in marks])
    figure.plot_size(style.width, PLOT_HEIGHT)
    drawn = str(figure.build().string(colorless=not style.colour))
    return drawn.translate(_ASCII) if style.ascii_only else drawn


def legend(labels: Sequence[str], width: int, *, coloured: bool, ascii_only: bool = False) -> Text:
    """Which line of a plot is which series. It stands below the plot, where it covers nothing.

    No line is wider than ``width`` characters, and no label goes on in another line, unless it is too wide for one.
    """
    lines: list[Text] = []
    for index, label in enumerate(labels):
        sign, colour = _sign(index, len(labels), coloured=coloured, ascii_only=ascii_only)
        entry = Text.assemble((sign or "\u2501\u2501", f"color({colour})"), f" {one_line(label)}")
        if lines and lines[-1].cell_len + len(_BETWEEN) + entry.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], _BETWEEN, entry)
        else:
            lines.append(entry)
    return Text("\n").join(lines)


def _sign(index: int, series: int, *, coloured: bool, ascii_only: bool) -> tuple[str, int]:
    """What a line is drawn with, none for fine dots; and its colour. Letters tell apart what colours do not."""
    letters = ascii_only or (series > 1 and (not coloured or series > len(_COLOURS)))
    return ascii_letters[index % len(ascii_letters)] if letters else "", _COLOURS[index % len(_COLOURS)]


def _ticks(moments: Set[int], cut: Set[int], style: Style) -> list[int]:
    """Times to write below a plot: at most _TICKS round ones of the zone, and those of windows that are not whole."""
    zone, most = style.zone, max(2, min(_TICKS, style.width // _TICK_WIDTH))
    first, last = min(moments, default=0), max(moments, default=0)
    gaps = sorted(after - before for before, after in pairwise(sorted(moments)))
    least = gaps[0] if len(gaps) > 1 else 0  # days have no time in the middle of a day

    def ahead(moment: int) -> int:
        """How far the clocks of the zone are ahead of UTC."""
        return int((datetime.fromtimestamp(moment, zone or UTC).utcoffset() or timedelta()).total_seconds())

    step = next((one for one in _STEPS if one >= least and last - first < one * most), _STEPS[-1])
    begin = -(-(first + ahead(first)) // step) * step - ahead(first)
    even = [moment + ahead(first) - ahead(moment) for moment in range(begin, last + 1, step)]
    room = (last - first) / most  # for the label of a window that is not whole
    return sorted({*(moment for moment in even if all(abs(moment - one) > room for one in cut)), *cut})


def _marks(low: float, high: float) -> list[float]:
    """About _TICKS multiples of 1, 2 or 5 times a power of ten that enclose ``low`` to ``high``."""
    rough = (high - low or abs(high) or 1.0) / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [index * step for index in range(first, last + 1)]


def _tick_labels(positions: Sequence[int], cut: Set[int], zone: ZoneInfo | None) -> list[str]:
    """Hours and minutes, with the day if there is more than one, and with CUT where the window is not whole."""
    moments = [datetime.fromtimestamp(position, zone or UTC) for position in positions]
    several_days = len({moment.date() for moment in moments}) > 1
    labels = [moment.strftime("%m-%d %H:%M" if several_days else "%H:%M") for moment in moments]
    return [label + CUT if position in cut else label for label, position in zip(labels, positions, strict=True)]

"""What a request to draw asks for, and the answer in JSON or CSV. Pure."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

import msgspec
import numpy as np
from multidict import MultiMapping

from central.graphite.fetch import whole
from central.graphite.lines import Line, Range, coarser
from central.graphite.targets import Expression, TargetError, parse_target
from central.graphite.times import parse_time
from central.query.parameters import zone_of

MOST_TARGETS: Final = 100
FORMATS: Final = ("json", "csv", "raw")
MOST_WINDOWS: Final = 11_000
"""How many windows a line may have. Without ``maxDataPoints``, or with a larger one, the step fits it."""
MOST_POINTS: Final = 1_000_000
"""How many points an answer may have. A million take some 200 MB while they are written."""
MOST_CHARACTERS: Final = 10_000_000
"""How many characters the names of all its lines may have."""
_STEPS: Final = (
    *(minute * 60 for minute in (1, 2, 5, 10, 15, 30)),
    *(hour * 3_600 for hour in (1, 2, 3, 6, 12, 24, 48, 168, 720, 2_160, 8_760, 87_600)),
)
"""The lengths of windows in seconds. The store sums each from whole minutes or whole hours."""
_FLAGS: Final[Mapping[str, bool]] = {"": True, "1": True, "true": True, "0": False, "false": False}


class RequestError(ValueError):
    """A parameter is wrong. ``field`` is its name; the text says what is wrong and what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Drawing:
    """A checked request: its targets with their texts, the windows, and the form of the answer."""

    targets: Sequence[tuple[str, Expression]]
    span: Range
    most_points: int
    form: str
    without_gaps: bool
    zone: tzinfo


def parse_drawing(given: MultiMapping[str], now: float) -> Drawing:
    """The request of these parameters. Raises RequestError."""
    if "jsonp" in given:
        raise RequestError("jsonp", "jsonp is not supported; read the answer as JSON")
    given_texts = [*given.getall("target", []), *given.getall("target[]", [])]
    texts = [
        text.encode(errors="backslashreplace").decode()  # an answer must be UTF-8
        for text in given_texts
        if text.strip()  # an empty target is that of a panel without a query
    ]
    if not 1 <= len(texts) <= MOST_TARGETS:
        raise RequestError("target", f"target must be given 1 to {MOST_TARGETS} times; it was given {len(texts)} times")
    form = given.get("format", FORMATS[0])
    if form not in FORMATS:
        raise RequestError("format", f"format must be one of {', '.join(FORMATS)}; pictures are not drawn here")
    zone = _zone(given.get("tz", "UTC"))
    start = _time(given, "from", "-24h", now, zone)
    end = _time(given, "until", "now", now, zone)
    if start >= end:
        raise RequestError("from", "from must be before until")
    most = _whole(given.get("maxDataPoints", str(MOST_WINDOWS)))
    without_gaps = _FLAGS.get(given.get("noNullPoints", "0").lower())
    if without_gaps is None:
        raise RequestError("noNullPoints", "noNullPoints must be true or false")
    targets = [(text, _target(text)) for text in dict.fromkeys(texts)]
    span = windows_of(start, end, most)._replace(now=int(now))
    return Drawing(targets, span, most, form, without_gaps, zone)


def windows_of(start: int, end: int, most: int) -> Range:
    """The finest windows of which at most ``most`` cover [start, end)."""
    for step in _STEPS:
        span = whole(start, end, step)
        if (span.end - span.start) // step <= min(most, MOST_WINDOWS):
            return span
    return whole(start, end, _STEPS[-1])


def _zone(name: str) -> tzinfo:
    try:
        return zone_of(name) or UTC
    except ValueError as error:
        raise RequestError("tz", str(error)) from None


def _time(given: MultiMapping[str], field: str, default: str, now: float, zone: tzinfo) -> int:
    try:
        return parse_time(given.get(field) or default, int(now), zone)
    except (ValueError, OverflowError, OSError) as error:
        raise RequestError(field, f"{field}: {error}") from None


def _whole(text: str) -> int:
    # Some clients send a fraction of a pixel.
    number = text.partition(".")[0]
    if not (number.isascii() and number.isdigit() and len(number) <= 9 and int(number) >= 1):
        raise RequestError("maxDataPoints", "maxDataPoints must be a whole number from 1 on")
    return int(number)


def _target(text: str) -> Expression:
    try:
        return parse_target(text)
    except TargetError as error:
        raise RequestError("target", f"target {text[:80]!r}: {error}") from None


def drawn(drawing: Drawing, lines: Sequence[Line]) -> bytes:
    """The answer: each line with its points in order, in the form that was asked for.

    Raises TargetError if it is too large.
    """
    points = sum(min(len(line.values), drawing.most_points) for line in lines)
    if points > MOST_POINTS:
        raise TargetError(
            f"the answer would have {points:,} points, and may have {MOST_POINTS:,}; ask for fewer lines, or give a"
            " smaller maxDataPoints"
        )
    characters = sum(len(line.name) for line in lines)
    if characters > MOST_CHARACTERS:
        raise TargetError(
            f"the names in the answer would have {characters:,} characters, and may have {MOST_CHARACTERS:,}; ask for"
            " fewer lines, or give them shorter names"
        )
    fitting = [coarser(line, line.step * -(-len(line.values) // drawing.most_points)) for line in lines]
    if drawing.form == "csv":
        return _as_csv(fitting, drawing.zone)
    if drawing.form == "raw":
        return _as_raw(fitting)
    return _as_json(fitting, drawing.without_gaps)


def _as_json(lines: Sequence[Line], without_gaps: bool) -> bytes:
    """Line by line: one call that writes all lines would keep the interpreter from all other requests."""
    made: list[bytes] = []
    for line in lines:
        values, times = line.values, line.start + line.step * np.arange(len(line.values))
        if without_gaps:
            known = ~np.isnan(values)
            values, times = values[known], times[known]
        if len(values) or not without_gaps:
            points = list(zip(values.tolist(), times.tolist(), strict=True))  # msgspec writes NaN as null
            made.append(msgspec.json.encode({"target": line.name, "tags": line.tags, "datapoints": points}))
    return b"[" + b",".join(made) + b"]"


def _as_csv(lines: Sequence[Line], zone: tzinfo) -> bytes:
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\r\n")
    for line in lines:
        for place, number in enumerate(line.values.tolist()):
            moment = datetime.fromtimestamp(line.start + place * line.step, UTC).astimezone(zone)
            rows.writerow([line.name, f"{moment:%Y-%m-%d %H:%M:%S}", "" if math.isnan(number) else number])
    return written.getvalue().encode(errors="backslashreplace")


def _as_raw(lines: Sequence[Line]) -> bytes:
    """A line of text each: name, start, end and step, and behind a bar its numbers, with None where there is none."""
    texts = [
        f"{line.name},{line.start},{line.end},{line.step}|"
        + ",".join("None" if math.isnan(number) else repr(number) for number in line.values.tolist())
        + "\n"
        for line in lines
    ]
    return "".join(texts).encode(errors="backslashreplace")

"""Writes the aggregate answer as JSON, JSON lines or CSV, with numpy arrays. Pure.

An answer has up to 50,000 windows, and the event loop waits for the interpreter lock meanwhile. So all windows are
written at once, as rows of bytes of equal width. Unused bytes are NUL and are removed at the end. This takes a tenth of
the time of one text per window, nearly all of it without the lock (docs/decisions/0011-answers-by-columns.md).
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from json.encoder import encode_basestring
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from central.query.formats import csv_field
from central.query.groups import AnswerLine
from central.query.parameters import Query
from central.query.values import Values
from central.query.windows import windows_between
from central.store.buckets import Buckets, Column
from protocol.numbers import DECIMALS, UNIT, units_to_text

_BLOCK: Final = 10_000
"""A block is four digits, which are written together. A number also has four decimals."""
_FOUR: Final = np.array([b"%04d" % number for number in range(_BLOCK)])
_LAST: Final = np.array([b"%d" % number for number in range(_BLOCK)])
_FIRST: Final = np.where(np.arange(_BLOCK) > 0, _LAST, b"")
_FRACTION: Final = np.array([b"", *((b".%04d" % number).rstrip(b"0") for number in range(1, _BLOCK))])
"""What a block is within a number, at its end with nothing before it, at its beginning, behind its point."""
_POINT: Final = np.array([b".%04d" % number for number in range(_BLOCK)])
_TWO: Final = np.array([b"%02d" % number for number in range(100)])
_TAIL: Final = np.array([b"", *((b"%02d" % number).rstrip(b"0") for number in range(1, 100))])
"""The fifth and the sixth digit behind the point, which only shares have."""
_TIME: Final = (
    *(("year", 4, b""), ("-", 1, b"-"), ("month", 2, b""), ("--", 1, b"-"), ("day", 2, b""), ("T", 1, b"T")),
    *(("hour", 2, b""), (":", 1, b":"), ("minute", 2, b""), ("::", 1, b":"), ("second", 2, b"")),
)
"""The fields of a time: name, width, and what is the same in all."""
_ONES: Final = "whole0"
"""The field of a number's last four whole digits; it is never empty."""
_DAY: Final = 86_400
_EMPTY: Final = {"zero": (b"0", b"0"), "null": (b"null", b"")}
"""A window without data as ``fill`` wants it, in JSON and in CSV. Null is also what is not available."""


class Notes(NamedTuple):
    """What a reader must know about an answer besides its numbers.

    ``partial``: some acknowledged points are not in the store yet. ``unknown``: names that do not exist, each with
    similar names that do. ``not_whole``: starts of the windows that the range cuts or that have not ended.
    """

    partial: bool = False
    unknown: Mapping[str, Sequence[str]] = MappingProxyType({})
    not_whole: Column = np.empty(0, dtype=np.int64)


_NO_NOTES: Final = Notes()


def render(
    query: Query, lines: Sequence[AnswerLine], summaries: Buckets, columns: Sequence[Values], notes: Notes = _NO_NOTES
) -> bytes:
    """The answer, JSON (PRD 4.1.2), JSON lines or CSV, with the windows of each line.

    In JSON, groups of series are a list, and several names are an object. JSON lines have a line per window.

    ``columns`` are those of the query, each with a number per row of ``summaries``. One alone is called ``value``;
    several have the names that they were asked by.

    Where the notes have something to say JSON has ``"complete": false``, ``"unknown": [...]`` and, in a window,
    ``"partial": true``. A window in which a value is not known has ``"unavailable": true``, and null for the value.
    CSV has one more column for each of the two marks: ``partial`` where the range has such a window, with data or
    without, so that the same question gives the same columns each time; ``unavailable`` where the answer has one.
    """
    drawn = _drawn(query, lines, summaries, columns, notes.not_whole)
    if query.csv:
        return b"".join(
            [",".join((*_csv_keys(query), "timestamp", *_labels(query), *drawn.marks)).encode(), b"\r\n", *drawn.series]
        )
    if query.format == "jsonl":
        return b"".join(drawn.series)
    head: dict[str, Any] = {"success": True, "metric": ",".join(query.names)}
    head |= {"operation": ",".join(query.columns), "window": query.window}
    if query.zone is not None:
        head["tz"] = query.zone.key
    if notes.partial:
        head["complete"] = False
    if notes.unknown:
        head["unknown"] = [{"name": name, "near": list(near)} for name, near in notes.unknown.items()]
    pieces: list[bytes | memoryview] = [json.dumps(head, separators=(",", ":"))[:-1].encode()]
    if query.fraction_below is not None:
        pieces.append(b',"fraction_below":%b' % units_to_text(query.fraction_below).encode())
    pieces.append(b',"data":')
    if query.by_series:
        for at, (line, text) in enumerate(zip(lines, drawn.series, strict=True)):
            pieces += [b"," if at else b"[", _group_head(query, line), text, b"]}"]
        pieces.append(b"]}" if lines else b"[]}")
    elif len(query.names) == 1 and query.globs is None:
        pieces += [b"[", *drawn.series, b"]}"]
    else:
        for at, (line, text) in enumerate(zip(lines, drawn.series, strict=True)):
            pieces += [b'%b"%b":[' % (b"," if at else b"{", line.name.encode()), text, b"]"]
        pieces.append(b"}}" if lines else b"{}}")
    return b"".join(pieces)  # the only copy


class _Drawn(NamedTuple):
    """The text of each line's windows, and the marks that one of them may have."""

    series: list[memoryview]
    marks: list[str]


def _labels(query: Query) -> Sequence[str]:
    return query.columns if len(query.columns) > 1 else ("value",)


def _csv_keys(query: Query) -> tuple[str, ...]:
    """The columns of CSV that say what a line is. A key of a tag that is called like another column gets a prefix."""
    others = {"name", "rest", "timestamp", *_labels(query), "partial", "unavailable"}
    keys = (f"tag:{key}" if key in others else key for key in query.group_by or ())
    return ("name", *keys, *(("rest",) if query.top is not None else ()))


def _csv_line(query: Query, line: AnswerLine) -> bytes:
    """What stands in these columns, with a comma behind each."""
    fields = map(csv_field, line.values)
    rest = ["true" if line.rest else ""] if query.top is not None else []
    return ",".join([line.name, *fields, *rest, ""]).encode()


def _json_line(query: Query, line: AnswerLine) -> bytes:
    """The beginning of each of a line's windows in JSON lines."""
    group = f",{_group(query, line)}" if query.by_series else ""
    return f'{{"name":"{line.name}"{group},'.encode()


def _group_head(query: Query, line: AnswerLine) -> bytes:
    """The JSON of a group up to its points."""
    return f'{{"metric":"{line.name}",{_group(query, line)},"points":['.encode()


def _group(query: Query, line: AnswerLine) -> str:
    """What JSON says of a group. Written by hand: an encoder per group took half of the time to write an answer."""
    if line.rest:
        return '"tags":{},"rest":true'
    tags = [
        f"{encode_basestring(key)}:{'null' if value is None else encode_basestring(value)}"
        for key, value in zip(query.group_by or (), line.values, strict=True)
    ]
    return f'"tags":{{{",".join(tags)}}}'


_LABELS: Final = {"csv": _csv_line, "jsonl": _json_line}
"""What stands before each window of a line, by format."""


def _drawn(
    query: Query, lines: Sequence[AnswerLine], summaries: Buckets, columns: Sequence[Values], not_whole: Column
) -> _Drawn:
    """Draw all windows with data, and those that ``fill`` adds."""
    found = _rows_of(summaries, [line.key for line in lines])
    label_of = _LABELS.get(query.format)
    labels = [b"" if label_of is None else label_of(query, line) for line in lines]
    if query.fill is None:
        starts, places, shares, empty = summaries.starts, np.arange(len(summaries.starts)), found, b""
    else:
        windows = windows_between(query.start, query.end, query.seconds, query.zone).starts
        touched = len(windows)
        starts = np.tile(windows, len(found))
        shares = [slice(at * touched, (at + 1) * touched) for at in range(len(found))]
        places = np.empty(len(summaries.starts), dtype=np.int64)
        for rows, share in zip(found, shares, strict=True):
            places[rows] = np.searchsorted(windows, summaries.starts[rows]) + share.start
        empty = _EMPTY[query.fill][query.csv]
    marks = _marks(starts, places, columns, not_whole)
    null = _EMPTY["null"][query.csv]
    pieces = [_pieces(values, null, f" {at}") for at, values in enumerate(columns)]
    drawn = np.repeat(_row(query, pieces, marks, empty, max(map(len, labels), default=1)), len(starts))
    _draw_times(drawn, starts)
    for name, piece in chain.from_iterable(one.items() for one in pieces):
        drawn[name][places] = piece
    for name, marked in marks.items():
        drawn[name][marked] = b",true" if query.csv else b',"%b":true' % name.encode()
    if label_of is None:
        drawn["after"][[share.stop - 1 for share in shares if share.stop > share.start]] = b"}"
    else:
        for label, share in zip(labels, shares, strict=True):
            drawn["before"][share] = label
    return _Drawn(_texts(drawn, shares), list(marks))


def _rows_of(summaries: Buckets, keys: Sequence[int]) -> list[slice]:
    """The rows of each key."""
    wanted = np.array(keys, dtype=np.int64)
    firsts, ends = (np.searchsorted(summaries.metric_ids, wanted + after).tolist() for after in (0, 1))
    return [slice(*edges) for edges in zip(firsts, ends, strict=True)]


def _texts(drawn: Column, shares: Sequence[slice]) -> list[memoryview]:
    """The text of each share of the rows."""
    places: npt.NDArray[np.uint8] = drawn.view(np.uint8)
    used = places != 0
    text = places[used].data
    sizes = np.count_nonzero(used.reshape(len(drawn), drawn.itemsize), axis=1)
    ends = np.r_[0, np.cumsum(sizes)].tolist()
    return [text[ends[share.start] : ends[share.stop]] for share in shares]


def _marks(starts: Column, places: Column, columns: Sequence[Values], not_whole: Column) -> dict[str, Column]:
    """For each mark that the answer may have: which windows of ``starts`` have it."""
    marks = {"partial": np.isin(starts, not_whole)} if len(not_whole) else {}
    unknown = [~values.known for values in columns if values.known is not None]
    if unknown and np.any(unknown):
        marks["unavailable"] = np.zeros(len(starts), dtype=bool)
        marks["unavailable"][places] = np.any(unknown, axis=0)
    return marks


def _row(
    query: Query, pieces: Sequence[Mapping[str, Column]], marks: Mapping[str, Column], empty: bytes, widest: int
) -> Column:
    """One window as a row of fields of bytes with what is the same in all; ``empty`` stands for each number.

    ``widest`` is the length of the longest label of a line.
    """
    numbers: list[tuple[str, int, bytes]] = []
    for label, own in zip(_labels(query), pieces, strict=True):
        before = b"," if query.csv else b',"%b":' % label.encode()
        numbers.append((f"label {label}", len(before), before))
        numbers += [(name, piece.itemsize, empty if name.startswith(_ONES) else b"") for name, piece in own.items()]
    if query.csv:
        flags = [(name, 5, b",") for name in marks]
        fields = [("before", widest, b""), *_TIME, ("zone", 1, b"Z"), *numbers, *flags, ("after", 2, b"\r\n")]
    else:
        flags = [(name, len(name) + 8, b"") for name in marks]
        begin, end = (b'"timestamp":"', b"}\n") if query.format == "jsonl" else (b'{"timestamp":"', b"},")
        fields = [("before", widest, b""), ("begin", 14, begin), *_TIME, ("zone", 2, b'Z"')]
        fields += [*flags, *numbers, ("after", 2, end)]
    return np.array([tuple(text for _, _, text in fields)], dtype=[(name, f"S{width}") for name, width, _ in fields])


def _pieces(values: Values, null: bytes, end: str) -> dict[str, Column]:
    """The parts of the text of each number, in their order; ``null`` for one that is not known.

    ``end`` is that of the parts' names, by which the columns differ.
    """
    sizes, tail = np.abs(values.numbers), None
    if values.decimals > DECIMALS:
        sizes, tail = sizes // 100, (sizes % 100).astype(np.int64)
    rest, fraction = sizes // UNIT, (sizes % UNIT).astype(np.int64)
    wholes = []
    for number in range(-(-len(str(int(rest.max(initial=0)))) // 4)):
        block, rest = (rest % _BLOCK).astype(np.int64), rest // _BLOCK
        wholes.append(np.where(rest > 0, _FOUR[block], (_FIRST if number else _LAST)[block]))
    pieces = {"sign": np.where(values.numbers < 0, b"-", b"")}
    pieces |= {f"whole{number}": wholes[number] for number in reversed(range(len(wholes)))}
    pieces["fraction"] = (
        _FRACTION[fraction] if tail is None else np.where(tail > 0, _POINT[fraction], _FRACTION[fraction])
    )
    if tail is not None:
        pieces["tail"] = _TAIL[tail]
    if values.known is not None:
        blank = {name: null if name == _ONES else b"" for name in pieces}
        pieces = {name: np.where(values.known, piece, blank[name]) for name, piece in pieces.items()}
    return {f"{name}{end}": piece for name, piece in pieces.items()}


def texts_of(values: Values) -> list[str]:
    """Each number as JSON."""
    pieces = _pieces(values, _EMPTY["null"][0], "")
    fields = [*((name, piece.dtype) for name, piece in pieces.items()), ("end", "S1")]
    drawn = np.empty(len(values.numbers), dtype=fields)
    for name, piece in (pieces | {"end": b","}).items():
        drawn[name] = piece
    (text,) = _texts(drawn, [slice(0, len(drawn))])
    return str(text, "ascii").split(",")[:-1]


def _draw_times(drawn: Column, starts: Column) -> None:
    """Write whole seconds since the epoch as ISO 8601, for the years 0 to 9999."""
    days, seconds = starts // _DAY, starts % _DAY
    dates = days.astype("datetime64[D]")
    months, years = dates.astype("datetime64[M]"), dates.astype("datetime64[Y]")
    drawn["year"] = _FOUR[years.astype(np.int64) + 1970]
    drawn["month"] = _TWO[(months - years).astype(np.int64) + 1]
    drawn["day"] = _TWO[(dates - months).astype(np.int64) + 1]
    drawn["hour"], drawn["minute"] = _TWO[seconds // 3600], _TWO[seconds // 60 % 60]
    drawn["second"] = _TWO[seconds % 60]

"""Writes the aggregate answer as JSON or CSV, with numpy arrays. Pure.

An answer has up to 50,000 windows, and the event loop waits for the interpreter lock meanwhile. So all windows are
written at once, as rows of bytes of equal width. Unused bytes are NUL and are removed at the end. This takes a tenth of
the time of one text per window, nearly all of it without the lock (docs/decisions/0011-answers-by-columns.md).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from central.query.parameters import Query
from central.query.windows import windows_between
from central.store.buckets import Buckets, Column
from protocol.numbers import UNIT

_BLOCK: Final = 10_000
"""A block is four digits, which are written together. A number also has four decimals."""
_FOUR: Final = np.array([b"%04d" % number for number in range(_BLOCK)])
_LAST: Final = np.array([b"%d" % number for number in range(_BLOCK)])
_FIRST: Final = np.where(np.arange(_BLOCK) > 0, _LAST, b"")
_FRACTION: Final = np.array([b"", *((b".%04d" % number).rstrip(b"0") for number in range(1, _BLOCK))])
"""The text of a block: _FOUR inside a number, _LAST if it is the only block, _FIRST as the first of several, and
_FRACTION after the point."""
_TWO: Final = np.array([b"%02d" % number for number in range(100)])
_DAY: Final = 86_400
_CSV_HEADER: Final = b"name,timestamp,value"
_EMPTY: Final = {"zero": (b"0", b"0"), "null": (b"null", b"")}
"""The value of a window without data for each ``fill``: in JSON, and in CSV."""


class _Frame(NamedTuple):
    """The text before the time of each window, between time and number, and after the number."""

    before: bytes
    between: bytes
    after: bytes


_JSON_FRAME: Final = _Frame(b'{"timestamp":"', b'Z","value":', b"},")
_CSV_FRAME: Final = _Frame(b"", b"Z,", b"\r\n")
_JSON_MARKED: Final = _JSON_FRAME._replace(between=b'Z","partial":true,"value":')
_CSV_WHOLE, _CSV_MARKED = (_CSV_FRAME._replace(after=after) for after in (b",\r\n", b",true\r\n"))
"""The frames for a window that is not whole. If an answer has one, every CSV line has the column ``partial``, and whole
windows use _CSV_WHOLE."""


class Notes(NamedTuple):
    """What a reader must know about an answer besides its numbers.

    ``partial``: some acknowledged points are not in the store yet. ``unknown``: names that do not exist, each with
    similar names that do. ``not_whole``: starts of the windows that the range cuts or that have not ended.
    """

    partial: bool = False
    unknown: Mapping[str, Sequence[str]] = MappingProxyType({})
    not_whole: Column = np.empty(0, dtype=np.int64)


_NO_NOTES: Final = Notes()


def render(query: Query, ids: Mapping[str, int], buckets: Buckets, notes: Notes = _NO_NOTES) -> bytes:
    """The answer as JSON (PRD 4.1.2) or CSV. ``ids`` has the metric ids of those names that exist.

    The notes appear in JSON as ``"complete": false``, ``"unknown": [...]`` and, in a window, ``"partial": true``. CSV
    has a column ``partial`` if the range has such a window, with or without data. So the same query always gives the
    same columns.
    """
    series = _series(query, ids, buckets, notes.not_whole)
    if query.csv:
        return b"".join([_CSV_HEADER, b",partial" * bool(len(notes.not_whole)), b"\r\n", *series.values()])
    head: dict[str, Any] = {"success": True, "metric": ",".join(query.names)}
    head |= {"operation": query.operation, "window": query.window}
    if query.zone is not None:
        head["tz"] = query.zone.key
    if notes.partial:
        head["complete"] = False
    if notes.unknown:
        head["unknown"] = [{"name": name, "near": list(near)} for name, near in notes.unknown.items()]
    pieces: list[bytes | memoryview] = [json.dumps(head, separators=(",", ":"))[:-1].encode(), b',"data":']
    if len(series) == 1:
        pieces += [b"[", *series.values(), b"]}"]
    else:
        for at, (name, text) in enumerate(series.items()):
            pieces += [b'%b"%b":[' % (b"," if at else b"{", name.encode()), text, b"]"]
        pieces.append(b"}}")
    return b"".join(pieces)  # the only copy


def _series(query: Query, ids: Mapping[str, int], buckets: Buckets, not_whole: Column) -> dict[str, memoryview]:
    """The text of each name's windows, in the order of the query, including the windows that ``fill`` adds."""
    found = {name: _rows_of(buckets, ids.get(name, -1)) for name in query.names}
    if query.fill is None:
        starts, places, shares, empty = buckets.starts, np.arange(len(buckets.starts)), found, b""
    else:
        windows = windows_between(query.start, query.end, query.seconds, query.zone).starts
        touched = len(windows)
        starts = np.tile(windows, len(query.names))
        shares = {name: slice(at * touched, (at + 1) * touched) for at, name in enumerate(query.names)}
        places = np.empty(len(buckets.starts), dtype=np.int64)
        for name, rows in found.items():
            places[rows] = np.searchsorted(windows, buckets.starts[rows]) + shares[name].start
        empty = _EMPTY[query.fill][query.csv]
    cut = np.isin(starts, not_whole)
    any_cut = len(not_whole) > 0
    whole, marked = (_CSV_FRAME, _CSV_MARKED) if query.csv else (_JSON_FRAME, _JSON_MARKED)
    if query.csv and any_cut:
        whole = _CSV_WHOLE
    before = b"\0" * (max(map(len, query.names)) + 1) if query.csv else whole.before
    widest = (marked if any_cut else whole)._replace(before=before)
    drawn = _draw(widest, starts, places, _VALUES[query.operation](buckets), empty)
    if any_cut:
        drawn["between"] = np.where(cut, marked.between, whole.between)
        drawn["after"] = np.where(cut, marked.after, whole.after)
    for name, share in shares.items():
        if query.csv:
            drawn["before"][share] = b"%b," % name.encode()
        else:
            drawn["after"][share][-1:] = b"}"
    return {name: _text(drawn[share]) for name, share in shares.items()}


def _rows_of(buckets: Buckets, metric_id: int) -> slice:
    return slice(*np.searchsorted(buckets.metric_ids, (metric_id, metric_id + 1)).tolist())


def _text(drawn: Column) -> memoryview:
    places: npt.NDArray[np.uint8] = drawn.view(np.uint8)
    text: memoryview = places[places != 0].data
    return text


def _draw(frame: _Frame, starts: Column, places: Column, units: Column, empty: bytes) -> Column:
    """A row per window of ``starts``. The windows at ``places`` get the numbers ``units``, the others ``empty``."""
    sizes = np.abs(units)
    blocks = -(-len(str(int(sizes.max(initial=0)) // UNIT)) // 4)
    wholes = [f"whole{number}" for number in reversed(range(blocks))]
    widths = {
        **{"before": len(frame.before), "year": 4, "-": 1, "month": 2, "--": 1, "day": 2, "T": 1},
        **{"hour": 2, ":": 1, "minute": 2, "::": 1, "second": 2, "between": len(frame.between)},
        **{"sign": 1, **dict.fromkeys(wholes, 4), "fraction": 5, "after": len(frame.after)},
    }
    constant = {"-": b"-", "--": b"-", "T": b"T", ":": b":", "::": b":", "whole0": empty, **frame._asdict()}
    row = tuple(constant.get(name, b"") for name in widths)
    layout = [(name, f"S{width}") for name, width in widths.items()]
    drawn = np.repeat(np.array([row], dtype=layout), len(starts))
    _draw_times(drawn, starts)
    drawn["sign"][places] = np.where(units < 0, b"-", b"")
    rest, fraction = sizes // UNIT, sizes % UNIT
    drawn["fraction"][places] = _FRACTION[fraction.astype(np.int64)]
    for number in range(blocks):
        block, rest = (rest % _BLOCK).astype(np.int64), rest // _BLOCK
        drawn[f"whole{number}"][places] = np.where(rest > 0, _FOUR[block], (_FIRST if number else _LAST)[block])
    return drawn


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


def _averages(buckets: Buckets) -> Column:
    """Sums divided by counts, rounded to the nearest unit, half to even."""
    totals, weights = buckets.totals, buckets.weights
    if len(weights) and not (weights.min() >= UNIT and weights.max() < 2**63 // (2 * UNIT)):
        totals, weights = totals.astype(object), weights.astype(object)  # a product could be too large for 64 bits
    whole, rest = totals // weights, totals % weights * UNIT
    units, twice = whole * UNIT + rest // weights, rest % weights * 2
    nearest: Column = units + ((twice > weights) | ((twice == weights) & (units % 2 == 1)))
    return nearest


_VALUES: Final[dict[str, Callable[[Buckets], Column]]] = {
    "sum": lambda buckets: buckets.totals,
    "count": lambda buckets: buckets.weights,
    "avg": _averages,
    "min": lambda buckets: buckets.lows,
    "max": lambda buckets: buckets.highs,
}

"""The embedded store's SQL, and the arrays that pass a group's rows to it.

Numbers are passed as whole units. SQL multiplies them by the exact decimal 0.0001, which gives decimals with four
places. A division would use binary floats and not be exact.
"""

from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from central.compiled import CORE
from central.store.base import RequestId, Row
from central.store.buckets import Buckets, Column, buckets_of
from central.store.duck.bloom import Words
from central.store.members import Members
from central.store.plan import Segment
from protocol.numbers import UNIT, units_to_text

_SPLIT: Final = 10**10
_COLUMNS: Final = 8
TAIL: Final = "tail_points"
POINTS: Final = "metric_points"
_NARROW_END: Final = 10**14
"""Units below this are passed in 64 bits; a rollup's values below this fit into DECIMAL(18,4)."""
_DOUBLE_END: Final = float(1 << 50)
_MANY_IDS: Final = 200
_LOW: Final = 10**8
"""A number that is too large for a double is read in two halves. The lower half has these digits before the point."""
DOUBLE: Final = "{0}::DOUBLE"
"""DuckDB makes doubles without the interpreter lock. It would hold the lock while it makes them of fetched decimals."""
HALVES: Final = f"{{0}}, {{0}} % {_LOW}::DECIMAL(38,4)"
EXACT: Final = "{0}"
_LOW_UNITS: Final = _LOW * UNIT
_HALVES_END: Final = _LOW_UNITS * _DOUBLE_END / 2
ROLLUPS: Final = {
    "minute": ("rollup_minute", "rollup_minute_packed", "rollup_minute_wide"),
    "hour": ("rollup_hour",),
}
"""The tables of each level. A query adds up the rows of all of them."""
HISTOGRAMS: Final = {"minute": "histogram_minute", "hour": "histogram_hour"}
"""The table of merged histograms of each level."""

_SUMMARIES: Final = " UNION ALL ".join(
    f"""
SELECT {column} AS metric_id, recorded_at // 60 * 60 AS bucket, sum(coalesce(samples, 1)) AS samples,
       sum(value) AS total, min(coalesce(min_value, value)) AS low, max(coalesce(max_value, value)) AS high
FROM tail_points WHERE {column} IS NOT NULL GROUP BY 1, 2"""
    for column in ("metric_id", "series_id")
)
"""A point with tags counts twice: for its name and for its series."""
_FITS: Final = (
    f"samples < {_NARROW_END} AND abs(total) < {_NARROW_END} AND low > -{_NARROW_END} AND high < {_NARROW_END}"
)


def put_minutes(table: str, summaries: str) -> str:
    """Statements that insert the rows of a SELECT: into ``table`` if the numbers fit, else into rollup_minute_wide."""
    return (
        f"INSERT INTO {table} SELECT * FROM ({summaries}) WHERE {_FITS} ORDER BY metric_id, bucket;"
        f"INSERT INTO rollup_minute_wide SELECT * FROM ({summaries}) WHERE NOT ({_FITS});"
    )


FOLD: Final = f"""
BEGIN; INSERT INTO metric_points SELECT * FROM tail_points;
CREATE TEMP TABLE folded AS {_SUMMARIES};
{put_minutes("rollup_minute", "SELECT * FROM folded")}
INSERT INTO rollup_hour
SELECT metric_id, bucket // 3600 * 3600, sum(samples), sum(total), min(low), max(high) FROM folded GROUP BY 1, 2
ON CONFLICT DO UPDATE SET
    samples = samples + excluded.samples, total = total + excluded.total,
    min_value = least(min_value, excluded.min_value), max_value = greatest(max_value, excluded.max_value);
DROP TABLE folded; DELETE FROM tail_points;
"""
"""Moves the tail into points and rollups; the caller commits. This is not a prepared statement, on purpose: a prepared
plan keeps old statistics of the table, and grouped wrongly (docs/decisions/0003-the-tail.md)."""

_NARROW: Final = "({}::DECIMAL(14,0) * 0.0001::DECIMAL(4,4))"
_HALVES: Final = (
    f"(({{0}}h::DECIMAL(20,0) * {_SPLIT}::DECIMAL(11,0) + {{0}}l::DECIMAL(20,0))::DECIMAL(24,0)"
    " * 0.0001::DECIMAL(5,4))::DECIMAL(20,4)"
)
PUT_PLAIN: Final = (
    f"INSERT INTO tail_points SELECT m, t, {_NARROW.format('v')}, NULL, NULL, NULL, NULL, {{series}} FROM incoming"
)
PUT_NARROW, PUT_WIDE = (
    "INSERT INTO tail_points SELECT m, t, "
    + number.format("v")
    + "".join(f", CASE WHEN f THEN {number.format(column)} END" for column in "wab")
    + ", {histogram}, {series} FROM incoming"
    for number in (_NARROW, _HALVES)
)
_HISTOGRAM: Final = "nullif(from_base64(h), ''::BLOB)"
_BLOB: Final = "nullif(from_base64('{}'), ''::BLOB)"
WITH_TEXTS: Final = " POSITIONAL JOIN (SELECT unnest(string_split(t, ' ')) AS h FROM texts)"
"""Adds a column ``h`` of texts to the rows of a table. They cross as one text: see ``texts_of``."""
_SERIES: Final = "nullif(s, 0)"

ID_TABLE: Final = "request_ids_"
CREATE_IDS: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (high UBIGINT NOT NULL, low UBIGINT NOT NULL,"
    " body_high UBIGINT NOT NULL, body_low UBIGINT NOT NULL, answer BLOB)"
)
PUT_REJECTED: Final = "INSERT INTO rejected_points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_IDS: Final = "INSERT INTO {table} SELECT * FROM incoming_ids"
FEW: Final = 8
"""So many rows of points and ids are written into their statements: see ``put_few``."""


def put_few(table: str, rows: Sequence[Row], ids: Sequence[RequestId]) -> str:
    """Statements that store a few points in the tail, and their ids in ``table``.

    DuckDB takes half as long for them as for the same rows in arrays, and fewer turns at the interpreter lock. With
    more than FEW rows, arrays are quicker.
    """
    points = ", ".join(map(_point, rows))
    put_points = f"INSERT INTO {TAIL} VALUES {points};" if rows else ""
    return f"{put_points} INSERT INTO {table} VALUES {', '.join(map(_id, ids))}"


def _point(row: Row) -> str:
    numbers = ("NULL" if units is None else units_to_text(units) for units in row[2:6])
    histogram = _BLOB.format(base64_of(row.histogram))
    return f"({row.metric_id}, {row.recorded_at}, {', '.join(numbers)}, {histogram}, {row.series_id or 'NULL'})"


def _id(entry: RequestId) -> str:
    halves = [int.from_bytes(key[at : at + 8], "big") for key in (entry.id, entry.fingerprint) for at in (0, 8)]
    return f"({', '.join(map(str, halves))}, {_BLOB.format(base64_of(entry.answer))})"


def texts_of(parts: Iterable[str]) -> dict[str, Any]:
    """The ``texts`` for WITH_TEXTS. No part holds a blank.

    DuckDB takes 40 us or more per Python object of a column, and 2 us per part of a text.
    """
    return {"t": np.array([" ".join(parts)], dtype=object)}


def base64_of(content: bytes | None) -> str:
    """Bytes as text for ``from_base64``; no text for None."""
    return b2a_base64(content, newline=False).decode() if content else ""


def point_columns(rows: Sequence[Row], core: ModuleType | None = CORE) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The statement that stores these rows in the tail, and its ``incoming`` columns and ``texts``.

    If all numbers have at most 14 digits, as nearly always, each is one column and is multiplied in 64 bits. Otherwise
    all numbers of the group are passed as two halves of ten digits.
    """
    metric_ids, times, values, weights, lows, highs, series_ids, summaries = _numbers(rows, core)
    columns: dict[str, Any] = {"m": metric_ids.astype(np.int32), "t": times.astype(np.int64)}
    numbers = {"v": values}
    if plain := not summaries.any():
        histograms: Sequence[bytes | None] = ()
    else:
        columns["f"] = summaries.astype(np.bool_)
        numbers |= {"w": weights, "a": lows, "b": highs}
        histograms = [row[6] for row in rows]
    histogram, series, more, texts = "NULL", "NULL", "", {}
    if series_ids.any():
        series = _SERIES
        columns["s"] = series_ids.astype(np.int32)
    if any(histograms):
        histogram, more, texts = _HISTOGRAM, WITH_TEXTS, texts_of(map(base64_of, histograms))
    if all(column.max() < _NARROW_END and column.min() > -_NARROW_END for column in numbers.values()):
        columns |= {name: column.astype(np.int64) for name, column in numbers.items()}
        if plain:
            return PUT_PLAIN.format(series=series), columns, texts
        return PUT_NARROW.format(histogram=histogram, series=series) + more, columns, texts
    columns.setdefault("f", np.zeros(len(rows), dtype=np.bool_))
    for name in "vwab":
        column = numbers.get(name, values)
        columns |= {name + "h": (column // _SPLIT).astype(np.int64), name + "l": (column % _SPLIT).astype(np.int64)}
    return PUT_WIDE.format(histogram=histogram, series=series) + more, columns, texts


def _numbers(rows: Sequence[Row], core: ModuleType | None) -> Column:
    """The columns that core.columns describes, one per line of an array; Python's own integers if one is too large."""
    packed = None if core is None else core.columns(rows)
    if packed is not None:
        return np.frombuffer(packed, dtype=np.int64).reshape(_COLUMNS, -1)
    lines = [
        (metric_id, at, value, weight or 0, low or 0, high or 0, series_id, weight is not None)
        for metric_id, at, value, weight, low, high, _, series_id in rows
    ]
    columns: Column = np.array(lines, dtype=object).T
    return columns


def id_columns(ids: Sequence[RequestId]) -> dict[str, Any]:
    """The ``incoming_ids`` columns: 64-bit halves of ids and fingerprints, and the answers that are not plain."""
    keys = words([entry.id for entry in ids])
    bodies = words([entry.fingerprint for entry in ids])
    return {
        "high": keys[0],
        "low": keys[1],
        "body_high": bodies[0],
        "body_low": bodies[1],
        "answer": np.array([entry.answer for entry in ids], dtype=object),
    }


def words(keys: Sequence[bytes]) -> tuple[Words, Words]:
    """16-byte keys as two arrays of unsigned 64-bit integers."""
    pairs = np.frombuffer(b"".join(keys), dtype=">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


def find_ids(tables: Sequence[str], keys: Sequence[bytes]) -> str:
    """SELECT of the rows of these tables that may have these ids. The caller compares the lower halves."""
    listed = ", ".join(str(int.from_bytes(key[:8], "big")) for key in keys)
    return " UNION ALL ".join(f"SELECT * FROM {table} WHERE high IN ({listed})" for table in tables)


class Source(NamedTuple):
    """Raw points: a table, which of its rows, and the SQL of the member's id of a row."""

    table: str
    condition: str
    member: str


def raw_sources(members: Members, segments: Sequence[Segment]) -> list[Source]:
    """The raw points of members: of the segments that ask for them, and of all segments those in the tail.

    Of samples without tags, the points are read wherever there may be some, since no rollup has their sums.
    """
    whole = Segment("raw", segments[0].start, segments[-1].end)
    places = [(TAIL, whole), *((POINTS, segment) for segment in segments if segment.level == "raw")]
    sources = []
    for table, segment in places:
        if members.names:
            sources.append(Source(table, within("recorded_at", segment, members.names), "metric_id"))
        if members.series:
            condition = f"{within('recorded_at', segment, members.metrics)} AND {_among('series_id', members.series)}"
            sources.append(Source(table, condition, "series_id"))
    untagged = [(POINTS, segment) for segment in members.untagged_within(segments)]
    for table, segment in [(TAIL, whole), *untagged] if members.untagged else ():
        condition = f"{within('recorded_at', segment, members.untagged)} AND series_id IS NULL"
        sources.append(Source(table, condition, "-metric_id"))
    return sources


def untagged_buckets(members: Members, series: Sequence[int], segment: Segment) -> str:
    """SELECT of the minutes or hours of a segment in which a name has more samples than all its ``series``.

    The others have no sample without tags: a name has never fewer samples than its series, and none weighs nothing.
    """
    parts = [
        f"SELECT bucket, {sign}samples AS samples FROM {table} WHERE {within('bucket', segment, ids)}"
        for sign, ids in (("", members.untagged), ("-", series))
        for table in ROLLUPS[segment.level]
        if ids
    ]
    return f"SELECT bucket FROM ({' UNION ALL '.join(parts)}) GROUP BY bucket HAVING sum(samples) <> 0 ORDER BY bucket"


def member_columns(members: Members) -> dict[str, Column]:
    """The table ``members`` of ``aggregate``: the ids of members and their keys."""
    if not members.renamed:
        return {}
    return {
        "i": np.array(list(members.keys), dtype=np.int32),
        "k": np.array(list(members.keys.values()), dtype=np.int64),
    }


def aggregate(
    members: Members, window: int, segments: Sequence[Segment], *, extremes: bool, number: str = DOUBLE
) -> str:
    """SELECT of exact summaries per group and window over all segments. One statement, so one snapshot.

    If members are renamed, it reads ``member_columns`` as the table ``members``. ``number`` is the SQL of each number:
    DOUBLE for ``buckets``, HALVES for ``buckets_of_halves``, EXACT for decimals.
    """
    asked = ("sum(samples)", "sum(total)", "min(low)", "max(high)") if extremes else ("sum(samples)", "sum(total)")
    sums = ", ".join(map(number.format, asked))
    selects = [_raw(source) for source in raw_sources(members, segments)]
    if ids := [*members.names, *members.series]:
        for segment in segments:
            selects += [_rollup(table, segment, ids) for table in ROLLUPS.get(segment.level, ())]
    key, named = ("k", " JOIN members ON i = member_id") if members.renamed else ("member_id", "")
    return (
        f"SELECT {key} AS metric_id, t // {window} * {window} AS start, {sums}"
        f" FROM ({' UNION ALL '.join(selects)}){named} GROUP BY {key}, start ORDER BY {key}, start"
    )


def buckets(columns: Mapping[str, Any]) -> Buckets | None:
    """Buckets from the columns of doubles that ``aggregate`` selected. None if a number is too large to be exact.

    The error of a double is at most 2^-53 of its value, and multiplying by 10,000 adds as much again. Below 2^50 units
    this is less than a quarter of a unit, so rounding gives the exact number.
    """
    metric_ids, starts, *numbers = columns.values()
    units = [np.rint(column * UNIT) for column in numbers]
    if any(np.abs(column).max(initial=0) > _DOUBLE_END for column in units):
        return None
    return buckets_of([column.astype(np.int64) for column in (metric_ids, starts, *units)])


def buckets_of_halves(columns: Mapping[str, Any]) -> Buckets | None:
    """Buckets from the halves that ``aggregate`` selected. None if a number is too large even for two doubles.

    The lower half is exact. The whole number minus the lower half is a multiple of 10^8, plus an error of the double
    that is less than half of that. So rounding gives the exact upper half.
    """
    metric_ids, starts, *numbers = columns.values()
    if any(np.abs(column).max(initial=0) * UNIT > _HALVES_END for column in numbers):
        return None
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return buckets_of([metric_ids.astype(np.int64), starts.astype(np.int64), *(_whole(*pair) for pair in pairs)])


def _whole(number: Column, low: Column) -> Column:
    low = np.rint(low * UNIT)
    high = np.rint((number * UNIT - low) / _LOW_UNITS)
    small = np.abs(high).max(initial=0) < (1 << 62) // _LOW_UNITS - 1
    kind = np.int64 if small else object
    whole: Column = high.astype(np.int64).astype(kind) * _LOW_UNITS + low.astype(np.int64).astype(kind)
    return whole


def _rollup(table: str, segment: Segment, ids: Sequence[int]) -> str:
    return (
        f"SELECT metric_id AS member_id, bucket AS t, samples, total, min_value AS low, max_value AS high FROM {table}"
        f" WHERE {within('bucket', segment, ids)}"
    )


def _raw(source: Source) -> str:
    return (
        f"SELECT {source.member} AS member_id, recorded_at AS t, coalesce(samples, 1)::DECIMAL(38,4) AS samples,"
        " value::DECIMAL(38,4) AS total, coalesce(min_value, value) AS low, coalesce(max_value, value) AS high"
        f" FROM {source.table} WHERE {source.condition}"
    )


def within(column: str, segment: Segment, ids: Sequence[int]) -> str:
    """The condition that a row is of one of these names or series, and by its column in the segment."""
    return f"{_among('metric_id', ids)} AND {column} >= {segment.start} AND {column} < {segment.end}"


def _among(column: str, ids: Sequence[int]) -> str:
    """Compares a single id with ``=``: then DuckDB skips the blocks of others. Many are one text: each number in SQL
    takes 2 us to parse and plan."""
    if len(ids) == 1:
        return f"{column} = {ids[0]}"
    listed = ", ".join(map(str, ids))
    if len(ids) < _MANY_IDS:
        return f"{column} IN ({listed})"
    return f"{column} IN (SELECT unnest(from_json('[{listed}]', '[\"INTEGER\"]')))"

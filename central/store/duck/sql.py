"""The embedded store's SQL, and the arrays that carry a group's rows into it.

Numbers cross as whole units. A product with the exact decimal 0.0001 makes them decimals with four places again;
a division would go through binary floats.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from central.store.base import RequestId, Row
from central.store.buckets import Buckets, Column
from central.store.duck.bloom import Words
from central.store.plan import Segment
from protocol.numbers import UNIT

_SPLIT: Final = 10**10
_NARROW_END: Final = 10**14
"""Units of a group's rows that cross in 64 bits, and values of a rollup that fit into DECIMAL(18,4)."""
_DOUBLE_END: Final = float(1 << 50)
_LOW: Final = 10**8
"""The lower digits of a number, before the point, that cross by themselves where a double cannot hold all."""
_LOW_UNITS: Final = _LOW * UNIT
_HALVES_END: Final = _LOW_UNITS * _DOUBLE_END / 2
ROLLUPS: Final = {
    "minute": ("rollup_minute", "rollup_minute_packed", "rollup_minute_wide"),
    "hour": ("rollup_hour",),
}
"""The tables of a level: a query adds up what is in all of them."""

_SUMMARIES: Final = """
SELECT metric_id, recorded_at // {0} * {0} AS bucket, sum(coalesce(samples, 1)) AS samples, sum(value) AS total,
       min(coalesce(min_value, value)) AS low, max(coalesce(max_value, value)) AS high
FROM tail_points GROUP BY 1, 2"""
_FITS: Final = (
    f"samples < {_NARROW_END} AND abs(total) < {_NARROW_END} AND low > -{_NARROW_END} AND high < {_NARROW_END}"
)


def put_minutes(table: str, summaries: str) -> str:
    """Statements that insert what a SELECT gives into a table of narrow numbers, by name, or into the wide one."""
    return (
        f"INSERT INTO {table} SELECT * FROM ({summaries}) WHERE {_FITS} ORDER BY metric_id, bucket;"
        f"INSERT INTO rollup_minute_wide SELECT * FROM ({summaries}) WHERE NOT ({_FITS});"
    )


FOLD: Final = f"""
BEGIN; INSERT INTO metric_points SELECT * FROM tail_points;
{put_minutes("rollup_minute", _SUMMARIES.format(60))}
INSERT INTO rollup_hour {_SUMMARIES.format(3600)}
ON CONFLICT DO UPDATE SET
    samples = samples + excluded.samples, total = total + excluded.total,
    min_value = least(min_value, excluded.min_value), max_value = greatest(max_value, excluded.max_value);
DELETE FROM tail_points;
"""
"""Moves the tail into points and rollups, up to its COMMIT. Planned anew each time on purpose: a prepared
plan keeps what it knew of the table's values, and gave wrong groups (docs/decisions/0003-the-tail.md)."""

_NARROW: Final = "({}::DECIMAL(14,0) * 0.0001::DECIMAL(4,4))"
_HALVES: Final = (
    f"(({{0}}h::DECIMAL(20,0) * {_SPLIT}::DECIMAL(11,0) + {{0}}l::DECIMAL(20,0))::DECIMAL(24,0)"
    " * 0.0001::DECIMAL(5,4))::DECIMAL(20,4)"
)
PUT_PLAIN: Final = f"INSERT INTO tail_points SELECT m, t, {_NARROW.format('v')}, NULL, NULL, NULL FROM incoming"
PUT_NARROW, PUT_WIDE = (
    "INSERT INTO tail_points SELECT m, t, "
    + number.format("v")
    + "".join(f", CASE WHEN f THEN {number.format(column)} END" for column in "wab")
    + " FROM incoming"
    for number in (_NARROW, _HALVES)
)

ID_TABLE: Final = "request_ids_"
CREATE_IDS: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (high UBIGINT NOT NULL, low UBIGINT NOT NULL,"
    " body_high UBIGINT NOT NULL, body_low UBIGINT NOT NULL, answer BLOB)"
)
PUT_REJECTED: Final = "INSERT INTO rejected_points VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PUT_IDS: Final = "INSERT INTO {table} SELECT * FROM incoming_ids"


def point_columns(rows: Sequence[Row]) -> tuple[str, dict[str, Any]]:
    """The statement that stores these rows in the tail, and its ``incoming`` columns.

    Numbers of up to 14 digits, as nearly all are, cross in one column each and are multiplied in 64 bits; any
    larger one makes its group's numbers cross as two halves of ten digits.
    """
    metric_ids, times, values, weights, lows, highs = zip(*rows, strict=True)
    columns: dict[str, Any] = {"m": np.array(metric_ids, dtype=np.int32), "t": np.array(times, dtype=np.int64)}
    plain = not any(weights)
    numbers: dict[str, Sequence[int]] = {"v": values}
    if not plain:
        columns["f"] = np.array([weight is not None for weight in weights], dtype=np.bool_)
        for name, column in (("w", weights), ("a", lows), ("b", highs)):
            numbers[name] = [number or 0 for number in column]
    if all(max(column) < _NARROW_END and min(column) > -_NARROW_END for column in numbers.values()):
        columns |= {name: np.array(column, dtype=np.int64) for name, column in numbers.items()}
        return PUT_PLAIN if plain else PUT_NARROW, columns
    columns.setdefault("f", np.zeros(len(rows), dtype=np.bool_))
    for name in "vwab":
        halves = [divmod(number, _SPLIT) for number in numbers.get(name, values)]
        columns[name + "h"] = np.array([high for high, _ in halves], dtype=np.int64)
        columns[name + "l"] = np.array([low for _, low in halves], dtype=np.int64)
    return PUT_WIDE, columns


def id_columns(ids: Sequence[RequestId]) -> dict[str, Any]:
    """The ``incoming_ids`` columns: ids and fingerprints as halves, answers where they are not plain."""
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
    """SELECT of what these tables know of these ids."""
    listed = ", ".join(str(int.from_bytes(key[:8], "big")) for key in keys)
    return " UNION ALL ".join(f"SELECT * FROM {table} WHERE high IN ({listed})" for table in tables)


def aggregate(metric_ids: Sequence[int], window: int, segments: Sequence[Segment], *, halves: bool = False) -> str:
    """SELECT of exact summaries by name and window over all segments, in one statement and so one snapshot.

    ``halves``: each number is followed by its lower digits, for ``buckets_of_halves``.
    """
    numbers = [f"{{0}}, {{0}} % {_LOW}::DECIMAL(38,4)" if halves else "{0}"] * 4
    sums = ", ".join(map(str.format, numbers, ("sum(samples)", "sum(total)", "min(low)", "max(high)")))
    tail = Segment("raw", segments[0].start, segments[-1].end)
    selects = [_raw("tail_points", tail, metric_ids)]
    for segment in segments:
        if segment.level == "raw":
            selects.append(_raw("metric_points", segment, metric_ids))
        else:
            selects += [_rollup(table, segment, metric_ids) for table in ROLLUPS[segment.level]]
    return (
        f"SELECT metric_id, t // {window} * {window} AS start, {sums}"
        f" FROM ({' UNION ALL '.join(selects)}) GROUP BY metric_id, start ORDER BY metric_id, start"
    )


def buckets(columns: Mapping[str, Any]) -> Buckets | None:
    """What ``aggregate`` selected, as columns of doubles; None where a number is too large for one to be exact.

    A double is off by 2^-53 of itself and its product with 10,000 by as much again: below 2^50 units that is less
    than a quarter of one, so the nearest whole number is the one.
    """
    metric_ids, starts, *numbers = columns.values()
    units = [np.rint(column * UNIT) for column in numbers]
    if any(np.abs(column).max(initial=0) > _DOUBLE_END for column in units):
        return None
    return Buckets(*(column.astype(np.int64) for column in (metric_ids, starts, *units)))


def buckets_of_halves(columns: Mapping[str, Any]) -> Buckets | None:
    """What ``aggregate`` selected as halves; None where a number is too large for doubles even so.

    The lower half is exact. What is left over it is the double's error, below half of what the upper half counts in.
    """
    metric_ids, starts, *numbers = columns.values()
    if any(np.abs(column).max(initial=0) * UNIT > _HALVES_END for column in numbers):
        return None
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return Buckets(metric_ids.astype(np.int64), starts.astype(np.int64), *(_whole(*pair) for pair in pairs))


def _whole(number: Column, low: Column) -> Column:
    low = np.rint(low * UNIT)
    high = np.rint((number * UNIT - low) / _LOW_UNITS)
    small = np.abs(high).max(initial=0) < (1 << 62) // _LOW_UNITS - 1
    kind = np.int64 if small else object
    whole: Column = high.astype(np.int64).astype(kind) * _LOW_UNITS + low.astype(np.int64).astype(kind)
    return whole


def _rollup(table: str, segment: Segment, metric_ids: Sequence[int]) -> str:
    return (
        f"SELECT metric_id, bucket AS t, samples, total, min_value AS low, max_value AS high FROM {table}"
        f" WHERE {_within('bucket', segment, metric_ids)}"
    )


def _raw(table: str, segment: Segment, metric_ids: Sequence[int]) -> str:
    return (
        "SELECT metric_id, recorded_at AS t, coalesce(samples, 1)::DECIMAL(38,4) AS samples,"
        " value::DECIMAL(38,4) AS total, coalesce(min_value, value) AS low, coalesce(max_value, value) AS high"
        f" FROM {table} WHERE {_within('recorded_at', segment, metric_ids)}"
    )


def _within(column: str, segment: Segment, metric_ids: Sequence[int]) -> str:
    """One name is compared and not looked up in a list: so other columns are read only where it occurs."""
    names = f"= {metric_ids[0]}" if len(metric_ids) == 1 else f"IN ({', '.join(map(str, metric_ids))})"
    return f"metric_id {names} AND {column} >= {segment.start} AND {column} < {segment.end}"

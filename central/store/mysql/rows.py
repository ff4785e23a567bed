"""Writes a group's rows, and their sums per minute and hour, as lines of text for LOAD DATA and INSERT. Pure.

A line holds SQL literals with commas between them. A time is the number YYYYMMDDhhmmss, a number has all its digits,
and a histogram is ``0x`` and hexadecimal digits. Lines are in the order of their table's primary key. So two groups
that change the same rollup rows wait for each other, but never deadlock.
"""

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from types import ModuleType
from typing import Final, NamedTuple

from central.compiled import CORE
from central.store.base import Row
from protocol.numbers import UNIT

ROW_BITS: Final = 20
MAX_ROWS: Final = 1 << ROW_BITS
_BY_KEY: Final = itemgetter(0, 1)
_Sums = dict[tuple[int, int], tuple[int, int, int, int]]


class RowLines(NamedTuple):
    """The lines of a group. Every line ends with a newline.

    ``points`` have metric_id, recorded_at, id, value. If some of them are ``summaries``, all have samples, min_value
    and max_value too, which may be NULL. If some of them are of ``series``, all have series_id too, which may be NULL.
    If some of them have ``histograms``, all have one at the end, which may be NULL. ``minutes`` and ``hours`` have
    metric_id, bucket, samples, total, min_value and max_value: first of names, then of series, whose ids are higher.
    """

    summaries: bool
    series: bool
    histograms: bool
    points: str
    minutes: str
    hours: str


def lines(group_id: bytes, rows: list[Row], core: ModuleType | None = CORE) -> RowLines:
    """The lines of a group. Uses the compiled core if there is one and every number fits into 64 bits.

    A row's id is 43 bits of the group's id followed by the row's number. So it is the same when the group is retried.
    """
    base = int.from_bytes(group_id[:8], "big") >> (ROW_BITS + 1) << ROW_BITS
    made = core.lines(rows, base) if core else None
    return RowLines(*made) if made else _plain_lines(base, rows)


def _plain_lines(base: int, rows: Sequence[Row]) -> RowLines:
    summaries = any(row.weight is not None for row in rows)
    histograms = any(row.histogram is not None for row in rows)
    ordered = sorted(rows, key=_BY_KEY)
    tagged = sorted([row._replace(metric_id=row.series_id) for row in ordered if row.series_id], key=_BY_KEY)
    points = [
        f"{row.metric_id},{stamp(row.recorded_at)},{number},{decimal(row.value)}"
        + (f",{nullable(row.weight)},{nullable(row.low)},{nullable(row.high)}" if summaries else "")
        + (f",{row.series_id or 'NULL'}" if tagged else "")
        + (f",{blob(row.histogram)}\n" if histograms else "\n")
        for number, row in enumerate(ordered, base)
    ]
    minutes = _summed(((row[0], row[1] // 60 * 60), _summary(row)) for row in (*ordered, *tagged))
    hours = _summed(((metric_id, bucket // 3600 * 3600), sums) for (metric_id, bucket), sums in minutes.items())
    return RowLines(summaries, bool(tagged), histograms, "".join(points), _rollup(minutes), _rollup(hours))


def decimal(units: int) -> str:
    """A number in units as decimal text, with all its digits."""
    whole, fraction = divmod(abs(units), UNIT)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{fraction:04d}" if fraction else f"{sign}{whole}"


def nullable(units: int | None) -> str:
    """As ``decimal``, or NULL for None."""
    return "NULL" if units is None else decimal(units)


def blob(content: bytes | None) -> str:
    """Bytes as a literal, or NULL."""
    return "NULL" if content is None else f"0x{content.hex()}" if content else "''"


@lru_cache(maxsize=4096)
def stamp(seconds: int) -> str:
    """UTC seconds as the number YYYYMMDDhhmmss. The session's time zone must be UTC."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)).rjust(14, "0")  # strftime does not pad the year


def _summary(row: Row) -> tuple[int, int, int, int]:
    _, _, value, weight, low, high, _, _ = row
    return (
        UNIT if weight is None else weight,
        value,
        value if low is None else low,
        value if high is None else high,
    )


def _summed(summaries: Iterable[tuple[tuple[int, int], tuple[int, int, int, int]]]) -> _Sums:
    """Sum up the summaries per bucket, in the order in which the buckets first come."""
    sums: _Sums = {}
    for bucket, new in summaries:
        old = sums.get(bucket)
        sums[bucket] = (
            new if old is None else (old[0] + new[0], old[1] + new[1], min(old[2], new[2]), max(old[3], new[3]))
        )
    return sums


def _rollup(sums: _Sums) -> str:
    return "".join(
        [
            f"{metric_id},{stamp(bucket)},{decimal(samples)},{decimal(total)},{decimal(low)},{decimal(high)}\n"
            for (metric_id, bucket), (samples, total, low, high) in sums.items()
        ]
    )

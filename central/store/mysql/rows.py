"""A group's rows as lines of text, its rollups summed, pure: what both LOAD DATA and INSERT take.

A line has its fields as SQL literals, with commas between; a time is the number YYYYMMDDhhmmss, a number has all its
digits. Lines are in the order of their table's primary key, so that two groups that meet in the same buckets wait for
each other and never in a circle.
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
    """``points`` are metric_id, recorded_at, id, value and, where ``summaries`` are among them, samples, min_value,
    max_value, each of which may be NULL. ``minutes`` and ``hours`` are metric_id, bucket, samples, total, min_value,
    max_value. Every line ends with a newline.
    """

    summaries: bool
    points: str
    minutes: str
    hours: str


def lines(group_id: bytes, rows: list[Row], core: ModuleType | None = CORE) -> RowLines:
    """The lines of a group, by the compiled core where there is one and every number fits.

    A row's id is 43 bits of the group's id and its own number, hence the same when the group is sent again.
    """
    base = int.from_bytes(group_id[:8], "big") >> (ROW_BITS + 1) << ROW_BITS
    made = core.lines(rows, base) if core else None
    return RowLines(*made) if made else _plain_lines(base, rows)


def _plain_lines(base: int, rows: Sequence[Row]) -> RowLines:
    summaries = any(row.weight is not None for row in rows)
    ordered = sorted(rows, key=_BY_KEY)
    points = [
        f"{row.metric_id},{stamp(row.recorded_at)},{number},{decimal(row.value)}"
        + (f",{nullable(row.weight)},{nullable(row.low)},{nullable(row.high)}\n" if summaries else "\n")
        for number, row in enumerate(ordered, base)
    ]
    minutes = _summed(((row[0], row[1] // 60 * 60), _summary(row)) for row in ordered)
    hours = _summed(((metric_id, bucket // 3600 * 3600), sums) for (metric_id, bucket), sums in minutes.items())
    return RowLines(summaries, "".join(points), _rollup(minutes), _rollup(hours))


def decimal(units: int) -> str:
    """All digits of a number."""
    whole, fraction = divmod(abs(units), UNIT)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{fraction:04d}" if fraction else f"{sign}{whole}"


def nullable(units: int | None) -> str:
    """The same, or NULL."""
    return "NULL" if units is None else decimal(units)


@lru_cache(maxsize=4096)
def stamp(seconds: int) -> str:
    """UTC seconds as a number that is a time, right in a session whose time zone is UTC."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)).rjust(14, "0")  # a year has no zeros before it there


def _summary(row: Row) -> tuple[int, int, int, int]:
    _, _, value, weight, low, high = row
    return (
        UNIT if weight is None else weight,
        value,
        value if low is None else low,
        value if high is None else high,
    )


def _summed(summaries: Iterable[tuple[tuple[int, int], tuple[int, int, int, int]]]) -> _Sums:
    """One entry per bucket, in the order in which the buckets come."""
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

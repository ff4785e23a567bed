"""The SQL of groups and queries, pure. Only our own numbers are put into it, and bytes as hexadecimal.

A group's rows are sent once, into the session's table ``incoming``, and the server makes points and both rollups from
there: docs/decisions/0004-incoming.md.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

import numpy as np

from central.plan import Segment
from central.store.base import RejectedPoint, RequestId, Row, StoreError
from central.store.buckets import Buckets, no_buckets, wide_column
from central.store.mysql_connection import PACKET_BYTES
from central.store.mysql_partitions import day_text
from protocol.numbers import UNIT

_ROW_BITS: Final = 20
MAX_ROWS: Final = 1 << _ROW_BITS
_NARROW_END: Final = 1 << 62
_FIRST, _LAST = 86_400, (1 << 31) - 1
"""What a TIMESTAMP can hold, less a day at its start; a query may ask for any year."""

CREATE_INCOMING: Final = (
    "CREATE TEMPORARY TABLE incoming (metric_id BIGINT UNSIGNED NOT NULL, recorded_at TIMESTAMP NOT NULL,"
    " id BIGINT UNSIGNED NOT NULL, value DECIMAL(20, 4) NOT NULL, samples DECIMAL(20, 4), min_value DECIMAL(20, 4),"
    " max_value DECIMAL(20, 4)) ENGINE = MEMORY"
)
CLEAR_INCOMING: Final = "DELETE FROM incoming"
_COLUMNS: Final = "metric_id, recorded_at, id, value, samples, min_value, max_value"
PUT_POINTS: Final = f"INSERT INTO metric_points ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming"
# Sorted by key, so that two groups that meet in the same buckets wait for each other and never in a circle.
PUT_ROLLUPS: Final = tuple(
    f"INSERT INTO rollup_{level} (metric_id, bucket, samples, total, min_value, max_value)"
    f" SELECT metric_id, FROM_UNIXTIME(UNIX_TIMESTAMP(recorded_at) DIV {seconds} * {seconds}) AS bucket,"
    " SUM(COALESCE(samples, 1)), SUM(value), MIN(COALESCE(min_value, value)), MAX(COALESCE(max_value, value))"
    " FROM incoming GROUP BY 1, 2 ORDER BY 1, 2 ON DUPLICATE KEY UPDATE"
    " samples = samples + VALUES(samples), total = total + VALUES(total),"
    " min_value = LEAST(min_value, VALUES(min_value)), max_value = GREATEST(max_value, VALUES(max_value))"
    for level, seconds in (("minute", 60), ("hour", 3600))
)
CHECK_NAMES: Final = "SELECT version FROM name_changes LOCK IN SHARE MODE"


def incoming(group_id: bytes, rows: Sequence[Row]) -> list[str]:
    """Statements that bring a group's rows into ``incoming``, in the order of the points' primary key.

    A row's id is 43 bits of the group's id and its own number, hence the same when the group is sent again.
    """
    base = int.from_bytes(group_id[:8], "big") >> (_ROW_BITS + 1) << _ROW_BITS
    stamps: dict[int, str] = {}
    tuples = []
    for number, (metric_id, recorded_at, value, weight, low, high) in enumerate(sorted(rows, key=_BY_KEY), base):
        stamp = stamps.get(recorded_at)
        if stamp is None:
            stamp = stamps[recorded_at] = stamp_text(recorded_at)
        if weight is None:
            tuples.append(f"({metric_id},{stamp},{number},{_decimal(value)},NULL,NULL,NULL)")
        else:
            summary = f"{_decimal(weight)},{_nullable(low)},{_nullable(high)}"
            tuples.append(f"({metric_id},{stamp},{number},{_decimal(value)},{summary})")
    return list(statements("INSERT INTO incoming VALUES ", tuples))


def request_ids(day: int, entries: Iterable[RequestId]) -> list[str]:
    """Statements that store ids of a day, sorted, so that two groups never wait for each other in a circle."""
    tuples = [
        f"(X'{entry.id.hex()}','{day_text(day)}',X'{entry.fingerprint.hex()}',{_blob(entry.answer)})"
        for entry in sorted(entries)
    ]
    return list(statements("INSERT INTO request_ids (id, day, fingerprint, answer) VALUES ", tuples))


def rejected(points: Iterable[RejectedPoint]) -> list[str]:
    """Statements that keep rejected points aside. Their texts are checked names and codes, sent as hexadecimal."""
    tuples = [
        f"(CONVERT(X'{point.name.encode().hex()}' USING ascii),'{point.kind}',{stamp_text(point.recorded_at)},"
        f"{_decimal(point.value)},{_nullable(point.weight)},{_nullable(point.low)},{_nullable(point.high)},"
        f"CONVERT(X'{point.reason.encode().hex()}' USING utf8mb4))"
        for point in points
    ]
    columns = "name, type, recorded_at, value, samples, min_value, max_value, reason"
    return list(statements(f"INSERT INTO rejected_points ({columns}) VALUES ", tuples))


def other_day(day: int, entries: Iterable[RequestId]) -> list[str]:
    """SELECT of how many of these ids the days beside ``day`` have; waits for those that are being stored there.

    The table's key holds an id back in its own day only. With this, after their own ids went in, two attempts on both
    sides of midnight see each other, or one of them ends in a deadlock and comes again.
    """
    listed = ",".join(f"X'{entry.id.hex()}'" for entry in entries)
    if not listed:
        return []
    days = f"'{day_text(day - 1)}','{day_text(day + 1)}'"
    return [f"SELECT COUNT(*) FROM request_ids WHERE id IN ({listed}) AND day IN ({days}) LOCK IN SHARE MODE"]


def recall(keys: Iterable[bytes], oldest: int) -> str:
    """SELECT of what is known of these ids since day ``oldest``."""
    listed = ",".join(f"X'{key.hex()}'" for key in keys)
    return (
        f"SELECT id, fingerprint, answer FROM request_ids WHERE id IN ({listed}) AND day >= '{day_text(oldest)}'"
        " ORDER BY day DESC"
    )


def aggregate(metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> str:
    """SELECT of exact summaries by name and window over all segments, in one statement and so one snapshot.

    One row a name, for ``buckets``: the driver takes 8 us for a row, and an answer has up to 50,000 windows.
    """
    listed = ",".join(map(str, metric_ids))
    parts = " UNION ALL ".join(_segment(segment, listed) for segment in segments)
    windows = (
        f"SELECT metric_id, t DIV {window} * {window} AS start, SUM(samples) AS samples, SUM(total) AS total,"
        f" MIN(low) AS low, MAX(high) AS high FROM ({parts}) AS parts GROUP BY metric_id, start"
    )
    return (
        "SELECT metric_id, COUNT(*), GROUP_CONCAT(start, ' ', samples, ' ', total, ' ', low, ' ', high SEPARATOR '\n')"
        f" FROM ({windows}) AS windows GROUP BY metric_id ORDER BY metric_id"
    )


def buckets(rows: Sequence[tuple[int, int, str]]) -> Buckets:
    """What ``aggregate`` selected. Raises StoreError where the server cut a text short.

    Every number but the start has four decimals, so its digits without the point are its units.
    """
    if not rows:
        return no_buckets()
    metric_ids = np.repeat([metric_id for metric_id, _, _ in rows], [count for _, count, _ in rows])
    text = "\n".join([text for _, _, text in rows]).replace(".", "")
    numbers = np.fromstring(text, dtype=np.int64, sep=" ")
    if len(numbers) != 5 * len(metric_ids) or any(text[-5:-4] != "." for _, _, text in rows):
        raise StoreError("the database cut the answer short: raise its max_allowed_packet, or ask for less")
    starts, *units = numbers.reshape(-1, 5).T
    if np.any((numbers <= -_NARROW_END) | (numbers >= _NARROW_END)):  # what does not fit was given as a largest one
        units = list(wide_column([int(number) for number in text.split()]).reshape(-1, 5).T[1:])
    order = np.lexsort((starts, metric_ids))
    return Buckets(metric_ids, starts[order], *(column[order] for column in units))


def statements(head: str, tuples: Iterable[str]) -> Iterator[str]:
    """``head`` with as many of the tuples as one statement should hold, again and again until all are in one."""
    parts: list[str] = []
    size = 0
    for part in tuples:
        if parts and size + len(part) > PACKET_BYTES:
            yield head + ",".join(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield head + ",".join(parts)


def stamp_text(seconds: int) -> str:
    """UTC seconds as a quoted literal, right in a session whose time zone is UTC."""
    return time.strftime("'%Y-%m-%d %H:%M:%S'", time.gmtime(seconds))


_BY_KEY: Final = itemgetter(0, 1)


def _segment(segment: Segment, listed: str) -> str:
    start, end = (stamp_text(min(max(edge, _FIRST), _LAST)) for edge in (segment.start, segment.end))
    within = f"metric_id IN ({listed}) AND {{0}} >= {start} AND {{0}} < {end}"
    if segment.level == "raw":
        return (
            "SELECT metric_id, UNIX_TIMESTAMP(recorded_at) AS t, COALESCE(samples, 1) AS samples, value AS total,"
            " COALESCE(min_value, value) AS low, COALESCE(max_value, value) AS high"
            f" FROM metric_points WHERE {within.format('recorded_at')}"
        )
    return (
        "SELECT metric_id, UNIX_TIMESTAMP(bucket) AS t, samples, total, min_value AS low, max_value AS high"
        f" FROM rollup_{segment.level} WHERE {within.format('bucket')}"
    )


def _decimal(units: int) -> str:
    whole, part = divmod(abs(units), UNIT)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{part:04d}" if part else f"{sign}{whole}"


def _nullable(units: int | None) -> str:
    return "NULL" if units is None else _decimal(units)


def _blob(content: bytes | None) -> str:
    return "NULL" if content is None else f"X'{content.hex()}'"

"""The SQL of groups and queries. Pure. It contains only our own numbers, and bytes as hexadecimal.

How a group's rows are stored: docs/decisions/0004-groups-in-mysql.md.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from central.store.base import RejectedPoint, RequestId, StoreError
from central.store.buckets import Buckets, Column, buckets_of, no_buckets, wide_column
from central.store.members import Members
from central.store.mysql.connection import PACKET_BYTES
from central.store.mysql.partitions import day_text
from central.store.mysql.rows import RowLines, blob, decimal, nullable
from central.store.plan import WIDTHS, Segment

_NARROW_END: Final = 1 << 62
CUT_SHORT: Final = "the database cut the answer short: raise its max_allowed_packet, or ask for fewer windows"
_FIRST, _LAST = 86_400, (1 << 31) - 1
"""The range of a TIMESTAMP, without its first day. A query may ask for any year, so times are limited to this range."""

_MOST_LISTED: Final = 500
_ROLLUPS: Final = ("minute", "hour")
_SUMS: Final = "metric_id, bucket, samples, total, min_value, max_value"
_POINT: Final = "metric_id, recorded_at, id, value"
_SUMMARY: Final = ", samples, min_value, max_value"
_SERIES: Final = ", series_id"
_HISTOGRAM: Final = ", @histogram) SET histogram = UNHEX(SUBSTRING(@histogram, 3)"
"""The last column of a file: its ``0x...`` is text there, and not a literal as in an INSERT."""
_ADD: Final = (
    " ON DUPLICATE KEY UPDATE samples = rollup_{0}.samples + VALUES(samples), total = rollup_{0}.total + VALUES(total),"
    " min_value = LEAST(rollup_{0}.min_value, VALUES(min_value)),"
    " max_value = GREATEST(rollup_{0}.max_value, VALUES(max_value))"
)
_LOAD: Final = "LOAD DATA LOCAL INFILE '{0}' INTO TABLE {0} FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ({1})"
CREATE_SUMS: Final = tuple(
    f"CREATE TEMPORARY TABLE {level}_sums (metric_id BIGINT UNSIGNED NOT NULL, bucket DATETIME NOT NULL,"
    " samples DECIMAL(38, 4) NOT NULL, total DECIMAL(38, 4) NOT NULL, min_value DECIMAL(20, 4) NOT NULL,"
    " max_value DECIMAL(20, 4) NOT NULL) ENGINE = MEMORY"
    for level in _ROLLUPS
)
"""Creates the session's temporary tables that ``loads`` fills."""
_JUDGES_AT_ONCE: Final = 10_000
CHECK_NAMES: Final = "SELECT version FROM name_changes LOCK IN SHARE MODE"
GUARD_ALL: Final = "UPDATE name_guards SET uses = uses + 1"
"""A deletion changes all GUARDS rows, and each group changes one of them. So the nodes of a cluster see a conflict."""
GUARDS: Final = 256


def inserts(lines: RowLines) -> list[str]:
    """INSERT statements that store a group's points and add to its rollups."""
    columns = _columns(lines, ", histogram")
    found = list(statements(f"INSERT INTO metric_points ({columns}) VALUES ", _tuples(lines.points)))
    for level, sums in zip(_ROLLUPS, (lines.minutes, lines.hours), strict=True):
        head, tail = f"INSERT INTO rollup_{level} ({_SUMS}) VALUES ", _ADD.format(level)
        found += [statement + tail for statement in statements(head, _tuples(sums))]
    return found


def loads(lines: RowLines) -> tuple[list[str], list[bytes]]:
    """Statements that do the same with LOAD DATA LOCAL, which is cheaper, and the texts that it reads, in order."""
    columns = _columns(lines, _HISTOGRAM)
    found = [
        *(f"DELETE FROM {level}_sums" for level in _ROLLUPS),
        _LOAD.format("metric_points", columns),
        *(_LOAD.format(f"{level}_sums", _SUMS) for level in _ROLLUPS),
        *(f"INSERT INTO rollup_{level} ({_SUMS}) SELECT * FROM {level}_sums{_ADD.format(level)}" for level in _ROLLUPS),
    ]
    return found, [text.encode() for text in (lines.points, lines.minutes, lines.hours)]


def request_ids(day: int, entries: Iterable[RequestId]) -> list[str]:
    """Statements that store the ids of a day. The ids are sorted, so that two groups never deadlock."""
    tuples = [
        f"(X'{entry.id.hex()}','{day_text(day)}',X'{entry.fingerprint.hex()}',{blob(entry.answer)})"
        for entry in sorted(entries)
    ]
    return list(statements("INSERT INTO request_ids (id, day, fingerprint, answer) VALUES ", tuples))


def rejected(points: Iterable[RejectedPoint]) -> list[str]:
    """Statements that store rejected points for an operator. Names, codes and tags are sent as hexadecimal."""
    tuples = [
        f"(CONVERT(X'{point.name.encode().hex()}' USING ascii),'{point.kind}',{stamp_text(point.recorded_at)},"
        f"{decimal(point.value)},{nullable(point.weight)},{nullable(point.low)},{nullable(point.high)},"
        f"{_text(point.reason)},{_text(point.tags)},{blob(point.histogram)})"
        for point in points
    ]
    columns = "name, type, recorded_at, value, samples, min_value, max_value, reason, tags, histogram"
    return list(statements(f"INSERT INTO rejected_points ({columns}) VALUES ", tuples))


def _text(text: str | None) -> str:
    """A text as a literal, or NULL."""
    return "NULL" if text is None else f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)"


def other_day(day: int, entries: Iterable[RequestId]) -> list[str]:
    """SELECT of how many of these ids are stored under the day before or after. It waits for ids being stored there.

    The table's unique key covers only one day. A request may be tried twice, before and after midnight. Each attempt
    stores its ids and then runs this. So one sees the other, or one ends in a deadlock and is run again.
    """
    listed = ",".join(f"X'{entry.id.hex()}'" for entry in entries)
    if not listed:
        return []
    days = f"'{day_text(day - 1)}','{day_text(day + 1)}'"
    return [f"SELECT COUNT(*) FROM request_ids WHERE id IN ({listed}) AND day IN ({days}) LOCK IN SHARE MODE"]


def guard(number: int) -> str:
    """UPDATE of one of the rows that a deletion changes too."""
    return f"{GUARD_ALL} WHERE id = {number % GUARDS}"


def judges(day: int, entries: Iterable[RequestId]) -> list[str]:
    """Statements that store one row per id, whatever its day. Of two nodes that store the same id, one fails."""
    tuples = [f"(X'{entry.id.hex()}','{day_text(day)}')" for entry in sorted(entries)]
    return list(statements("INSERT INTO request_judges (id, day) VALUES ", tuples))


def drop_judges(day: int) -> str:
    """DELETE of some rows of days before ``day``. Repeat it while it deletes any."""
    return f"DELETE FROM request_judges WHERE day < '{day_text(day)}' LIMIT {_JUDGES_AT_ONCE}"


def find_requests(keys: Iterable[bytes]) -> str:
    """SELECT of the rows of these ids, under all days: a clock that is ahead must not hide older ids."""
    listed = ",".join(f"X'{key.hex()}'" for key in keys)
    return f"SELECT id, fingerprint, answer FROM request_ids WHERE id IN ({listed}) ORDER BY day DESC"


class Source(NamedTuple):
    """Some raw points: the condition that chooses them, and the SQL for the id of the member that a row belongs to."""

    condition: str
    member: str


def raw_sources(members: Members, segments: Sequence[Segment]) -> list[Source]:
    """The raw points of members in the segments that ask for them.

    Samples without tags are read wherever there may be some, since no rollup has their sums.
    """
    sources = []
    for segment in segments:
        if segment.level != "raw":
            continue
        if members.names:
            sources.append(Source(within("recorded_at", segment, members.names), "metric_id"))
        for ids in parts_of(members.series):
            condition = f"{within('recorded_at', segment, members.metrics)} AND series_id IN ({_listed(ids)})"
            sources.append(Source(condition, "series_id"))
    for segment in members.untagged_within(segments):
        condition = f"{within('recorded_at', segment, members.untagged)} AND series_id IS NULL"
        sources.append(Source(condition, "metric_id * -1e0"))
    return sources


def untagged_buckets(members: Members, series: Sequence[int], segment: Segment) -> str:
    """SELECT of the minutes or hours of a segment in which a name has more samples than all its ``series``.

    In all other buckets there is no sample without tags: a name never has fewer samples than its series together, and
    each sample weighs more than nothing.
    """
    parts = [
        f"SELECT bucket, {sign}samples AS samples FROM rollup_{segment.level} WHERE {within('bucket', segment, ids)}"
        for sign, ids in (("", members.untagged), *(("-", part) for part in parts_of(series)))
    ]
    return (
        f"SELECT UNIX_TIMESTAMP(bucket) FROM ({' UNION ALL '.join(parts)}) AS found"
        " GROUP BY bucket HAVING SUM(samples) <> 0 ORDER BY bucket"
    )


def aggregate(members: Members, window: int, segments: Sequence[Segment], *, extremes: bool) -> str:
    """SELECT of exact summaries per group and window over all segments. One statement, so one snapshot.

    It returns at most one row per group and segment, which ``buckets`` reads: the driver takes 8 us per row, and an
    answer may have 50,000 windows.
    """
    if _is_one_row_each(members, window, segments):
        return _as_they_are(members, segments, extremes=extremes)
    selects = [_raw(source) for source in raw_sources(members, segments)]
    for ids in parts_of([*members.names, *members.series]):
        selects += [_rollup(segment, ids) for segment in segments if segment.level != "raw"]
    lowest, text = (", MIN(low) AS low, MAX(high) AS high", ", ' ', low, ' ', high") if extremes else ("", "")
    windows = (
        f"SELECT {_key(members)} AS metric_id, t DIV {window} * {window} AS start, SUM(samples) AS samples,"
        f" SUM(total) AS total{lowest} FROM ({' UNION ALL '.join(selects)}) AS found GROUP BY 1, 2"
    )
    return (
        f"SELECT metric_id, COUNT(*), GROUP_CONCAT(start, ' ', samples, ' ', total{text} SEPARATOR '\n')"
        f" FROM ({windows}) AS windows GROUP BY metric_id"
    )


def _as_they_are(members: Members, segments: Sequence[Segment], *, extremes: bool) -> str:
    """SELECT of rows of rollups that are windows already. Rows of a derived table take a third longer."""
    text = ", ' ', min_value, ' ', max_value" if extremes else ""
    selects = [
        f"SELECT {_key(members, 'metric_id')}, COUNT(*),"
        f" GROUP_CONCAT(UNIX_TIMESTAMP(bucket), ' ', samples, ' ', total{text} SEPARATOR '\n')"
        f" FROM rollup_{segment.level} WHERE {within('bucket', segment, ids)} GROUP BY metric_id"
        for ids in parts_of([*members.names, *members.series])
        for segment in segments
    ]
    return " UNION ALL ".join(selects)


def _is_one_row_each(members: Members, window: int, segments: Sequence[Segment]) -> bool:
    """Whether each window of a group is one row of a rollup."""
    return (
        not members.untagged
        and all(WIDTHS.get(segment.level) == window for segment in segments)
        and len(set(members.keys.values())) == len(members.keys)
    )


def buckets(rows: Sequence[tuple[int, int, str]], *, extremes: bool) -> Buckets:
    """Buckets from the rows that ``aggregate`` selected. Raises StoreError if the server cut a text short."""
    if not rows:
        return no_buckets()
    metric_ids = np.repeat([metric_id for metric_id, _, _ in rows], [count for _, count, _ in rows])
    if any(text[-5:-4] != "." for _, _, text in rows):
        raise StoreError(CUT_SHORT)
    sums = 4 if extremes else 2
    starts, *units = columns_of("\n".join([text for _, _, text in rows]), len(metric_ids), 1 + sums, sums)
    return buckets_of([metric_ids, starts, *units]).at(np.lexsort((starts, metric_ids)))


def columns_of(text: str, lines: int, width: int, decimals: int) -> list[Column]:
    """The columns of a text of numbers. Raises StoreError if the server cut it short.

    The last ones, ``decimals`` of them, have four decimals. So their digits without the point are their units.
    """
    digits = text.replace(".", "")
    numbers = np.fromstring(digits, dtype=np.int64, sep=" ")
    if len(numbers) != lines * width or text[-5:-4] != ".":
        raise StoreError(CUT_SHORT)
    columns = list(numbers.reshape(lines, width).T)
    if np.any((numbers <= -_NARROW_END) | (numbers >= _NARROW_END)):  # numpy clips numbers beyond 64 bits
        wide = wide_column([int(number) for number in digits.split()]).reshape(lines, width)
        columns[-decimals:] = wide.T[-decimals:]
    return columns


def statements(head: str, tuples: Iterable[str]) -> Iterator[str]:
    """Statements that start with ``head`` and together hold all tuples, each of about PACKET_BYTES at most."""
    chunk: list[str] = []
    size = 0
    for values in tuples:
        if chunk and size + len(values) > PACKET_BYTES:
            yield head + ",".join(chunk)
            chunk, size = [], 0
        chunk.append(values)
        size += len(values) + 1
    if chunk:
        yield head + ",".join(chunk)


def stamp_text(seconds: int) -> str:
    """UTC seconds as a quoted SQL literal. The session's time zone must be UTC."""
    return time.strftime("'%Y-%m-%d %H:%M:%S'", time.gmtime(seconds))


def within(column: str, segment: Segment, ids: Sequence[int], id_column: str = "metric_id") -> str:
    """The condition that a row belongs to one of these names or series, and that its time is in the segment."""
    start, end = (stamp_text(min(max(edge, _FIRST), _LAST)) for edge in (segment.start, segment.end))
    return f"{id_column} IN ({_listed(ids)}) AND {column} >= {start} AND {column} < {end}"


def _raw(source: Source) -> str:
    return (
        f"SELECT {source.member} AS member_id, UNIX_TIMESTAMP(recorded_at) AS t, COALESCE(samples, 1) AS samples,"
        " value AS total, COALESCE(min_value, value) AS low, COALESCE(max_value, value) AS high"
        f" FROM metric_points WHERE {source.condition}"
    )


def _rollup(segment: Segment, ids: Sequence[int]) -> str:
    return (
        "SELECT metric_id AS member_id, UNIX_TIMESTAMP(bucket) AS t, samples, total, min_value AS low,"
        f" max_value AS high FROM rollup_{segment.level} WHERE {within('bucket', segment, ids)}"
    )


def _key(members: Members, column: str = "member_id") -> str:
    """SQL for the key of a row's member. INTERVAL finds it by binary search; doubles hold the ids exactly."""
    if not members.renamed:
        return column
    ids = sorted(members.keys)
    places = ",".join([f"{member}e0" for member in ids])
    return f"CAST(ELT(INTERVAL({column} + 0e0,{places}),{_listed(members.keys[member] for member in ids)}) AS UNSIGNED)"


def parts_of(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """The ids in short lists. From 1,000 on, MariaDB makes a join of a list, which need not use the range of time."""
    return (ids[at : at + _MOST_LISTED] for at in range(0, len(ids), _MOST_LISTED))


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _columns(lines: RowLines, histogram: str) -> str:
    return (
        _POINT
        + (_SUMMARY if lines.summaries else "")
        + (_SERIES if lines.series else "")
        + (histogram if lines.histograms else "")
    )


def _tuples(lines: str) -> list[str]:
    return [f"({line})" for line in lines.splitlines()]

"""How samples are spread over their values, in MySQL.

In raw points, a plain sample has its value, and a summary has its histogram. For hours that are over, merged histograms
say the same at a lower cost (central/store/folding.py): one for the hour, and one row with those of its minutes. The
driver takes 8 us per row, so whatever has many rows comes as long texts.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from central.store.base import StoreError
from central.store.buckets import Column, wide_column
from central.store.distribution import Histograms, Samples, Spread
from central.store.folding import HOUR, MINUTE, PERCENTS, FoldedRow, FoldStep, HourSums, folded_hours, folded_minutes
from central.store.members import Members, key_column, members_with_ids
from central.store.mysql.connection import AGAIN, Connection, ServerError
from central.store.mysql.names import take_lock
from central.store.mysql.packed import pack, unpack
from central.store.mysql.pool import Pool
from central.store.mysql.rows import blob, stamp
from central.store.mysql.sql import Source, parts_of, raw_sources, stamp_text, statements, within
from central.store.plan import WIDTHS, Segment
from protocol.numbers import units_to_text

LOCK: Final = "histograms"
_NARROW_DIGITS: Final = 18
"""Numbers of units with at most this many digits fit into 64 bits."""
_DAY: Final = 86_400
_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_SAME: Final = "h.metric_id = r.metric_id AND h.bucket = r.bucket AND h.samples = r.samples"
_STALE: Final = (
    "rollup_hour AS r LEFT JOIN series AS s ON s.id = r.metric_id"
    " INNER JOIN metrics AS m ON m.id = COALESCE(s.metric_id, r.metric_id) AND m.type = 'value'"
    f" LEFT JOIN histogram_hour AS h ON {_SAME} WHERE r.bucket >= {{0}} AND r.bucket < {{1}} AND h.bucket IS NULL"
)
_TOO_LONG: Final = "the database cut the answer short: raise its max_allowed_packet, or ask for less"

Texts = Sequence[tuple[int, int, int, str]]
"""Id, start of the minute, how many points, and their values or histograms with blanks between them."""


async def begin(connection: Connection) -> None:
    """Begin a transaction that sees one snapshot. The caller ends it."""
    await connection.run(_SNAPSHOT)
    await connection.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")


async def spread(connection: Connection, members: Members, window: int, segments: Sequence[Segment]) -> Spread:
    """The spread of all points in the segments. Call it within a transaction of one snapshot."""
    samples, histograms = await _raw_points(connection, raw_sources(members, segments), window)
    all_samples, all_histograms = [samples], [histograms]
    for segment in segments:
        if segment.level != "raw":
            folded, missing = await _folded(connection, [*members.names, *members.series], segment, window)
            samples, histograms = await _raw_of(connection, members, segment, missing, window)
            all_samples.append(samples)
            all_histograms += [*folded, histograms]
    ids, starts, values = map(np.concatenate, zip(*all_samples, strict=True))
    histogram_ids = np.concatenate([part.metric_ids for part in all_histograms])
    return Spread(
        Samples(key_column(members, ids), starts, values),
        Histograms(
            key_column(members, histogram_ids),
            np.concatenate([part.starts for part in all_histograms]),
            [content for part in all_histograms for content in part.encoded],
        ),
    )


async def _folded(
    connection: Connection, ids: Sequence[int], segment: Segment, window: int
) -> tuple[list[Histograms], set[tuple[int, int]]]:
    """The folded histograms of a segment. Also the ids and starts of the buckets that lack one.

    A histogram counts only if it has the same samples as the rollup.
    """
    if segment.level == "hour":
        found, missing = await _by_rows(connection, ids, segment, window)
        return [found], missing
    packed, left = await _packed(connection, ids, segment, window)
    # What is not packed is not folded yet, or was folded before hours were packed.
    parts, missing = [packed], set[tuple[int, int]]()
    for span in _spans_of({hour for _, hour in left}, HOUR):
        part = Segment("minute", max(span.start, segment.start), min(span.end, segment.end))
        wanted = [(metric_id, hour) for metric_id, hour in left if span.start <= hour < span.end]
        found, lacking = await _by_rows(connection, sorted({metric_id for metric_id, _ in wanted}), part, window, left)
        parts.append(found)
        missing |= lacking
    return parts, missing


async def _packed(
    connection: Connection, ids: Sequence[int], segment: Segment, window: int
) -> tuple[Histograms, set[tuple[int, int]]]:
    """The packed histograms of a segment's minutes. Also the ids and hours that lack them, as ``_folded`` has it."""
    hours = Segment("hour", segment.start // HOUR * HOUR, -(-segment.end // HOUR) * HOUR)
    selects = [
        "SELECT r.metric_id, UNIX_TIMESTAMP(r.bucket), h.histograms"
        f" FROM rollup_hour AS r LEFT JOIN histogram_minute_packed AS h ON {_SAME}"
        f" WHERE {within('r.bucket', hours, part, 'r.metric_id')}"
        for part in parts_of(ids)
    ]
    rows = [row for statement in selects for row in await connection.rows(statement)]
    there = [row for row in rows if row[2] is not None]
    missing = {(metric_id, hour) for metric_id, hour, content in rows if content is None}
    return await asyncio.to_thread(_unpacked, there, segment, window), missing


def _unpacked(rows: Sequence[tuple[int, int, bytes]], segment: Segment, window: int) -> Histograms:
    """The histograms of minutes in a segment, from rows of id, hour and packed histograms."""
    counts, minutes, encoded = unpack([content for _, _, content in rows])
    ids, hours = (np.array([row[place] for row in rows], dtype=np.int64) for place in (0, 1))
    ids, starts = np.repeat(ids, counts), np.repeat(hours, counts) + minutes * MINUTE
    inside = (starts >= segment.start) & (starts < segment.end)
    if not inside.all():
        ids, starts = ids[inside], starts[inside]
        encoded = [encoded[place] for place in np.flatnonzero(inside).tolist()]
    return Histograms(ids, starts // window * window, encoded)


async def _by_rows(
    connection: Connection,
    ids_asked: Sequence[int],
    segment: Segment,
    window: int,
    hours: Container[tuple[int, int]] | None = None,
) -> tuple[Histograms, set[tuple[int, int]]]:
    """The same as ``_folded``, from a table with a row per bucket. Only these ids and hours, if ``hours`` has some."""
    level = segment.level
    selects = [
        "SELECT r.metric_id, COUNT(*), GROUP_CONCAT(UNIX_TIMESTAMP(r.bucket), ' ',"
        " COALESCE(CONCAT('0x', HEX(h.histogram)), '-') SEPARATOR ' ')"
        f" FROM rollup_{level} AS r LEFT JOIN histogram_{level} AS h ON {_SAME}"
        f" WHERE {within('r.bucket', segment, part, 'r.metric_id')}"
        f" GROUP BY r.metric_id, UNIX_TIMESTAMP(r.bucket) DIV {_DAY}"
        for part in parts_of(ids_asked)
    ]
    rows = [row for statement in selects for row in await connection.rows(statement)]
    ids: list[int] = []
    starts: list[int] = []
    encoded: list[bytes] = []
    missing: set[tuple[int, int]] = set()
    for metric_id, count, text in rows:
        words = text.split(" ")
        if len(words) != 2 * count:
            raise StoreError(_TOO_LONG)
        for start, content in zip(map(int, words[::2]), words[1::2], strict=True):
            if hours is not None and (metric_id, start // HOUR * HOUR) not in hours:
                continue
            if content == "-":
                missing.add((metric_id, start))
            elif len(content) > 2:
                ids.append(metric_id)
                starts.append(start // window * window)
                encoded.append(bytes.fromhex(content[2:]))
    return Histograms(np.array(ids, dtype=np.int64), np.array(starts, dtype=np.int64), encoded), missing


async def _raw_of(
    connection: Connection, members: Members, segment: Segment, missing: set[tuple[int, int]], window: int
) -> tuple[Samples, Histograms]:
    """The raw points of these ids and buckets, read by ranges of time."""
    width = WIDTHS[segment.level]
    ranges = _spans_of({start for _, start in missing}, width)
    members = members.only({member for member, _ in missing})
    values, contents = await _texts(connection, raw_sources(members, ranges))
    values, contents = (
        [row for row in rows if (row[0], row[1] // width * width) in missing] for rows in (values, contents)
    )
    return _samples(values, window), _histograms(contents, window)


def _spans_of(starts: Iterable[int], width: int) -> list[Segment]:
    """Buckets that follow each other as one span each, in order."""
    spans: list[Segment] = []
    for start in sorted(starts):
        if spans and spans[-1].end == start:
            spans[-1] = spans[-1]._replace(end=start + width)
        else:
            spans.append(Segment("raw", start, start + width))
    return spans


async def _raw_points(connection: Connection, sources: Sequence[Source], window: int) -> tuple[Samples, Histograms]:
    values, contents = await _texts(connection, sources)
    return _samples(values, window), _histograms(contents, window)


async def _texts(connection: Connection, sources: Sequence[Source]) -> tuple[Texts, Texts]:
    """The values of plain samples, and the histograms, of all these raw points."""
    if not sources:
        return [], []
    values = await connection.rows(_points("value", "samples IS NULL", sources))
    return values, await connection.rows(_points("HEX(histogram)", "histogram IS NOT NULL", sources))


def _points(expression: str, condition: str, sources: Sequence[Source]) -> str:
    """SELECT of Texts over raw points."""
    return " UNION ALL ".join(
        f"SELECT {source.member} AS member_id, UNIX_TIMESTAMP(MIN(recorded_at)) DIV 60 * 60, COUNT(*),"
        f" GROUP_CONCAT({expression} SEPARATOR ' ') FROM metric_points"
        f" WHERE {source.condition} AND {condition}"
        " GROUP BY member_id, UNIX_TIMESTAMP(recorded_at) DIV 60"
        for source in sources
    )


def _samples(rows: Texts, window: int) -> Samples:
    """A value has four decimals, so its digits without the point are its units."""
    text = " ".join([values for *_, values in rows]).replace(".", "")
    units = text.split()
    ids, starts = _places(rows, window, len(units))
    if max(map(len, units), default=0) > _NARROW_DIGITS:
        return Samples(ids, starts, wide_column([int(number) for number in units]))
    return Samples(ids, starts, np.fromstring(text, dtype=np.int64, sep=" ") if units else np.array([], np.int64))


def _histograms(rows: Texts, window: int) -> Histograms:
    encoded = [bytes.fromhex(content) for *_, contents in rows for content in contents.split()]
    return Histograms(*_places(rows, window, len(encoded)), encoded)


def _places(rows: Texts, window: int, found: int) -> tuple[Column, Column]:
    """Id and window's start of each point. Raises StoreError if the server cut a text short."""
    counts = [count for _, _, count, _ in rows]
    if sum(counts) != found:
        raise StoreError(_TOO_LONG)
    ids = np.array([metric_id for metric_id, *_ in rows], dtype=np.int64)
    starts = np.array([start // window * window for _, start, *_ in rows], dtype=np.int64)
    return np.repeat(ids, counts), np.repeat(starts, counts)


class MySQLFolding:
    """folding.FoldingStore on two pools: one for queries, one for changes in the background."""

    def __init__(self, readers: Pool, changers: Pool) -> None:
        self._readers = readers
        self._changers = changers

    async def stale_hours(self, start: int, end: int) -> list[int]:
        """See FoldingStore. A day at a time, which is a partition of each table."""
        found: list[int] = []
        for day in range(start // _DAY * _DAY, end, _DAY):
            edges = stamp_text(max(start, day)), stamp_text(min(end, day + _DAY))
            sql = f"SELECT DISTINCT UNIX_TIMESTAMP(r.bucket) FROM {_STALE.format(*edges)} ORDER BY 1"
            found += [hour for (hour,) in await self._readers.ask(partial(Connection.rows, sql=sql))]
        return found

    async def fold_names(self, hour: int, after: int, most: int) -> FoldStep | None:
        """See FoldingStore. None also if another process is folding."""
        try:
            return await self._changers.ask(lambda session: _fold(session, hour, after, most))
        except ServerError as error:
            if error.code not in AGAIN:
                raise
            return None


async def _fold(session: Connection, hour: int, after: int, most: int) -> FoldStep | None:
    """Replace the rows of the next stale names of an hour, in one transaction and from one snapshot."""
    await session.run(_SNAPSHOT)
    await session.run("BEGIN")
    await take_lock(session, LOCK)  # the next read is the first one, and makes the snapshot
    edges = stamp_text(hour), stamp_text(hour + HOUR)
    stale = await session.rows(
        "SELECT r.metric_id, CAST(r.samples AS CHAR), CAST(r.min_value AS CHAR), CAST(r.max_value AS CHAR)"
        f" FROM {_STALE.format(*edges)} AND r.metric_id > {after}"
        f" ORDER BY r.metric_id LIMIT {most}"
    )
    step = None
    if stale:
        hours = [HourSums(*row) for row in stale]
        ids, whole = [sums.metric_id for sums in hours], Segment("raw", hour, hour + HOUR)
        listed = ",".join(map(str, ids))
        series = dict(await session.rows(f"SELECT id, metric_id FROM series WHERE id IN ({listed})"))
        sources = raw_sources(members_with_ids(ids, series), [whole])
        found = folded_minutes(*await _raw_points(session, sources, MINUTE))
        for statement in _puts(folded_hours(hours, hour, found), hour, found):
            await session.run(statement)
        step = FoldStep(ids[-1], len(found))
    await session.run("COMMIT")
    return step


def _puts(rows: Sequence[FoldedRow], hour: int, found: Mapping[tuple[int, int], bytes]) -> list[str]:
    """Statements that store the rows of an hour, and rows with the histograms of its minutes, which are ``found``."""
    minutes: dict[int, dict[int, bytes]] = {row.metric_id: {} for row in rows}
    for (metric_id, start), histogram in found.items():
        minutes[metric_id][(start - hour) // MINUTE] = histogram
    packed = [(row, pack(minutes[row.metric_id])) for row in rows]
    of_minutes = [f"({_key(row)},{blob(content)})" for row, content in packed if content is not None]
    head = "metric_id, bucket, samples"
    return [
        *statements(f"REPLACE INTO histogram_minute_packed ({head}, histograms) VALUES ", of_minutes),
        *statements(
            f"REPLACE INTO histogram_hour ({head}, histogram, {', '.join(PERCENTS)}) VALUES ", map(_values, rows)
        ),
    ]


def _values(row: FoldedRow) -> str:
    percentiles = map(units_to_text, row.percentiles) if row.percentiles else ["NULL"] * len(PERCENTS)
    return f"({','.join((_key(row), blob(row.histogram), *percentiles))})"


def _key(row: FoldedRow) -> str:
    return f"{row.metric_id},{stamp(row.bucket)},{row.samples}"

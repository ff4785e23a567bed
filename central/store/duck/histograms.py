"""How samples are spread over their values, in the embedded store.

In raw points, a plain sample has its value, and a summary has its histogram. For hours that are over, merged histograms
say the same at a lower cost (central/store/folding.py).
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from central.store.buckets import Column, wide_column
from central.store.distribution import Histograms, Samples, Spread, no_spread
from central.store.duck.engine import Connection, Engine, Lane
from central.store.duck.sql import (
    HISTOGRAMS,
    POINTS,
    ROLLUPS,
    WITH_TEXTS,
    Source,
    base64_of,
    raw_sources,
    texts_of,
    within,
)
from central.store.folding import HOUR, MINUTE, PERCENTS, FoldedRow, FoldStep, HourSums, folded_hours, folded_minutes
from central.store.members import Members, key_column, members_with_ids
from central.store.plan import WIDTHS, Segment
from protocol.numbers import UNIT, to_units, units_to_text

_NARROW_END: Final = 9 * 10**14
"""Values below it fit into 64 bits as units."""
_VALUES: Final = (
    "SELECT id FROM metrics WHERE type = 'value' UNION ALL SELECT series.id FROM series"
    " JOIN metrics ON metrics.id = series.metric_id AND metrics.type = 'value'"
)
"""The ids of names and series that are values."""
_STALE: Final = (
    f"rollup_hour AS r JOIN ({_VALUES}) AS m ON m.id = r.metric_id"
    " LEFT JOIN (SELECT * FROM histogram_hour WHERE bucket >= {0} AND bucket < {1}) AS h"
    " ON h.metric_id = r.metric_id AND h.bucket = r.bucket AND h.samples = r.samples"
    " WHERE r.bucket >= {0} AND r.bucket < {1} AND h.bucket IS NULL"
)


class Missing(NamedTuple):
    """Members and buckets of a segment without a folded histogram; their raw points are read instead."""

    segment: Segment
    metric_ids: Column
    buckets: Column


def spread(cursor: Connection, members: Members, window: int, segments: Sequence[Segment]) -> Spread:
    """The spread of all points in the segments, tail included. Call it within a transaction."""
    if not members.keys:
        return no_spread()
    found = _Found(cursor, window)
    for segment in segments:
        if segment.level != "raw" and (members.names or members.series):
            missing = found.add_folded(segment, [*members.names, *members.series])
            if len(missing.buckets):
                found.add_missing(missing, members)
    found.add_raw(raw_sources(members, segments))
    return found.spread(members)


class _Found:
    """Collects what is read of the points of a query or a fold."""

    def __init__(self, cursor: Connection, window: int) -> None:
        self._cursor = cursor
        self._window = window
        self.samples: list[Samples] = []
        self.histograms: list[Histograms] = []

    def spread(self, members: Members) -> Spread:
        """Everything found, under the keys of groups."""
        samples, histograms = self.all_samples(), self.all_histograms()
        return Spread(
            samples._replace(metric_ids=key_column(members, samples.metric_ids)),
            histograms._replace(metric_ids=key_column(members, histograms.metric_ids)),
        )

    def all_samples(self) -> Samples:
        """All plain samples found."""
        return Samples(*map(np.concatenate, zip(*self.samples, strict=True)))

    def all_histograms(self) -> Histograms:
        """All histograms found."""
        ids, starts = (np.concatenate([part[place] for part in self.histograms]) for place in (0, 1))
        return Histograms(ids, starts, [content for part in self.histograms for content in part.encoded])

    def add_folded(self, segment: Segment, asked: Sequence[int]) -> Missing:
        """The folded histograms of a segment. Those whose samples are not the rollup's are missing."""
        condition = within("bucket", segment, asked)
        columns = self._cursor.execute(
            f"SELECT r.metric_id, r.bucket, h.histogram FROM ({_rollups(segment.level, condition)}) AS r"
            f" LEFT JOIN (SELECT * FROM {HISTOGRAMS[segment.level]} WHERE {condition}) AS h"
            " ON h.metric_id = r.metric_id AND h.bucket = r.bucket AND h.samples = r.samples ORDER BY 1, 2"
        ).fetchnumpy()
        ids, buckets = (columns[name].astype(np.int64) for name in ("metric_id", "bucket"))
        there = ~np.ma.getmaskarray(columns["histogram"])
        contents: list[bytes] = columns["histogram"][there].tolist()  # bytearrays, which need no copy: all read them
        filled = np.fromiter(map(bool, contents), dtype=np.bool_, count=len(contents))
        starts = buckets // self._window * self._window
        self.histograms.append(Histograms(ids[there][filled], starts[there][filled], [*filter(None, contents)]))
        return Missing(segment, ids[~there], buckets[~there])

    def add_missing(self, missing: Missing, members: Members) -> None:
        """The raw points of what was not folded."""
        width = WIDTHS[missing.segment.level]
        span = Segment("raw", int(missing.buckets.min()), int(missing.buckets.max()) + width)
        wanted = {"m": missing.metric_ids, "b": missing.buckets}
        sources = [
            source._replace(
                condition=f"{source.condition}"
                f" AND ({source.member}, recorded_at // {width} * {width}) IN (SELECT (m, b) FROM wanted)"
            )
            for source in raw_sources(members.only(set(missing.metric_ids.tolist())), [span])
            if source.table == POINTS
        ]
        self.add_raw(sources, wanted)

    def add_raw(self, sources: Sequence[Source], wanted: dict[str, Column] | None = None) -> None:
        """Raw points. DuckDB finds the table ``wanted`` by the name of the argument."""
        points = " UNION ALL ".join(
            f"SELECT {source.member} AS metric_id, recorded_at // {self._window} * {self._window} AS start, value,"
            f" samples IS NULL AS plain, histogram FROM {source.table}"
            f" WHERE {source.condition} AND (samples IS NULL OR histogram IS NOT NULL)"
            for source in sources
        )
        samples, histograms = _points(self._cursor, points, wanted)
        self.samples.append(samples)
        self.histograms.append(histograms)


def _rollups(level: str, condition: str) -> str:
    """SELECT of the samples of each name and bucket. A single table has one row of each."""
    parts = " UNION ALL ".join(
        f"SELECT metric_id, bucket, samples::DECIMAL(38,4) AS samples FROM {table} WHERE {condition}"
        for table in ROLLUPS[level]
    )
    if len(ROLLUPS[level]) == 1:
        return parts
    return f"SELECT metric_id, bucket, sum(samples) AS samples FROM ({parts}) GROUP BY 1, 2"


def _points(cursor: Connection, points: str, wanted: dict[str, Column] | None) -> tuple[Samples, Histograms]:
    """The plain samples and the histograms of ``points``, which are read once: to find them costs the most.

    Values of over 64 bits in units are rare and are read one by one.
    """
    narrow = f"abs(value) < {_NARROW_END}"
    found = cursor.execute(
        f"SELECT metric_id, start, plain, CASE WHEN plain AND {narrow} THEN (value * {UNIT})::BIGINT END AS units,"
        f" histogram FROM ({points})"
    ).fetchnumpy()
    ids, starts = (found[name].astype(np.int64) for name in ("metric_id", "start"))
    of_histograms, of_samples = (~np.ma.getmaskarray(found[name]) for name in ("histogram", "units"))
    encoded: list[bytes] = found["histogram"][of_histograms].tolist()
    histograms = Histograms(ids[of_histograms], starts[of_histograms], encoded)
    samples = Samples(ids[of_samples], starts[of_samples], np.ma.getdata(found["units"])[of_samples].astype(np.int64))
    if not (np.ma.getdata(found["plain"]).astype(np.bool_) & ~of_samples).any():
        return samples, histograms
    wide = cursor.execute(f"SELECT metric_id, start, value FROM ({points}) WHERE plain AND NOT ({narrow})").fetchall()
    wide_ids, wide_starts, wide_values = zip(*wide, strict=True)
    units: Column = wide_column([to_units(value) for value in wide_values])
    values = np.concatenate((samples.values.astype(object), units))
    ids, starts = np.concatenate((samples.metric_ids, wide_ids)), np.concatenate((samples.starts, wide_starts))
    return Samples(ids, starts, values), histograms


class DuckFolding:
    """folding.FoldingStore on a DuckDB engine. It reads beside the writer, which then only inserts the rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def stale_hours(self, start: int, end: int) -> list[int]:
        """See FoldingStore."""
        sql = f"SELECT DISTINCT r.bucket FROM {_STALE.format(start, end)} ORDER BY 1"
        return await self._engine.read(
            lambda cursor: [hour for (hour,) in cursor.execute(sql).fetchall()], lane=Lane.QUERY
        )

    async def fold_names(self, hour: int, after: int, most: int) -> FoldStep | None:
        """See FoldingStore."""
        made = await self._engine.read(lambda cursor: _fold(cursor, hour, after, most), lane=Lane.QUERY)
        if made is None:
            return None
        minutes, hours = made
        await self.write(hour, minutes, hours)
        return FoldStep(hours[-1].metric_id, len(minutes))

    async def write(self, hour: int, minutes: list[FoldedRow], hours: list[FoldedRow]) -> None:
        """Replace the rows of these names and this hour."""
        await self._engine.change(_put, hour, minutes, hours)


def _fold(cursor: Connection, hour: int, after: int, most: int) -> tuple[list[FoldedRow], list[FoldedRow]] | None:
    """The rows of the next stale names and series of an hour: of their minutes, and of the hour. One snapshot."""
    cursor.execute("BEGIN")
    stale = cursor.execute(
        "SELECT r.metric_id, r.samples::VARCHAR, r.min_value::VARCHAR, r.max_value::VARCHAR"
        f" FROM {_STALE.format(hour, hour + HOUR)}"
        f" AND r.metric_id > {after} ORDER BY 1 LIMIT {most}"
    ).fetchall()
    if not stale:
        return None
    hours = [HourSums(*row) for row in stale]
    segment, ids = Segment("minute", hour, hour + HOUR), [sums.metric_id for sums in hours]
    rollups = _rollups("minute", within("bucket", segment, ids))
    minutes = cursor.execute(f"SELECT metric_id, bucket, samples::VARCHAR FROM ({rollups})").fetchall()
    found = _Found(cursor, MINUTE)
    listed = ", ".join(map(str, ids))
    series = dict(cursor.execute(f"SELECT id, metric_id FROM series WHERE id IN ({listed})").fetchall())
    sources = raw_sources(members_with_ids(ids, series), [segment._replace(level="raw")])
    found.add_raw([source for source in sources if source.table == POINTS])
    cursor.execute("COMMIT")
    of_minutes = folded_minutes(found.all_samples(), found.all_histograms())
    rows = [
        FoldedRow(metric_id, start, samples, of_minutes.get((metric_id, start), b""))
        for metric_id, start, samples in sorted(minutes)
    ]
    return rows, folded_hours(hours, hour, of_minutes)


def _put(handle: Connection, hour: int, minutes: Sequence[FoldedRow], hours: Sequence[FoldedRow]) -> None:
    """Replace the rows of these names and this hour. What was deleted meanwhile gets none."""
    condition = within("bucket", Segment("raw", hour, hour + HOUR), [row.metric_id for row in hours])
    for level, rows in (("minute", minutes), ("hour", hours)):
        handle.execute(f"DELETE FROM {HISTOGRAMS[level]} WHERE {condition}")
        _insert(handle, level, _columns(rows), texts_of(map(_text, rows)))


def _text(row: FoldedRow) -> str:
    return ":".join((row.samples, base64_of(row.histogram), *map(units_to_text, row.percentiles)))


def _columns(rows: Iterable[FoldedRow]) -> dict[str, Column]:
    ids, buckets, *_ = zip(*rows, strict=True)
    return {"m": np.array(ids, dtype=np.int32), "b": np.array(buckets, dtype=np.int64)}


def _insert(handle: Connection, level: str, folded: dict[str, Column], texts: dict[str, Column]) -> None:
    """DuckDB finds the tables ``folded`` and ``texts`` by the names of the arguments."""
    places = range(3, 3 + len(PERCENTS)) if level == "hour" else ()
    percentiles = "".join([f", nullif(split_part(h, ':', {place}), '')::DECIMAL(20,4)" for place in places])
    handle.execute(
        f"INSERT INTO {HISTOGRAMS[level]} SELECT m, b, split_part(h, ':', 1)::DECIMAL(38,4),"
        f" from_base64(split_part(h, ':', 2)){percentiles} FROM folded {WITH_TEXTS}"
        f" WHERE m IN ({_VALUES})"
    )

"""Asks the database what a query needs: summaries and histograms, each answer from one snapshot."""

import asyncio
from collections.abc import Sequence
from typing import Any

from central.store.distribution import Distribution
from central.store.members import MOST_SERIES, Members, series_of, spans_of
from central.store.mysql import histograms, sql
from central.store.mysql.connection import Connection
from central.store.plan import WIDTHS, Segment


async def aggregate(
    connection: Connection, members: Members, window: int, segments: Sequence[Segment], *, extremes: bool
) -> list[tuple[Any, ...]]:
    """The rows of sql.aggregate, of one snapshot."""
    if not members.untagged:
        return await connection.rows(sql.aggregate(members, window, segments, extremes=extremes))
    await histograms.begin(connection)
    members = await _narrowed(connection, members, segments)
    rows = await connection.rows(sql.aggregate(members, window, segments, extremes=extremes))
    await connection.run("COMMIT")
    return rows


async def distribute(
    connection: Connection, members: Members, window: int, segments: Sequence[Segment]
) -> Distribution:
    """See Store."""
    await histograms.begin(connection)
    members = await _narrowed(connection, members, segments)
    rows = await connection.rows(sql.aggregate(members, window, segments, extremes=True))
    spread = await histograms.spread(connection, members, window, segments)
    await connection.run("COMMIT")
    return Distribution(await asyncio.to_thread(sql.buckets, rows, extremes=True), spread)


async def _narrowed(connection: Connection, members: Members, segments: Sequence[Segment]) -> Members:
    """The members with the spans in which they can have samples without tags. Call it within a transaction."""
    rollups = [segment for segment in segments if segment.level != "raw"]
    if not members.untagged or not rollups:
        return members
    found = await connection.rows(series_of(members.untagged, MOST_SERIES + 1))
    if len(found) > MOST_SERIES:
        return members
    spans: list[Segment] = []
    for segment in rollups:
        statement = sql.untagged_buckets(members, [series_id for (series_id,) in found], segment)
        buckets = [bucket for (bucket,) in await connection.rows(statement)]
        spans += spans_of(buckets, WIDTHS[segment.level])
    return members._replace(spans=spans)

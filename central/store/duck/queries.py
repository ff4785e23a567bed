"""Answers queries from the embedded database: summaries and histograms, each answer from one snapshot.

These functions run in a reader's thread. A cursor belongs to one call.
"""

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final

import numpy as np

from central.store.buckets import Buckets, Column, buckets_of, no_buckets, wide_column
from central.store.distribution import Distribution
from central.store.duck import histograms, sql
from central.store.duck.engine import Connection
from central.store.members import MOST_SERIES, Members, series_of, spans_of
from central.store.plan import WIDTHS, Segment
from protocol.numbers import DECIMALS

_EXACT: Final = Context(prec=60)


def aggregate(
    cursor: Connection, members: Members, window: int, segments: Sequence[Segment], *, extremes: bool
) -> Buckets:
    """See Store."""
    if not members.untagged:
        return _aggregate(cursor, members, window, segments, extremes=extremes)
    cursor.execute("BEGIN")
    buckets = _aggregate(cursor, _narrowed(cursor, members, segments), window, segments, extremes=extremes)
    cursor.execute("COMMIT")
    return buckets


def distribute(cursor: Connection, members: Members, window: int, segments: Sequence[Segment]) -> Distribution:
    """See Store."""
    cursor.execute("BEGIN")
    members = _narrowed(cursor, members, segments)
    buckets = _aggregate(cursor, members, window, segments, extremes=True)
    spread = histograms.spread(cursor, members, window, segments)
    cursor.execute("COMMIT")
    return Distribution(buckets, spread)


def _aggregate(
    cursor: Connection, members: Members, window: int, segments: Sequence[Segment], *, extremes: bool
) -> Buckets:
    """Try three ways until one is exact for these numbers. They take 1, 4 and 20 times as long."""
    if not members.keys:
        return no_buckets()
    statement = sql.aggregate(members, window, segments, extremes=extremes)
    columns = sql.member_columns(members)
    buckets = sql.buckets(_ask(cursor, statement, columns).fetchnumpy())
    if buckets is None:
        halves = sql.aggregate(members, window, segments, extremes=extremes, number=sql.HALVES)
        buckets = sql.buckets_of_halves(_ask(cursor, halves, columns).fetchnumpy())
    if buckets is None:
        decimals = sql.aggregate(members, window, segments, extremes=extremes, number=sql.EXACT)
        ids, starts, *numbers = zip(*_ask(cursor, decimals, columns).fetchall(), strict=True)
        wide = (wide_column([_units(number) for number in column]) for column in numbers)
        buckets = buckets_of([np.array(ids), np.array(starts), *wide])
    return buckets


def _narrowed(cursor: Connection, members: Members, segments: Sequence[Segment]) -> Members:
    """The members with the spans in which they can have samples without tags. Call it within a transaction."""
    rollups = [segment for segment in segments if segment.level != "raw"]
    if not members.untagged or not rollups:
        return members
    found = cursor.execute(series_of(members.untagged, MOST_SERIES + 1)).fetchall()
    if len(found) > MOST_SERIES:
        return members
    spans: list[Segment] = []
    for segment in rollups:
        statement = sql.untagged_buckets(members, [series_id for (series_id,) in found], segment)
        buckets = [bucket for (bucket,) in cursor.execute(statement).fetchall()]
        spans += spans_of(buckets, WIDTHS[segment.level])
    return members._replace(spans=spans)


def _ask(cursor: Connection, statement: str, members: dict[str, Column]) -> Connection:
    """DuckDB finds the table ``members`` by the name of the argument."""
    return cursor.execute(statement)


def _units(number: Decimal) -> int:
    return int(_EXACT.scaleb(number, DECIMALS))

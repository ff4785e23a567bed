"""points.PointStore on the embedded database. A point is in the tail or in the table of points, never in both."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from central.store.buckets import wide_column
from central.store.duck import sql
from central.store.duck.engine import Connection, Engine, Lane
from central.store.plan import Segment
from central.store.points import Points, Span
from protocol.numbers import UNIT

_NUMBERS: Final = ("coalesce(samples, 1)", "value", "coalesce(min_value, value)", "coalesce(max_value, value)")
_UNITS: Final = f"{{}}::DECIMAL(20,4) * {UNIT}::DECIMAL(5,0)"
_NARROW: Final = ", ".join(f"TRY_CAST({_UNITS.format(number)} AS BIGINT)" for number in _NUMBERS)
"""In 64 bits; NULL for a number that does not fit."""
_WIDE: Final = ", ".join(f"({_UNITS.format(number)})::DECIMAL(24,0)" for number in _NUMBERS)


class DuckPoints:
    """points.PointStore."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(self, span: Span, limit: int) -> Points | None:
        """See PointStore."""
        return await self._engine.read(lambda cursor: _read(cursor, span, limit), lane=Lane.QUERY)

    async def tags(self, series_ids: Sequence[int]) -> dict[int, str]:
        """See PointStore."""
        if not series_ids:
            return {}
        statement = f"SELECT id, tags FROM series WHERE id IN ({', '.join(map(str, series_ids))})"
        return dict(await self._engine.read(lambda cursor: cursor.execute(statement).fetchall(), lane=Lane.QUERY))


def _read(cursor: Connection, span: Span, limit: int) -> Points | None:
    columns = list(cursor.execute(_select(span, _NARROW, limit + 1)).fetchnumpy().values())
    if len(columns[0]) > limit:
        return None
    if any(np.ma.is_masked(column) for column in columns):
        rows = cursor.execute(_select(span, _WIDE, limit + 1)).fetchall()
        if len(rows) > limit:
            return None
        ids, series, times, *numbers = zip(*rows, strict=True)
        columns = [*map(np.array, (ids, series, times)), *(wide_column(list(map(int, one))) for one in numbers)]
        return Points(*columns)
    return Points(*(np.asarray(column).astype(np.int64) for column in columns))


def _select(span: Span, numbers: str, limit: int) -> str:
    condition = sql.within("recorded_at", Segment("raw", span.start, span.end), span.metric_ids)
    selects = [
        f"SELECT metric_id, coalesce(series_id, 0) AS series_id, recorded_at, {numbers} FROM {table} WHERE {condition}"
        for table in (sql.TAIL, sql.POINTS)
    ]
    return f"{' UNION ALL '.join(selects)} LIMIT {limit}"

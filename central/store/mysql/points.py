"""points.PointStore on MySQL. A span's points come as one text: the driver takes 8 us per row."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from central.store.mysql.connection import Connection
from central.store.mysql.pool import Readers
from central.store.mysql.sql import columns_of, parts_of, within
from central.store.plan import Segment
from central.store.points import Points, Span, no_points

_COLUMNS: Final = (
    "metric_id, COALESCE(series_id, 0) AS series_id, UNIX_TIMESTAMP(recorded_at) AS t,"
    " CAST(COALESCE(samples, 1) AS DECIMAL(20, 4)) AS samples, value, COALESCE(min_value, value) AS low,"
    " COALESCE(max_value, value) AS high"
)
_TEXT: Final = "metric_id, ' ', series_id, ' ', t, ' ', samples, ' ', value, ' ', low, ' ', high SEPARATOR '\n'"


class MySQLPoints:
    """points.PointStore."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def read(self, span: Span, limit: int) -> Points | None:
        """See PointStore."""
        statement = _select(span, limit)
        ((count, text),) = await self._readers.ask(lambda connection: connection.rows(statement))
        if count > limit:
            return None
        return await asyncio.to_thread(_points, count, text)

    async def tags(self, series_ids: Sequence[int]) -> dict[int, str]:
        """See PointStore."""
        found: dict[int, str] = {}
        for part in parts_of(series_ids):
            statement = f"SELECT id, tags FROM series WHERE id IN ({','.join(map(str, part))})"
            rows: list[tuple[Any, ...]] = await self._readers.ask(partial(Connection.rows, sql=statement))
            found.update((series_id, tags.decode()) for series_id, tags in rows)
        return found


def _select(span: Span, limit: int) -> str:
    """SELECT of how many points there are, and of their numbers unless there are more than ``limit``."""
    segment = Segment("raw", span.start, span.end)
    selects = [
        f"(SELECT {_COLUMNS} FROM metric_points WHERE {within('recorded_at', segment, ids)} LIMIT {limit + 1})"
        for ids in parts_of(span.metric_ids)
    ]
    return (
        f"SELECT COUNT(*), IF(COUNT(*) > {limit}, NULL, GROUP_CONCAT({_TEXT}))"
        f" FROM ({' UNION ALL '.join(selects)}) AS found"
    )


def _points(count: int, text: str | None) -> Points:
    return no_points() if text is None else Points(*columns_of(text, count, len(Points._fields), 4))

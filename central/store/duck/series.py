"""Series in the embedded store."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from central.store.duck.chosen import Chosen, ChosenSeries, Filters
from central.store.duck.engine import Connection, Engine, Lane
from central.store.duck.keys import last_id, set_last_id
from central.store.duck.sql import HISTOGRAMS, ROLLUPS
from central.store.series import (
    ANYTHING,
    FoundSeries,
    NewSeries,
    Series,
    SeriesCaps,
    TagFilter,
    TagKey,
    TagValue,
    admit,
    to_like,
)
from protocol.tags import OVERFLOW, parse_tags

_ROWS: Final = "(SELECT unnest(from_json(?, '[\"JSON\"]')) AS j)"
_WANTED: Final = f"(SELECT (j->>0)::INTEGER AS metric_id, j->>1 AS tags FROM {_ROWS})"

_HASH: Final = "(md5_number_lower({}) & 4294967295)::UINTEGER"
"""The column of a tag's hash, of the text 'key:value'."""
_TAG: Final = "concat(j->>1, ':', j->>2)"
_TAGS: Final = "concat(',', tags, ',')"
"""The tags of a series, each between two commas, which no key and no value has."""

_COUNTS: Final = "SELECT metric_id, count(*) FROM series WHERE metric_id IN ({}) AND tags <> ? GROUP BY metric_id"


class DuckSeries:
    """SeriesStore on a DuckDB engine. A change is a transaction between two groups."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._chosen = ChosenSeries()

    async def resolve(self, wanted: Sequence[NewSeries], caps: SeriesCaps, now: int) -> dict[NewSeries, Series]:
        """See SeriesStore."""
        found = await self.find(wanted)
        if len(found) == len(set(wanted)):
            return found
        return await self._engine.change(_resolve, wanted, caps, now)

    async def find(self, wanted: Sequence[NewSeries]) -> dict[NewSeries, Series]:
        """See SeriesStore."""
        return await self._engine.read(lambda cursor: _find(cursor, wanted))

    async def select(self, metric_id: int, filters: Sequence[TagFilter], after: int, limit: int) -> list[Series]:
        """See SeriesStore. All series of filters are remembered, so that the next time only newer ones are searched."""
        if after:
            chosen = await self._engine.read(
                lambda cursor: _select(cursor, metric_id, filters, after, limit), lane=Lane.QUERY
            )
            return list(chosen.series)
        asked, deletions = Filters(metric_id, tuple(filters)), self._chosen.deletions
        known = self._chosen.find(asked)
        room = limit - len(known.series)
        if room <= 0:
            return list(known.series[:limit])
        newer = await self._engine.read(
            lambda cursor: _select(cursor, metric_id, filters, known.up_to, room), lane=Lane.QUERY
        )
        series = [*known.series, *newer.series]
        if len(series) < limit:
            self._chosen.remember(asked, Chosen(series, newer.up_to), deletions)
        return series

    async def search(
        self, metric_ids: Sequence[int] | None, filters: Sequence[TagFilter], limit: int
    ) -> list[FoundSeries]:
        """See SeriesStore."""
        return await self._engine.read(lambda cursor: _search(cursor, metric_ids, filters, limit), lane=Lane.QUERY)

    async def all_keys(self, prefix: str, limit: int) -> list[str]:
        """See SeriesStore."""
        sql = "SELECT DISTINCT key FROM series_tags WHERE starts_with(key, ?) ORDER BY key LIMIT ?"
        return [key for (key,) in await self._rows(sql, [prefix, limit])]

    async def all_values(self, key: str, prefix: str, limit: int) -> list[str]:
        """See SeriesStore."""
        sql = "SELECT DISTINCT value FROM series_tags WHERE key = ? AND starts_with(value, ?) ORDER BY value LIMIT ?"
        return [value for (value,) in await self._rows(sql, [key, prefix, limit])]

    async def _rows(self, sql: str, given: list[object]) -> list[tuple[Any, ...]]:
        return await self._engine.read(lambda cursor: cursor.execute(sql, given).fetchall(), lane=Lane.QUERY)

    async def keys(self, metric_id: int) -> list[TagKey]:
        """See SeriesStore."""
        sql = "SELECT key, count(DISTINCT value) FROM series_tags WHERE metric_id = ? GROUP BY key ORDER BY key"
        return [TagKey(*row) for row in await self._rows(sql, [metric_id])]

    async def values(self, metric_id: int, tag: TagFilter, after: str, limit: int) -> list[TagValue]:
        """See SeriesStore."""
        condition, parameters = _condition(tag)
        # Nothing comes before the empty value. So behind "", the beginning of the list, it has its place too.
        behind = ">" if after else ">="
        sql = (
            f"SELECT value, count(*) FROM series_tags WHERE metric_id = ? AND {condition} AND value {behind} ?"
            " GROUP BY value ORDER BY value LIMIT ?"
        )
        given = [metric_id, *parameters, after, limit]
        return [TagValue(*row) for row in await self._rows(sql, given)]

    async def count(self) -> int:
        """See SeriesStore."""
        return await self._engine.read(_count)

    async def delete(self, metric_id: int, tags: str) -> bool:
        """See SeriesStore."""
        try:
            return await self._engine.change(_delete, metric_id, tags)
        finally:
            self._chosen.forget_all()  # also where it is not known whether it was deleted


def _find(cursor: Connection, wanted: Iterable[NewSeries]) -> dict[NewSeries, Series]:
    sql = f"SELECT metric_id, tags, id FROM series INNER JOIN {_WANTED} USING (metric_id, tags)"
    rows = cursor.execute(sql, [json.dumps(list(dict.fromkeys(wanted)))]).fetchall()
    return {NewSeries(metric_id, tags): Series(key, tags) for metric_id, tags, key in rows}


def _resolve(handle: Connection, wanted: Sequence[NewSeries], caps: SeriesCaps, now: int) -> dict[NewSeries, Series]:
    found = _find(handle, wanted)
    listed = ", ".join({str(new.metric_id) for new in wanted})
    alive = {key for (key,) in handle.execute(f"SELECT id FROM metrics WHERE id IN ({listed})").fetchall()}
    missing = [new for new in dict.fromkeys(wanted) if new not in found and new.metric_id in alive]
    if not missing:
        return found
    counts = Counter(dict(handle.execute(_COUNTS.format(listed), [OVERFLOW]).fetchall()))
    made, over = admit(missing, counts, _count(handle), caps)
    overflows = dict.fromkeys(new.overflow for new in over)
    found |= _find(handle, overflows)
    found |= _create(handle, [new for new in dict.fromkeys([*made, *overflows]) if new not in found], now)
    return found | {new: found[new.overflow] for new in over}


def _create(handle: Connection, made: Sequence[NewSeries], now: int) -> dict[NewSeries, Series]:
    if not made:
        return {}
    first = last_id(handle, "series")
    created = {new: Series(key, new.tags) for key, new in enumerate(made, first)}
    rows = [[series.id, new.metric_id, new.tags] for new, series in created.items()]
    tags = [
        [new.metric_id, key, value, series.id]
        for new, series in created.items()
        for key, value in parse_tags(new.tags).items()
    ]
    handle.execute(
        f"INSERT INTO series SELECT (j->>0)::INTEGER, (j->>1)::INTEGER, j->>2, ? FROM {_ROWS}", [now, json.dumps(rows)]
    )
    handle.execute(
        "INSERT INTO series_tags SELECT (j->>0)::INTEGER, j->>1, j->>2, (j->>3)::INTEGER,"
        f" {_HASH.format(_TAG)} FROM {_ROWS}",
        [json.dumps(tags)],
    )
    set_last_id(handle, "series", first + len(made))
    return created


def _select(cursor: Connection, metric_id: int, filters: Sequence[TagFilter], after: int, limit: int) -> Chosen:
    """The first ``limit`` series behind ``after``, and the highest id in the same snapshot."""
    cursor.execute("BEGIN")
    searched = _searched(["metric_id = ?", "id > ?"], [metric_id, after], filters, after)
    rows = cursor.execute(f"{searched.sql} ORDER BY id LIMIT ?", [*searched.given, limit]).fetchall()
    (up_to,) = cursor.execute("SELECT coalesce(max(id), 0) FROM series").fetchone() or (0,)
    cursor.execute("COMMIT")
    return Chosen([Series(key, tags) for key, tags, _ in rows], up_to)


def _search(
    cursor: Connection, metric_ids: Sequence[int] | None, filters: Sequence[TagFilter], limit: int
) -> list[FoundSeries]:
    conditions, given = ["TRUE"], list[object]()
    if metric_ids is not None:
        conditions.append("metric_id IN (SELECT unnest(from_json(?, '[\"INTEGER\"]')))")
        given.append(json.dumps(list(metric_ids)))
    searched = _searched(conditions, given, filters)
    sql = f"SELECT name, found.id, tags FROM ({searched.sql} LIMIT ?) AS found JOIN metrics ON metrics.id = metric_id"
    rows = cursor.execute(sql, [*searched.given, limit]).fetchall()
    return [FoundSeries(name, Series(key, tags)) for name, key, tags in rows]


class _Searched(NamedTuple):
    """A SELECT of id, tags and metric_id of series, and its parameters."""

    sql: str
    given: list[object]


def _searched(
    conditions: Sequence[str], given: Sequence[object], filters: Sequence[TagFilter], after: int = 0
) -> _Searched:
    """The series that meet the conditions, whose parameters are ``given``, and the filters; of ids behind ``after``.

    The texts of all series take 20 times as long as the hashes of all tags. So hashes come first, where a filter is
    for one value, and the texts of what is left decide: two tags may have one hash.
    """
    exact = [f"{tag.key}:{tag.pattern}" for tag in filters if ANYTHING not in tag.pattern and not tag.negated]
    hashed = f"id IN (SELECT series_id FROM series_tags WHERE series_id > {after} AND hash = {_HASH.format('?')})"
    where = " AND ".join([*conditions, *[hashed] * len(exact)])
    # Materialized, or DuckDB compares the texts of all series before it joins.
    sql = f"WITH near AS MATERIALIZED (SELECT id, tags, metric_id FROM series WHERE {where}) SELECT * FROM near"
    texts = [_text_condition(tag) for tag in filters]
    if texts:
        sql += f" WHERE {' AND '.join(condition for condition, _ in texts)}"
    return _Searched(sql, [*given, *exact, *(text for _, text in texts)])


def _text_condition(tag: TagFilter) -> tuple[str, str]:
    """The condition on the tags of a series, and its parameter."""
    head = f",{tag.key}:"
    if tag.pattern == ANYTHING:
        condition, text = f"contains({_TAGS}, ?)", head
    elif ANYTHING in tag.pattern:
        parts = map(re.escape, tag.pattern.split(ANYTHING))
        condition, text = f"regexp_matches({_TAGS}, ?)", f"{re.escape(head)}{'[^,]*'.join(parts)},"
    else:
        condition, text = f"contains({_TAGS}, ?)", f"{head}{tag.pattern},"
    return f"NOT {condition}" if tag.negated else condition, text


def _condition(tag: TagFilter) -> tuple[str, list[str]]:
    """The condition on a row of series_tags, whether the filter is negated or not, and its parameters."""
    if tag.pattern == ANYTHING:
        return "key = ?", [tag.key]
    if ANYTHING in tag.pattern:
        return "key = ? AND value LIKE ? ESCAPE '!'", [tag.key, to_like(tag.pattern)]
    return "key = ? AND value = ?", [tag.key, tag.pattern]


def _count(cursor: Connection) -> int:
    (found,) = cursor.execute("SELECT count(*) FROM series WHERE tags <> ?", [OVERFLOW]).fetchone() or (0,)
    return int(found)


def _delete(handle: Connection, metric_id: int, tags: str) -> bool:
    series = _find(handle, [NewSeries(metric_id, tags)]).get(NewSeries(metric_id, tags))
    if series is None:
        return False
    handle.execute("DELETE FROM series WHERE id = ?", [series.id])
    handle.execute("DELETE FROM series_tags WHERE metric_id = ? AND series_id = ?", [metric_id, series.id])
    # What is in the tail comes to the rollups at the next fold. Nothing reads it there, and retention removes it.
    for table in (*ROLLUPS["minute"], *ROLLUPS["hour"], *HISTOGRAMS.values()):
        handle.execute(f"DELETE FROM {table} WHERE metric_id = ?", [series.id])
    return True

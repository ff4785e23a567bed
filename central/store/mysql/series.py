"""Series in MySQL.

A process takes the lock of the names before it creates or deletes a series. So all processes together respect the caps,
and nobody deletes the name of a new series meanwhile.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from central.store.mysql.connection import Connection
from central.store.mysql.names import LOCK, change_version, made_elsewhere, take_lock
from central.store.mysql.pool import Pool, Readers
from central.store.mysql.sql import guard
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
    count_by_metric,
    to_like,
)
from protocol.tags import OVERFLOW, parse_tags

_CHUNK: Final = 1_000
_ALL: Final = 0
"""An id that no metric has. The count under it is the number of all series."""


class MySQLSeries:
    """SeriesStore on three pools: for look-ups, for lists that users ask for, and for changes."""

    def __init__(self, lookups: Pool, readers: Readers, writers: Pool) -> None:
        self._lookups = lookups
        self._readers = readers
        self._writers = writers

    async def resolve(self, wanted: Sequence[NewSeries], caps: SeriesCaps, now: int) -> dict[NewSeries, Series]:
        """See SeriesStore."""
        found = await self.find(wanted)
        if len(found) == len(set(wanted)):
            return found
        return await self._writers.change(
            lambda connection: _resolve(connection, wanted, caps, now), mend=made_elsewhere
        )

    async def find(self, wanted: Sequence[NewSeries]) -> dict[NewSeries, Series]:
        """See SeriesStore."""
        return await self._lookups.ask(lambda connection: _find(connection, wanted))

    async def select(self, metric_id: int, filters: Sequence[TagFilter], after: int, limit: int) -> list[Series]:
        """See SeriesStore."""
        sql = "SELECT id, tags FROM series WHERE metric_id = %s AND id > %s"
        given: list[object] = [metric_id, after]
        for tag in filters:
            condition, values = _condition(tag)
            sql += (
                f" AND id {'NOT ' * tag.negated}IN"
                f" (SELECT series_id FROM series_tags WHERE metric_id = %s AND {condition})"
            )
            given += [metric_id, *values]
        rows = await self._readers.ask(
            lambda connection: connection.rows(f"{sql} ORDER BY id LIMIT %s", [*given, limit])
        )
        return [Series(key, tags.decode()) for key, tags in rows]

    async def search(
        self, metric_ids: Sequence[int] | None, filters: Sequence[TagFilter], limit: int
    ) -> list[FoundSeries]:
        """See SeriesStore."""
        if metric_ids is not None and not metric_ids:
            return []
        # The server begins with the rarest tag, and stops at the limit. A series has one row of each key.
        tables, conditions, given = ["series"], ["TRUE"], list[object]()
        if metric_ids is not None:
            conditions.append(f"series.metric_id IN ({', '.join(map(str, metric_ids))})")
        for place, tag in enumerate(filters):
            condition, values = _condition(tag, f"t{place}.")
            tables.append(f"series_tags AS t{place}")
            conditions.append(
                f"t{place}.metric_id = series.metric_id AND t{place}.series_id = series.id AND {condition}"
            )
            given += values
        sql = (
            "SELECT metrics.name, found.id, found.tags FROM (SELECT series.id, series.metric_id, series.tags"
            f" FROM {', '.join(tables)} WHERE {' AND '.join(conditions)} LIMIT %s) AS found"
            " INNER JOIN metrics ON metrics.id = found.metric_id"
        )
        rows = await self._readers.ask(lambda connection: connection.rows(sql, [*given, limit]))
        return [FoundSeries(name, Series(key, tags.decode())) for name, key, tags in rows]

    async def all_keys(self, prefix: str, limit: int) -> list[str]:
        """See SeriesStore."""
        sql = "SELECT DISTINCT tag_key FROM series_tags WHERE tag_key LIKE %s ESCAPE '!' ORDER BY tag_key LIMIT %s"
        given = [to_like(prefix) + "%", limit]
        return [key for (key,) in await self._readers.ask(lambda connection: connection.rows(sql, given))]

    async def all_values(self, key: str, prefix: str, limit: int) -> list[str]:
        """See SeriesStore."""
        # Without LIKE the server jumps from value to value.
        begins = f"AND tag_value LIKE {_bytes(to_like(prefix) + '%')} ESCAPE '!'" if prefix else ""
        sql = f"SELECT DISTINCT tag_value FROM series_tags WHERE tag_key = %s {begins} ORDER BY tag_value LIMIT %s"
        rows = await self._readers.ask(lambda connection: connection.rows(sql, [key, limit]))
        return [value.decode() for (value,) in rows]

    async def keys(self, metric_id: int) -> list[TagKey]:
        """See SeriesStore."""
        sql = (
            "SELECT tag_key, COUNT(DISTINCT tag_value) FROM series_tags WHERE metric_id = %s"
            " GROUP BY tag_key ORDER BY tag_key"
        )
        rows = await self._readers.ask(lambda connection: connection.rows(sql, [metric_id]))
        return [TagKey(*row) for row in rows]

    async def values(self, metric_id: int, tag: TagFilter, after: str, limit: int) -> list[TagValue]:
        """See SeriesStore."""
        condition, parameters = _condition(tag)
        # "" is where the list begins, and also a value. So the first page begins with this value, and not behind it.
        behind = ">" if after else ">="
        sql = (
            f"SELECT tag_value, COUNT(*) FROM series_tags WHERE metric_id = %s AND {condition}"
            f" AND tag_value {behind} {_bytes(after)} GROUP BY tag_value ORDER BY tag_value LIMIT %s"
        )
        given = [metric_id, *parameters, limit]
        rows = await self._readers.ask(lambda connection: connection.rows(sql, given))
        return [TagValue(value.decode(), series) for value, series in rows]

    async def count(self) -> int:
        """See SeriesStore."""
        counts = await self._lookups.ask(lambda connection: _counts(connection, [_ALL]))
        return counts[_ALL]

    async def delete(self, metric_id: int, tags: str) -> bool:
        """See SeriesStore."""
        return await self._writers.change(lambda connection: _delete(connection, NewSeries(metric_id, tags)))


async def _find(connection: Connection, wanted: Iterable[NewSeries]) -> dict[NewSeries, Series]:
    found: dict[NewSeries, Series] = {}
    unique = list(dict.fromkeys(wanted))
    for at in range(0, len(unique), _CHUNK):
        chunk = unique[at : at + _CHUNK]
        pairs = ", ".join([f"({new.metric_id}, {_hash(new.tags)})" for new in chunk])
        rows = await connection.rows(
            f"SELECT metric_id, tags, id FROM series WHERE (metric_id, tags_hash) IN ({pairs})"
        )
        for metric_id, tags, key in rows:
            text = tags.decode()
            found[NewSeries(metric_id, text)] = Series(key, text)
    return found


async def _resolve(
    connection: Connection, wanted: Sequence[NewSeries], caps: SeriesCaps, now: int
) -> dict[NewSeries, Series]:
    await take_lock(connection, LOCK)
    found = await _find(connection, wanted)
    metric_ids = {new.metric_id for new in wanted}
    alive = await _alive(connection, metric_ids)
    missing = [new for new in dict.fromkeys(wanted) if new not in found and new.metric_id in alive]
    if not missing:
        return found
    counts = await _counts(connection, [_ALL, *metric_ids])
    made, over = admit(missing, counts, counts[_ALL], caps)
    overflows = dict.fromkeys(new.overflow for new in over)
    found |= await _find(connection, overflows)
    created = [new for new in dict.fromkeys([*made, *overflows]) if new not in found]
    await _create(connection, created, now)
    added = count_by_metric(created)
    await _count(connection, added + Counter({_ALL: added.total()}))
    found |= await _find(connection, created)
    return found | {new: found[new.overflow] for new in over}


async def _alive(connection: Connection, metric_ids: Iterable[int]) -> set[int]:
    """Those metrics that exist. None of them can be deleted while the lock of the names is held."""
    listed = ", ".join(map(str, metric_ids))
    return {key for (key,) in await connection.rows(f"SELECT id FROM metrics WHERE id IN ({listed})")}


async def _create(connection: Connection, made: Sequence[NewSeries], now: int) -> None:
    if made and connection.locks_reads_alone:  # or another node could delete the name meanwhile
        await connection.run(guard(made[0].metric_id))
    new_series = [f"({new.metric_id}, {_hash(new.tags)}, {_bytes(new.tags)}, FROM_UNIXTIME({now}))" for new in made]
    await _insert(connection, "series (metric_id, tags_hash, tags, created_at)", new_series)
    new_tags = [
        f"({new.metric_id}, '{key}', {_bytes(value)}, {series.id})"  # a key has no character that needs quoting
        for new, series in (await _find(connection, made)).items()
        for key, value in parse_tags(new.tags).items()
    ]
    await _insert(connection, "series_tags (metric_id, tag_key, tag_value, series_id)", new_tags)


async def _insert(connection: Connection, into: str, rows: Sequence[str]) -> None:
    for at in range(0, len(rows), _CHUNK):
        await connection.run(f"INSERT INTO {into} VALUES {', '.join(rows[at : at + _CHUNK])}")


async def _delete(connection: Connection, gone: NewSeries) -> bool:
    """Delete a series, and note that its rollups must be removed. Groups that commit meanwhile see a new version."""
    await take_lock(connection, LOCK)
    series = (await _find(connection, [gone])).get(gone)
    if series is None:
        return False
    await connection.change("DELETE FROM series WHERE id = %s", [series.id])
    for key, value in parse_tags(gone.tags).items():
        await connection.change(
            f"DELETE FROM series_tags WHERE metric_id = %s AND tag_key = %s AND tag_value = {_bytes(value)}"
            " AND series_id = %s",
            [gone.metric_id, key, series.id],
        )
    await connection.change("INSERT INTO deleted_metrics (id, name) VALUES (%s, '')", [series.id])
    if gone.tags != OVERFLOW:
        await _count(connection, Counter({_ALL: -1, gone.metric_id: -1}))
    await change_version(connection)
    return True


async def _counts(connection: Connection, metric_ids: Sequence[int]) -> Counter[int]:
    listed = ", ".join(map(str, metric_ids))
    rows = await connection.rows(f"SELECT metric_id, series FROM series_counts WHERE metric_id IN ({listed})")
    return Counter(dict(rows))


async def _count(connection: Connection, added: Counter[int]) -> None:
    """Add to the counts of series."""
    for metric_id, series in sorted(added.items()):
        await connection.change(
            "INSERT INTO series_counts (metric_id, series) VALUES (%s, %s)"
            " ON DUPLICATE KEY UPDATE series = series + VALUES(series)",
            (metric_id, series),
        )


def _condition(tag: TagFilter, table: str = "") -> tuple[str, list[object]]:
    """The condition on a row of series_tags, whether the filter is negated or not, and its parameters.

    ``table`` is what stands before the columns, with its dot.
    """
    if tag.pattern == ANYTHING:
        return f"{table}tag_key = %s", [tag.key]
    if ANYTHING in tag.pattern:
        return f"{table}tag_key = %s AND {table}tag_value LIKE {_bytes(to_like(tag.pattern))} ESCAPE '!'", [tag.key]
    return f"{table}tag_key = %s AND {table}tag_value = {_bytes(tag.pattern)}", [tag.key]


def _hash(tags: str) -> str:
    """The 16-byte hash of tags as an SQL literal."""
    return f"X'{hashlib.blake2b(tags.encode(), digest_size=16).hexdigest()}'"


def _bytes(text: str) -> str:
    """A text in UTF-8 as an SQL literal of bytes."""
    return f"X'{text.encode().hex()}'"

"""Names in MySQL.

A process locks a row of ``locks`` before it creates or deletes names. So all processes together respect the caps. Ids
come from AUTO_INCREMENT, which survives a restart of both servers. So no id is used twice.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

from central.store.base import Caps, CreatedNames, ListedName, Metric, NameDetails, NewName, Page
from central.store.mysql.connection import DUPLICATE, Connection, ServerError
from central.store.mysql.details import describe
from central.store.mysql.partitions import POINTS, SUMS
from central.store.mysql.pool import Pool, Readers
from central.store.mysql.sql import GUARD_ALL
from central.store.owners import claim, must_resolve

LOCK: Final = "names"
_CHUNK: Final = 1_000
_NEXT_DELETED: Final = "SELECT id FROM deleted_metrics ORDER BY id LIMIT 1"
DELETE_ROWS: Final = 5_000
"""How many rows of a deleted name one transaction removes."""
_OWNED: Final = "metrics LEFT JOIN name_owners ON name_owners.metric_id = metrics.id"


class MySQLNames:
    """NameStore on three pools: one for look-ups, one for users' lists, one for changes."""

    def __init__(self, lookups: Pool, readers: Readers, writers: Pool) -> None:
        self._lookups = lookups
        self._readers = readers
        self._writers = writers

    async def resolve(self, new_names: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        """See NameStore."""
        found = await self.find([new.name for new in new_names])
        if not any(must_resolve(new, found.get(new.name)) for new in new_names):
            return found
        return await self._writers.change(
            lambda connection: _create(connection, new_names, caps, now), mend=made_elsewhere
        )

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        """See NameStore."""
        return await self._lookups.ask(lambda connection: _find(connection, names))

    async def version(self) -> int | None:
        """See NameStore. ``delete`` increments it."""
        ((found,),) = await self._lookups.ask(lambda connection: connection.rows("SELECT version FROM name_changes"))
        return int(found)

    async def page(self, wanted: Page) -> list[ListedName]:
        """See NameStore. It searches a range of the index, because LIKE would treat ``_`` and ``%`` as wildcards."""
        return await self._readers.ask(lambda session: page(session, wanted))

    async def describe(self, names: Sequence[str], since: int, line: int) -> dict[str, NameDetails]:
        """See NameStore."""
        return await self._readers.ask(lambda session: describe(session, names, since, line))

    async def created_after(self, metric_id: int, limit: int) -> CreatedNames:
        """See NameStore. Ids grow in the order of commits, because whoever creates names holds the lock."""
        return await self._readers.ask(lambda session: _created_after(session, metric_id, limit))

    async def delete(self, name: str) -> bool:
        """See NameStore."""
        return await self._writers.change(lambda connection: _mark_deleted(connection, name))

    async def purge(self) -> None:
        """See NameStore. After a failure, the next purge or upkeep removes the rest."""
        while rows := await self._lookups.ask(lambda connection: connection.rows(_NEXT_DELETED)):
            ((metric_id,),) = rows
            await self._writers.change(partial(_purge_some, metric_id=metric_id))


async def page(session: Connection, wanted: Page) -> list[ListedName]:
    """See MySQLNames.page."""
    only = "AND clash_of IS NOT NULL" if wanted.clashes else ""
    given: list[object] = [wanted.prefix, wanted.after, _end_of(wanted.prefix)]
    if wanted.search.text:
        only += " AND LOCATE(LOWER(%s), LOWER(name)) > 0" if wanted.search.ignore_case else " AND LOCATE(%s, name) > 0"
        given.append(wanted.search.text)
    sql = (
        f"SELECT name, type, owner, clash_of FROM {_OWNED}"
        f" WHERE name >= %s AND name > %s AND name < %s {only} ORDER BY name LIMIT %s"
    )
    return [ListedName(*row) for row in await session.rows(sql, [*given, wanted.limit])]


async def _created_after(session: Connection, metric_id: int, limit: int) -> CreatedNames:
    """One statement, so both are of one snapshot."""
    sql = (
        "SELECT counted.total, newer.id, newer.name FROM (SELECT COALESCE(SUM(names), 0) AS total FROM name_counts)"
        " AS counted LEFT JOIN (SELECT id, name FROM metrics WHERE id > %s ORDER BY id LIMIT %s) AS newer ON TRUE"
        " ORDER BY newer.id"
    )
    rows = await session.rows(sql, (metric_id, limit))
    return CreatedNames([(key, name) for _, key, name in rows if key is not None], int(rows[0][0]))


async def _find(connection: Connection, names: Sequence[str]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    known = sorted({name for name in names if name.isascii()})  # the column holds only ASCII
    for at in range(0, len(known), _CHUNK):
        chunk = known[at : at + _CHUNK]
        sql = f"SELECT name, id, type, owner FROM {_OWNED} WHERE name IN ({_marks(chunk)})"
        rows = await connection.rows(sql, chunk)
        found.update((name, Metric(key, kind, owner)) for name, key, kind, owner in rows)
    return found


async def _create(connection: Connection, new_names: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
    """The metrics of these names. Creates missing ones as far as the caps allow."""
    await take_lock(connection, LOCK)
    found = await _find(connection, [new.name for new in new_names])
    missing = sorted({new.name: new for new in reversed(new_names) if new.name not in found}.values())
    counts: dict[int, int] = dict(await connection.rows("SELECT created_by, names FROM name_counts"))
    total, made = sum(counts.values()), []
    for new in missing:
        count = counts.get(new.key_id, 0)
        if total < caps.names and count < caps.names_per_key:
            total, counts[new.key_id] = total + 1, count + 1
            made.append(new)
    for at in range(0, len(made), _CHUNK):
        chunk = made[at : at + _CHUNK]
        marks = ", ".join(["(%s, %s, %s, FROM_UNIXTIME(%s), FROM_UNIXTIME(%s))"] * len(chunk))
        await connection.change(
            f"INSERT INTO metrics (name, type, created_by, created_at, updated_at) VALUES {marks}",
            [value for new in chunk for value in (new.name, new.kind, new.key_id, now, now)],
        )
    for key_id, names in sorted(Counter(new.key_id for new in made).items()):
        await _count_names(connection, key_id, names)
    found |= await _find(connection, [new.name for new in made])
    claims = claim(new_names, found)
    for at in range(0, len(claims), _CHUNK):
        given = claims[at : at + _CHUNK]
        marks = ", ".join(["(%s, %s, %s)"] * len(given))
        await connection.change(
            f"INSERT INTO name_owners (metric_id, owner, clash_of) VALUES {marks}",
            [value for one in given for value in one],
        )
    return found


async def _mark_deleted(connection: Connection, name: str) -> bool:
    """Delete a name and note that its points must be removed. False if there is no such name.

    This waits for groups that are being committed. Every later group sees the new version of the names.
    """
    await take_lock(connection, LOCK)
    rows = (
        await connection.rows("SELECT id, created_by FROM metrics WHERE name = %s", (name,)) if name.isascii() else []
    )
    if not rows:
        return False
    ((metric_id, key_id),) = rows
    await connection.change("DELETE FROM metrics WHERE id = %s", (metric_id,))
    await connection.change("DELETE FROM name_owners WHERE metric_id = %s", (metric_id,))
    await connection.change("INSERT INTO deleted_metrics (id, name) VALUES (%s, %s)", (metric_id, name))
    await _delete_series(connection, metric_id)
    await _count_names(connection, key_id, -1)
    await change_version(connection)
    return True


async def change_version(connection: Connection) -> None:
    """Refuse groups whose names were resolved before, from this transaction's COMMIT on. Call it last in a deletion."""
    if connection.locks_reads_alone:
        await connection.run(GUARD_ALL)
    await connection.run("UPDATE name_changes SET version = version + 1")


async def _delete_series(connection: Connection, metric_id: int) -> None:
    """Delete the series of a name, and note that their rollups must be removed."""
    await connection.change(
        "INSERT INTO deleted_metrics (id, name) SELECT id, '' FROM series WHERE metric_id = %s", (metric_id,)
    )
    await connection.change(
        "UPDATE series_counts AS total INNER JOIN series_counts AS own ON own.metric_id = %s"
        " SET total.series = total.series - own.series WHERE total.metric_id = 0",
        (metric_id,),
    )
    for table in ("series_counts", "series_tags", "series"):
        await connection.change(f"DELETE FROM {table} WHERE metric_id = %s", (metric_id,))


async def _purge_some(connection: Connection, metric_id: int) -> None:
    """Remove some rows of a deleted name. If there are none left, remove the note that they must be removed."""
    for table in (POINTS, *SUMS):
        if await connection.change(f"DELETE FROM {table} WHERE metric_id = %s LIMIT {DELETE_ROWS}", (metric_id,)):
            return
    await connection.change("DELETE FROM deleted_metrics WHERE id = %s", (metric_id,))


async def _count_names(connection: Connection, key_id: int, names: int) -> None:
    """Add to the number of names of a key."""
    await connection.change(
        "INSERT INTO name_counts (created_by, names) VALUES (%s, %s)"
        " ON DUPLICATE KEY UPDATE names = names + VALUES(names)",
        (key_id, names),
    )


async def made_elsewhere(error: ServerError) -> bool:
    """Whether another node of a cluster has just made the same name or series. The next attempt finds it.

    ``take_lock`` keeps out sessions of the same node only.
    """
    return error.code == DUPLICATE


async def take_lock(connection: Connection, name: str) -> None:
    """Lock a row of ``locks`` until the transaction ends. Raises ServerError 1205 if another session holds it long."""
    await connection.change("INSERT INTO locks (name) VALUES (%s) ON DUPLICATE KEY UPDATE name = VALUES(name)", (name,))


def _end_of(prefix: str) -> str:
    """The first text after all that start with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else "\x7f"


def _marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))

"""API keys in MySQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from central.store.admin_keys import locks_out
from central.store.base import KeyRow, NewKey
from central.store.mysql.connection import Connection
from central.store.mysql.pool import Pool

_COLUMNS = (
    "id, public_id, name, `key`, scopes, rate_limit, UNIX_TIMESTAMP(created_at), UNIX_TIMESTAMP(revoked_at),"
    " expires_at, last_used_at, prefixes"
)
_KEYS = (
    "api_keys LEFT JOIN key_facts ON key_facts.key_id = api_keys.id"
    " LEFT JOIN key_prefixes ON key_prefixes.key_id = api_keys.id"
)


class MySQLKeys:
    """KeyStore on two pools: one for look-ups, one for changes."""

    def __init__(self, lookups: Pool, writers: Pool) -> None:
        self._lookups = lookups
        self._writers = writers

    async def find(self, public_ids: Sequence[str]) -> dict[str, KeyRow]:
        """See KeyStore."""
        possible = [public_id for public_id in public_ids if public_id.isascii()]  # the column holds only ASCII
        return await self._lookups.ask(lambda connection: _find(connection, possible)) if possible else {}

    async def list_all(self) -> list[KeyRow]:
        """See KeyStore."""
        return await self._lookups.ask(list_all)

    async def create(self, key: NewKey, now: int) -> KeyRow:
        """See KeyStore."""
        return await self._writers.change(lambda connection: _create(connection, key, now))

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self.change(key_id, lambda row: row._replace(revoked_at=row.revoked_at or now), now)

    async def change(
        self, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool = False
    ) -> KeyRow | None:
        """See KeyStore."""
        return await self._writers.change(
            lambda connection: _change(connection, key_id, change, now, keep_admin=keep_admin)
        )

    async def note_uses(self, uses: Mapping[int, int]) -> None:
        """See KeyStore."""
        await self._writers.change(lambda connection: _note_uses(connection, uses))

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self._writers.change(lambda connection: _rotate(connection, key_id, hashed, now))

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        """See KeyStore."""
        sql = "INSERT INTO fast_hashes VALUES (%s, %s) ON DUPLICATE KEY UPDATE fast_hash = VALUES(fast_hash)"
        await self._writers.change(lambda connection: connection.change(sql, (hashed, fast)))


async def list_all(connection: Connection, *, lock: bool = False) -> list[KeyRow]:
    """All keys, in the order of their ids. With ``lock``, they are locked until the transaction ends."""
    ending = " FOR UPDATE" if lock else ""
    return [_row(fields) for fields in await connection.rows(f"SELECT {_COLUMNS} FROM {_KEYS} ORDER BY id{ending}")]


async def _create(connection: Connection, key: NewKey, now: int) -> KeyRow:
    key_id = await connection.insert(
        "INSERT INTO api_keys (public_id, name, `key`, scopes, rate_limit, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, FROM_UNIXTIME(%s), FROM_UNIXTIME(%s))",
        (key.public_id, key.name, key.hash, ",".join(sorted(key.scopes)), key.rate_limit, now, now),
    )
    if key.expires_at is not None:
        await _expire(connection, key_id, key.expires_at)
    if key.prefixes:
        await _limit(connection, key_id, key.prefixes)
    row = KeyRow(key_id, key.public_id, key.name, key.hash, key.scopes, key.rate_limit, now, None, key.expires_at)
    return row._replace(prefixes=key.prefixes)


async def _change(
    connection: Connection, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool
) -> KeyRow | None:
    """See KeyStore.change. It locks all keys: two changes at once could otherwise remove the last two admin keys."""
    rows = await list_all(connection, lock=True)
    row = next((row for row in rows if row.id == key_id), None)
    if row is None:
        return None
    changed = change(row)
    if keep_admin and locks_out(rows, changed, now):
        return row
    await connection.change(
        "UPDATE api_keys SET scopes = %s, rate_limit = %s, revoked_at = FROM_UNIXTIME(%s),"
        " updated_at = FROM_UNIXTIME(%s) WHERE id = %s",
        (",".join(sorted(changed.scopes)), changed.rate_limit, changed.revoked_at, now, key_id),
    )
    await _expire(connection, key_id, changed.expires_at)
    if changed.prefixes != row.prefixes:
        await _limit(connection, key_id, changed.prefixes)
    return changed


async def _expire(connection: Connection, key_id: int, moment: int | None) -> None:
    await connection.change(
        "INSERT INTO key_facts (key_id, expires_at) VALUES (%s, %s)"
        " ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at)",
        (key_id, moment),
    )


async def _limit(connection: Connection, key_id: int, prefixes: Sequence[str]) -> None:
    if prefixes:
        sql = "INSERT INTO key_prefixes VALUES (%s, %s) ON DUPLICATE KEY UPDATE prefixes = VALUES(prefixes)"
        await connection.change(sql, (key_id, ",".join(prefixes)))
    else:
        await connection.change("DELETE FROM key_prefixes WHERE key_id = %s", (key_id,))


async def _note_uses(connection: Connection, uses: Mapping[int, int]) -> None:
    """See KeyStore.note_uses. It writes in the order of ids, so that two processes never deadlock."""
    for key_id, moment in sorted(uses.items()):
        await connection.change(
            "INSERT INTO key_facts (key_id, last_used_at) VALUES (%s, %s) ON DUPLICATE KEY UPDATE"
            " last_used_at = GREATEST(COALESCE(last_used_at, 0), VALUES(last_used_at))",
            (key_id, moment),
        )


async def _rotate(connection: Connection, key_id: int, hashed: str, now: int) -> KeyRow | None:
    key = await _one(connection, "id", key_id, lock=True)
    if key is None or key.revoked_at is not None:
        return None
    await connection.change(
        "UPDATE api_keys SET `key` = %s, updated_at = FROM_UNIXTIME(%s) WHERE id = %s", (hashed, now, key_id)
    )
    return key._replace(hash=hashed)


async def _find(connection: Connection, public_ids: Sequence[str]) -> dict[str, KeyRow]:
    marks = ",".join(["%s"] * len(public_ids))
    sql = (
        f"SELECT {_COLUMNS}, (SELECT fast_hash FROM fast_hashes WHERE fast_hashes.hash = api_keys.`key`)"
        f" FROM {_KEYS} WHERE public_id IN ({marks})"
    )
    found = (_row(fields[:-1])._replace(fast_hash=fields[-1]) for fields in await connection.rows(sql, public_ids))
    return {row.public_id: row for row in found}


async def _one(connection: Connection, column: str, value: object, *, lock: bool = False) -> KeyRow | None:
    ending = " FOR UPDATE" if lock else ""
    rows = await connection.rows(f"SELECT {_COLUMNS} FROM {_KEYS} WHERE {column} = %s{ending}", (value,))
    return _row(rows[0]) if rows else None


def _row(fields: tuple[Any, ...]) -> KeyRow:
    prefixes = tuple(fields[10].split(",")) if fields[10] else ()
    return KeyRow._make((*fields[:4], frozenset(fields[4].split(",")), *fields[5:10], None, prefixes))

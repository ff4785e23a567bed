"""API keys in MySQL."""

from typing import Any

from central.store.base import KeyRow, NewKey
from central.store.mysql.connection import Connection
from central.store.mysql.pool import Pool

_COLUMNS = "id, public_id, name, `key`, scopes, rate_limit, UNIX_TIMESTAMP(created_at), UNIX_TIMESTAMP(revoked_at)"


class MySQLKeys:
    """KeyStore on two pools: for look-ups and for changes."""

    def __init__(self, lookups: Pool, writers: Pool) -> None:
        self._lookups = lookups
        self._writers = writers

    async def find(self, public_id: str) -> KeyRow | None:
        """See KeyStore."""
        if not public_id.isascii():  # the column holds nothing else
            return None
        return await self._lookups.ask(lambda connection: _find(connection, public_id))

    async def list_all(self) -> list[KeyRow]:
        """See KeyStore."""
        return await self._lookups.ask(list_all)

    async def create(self, key: NewKey, now: int) -> KeyRow:
        """See KeyStore."""
        return await self._writers.change(lambda connection: _create(connection, key, now))

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self._writers.change(lambda connection: _revoke(connection, key_id, now))

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self._writers.change(lambda connection: _rotate(connection, key_id, hashed, now))

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        """See KeyStore."""
        sql = "INSERT INTO fast_hashes VALUES (%s, %s) ON DUPLICATE KEY UPDATE fast_hash = VALUES(fast_hash)"
        await self._writers.change(lambda connection: connection.change(sql, (hashed, fast)))


async def list_all(connection: Connection) -> list[KeyRow]:
    """Every key by id."""
    return [_row(fields) for fields in await connection.rows(f"SELECT {_COLUMNS} FROM api_keys ORDER BY id")]


async def _create(connection: Connection, key: NewKey, now: int) -> KeyRow:
    key_id = await connection.insert(
        "INSERT INTO api_keys (public_id, name, `key`, scopes, rate_limit, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, FROM_UNIXTIME(%s), FROM_UNIXTIME(%s))",
        (key.public_id, key.name, key.hash, ",".join(sorted(key.scopes)), key.rate_limit, now, now),
    )
    return KeyRow(key_id, key.public_id, key.name, key.hash, key.scopes, key.rate_limit, now, None)


async def _revoke(connection: Connection, key_id: int, now: int) -> KeyRow | None:
    await connection.change(
        "UPDATE api_keys SET revoked_at = FROM_UNIXTIME(%s), updated_at = FROM_UNIXTIME(%s)"
        " WHERE id = %s AND revoked_at IS NULL",
        (now, now, key_id),
    )
    return await _one(connection, "id", key_id)


async def _rotate(connection: Connection, key_id: int, hashed: str, now: int) -> KeyRow | None:
    key = await _one(connection, "id", key_id, lock=True)
    if key is None or key.revoked_at is not None:
        return None
    await connection.change(
        "UPDATE api_keys SET `key` = %s, updated_at = FROM_UNIXTIME(%s) WHERE id = %s", (hashed, now, key_id)
    )
    return key._replace(hash=hashed)


async def _find(connection: Connection, public_id: str) -> KeyRow | None:
    sql = (
        f"SELECT {_COLUMNS}, (SELECT fast_hash FROM fast_hashes WHERE fast_hashes.hash = api_keys.`key`)"
        " FROM api_keys WHERE public_id = %s"
    )
    rows = await connection.rows(sql, (public_id,))
    return _row(rows[0][:-1])._replace(fast_hash=rows[0][-1]) if rows else None


async def _one(connection: Connection, column: str, value: object, *, lock: bool = False) -> KeyRow | None:
    ending = " FOR UPDATE" if lock else ""
    rows = await connection.rows(f"SELECT {_COLUMNS} FROM api_keys WHERE {column} = %s{ending}", (value,))
    return _row(rows[0]) if rows else None


def _row(fields: tuple[Any, ...]) -> KeyRow:
    key_id, public_id, name, hashed, scopes, rate_limit, created_at, revoked_at = fields
    return KeyRow(key_id, public_id, name, hashed, frozenset(scopes.split(",")), rate_limit, created_at, revoked_at)

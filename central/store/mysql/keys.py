"""API keys in MySQL: plain statements on a session, inside the caller's transaction where they change something."""

from typing import Any

from central.store.base import KeyRow, NewKey
from central.store.mysql.connection import Connection

_COLUMNS = "id, public_id, name, `key`, scopes, rate_limit, UNIX_TIMESTAMP(created_at), UNIX_TIMESTAMP(revoked_at)"


async def find(connection: Connection, public_id: str) -> KeyRow | None:
    """The key with this public id."""
    return await _one(connection, "public_id", public_id) if public_id.isascii() else None


async def list_all(connection: Connection) -> list[KeyRow]:
    """Every key by id."""
    return [_row(fields) for fields in await connection.rows(f"SELECT {_COLUMNS} FROM api_keys ORDER BY id")]


async def create(connection: Connection, key: NewKey, now: int) -> KeyRow:
    """Insert a key."""
    key_id = await connection.insert(
        "INSERT INTO api_keys (public_id, name, `key`, scopes, rate_limit, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, FROM_UNIXTIME(%s), FROM_UNIXTIME(%s))",
        (key.public_id, key.name, key.hash, ",".join(sorted(key.scopes)), key.rate_limit, now, now),
    )
    return KeyRow(key_id, key.public_id, key.name, key.hash, key.scopes, key.rate_limit, now, None)


async def revoke(connection: Connection, key_id: int, now: int) -> KeyRow | None:
    """Set revoked_at where it is not set."""
    await connection.change(
        "UPDATE api_keys SET revoked_at = FROM_UNIXTIME(%s), updated_at = FROM_UNIXTIME(%s)"
        " WHERE id = %s AND revoked_at IS NULL",
        (now, now, key_id),
    )
    return await _one(connection, "id", key_id)


async def rotate(connection: Connection, key_id: int, hashed: str, now: int) -> KeyRow | None:
    """Replace the hash of a key that is not revoked."""
    key = await _one(connection, "id", key_id, lock=True)
    if key is None or key.revoked_at is not None:
        return None
    await connection.change(
        "UPDATE api_keys SET `key` = %s, updated_at = FROM_UNIXTIME(%s) WHERE id = %s", (hashed, now, key_id)
    )
    return key._replace(hash=hashed)


async def _one(connection: Connection, column: str, value: object, *, lock: bool = False) -> KeyRow | None:
    ending = " FOR UPDATE" if lock else ""
    rows = await connection.rows(f"SELECT {_COLUMNS} FROM api_keys WHERE {column} = %s{ending}", (value,))
    return _row(rows[0]) if rows else None


def _row(fields: tuple[Any, ...]) -> KeyRow:
    key_id, public_id, name, hashed, scopes, rate_limit, created_at, revoked_at = fields
    return KeyRow(key_id, public_id, name, hashed, frozenset(scopes.split(",")), rate_limit, created_at, revoked_at)

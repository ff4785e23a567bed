"""API keys in the embedded store."""

from central.store.base import KeyRow, NewKey
from central.store.duck.engine import Connection, Engine

_COLUMNS = "id, public_id, name, hash, scopes, rate_limit, created_at, revoked_at"
_Fields = tuple[int, str, str, str, str, int, int, int | None]


class DuckKeys:
    """KeyStore on a DuckDB engine. A change is a transaction between two groups."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, public_id: str) -> KeyRow | None:
        """See KeyStore."""
        return await self._engine.read(lambda cursor: _find(cursor, public_id))

    async def list_all(self) -> list[KeyRow]:
        """See KeyStore."""
        return await self._engine.read(list_all)

    async def create(self, key: NewKey, now: int) -> KeyRow:
        """See KeyStore."""
        return await self._engine.change(_create, key, now)

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self._engine.change(_revoke, key_id, now)

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self._engine.change(_rotate, key_id, hashed, now)

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        """See KeyStore."""
        await self._engine.change(_keep_fast_hash, hashed, fast)


def list_all(cursor: Connection) -> list[KeyRow]:
    """Every key by id."""
    return [_row(fields) for fields in cursor.execute(f"SELECT {_COLUMNS} FROM api_keys ORDER BY id").fetchall()]


def _create(handle: Connection, key: NewKey, now: int) -> KeyRow:
    key_id = last_id(handle, "api_keys") + 1
    set_last_id(handle, "api_keys", key_id)
    scopes = ",".join(sorted(key.scopes))
    handle.execute(
        "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [key_id, key.public_id, key.name, key.hash, scopes, key.rate_limit, now, now],
    )
    return KeyRow(key_id, key.public_id, key.name, key.hash, key.scopes, key.rate_limit, now, None)


def _revoke(handle: Connection, key_id: int, now: int) -> KeyRow | None:
    handle.execute(
        "UPDATE api_keys SET revoked_at = ?, updated_at = ? WHERE id = ? AND revoked_at IS NULL", [now, now, key_id]
    )
    return _one(handle, "id", key_id)


def _rotate(handle: Connection, key_id: int, hashed: str, now: int) -> KeyRow | None:
    key = _one(handle, "id", key_id)
    if key is None or key.revoked_at is not None:
        return None
    handle.execute("UPDATE api_keys SET hash = ?, updated_at = ? WHERE id = ?", [hashed, now, key_id])
    return key._replace(hash=hashed)


def _find(cursor: Connection, public_id: str) -> KeyRow | None:
    row = _one(cursor, "public_id", public_id)
    if row is None:
        return None
    found = cursor.execute("SELECT fast_hash FROM fast_hashes WHERE hash = ?", [row.hash]).fetchone()
    return row._replace(fast_hash=found[0] if found else None)


def _keep_fast_hash(handle: Connection, hashed: str, fast: str) -> None:
    handle.execute("DELETE FROM fast_hashes WHERE hash = ? OR hash NOT IN (SELECT hash FROM api_keys)", [hashed])
    handle.execute("INSERT INTO fast_hashes VALUES (?, ?)", [hashed, fast])


def last_id(handle: Connection, table: str) -> int:
    """The highest id ever given in ``table``."""
    (found,) = handle.execute("SELECT id FROM last_ids WHERE of_table = ?", [table]).fetchall()
    return int(found[0])


def set_last_id(handle: Connection, table: str, key: int) -> None:
    """Remember the highest id given in ``table``."""
    handle.execute("UPDATE last_ids SET id = ? WHERE of_table = ?", [key, table])


def _one(handle: Connection, column: str, value: object) -> KeyRow | None:
    found = handle.execute(f"SELECT {_COLUMNS} FROM api_keys WHERE {column} = ?", [value]).fetchone()
    return None if found is None else _row(found)


def _row(fields: _Fields) -> KeyRow:
    key_id, public_id, name, hashed, scopes, rate_limit, created_at, revoked_at = fields
    return KeyRow(key_id, public_id, name, hashed, frozenset(scopes.split(",")), rate_limit, created_at, revoked_at)

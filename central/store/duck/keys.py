"""API keys in the embedded store."""

from collections.abc import Callable, Mapping, Sequence

from central.store.admin_keys import locks_out
from central.store.base import KeyRow, NewKey
from central.store.duck.engine import Connection, Engine

_COLUMNS = "id, public_id, name, hash, scopes, rate_limit, created_at, revoked_at, expires_at, last_used_at, prefixes"
_KEYS = (
    "api_keys LEFT JOIN key_facts ON key_facts.key_id = api_keys.id"
    " LEFT JOIN key_prefixes ON key_prefixes.key_id = api_keys.id"
)
_Fields = tuple[int, str, str, str, str, int, int, int | None, int | None, int | None, str | None]


class DuckKeys:
    """KeyStore on a DuckDB engine. Each change is a transaction of its own, between two groups."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, public_ids: Sequence[str]) -> dict[str, KeyRow]:
        """See KeyStore."""
        return await self._engine.read(lambda cursor: _find(cursor, public_ids))

    async def list_all(self) -> list[KeyRow]:
        """See KeyStore."""
        return await self._engine.read(list_all)

    async def create(self, key: NewKey, now: int) -> KeyRow:
        """See KeyStore."""
        return await self._engine.change(_create, key, now)

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self.change(key_id, lambda row: row._replace(revoked_at=row.revoked_at or now), now)

    async def change(
        self, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool = False
    ) -> KeyRow | None:
        """See KeyStore."""
        return await self._engine.change(_change, key_id, change, now, keep_admin=keep_admin)

    async def note_uses(self, uses: Mapping[int, int]) -> None:
        """See KeyStore."""
        await self._engine.change(_note_uses, uses)

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """See KeyStore."""
        return await self._engine.change(_rotate, key_id, hashed, now)

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        """See KeyStore."""
        await self._engine.change(_keep_fast_hash, hashed, fast)


def list_all(cursor: Connection) -> list[KeyRow]:
    """All keys, in the order of their ids."""
    return [_row(fields) for fields in cursor.execute(f"SELECT {_COLUMNS} FROM {_KEYS} ORDER BY id").fetchall()]


def _create(handle: Connection, key: NewKey, now: int) -> KeyRow:
    key_id = last_id(handle, "api_keys") + 1
    set_last_id(handle, "api_keys", key_id)
    scopes = ",".join(sorted(key.scopes))
    handle.execute(
        "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [key_id, key.public_id, key.name, key.hash, scopes, key.rate_limit, now, now],
    )
    if key.expires_at is not None:
        _expire(handle, key_id, key.expires_at)
    if key.prefixes:
        _limit(handle, key_id, key.prefixes)
    row = KeyRow(key_id, key.public_id, key.name, key.hash, key.scopes, key.rate_limit, now, None, key.expires_at)
    return row._replace(prefixes=key.prefixes)


def _change(
    handle: Connection, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool
) -> KeyRow | None:
    rows = list_all(handle)
    row = next((row for row in rows if row.id == key_id), None)
    if row is None:
        return None
    changed = change(row)
    if keep_admin and locks_out(rows, changed, now):
        return row
    handle.execute(
        "UPDATE api_keys SET scopes = ?, rate_limit = ?, revoked_at = ?, updated_at = ? WHERE id = ?",
        [",".join(sorted(changed.scopes)), changed.rate_limit, changed.revoked_at, now, key_id],
    )
    _expire(handle, key_id, changed.expires_at)
    if changed.prefixes != row.prefixes:
        _limit(handle, key_id, changed.prefixes)
    return changed


def _expire(handle: Connection, key_id: int, moment: int | None) -> None:
    handle.execute(
        "INSERT INTO key_facts VALUES (?, ?, NULL) ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at",
        [key_id, moment],
    )


def _limit(handle: Connection, key_id: int, prefixes: Sequence[str]) -> None:
    if prefixes:
        sql = "INSERT INTO key_prefixes VALUES (?, ?) ON CONFLICT DO UPDATE SET prefixes = excluded.prefixes"
        handle.execute(sql, [key_id, ",".join(prefixes)])
    else:
        handle.execute("DELETE FROM key_prefixes WHERE key_id = ?", [key_id])


def _note_uses(handle: Connection, uses: Mapping[int, int]) -> None:
    handle.executemany(
        "INSERT INTO key_facts VALUES (?, NULL, ?) ON CONFLICT DO UPDATE"
        " SET last_used_at = greatest(coalesce(last_used_at, 0), excluded.last_used_at)",
        [list(use) for use in uses.items()],
    )


def _rotate(handle: Connection, key_id: int, hashed: str, now: int) -> KeyRow | None:
    key = next((row for row in list_all(handle) if row.id == key_id), None)
    if key is None or key.revoked_at is not None:
        return None
    handle.execute("UPDATE api_keys SET hash = ?, updated_at = ? WHERE id = ?", [hashed, now, key_id])
    return key._replace(hash=hashed)


def _find(cursor: Connection, public_ids: Sequence[str]) -> dict[str, KeyRow]:
    sql = (
        f"SELECT {_COLUMNS}, fast_hash FROM {_KEYS} LEFT JOIN fast_hashes USING (hash)"
        " WHERE public_id IN (SELECT unnest(?))"
    )
    found = cursor.execute(sql, [list(public_ids)]).fetchall()
    return {fields[1]: _row(fields[:-1])._replace(fast_hash=fields[-1]) for fields in found}


def _keep_fast_hash(handle: Connection, hashed: str, fast: str) -> None:
    handle.execute("DELETE FROM fast_hashes WHERE hash = ? OR hash NOT IN (SELECT hash FROM api_keys)", [hashed])
    handle.execute("INSERT INTO fast_hashes VALUES (?, ?)", [hashed, fast])


def last_id(handle: Connection, table: str) -> int:
    """Of api_keys the highest id that was ever used; of metrics and series the next one."""
    (found,) = handle.execute("SELECT id FROM last_ids WHERE of_table = ?", [table]).fetchall()
    return int(found[0])


def set_last_id(handle: Connection, table: str, key: int) -> None:
    """Store what ``last_id`` gives next."""
    handle.execute("UPDATE last_ids SET id = ? WHERE of_table = ?", [key, table])


def _row(fields: _Fields) -> KeyRow:
    prefixes = tuple(fields[10].split(",")) if fields[10] else ()
    return KeyRow._make((*fields[:4], frozenset(fields[4].split(",")), *fields[5:10], None, prefixes))

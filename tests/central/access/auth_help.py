"""An Auth with a store in memory and a clock, and what tests ask of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bcrypt

from central.access.auth import DEFAULT_SCOPES, Auth, FreshKey
from central.errors import ApiError
from central.store.base import KeyRow, NewKey, StoreUnavailable
from tests.central.harness import QUICK_HASH, Clock


@dataclass
class Keys:
    """A KeyStore in memory."""

    rows: dict[str, KeyRow] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    down: bool = False
    gate: asyncio.Event | None = None
    keeps_fast_hashes: bool = False
    """Else its keys are those of an earlier version, which bcrypt alone can judge."""

    async def find(self, public_ids: Sequence[str]) -> dict[str, KeyRow]:
        self.asked.append(list(public_ids))
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise StoreUnavailable("down")
        return {public_id: self.rows[public_id] for public_id in public_ids if public_id in self.rows}

    async def create(self, key: NewKey, now: int) -> KeyRow:
        self.rows[key.public_id] = KeyRow(
            len(self.rows) + 1, key.public_id, key.name, key.hash, key.scopes, key.rate_limit, now, None
        )
        return self.rows[key.public_id]

    async def rotate(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        for row in self.rows.values():
            if row.id == key_id and row.revoked_at is None:
                self.rows[row.public_id] = row._replace(hash=hashed)
                return self.rows[row.public_id]
        return None

    async def keep_fast_hash(self, hashed: str, fast: str) -> None:
        if self.down:
            raise StoreUnavailable("down")
        for row in list(self.rows.values()):
            if row.hash == hashed and self.keeps_fast_hashes:
                self.alter(row.public_id, fast_hash=fast)

    async def list_all(self) -> list[KeyRow]:
        return list(self.rows.values())

    async def revoke(self, key_id: int, now: int) -> KeyRow | None:
        for row in self.rows.values():
            if row.id == key_id:
                self.alter(row.public_id, revoked_at=row.revoked_at or now)
                return self.rows[row.public_id]
        return None

    async def change(
        self, key_id: int, change: Callable[[KeyRow], KeyRow], now: int, *, keep_admin: bool = False
    ) -> KeyRow | None:
        for row in self.rows.values():
            if row.id == key_id:
                self.rows[row.public_id] = change(row)
                return self.rows[row.public_id]
        return None

    async def note_uses(self, uses: Mapping[int, int]) -> None:
        for row in list(self.rows.values()):
            self.alter(row.public_id, last_used_at=uses.get(row.id, row.last_used_at))

    def alter(self, public_id: str, **fields: Any) -> None:
        self.rows[public_id] = self.rows[public_id]._replace(**fields)


class Scene:
    """An Auth, its store and its clock."""

    def __init__(self, given: str | None = None) -> None:
        self.store = Keys()
        self.clock = Clock(0.0)
        self.auth = Auth(self.store, given_admin_key=given, rate_limit=7, clock=self.clock, cost=QUICK_HASH)

    def restarted(self) -> Auth:
        """An Auth that begins with what the store has."""
        return Auth(self.store, clock=self.clock, cost=QUICK_HASH)

    async def key(self, **fields: Any) -> str:
        wanted = NewKey("", "k", "", fields.get("scopes", DEFAULT_SCOPES), fields.get("rate_limit", 5))
        return (await self.auth.create(wanted._replace(prefixes=fields.get("prefixes", ())), 0))[1]

    @property
    def compared(self) -> int:
        return self.auth.counts.verified


async def status(asked: Awaitable[Any]) -> int:
    try:
        await asked
    except ApiError as error:
        return error.status
    return 200


def with_bad_secret(text: str, number: int = 0) -> str:
    return f"{text[:16]}{number:043}"


def hash_of(key: FreshKey, cost: int = QUICK_HASH) -> str:
    return bcrypt.hashpw(key.secret.encode(), bcrypt.gensalt(cost)).decode()

"""API keys: ``gf_`` + 12 of [a-z0-9] + ``_`` + a secret of 43 base64url characters.

Auth looks up a key by its public id and compares its secret. Then the key is valid from a cache, and after
FRESH_SECONDS only its row is read again. The cache holds a keyed hash of each key, never its text.

The store has a bcrypt hash of each secret, and a second hash that is quick to compare. So a client that tries secrets
for a known public id does not slow down the key's owner: see docs/decisions/0016-a-fast-hash-beside-bcrypts.md. A key
of an earlier version gets its fast hash when its secret first passes bcrypt.
"""

import asyncio
import hashlib
import hmac
import os
import re
import secrets
import string
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import bcrypt

from central.access.look_up import KeyLookUps
from central.access.prefixes import Prefixes
from central.errors import ApiError, unauthorized, unavailable
from central.fair_slots import FairSlots, SlotBounds
from central.store.base import KeyRow, KeyStore, NewKey, StoreError

T = TypeVar("T")

SCOPES: Final = ("ingest", "query", "admin")
DEFAULT_SCOPES: Final = frozenset({"ingest", "query"})
ALL_SCOPES: Final = frozenset(SCOPES)
FRESH_SECONDS: Final = 30.0
BCRYPT_COST: Final = 10
BCRYPT_THREADS: Final = 2
TRIES: Final = "tried secrets"
SLOTS: Final = SlotBounds(at_once=1, of_one_key=1, waiting=1_024, waiting_of_one_key=64)
"""The slots for bcrypt comparisons. Pairs of public id and address take turns. The other thread hashes new keys."""
MAX_CACHED: Final = 10_000
"""The most valid keys in the cache. As many invalid keys are remembered."""
_BAD_SECONDS: Final = 30.0
_KEY: Final = re.compile(r"gf_([a-z0-9]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_ALPHABET: Final = string.ascii_lowercase + string.digits


class Key(NamedTuple):
    """Who sent a request: the key's row, its limit per minute and its scopes. The gate checks ``expires_at``.

    ``prefixes``: see central.access.prefixes.
    """

    id: int
    rate_limit: int
    scopes: frozenset[str]
    expires_at: int | None = None
    prefixes: Prefixes = ()


class FreshKey(NamedTuple):
    """The text of a new key, which is shown once, and its two parts."""

    text: str
    public_id: str
    secret: str


@dataclass(slots=True)
class _Verified:
    key: Key
    public_id: str
    hashed: str
    checked_at: float


@dataclass(slots=True)
class AuthCounts:
    """Counts since the start; plain ints, read at scrape."""

    hits: int = 0
    misses: int = 0
    """Requests whose key had to be looked up, including those that waited for another one's look-up."""
    comparing: int = 0
    """bcrypt comparisons that run or wait now."""
    verified: int = 0
    refused: int = 0
    revoked: Counter[int] = field(default_factory=Counter)
    """Refused requests with a revoked key, by the id of the key's row."""
    busy: Counter[str] = field(default_factory=Counter)
    """Requests whose secret was not compared because too many waited for a comparison."""


def new_key() -> FreshKey:
    """A new key: a random public id and a secret of 256 random bits."""
    return parse_key(f"gf_{''.join(secrets.choice(_ALPHABET) for _ in range(12))}_{secrets.token_urlsafe(32)}")


def parse_key(text: str) -> FreshKey:
    """Split a key into its parts. Raises ValueError if the text is not a key."""
    found = _KEY.fullmatch(text)
    if found is None:
        raise ValueError("a key must be gf_, then 12 of a-z and 0-9, then _, then 43 of A-Z, a-z, 0-9, - and _")
    return FreshKey(text, found[1], found[2])


class Auth:
    """Turns an X-API-Key header into a Key. Owns the cache and the bcrypt threads."""

    def __init__(
        self,
        keys: KeyStore,
        *,
        given_admin_key: str | None = None,
        rate_limit: int = 1000,
        clock: Callable[[], float] = time.monotonic,
        cost: int = BCRYPT_COST,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._cost = cost
        self._pepper = os.urandom(32)
        self._given = None if given_admin_key is None else self._digest(given_admin_key)
        self._given_key = Key(0, rate_limit, ALL_SCOPES)
        self._cache: dict[bytes, _Verified] = {}
        self._forgotten = 0
        self._bad: dict[bytes, float] = {}
        self._running: dict[bytes, asyncio.Task[Key]] = {}
        self.counts = AuthCounts()
        self._slots = FairSlots(TRIES, SLOTS, self.counts.busy)
        self._rows = KeyLookUps(keys)
        self._pool = ThreadPoolExecutor(BCRYPT_THREADS, thread_name_prefix="bcrypt", initializer=_be_nice)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def known(self, header: str | None) -> Key | None:
        """The key of a request if it is valid by the cache; else None, and then only ``authenticate`` knows."""
        if header and header.isascii():
            found = self._cache.get(self._digest(header))
            if found is not None and self._clock() - found.checked_at < FRESH_SECONDS:
                self.counts.hits += 1
                return found.key
        return None

    async def authenticate(self, header: str | None, peer: str | None = None) -> Key:
        """The key of a request. ``peer`` is the address that it came from.

        Raises ApiError: 401 without a valid key, 503 if the key cannot be checked now.
        """
        if (known := self.known(header)) is not None:
            return known
        if not header:
            raise unauthorized("send your API key in the X-API-Key header")
        if not header.isascii():
            raise self._refuse()
        digest = self._digest(header)
        if self._given is not None and hmac.compare_digest(self._given, digest):
            return self._given_key
        self.counts.misses += 1
        return await self._once(digest, header, peer)

    async def create(self, wanted: NewKey, now: int) -> tuple[KeyRow, str]:
        """Make a key and store it, with an id and a hash of its own. Returns its row and its text."""
        fresh = new_key()
        return await self._store(fresh, wanted._replace(public_id=fresh.public_id), now), fresh.text

    async def store_key(self, fresh: FreshKey, name: str, scopes: frozenset[str], rate_limit: int, now: int) -> KeyRow:
        """Store a key whose text exists already."""
        return await self._store(fresh, NewKey(fresh.public_id, name, "", scopes, rate_limit), now)

    async def _store(self, fresh: FreshKey, new: NewKey, now: int) -> KeyRow:
        hashed = await self._hash(fresh.secret)
        row = await self._keys.create(new._replace(hash=hashed), now)
        await self._keep_fast_hash(hashed, fresh.secret)
        return row

    async def rotate(self, key_id: int, now: int) -> tuple[KeyRow, str] | None:
        """Give a key a new secret; the old one is invalid at once. None if there is no such key, or it is revoked."""
        fresh = new_key()
        hashed = await self._hash(fresh.secret)
        row = await self._keys.rotate(key_id, hashed, now)
        self.forget(key_id)
        await self._keep_fast_hash(hashed, fresh.secret)
        return None if row is None else (row, f"gf_{row.public_id}_{fresh.secret}")

    def forget(self, key_id: int) -> None:
        """Remove a key from the cache, because it was changed, revoked or rotated."""
        self._forgotten += 1
        for digest in [digest for digest, entry in self._cache.items() if entry.key.id == key_id]:
            del self._cache[digest]

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("ascii", "replace"), key=self._pepper, digest_size=32).digest()

    async def _once(self, digest: bytes, header: str, peer: str | None) -> Key:
        """Verify a key once, however many requests with it wait."""
        task = self._running.get(digest)
        if task is None:
            task = asyncio.create_task(self._verify(digest, header, peer))
            self._running[digest] = task
            task.add_done_callback(lambda _: self._running.pop(digest, None))
        try:
            return await asyncio.shield(task)
        finally:
            # It keeps its error, the error keeps its traceback, and that keeps this frame and the request's: a circle,
            # which only the garbage collector would end. Collecting 100,000 such objects stops everybody for 40 ms.
            del task

    async def _verify(self, digest: bytes, header: str, peer: str | None) -> Key:
        try:
            fresh = parse_key(header)
        except ValueError:
            raise self._refuse() from None
        cached, forgotten = self._cache.get(digest), self._forgotten
        try:
            row = await self._rows.find(fresh.public_id)
        except StoreError as error:
            if cached is not None:
                return cached.key  # while the store is down, nobody can revoke a key
            raise unavailable("the key cannot be checked now; try again") from error
        if row is None or row.revoked_at is not None:
            self._cache.pop(digest, None)
            if row is not None:
                self.counts.revoked[row.id] += 1
            raise self._refuse()
        if cached is None or cached.hashed != row.hash:
            self._cache.pop(digest, None)
            if row.fast_hash is None:
                await self._compare(digest, fresh, row, peer)
                await self._keep_fast_hash(row.hash, fresh.secret)
            elif not hmac.compare_digest(_fast_hash(row.hash, fresh.secret), row.fast_hash):
                raise self._refuse()
        return self._keep(digest, row, forgotten)

    def _keep(self, digest: bytes, row: KeyRow, forgotten: int) -> Key:
        """Cache a verified key, unless any key was forgotten since its row was read: it may be this one."""
        key = Key(row.id, row.rate_limit, row.scopes, row.expires_at, row.prefixes)
        if forgotten == self._forgotten:
            _remember(self._cache, digest, _Verified(key, row.public_id, row.hash, self._clock()))
        return key

    async def _compare(self, digest: bytes, fresh: FreshKey, row: KeyRow, peer: str | None) -> None:
        """Compare by bcrypt, one at a time. If others try secrets for this id, its owner waits for one try per address.

        Raises ApiError if the secret is wrong or too many wait.
        """
        if self._bad.get(digest, 0.0) > self._clock():
            raise self._refuse()
        self.counts.comparing += 1
        try:
            async with self._slots.slot((row.public_id, peer)):
                good = await asyncio.get_running_loop().run_in_executor(
                    self._pool, bcrypt.checkpw, fresh.secret.encode(), row.hash.encode()
                )
        finally:
            self.counts.comparing -= 1
        self.counts.verified += 1
        if not good:
            _remember(self._bad, digest, self._clock() + _BAD_SECONDS)
            raise self._refuse()

    async def _keep_fast_hash(self, hashed: str, secret: str) -> None:
        """Try to store the fast hash. If this fails, the key passes bcrypt once more, and then this is tried again."""
        with suppress(StoreError):
            await self._keys.keep_fast_hash(hashed, _fast_hash(hashed, secret))

    async def _hash(self, secret: str) -> str:
        hashed = await asyncio.get_running_loop().run_in_executor(
            self._pool, bcrypt.hashpw, secret.encode(), bcrypt.gensalt(self._cost)
        )
        return hashed.decode()

    def _refuse(self) -> ApiError:
        self.counts.refused += 1
        return unauthorized("this API key is not valid; ask an operator for a key")


def _fast_hash(hashed: str, secret: str) -> str:
    """HMAC-SHA256 of the secret. A secret has 256 random bits, so guessing it is as hopeless as with bcrypt.

    The HMAC's key is the bcrypt hash, so the result is valid only for this secret of this key.
    """
    return hmac.new(hashed.encode(), secret.encode(), hashlib.sha256).hexdigest()


def _remember(cache: dict[bytes, T], digest: bytes, value: T) -> None:
    """Add ``value`` as the newest entry. If there are already MAX_CACHED others, remove the oldest."""
    cache.pop(digest, None)
    if len(cache) >= MAX_CACHED:
        del cache[next(iter(cache))]
    cache[digest] = value


def _be_nice() -> None:
    """Lower the priority of a bcrypt thread, so that it does not slow down requests with known keys."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)

"""The spill: a Redis stream in which groups wait while the database is down. It is durable and bounded.

Before each entry, the spill checks that the Redis server syncs every write to disk before it answers, and that it
evicts nothing when its memory is full. If not, the spill takes no entry. The bound is on bytes; nothing is trimmed.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

from central.redis_cluster import TAG
from central.redis_link import RedisDown, RedisLink, RedisRefused
from central.spill.durability import (
    Waits,
    can_wait_for_disk,
    durability_fault,
    good_replicas,
    late,
    memory_fault,
    replica_fault,
)
from central.spill.record import SpilledGroup, encode
from central.spill.redis_scripts import MOVE, PUT, RELEASE, REMOVE, RENEW, SET_ASIDE, STATE
from central.store.base import Remembered
from protocol.limits import ID_DAYS

PREFIX: Final = f"fiesta:{TAG}"
OLD_PREFIX: Final = "fiesta:spill"
"""What the keys of earlier versions begin with."""
SECONDS: Final = 1.0
"""How many seconds one call to Redis may take."""
CHECK_GOOD_SECONDS: Final = 3.0
"""For how many seconds a check proves that the spill is empty. A check runs once per second."""
READ_ENTRIES: Final = 256
READ_BYTES: Final = 4 << 20
_ID_BYTES: Final = 200
"""Roughly the bytes that Redis needs to remember one request id."""
_ID_SECONDS: Final = (ID_DAYS + 1) * 86_400
_MOVED_AT_ONCE: Final = 256
_WAIT_SHARE: Final = 0.8
"""The share of a call's time that Redis may wait for its disk and its replicas."""
_MARK_SECONDS: Final = 60
"""How long Redis keeps the key of ``_write_mark``."""
_log = structlog.get_logger(__name__)


class SpillRefused(Exception):
    """The group is not in the spill: it is full, not durable, or does not answer."""


class SpillInDoubt(Exception):
    """The group may be in the spill. It is harmless to put it again, because the drain stores each id once."""


class SpillEntry(NamedTuple):
    """An entry as read: its id in the stream, the bytes it counts for, and its content."""

    id: bytes
    size: int
    content: bytes


@dataclass(slots=True)
class SpillState:
    """What the spill held at the last check. Plain ints, read at each scrape."""

    entries: int = 0
    bytes: int = 0
    bad: int = 0
    """Entries that could not be read. They are in a stream of their own."""
    lag_seconds: float = 0.0
    """Age of the oldest entry."""
    checked: bool = False
    """Whether a check has succeeded since the start."""
    fault: str | None = "Redis has not been asked yet"
    """Why this Redis could lose entries; None if it cannot."""


@dataclass(slots=True)
class SpillCounts:
    """Counts since the start; plain ints, read at scrape."""

    put: int = 0
    refused: int = 0
    in_doubt: int = 0


class Spill:
    """The stream of groups, and the request ids in them. Owns its link to Redis."""

    def __init__(self, link: RedisLink, *, max_bytes: int, replicas: int | None = None, prefix: str = PREFIX) -> None:
        """``replicas`` must have an entry before it is acknowledged.

        None means 1 if there are replicas, sentinels or a Redis Cluster, else 0.
        """
        self._link = link
        self._replicas = replicas
        self._had_replicas = link.fails_over
        self._in_cluster = False
        self._old = [f"{OLD_PREFIX}:groups", f"{OLD_PREFIX}:bytes", f"{OLD_PREFIX}:groups:bad"]
        self._max_bytes = max_bytes
        self._keys = [f"{prefix}:groups", f"{prefix}:bytes", f"{prefix}:groups:bad"]
        self._lease = f"{prefix}:lease"
        self._mark = f"{prefix}:mark"
        self._ids = f"{prefix}:id:"
        self._added = 0
        self._checked_at = -math.inf
        self._no_memory: str | None = None
        self._no_room: str | None = None
        self._late: str | None = None
        self.state = SpillState()
        self.counts = SpillCounts()

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    @property
    def fault(self) -> str | None:
        """Why the spill takes no entries; None if it does."""
        return self.state.fault or self._no_memory or self._no_room or self._late

    @property
    def holds(self) -> bool:
        """Whether the spill held entries at the last check. True before the first check."""
        return self.state.entries > 0 or not self.state.checked

    @property
    def may_hide(self) -> bool:
        """Whether some acknowledged points may be in the spill and not in the store.

        False only if a recent check found the spill empty. Without one, another process may have put entries in.
        """
        return self.holds or time.monotonic() - self._checked_at > CHECK_GOOD_SECONDS

    async def put(self, group: SpilledGroup) -> None:
        """Store a group in the spill, durably. Raises SpillRefused or SpillInDoubt."""
        try:
            await self._put(group)
        except SpillRefused:
            self.counts.refused += 1
            raise
        except SpillInDoubt:
            self.counts.in_doubt += 1
            raise
        self.counts.put += 1

    async def _put(self, group: SpilledGroup) -> None:
        if not self._link.breaker.try_pass():
            raise self._closed("Redis does not answer")
        waits = await self._check()
        entry = encode(group)
        ids = [remembered for request in group.requests for remembered in request.remembered]
        size = len(entry) + _ID_BYTES * len(ids)
        keys = [*self._keys, *self._id_keys(given for given, _, _ in ids)]
        values = [fingerprint + (answer or b"") for _, fingerprint, answer in ids]
        arguments = [entry, size, self._max_bytes, _ID_SECONDS, *values]
        try:
            stored, *synced = await self._link.run(lambda client: self._send(client, keys, arguments, waits))
        except RedisRefused as error:
            refused = f"Redis refused the group: {error}"
            raise (SpillRefused(refused) if self.fault else self._closed(refused)) from error
        except RedisDown as error:
            raise SpillInDoubt(f"it is not known whether Redis took the group: {error}") from error
        if not stored:
            self._no_room = f"the spill is full: METRICS_SPILL_MAX_BYTES is {self._max_bytes}"
            raise SpillRefused(self._no_room)
        self._no_room = None
        self._late = late(waits, synced)
        if self._late is not None:
            raise SpillInDoubt(self._late)
        self._added += 1
        self.state.entries += 1
        self.state.bytes += size

    async def find_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Those of these request ids that wait in the spill, each with its answer. Raises SpillRefused.

        Call this before you ask the store. Then a request that moves from the spill to the store meanwhile is found.
        """
        if not ids:
            return {}
        if not self._link.breaker.try_pass():
            raise self._closed("Redis does not answer")
        try:
            values = await self._link.run(lambda client: _get(client, self._id_keys(ids)))
        except (RedisDown, RedisRefused) as error:
            raise self._closed(f"Redis cannot be asked: {error}") from error
        return {
            key: Remembered(value[:16], value[16:] or None)
            for key, value in zip(ids, values, strict=True)
            if value is not None
        }

    # --- for the drain

    async def refresh(self) -> SpillState:
        """Check the spill and return its state. If Redis does not answer, only the state's ``fault`` changes.

        If the last write was not confirmed in time, this writes again, to see whether writes are confirmed now.
        """
        added, begun = self._added, time.monotonic()
        try:
            waits = await self._check()
            if self._late is not None:
                self._late = late(waits, await self._link.run(lambda client: self._write_mark(client, waits)))
            await self._take_over()
            entries, size, bad, oldest, now = await self._link.script(STATE, self._keys)
        except SpillRefused:
            return self.state
        except (RedisDown, RedisRefused) as error:
            self._closed(str(error))
            return self.state
        if added != self._added:  # we have put an entry in meanwhile, and this answer may not count it yet
            entries, size = max(entries, self.state.entries), max(size, self.state.bytes)
        if size < self.state.bytes or not size:
            self._no_room = None
        self.state.entries, self.state.bytes, self.state.bad, self.state.checked = entries, size, bad, True
        self._checked_at = begun
        self.state.lag_seconds = max(0, now - int(oldest.split(b"-")[0])) / 1000 if oldest else 0.0
        return self.state

    async def read(self, after: bytes) -> list[SpillEntry]:
        """The entries after the id ``after``, oldest first; empty bytes for the start. Raises as RedisLink.run does."""
        mean = self.state.bytes // max(self.state.entries, 1) + 1
        count = max(1, min(READ_ENTRIES, READ_BYTES // mean))
        start = b"(" + after if after else "-"
        return await self._link.run(lambda client: _read(client, self._keys[0], start, count))

    async def remove(self, entries: Sequence[SpillEntry], ids: Iterable[bytes]) -> None:
        """Remove entries that are in the store, and their request ids. Raises as RedisLink.run does."""
        pairs = [value for entry in entries for value in (entry.id, entry.size)]
        removed = await self._link.script(REMOVE, [*self._keys, *self._id_keys(ids)], *pairs)
        self.state.entries = max(0, self.state.entries - removed)

    async def set_aside(self, entry: SpillEntry, reason: str) -> None:
        """Move an entry that cannot be read to the stream of bad entries. Raises as RedisLink.run does."""
        await self._link.script(SET_ASIDE, self._keys, entry.id, entry.size, entry.content, reason)

    async def try_lease(self, token: str, seconds: float) -> bool:
        """Take or renew the drain's lease. False if another process has it. Raises as RedisLink.run does."""
        return bool(await self._link.script(RENEW, [self._lease], token, int(seconds * 1000)))

    async def release(self, token: str) -> None:
        """Give the lease back. Raises as RedisLink.run does."""
        await self._link.script(RELEASE, [self._lease], token)

    # ---

    async def _take_over(self) -> None:
        """Move what an earlier version left, under its names of the keys. Raises as RedisLink.run does.

        It left nothing in a Redis Cluster, where its keys would be in several slots.
        """
        if self._in_cluster:
            return
        while any(await self._link.run(lambda client: _exist(client, self._old[::2]))):
            await self._link.script(MOVE, self._keys + self._old, _MOVED_AT_ONCE)

    async def _check(self) -> Waits:
        """Check the server. Returns what to wait for after an entry. Raises SpillRefused if it may lose entries."""
        try:
            info, fsync, policy, _ = await self._ask()
        except (RedisDown, RedisRefused) as error:
            raise self._closed(f"Redis does not say whether it is durable: {error}") from error
        fault = durability_fault(info, fsync["appendfsync"], policy["maxmemory-policy"])
        have = good_replicas(info)
        self._in_cluster = bool(info.get("cluster_enabled"))
        self._had_replicas |= have > 0 or self._in_cluster
        needed = int(self._had_replicas) if self._replicas is None else self._replicas
        fault = fault or replica_fault(have, needed)
        if fault is not None:
            raise self._closed(fault)
        if self.state.fault is not None:
            _log.info("spill_ready")
        self.state.fault = None
        self._no_memory = memory_fault(info)
        return Waits(can_wait_for_disk(info), needed)

    async def _ask(self) -> list[Any]:
        """What the server says of itself. Raises as RedisLink.run does.

        An idle connection may be older than a fail-over, or than a move of the keys. It is left, and a new one asked.
        """
        try:
            answers = await self._link.run(self._configuration)
            if answers[0].get("role", "master") == "master":
                return answers
        except RedisRefused:
            pass
        await self._link.leave()
        return await self._link.run(self._configuration)

    async def _configuration(self, client: Any) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        pipeline.info()
        pipeline.config_get("appendfsync")
        pipeline.config_get("maxmemory-policy")
        pipeline.exists(self._keys[0])  # a node that has lost its cluster refuses this, and answers all the rest
        replies: list[Any] = await pipeline.execute()
        return replies

    def _id_keys(self, ids: Iterable[bytes]) -> list[str]:
        return [self._ids + given.hex() for given in ids]

    async def _send(self, client: Any, keys: list[str], arguments: list[Any], waits: Waits) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        pipeline.eval(PUT, len(keys), *keys, *arguments)
        return await self._synced(pipeline, waits)

    async def _write_mark(self, client: Any, waits: Waits) -> list[Any]:
        """Write a key that nobody reads, to see whether the disk and the replicas have it in time."""
        pipeline = client.pipeline(transaction=False)
        pipeline.set(self._mark, 1, ex=_MARK_SECONDS)
        _, *synced = await self._synced(pipeline, waits)
        return synced

    async def _synced(self, pipeline: Any, waits: Waits) -> list[Any]:
        """Run what is in the pipeline, and wait for the disk and the replicas after it."""
        milliseconds = int(self._link.seconds * 1000 * _WAIT_SHARE)
        if waits.disk:
            pipeline.execute_command("WAITAOF", 1, 0, milliseconds)
        if waits.replicas:
            pipeline.execute_command("WAIT", waits.replicas, milliseconds)
        replies: list[Any] = await pipeline.execute()
        return replies

    def _closed(self, fault: str) -> SpillRefused:
        if fault != self.state.fault:
            _log.error("spill_closed", reason=fault)
        self.state.fault = fault
        return SpillRefused(fault)


async def _get(client: Any, keys: list[str]) -> list[bytes | None]:
    values: list[bytes | None] = await client.mget(keys)
    return values


async def _exist(client: Any, keys: list[str]) -> list[int]:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.exists(key)
    found: list[int] = await pipeline.execute()
    return found


async def _read(client: Any, key: str, start: bytes | str, count: int) -> list[SpillEntry]:
    entries = []
    for entry_id, fields in await client.xrange(key, start, "+", count):
        size = fields.get(b"size", b"")
        entries.append(SpillEntry(entry_id, int(size) if size.isdigit() else 0, fields.get(b"group", b"")))
    return entries

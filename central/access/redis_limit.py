"""Rate limits that all processes share: counters in Redis by key and minute, one round trip for many requests.

While a round trip is in flight, further requests wait. The next round trip adds their number, with one INCRBY per key.
If Redis is slow or down, this process counts alone. It counts its own requests at all times. So when Redis goes down or
comes back during a minute, a key does not get its limit a second time.

The guarantee: **no process passes more requests of a key per minute than its limit. While Redis answers, all processes
together pass no more than the limit; while it does not, no more than the limit times the number of processes.**
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis

from central.access.limit import Decision, LocalLimiter, Used, decide
from central.redis_cluster import TAG
from central.redis_link import PROBE_SECONDS, Breaker, RedisAddress, RedisDown, RedisLink, RedisRefused

LIMIT_SECONDS: Final = 0.05
"""How long one round trip may take. A request waits for at most two: the one in flight, and its own."""
_KEEP_SECONDS: Final = 120
_Slot = tuple[int, int]
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LimitCounts:
    """Counts since the start; plain ints, read at scrape."""

    round_trips: int = 0
    failed_trips: int = 0
    waits: int = 0
    """Requests that waited for Redis, whether or not it answered."""
    fallbacks: int = 0
    """Requests that only this process counted."""


class RedisLimiter:
    """central.access.limit.Limiter with Redis. Owns its connection. Call ``close`` after the last request."""

    def __init__(
        self, address: RedisAddress, *, seconds: float = LIMIT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = RedisLink(address, seconds=seconds, connections=1, breaker=Breaker(PROBE_SECONDS, clock))
        self._local = LocalLimiter()
        self._waiting: dict[_Slot, list[asyncio.Future[int]]] = {}
        self._flight: asyncio.Task[None] | None = None
        self.counts = LimitCounts()

    @property
    def alone(self) -> bool:
        """Whether this process counts alone because Redis does not answer."""
        return self._link.breaker.open

    async def hit(self, key_id: int, limit: int, now: float) -> Decision:
        """See Limiter."""
        count = self._local.count(key_id, now)
        if count <= limit:  # otherwise the key is over its limit, whatever Redis counts
            count = max(count, await self._shared_count(key_id, int(now // 60)))
        return decide(count, limit, now)

    def used(self, key_id: int, now: float) -> Used:
        """See Limiter: the count of all processes as of this process's last request of the key."""
        return self._local.used(key_id, now)

    async def probe(self) -> None:
        """Ask Redis whether it answers again. Never raises."""
        with contextlib.suppress(RedisDown, RedisRefused):
            await self._link.run(lambda client: client.ping())

    async def close(self) -> None:
        """Close the connection. Only this process counts the requests that still wait."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])
        await self._link.close()

    async def _shared_count(self, key_id: int, minute: int) -> int:
        """How many requests all processes have counted, including this one. 0 if Redis does not answer in time."""
        passes = self._link.breaker.try_pass() if self._flight is None else not self.alone
        if not passes:
            self.counts.fallbacks += 1
            return 0
        self.counts.waits += 1
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((key_id, minute), []).append(waiter)
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="rate-limits", context=Context())
        return await waiter

    async def _fly(self) -> None:
        """Make round trips until no request waits."""
        sent: dict[_Slot, list[asyncio.Future[int]]] = {}
        try:
            while self._waiting:
                sent, self._waiting = self._waiting, {}
                await self._trip(sent)
        finally:
            self._flight = None
            left, self._waiting = self._waiting, {}
            for waiters in (*sent.values(), *left.values()):
                self._alone(waiters)

    async def _trip(self, slots: dict[_Slot, list[asyncio.Future[int]]]) -> None:
        was_alone = self.alone
        try:
            totals = await self._link.run(lambda client: _add(client, slots))
        except (RedisDown, RedisRefused) as error:
            self.counts.failed_trips += 1
            if not was_alone:
                _log.warning("rate_limits_counted_alone", error=str(error))
            for waiters in (*slots.values(), *self._waiting.values()):
                self._alone(waiters)
            self._waiting = {}
            return
        self.counts.round_trips += 1
        if was_alone:
            _log.info("rate_limits_shared_again")
        for ((key_id, minute), waiters), total in zip(slots.items(), totals, strict=True):
            self._local.learn(key_id, total, minute)
            for count, waiter in enumerate(waiters, total - len(waiters) + 1):
                if not waiter.done():
                    waiter.set_result(count)

    def _alone(self, waiters: list[asyncio.Future[int]]) -> None:
        for waiter in waiters:
            if not waiter.done():
                self.counts.fallbacks += 1
                waiter.set_result(0)


async def _add(client: Redis, slots: dict[_Slot, list[asyncio.Future[int]]]) -> list[int]:
    """Add the number of waiters to each counter. Returns the new counts."""
    pipeline = client.pipeline(transaction=True)  # so that no counter is left without its expiry if the server dies
    for (key_id, minute), waiters in slots.items():
        key = f"rl:{TAG}:{key_id}:{minute}"
        pipeline.incrby(key, len(waiters))
        pipeline.expire(key, _KEEP_SECONDS)
    replies: list[int] = await pipeline.execute()
    return replies[::2]

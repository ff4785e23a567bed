"""Everything that uses Redis, made from the settings: shared limits, changed keys, the spill and its drain.

Without REDIS_HOST or REDIS_SENTINELS there is none of it, and this process counts rate limits alone.
"""

import time
from collections.abc import Callable
from typing import Final

from central.access.auth import Auth
from central.access.limit import Limiter, LocalLimiter
from central.access.redis_key_news import KeyNews
from central.access.redis_limit import LIMIT_SECONDS, RedisLimiter
from central.ingest.names import Names
from central.redis_link import RedisAddress, RedisLink
from central.settings import Settings
from central.spill.drain import Drain
from central.spill.spill import SECONDS, Spill
from central.store.base import Store
from central.store.outage_guard import OutageGuard
from central.write.group_commit import GroupCommit

SENTINEL_PORT: Final = 26_379


class RedisServices:
    """All services of one process that use Redis. It owns them: ``start`` starts them and ``close`` closes them."""

    def __init__(
        self,
        settings: Settings,
        ticks: Callable[[], float] = time.monotonic,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._address: RedisAddress | None = None
        self.limits: RedisLimiter | None = None
        self.spill: Spill | None = None
        self.news: KeyNews | None = None
        self.drain: Drain | None = None
        if settings.uses_redis:
            self._address = address_of(settings)
            self.limits = RedisLimiter(self._address, seconds=limit_seconds, clock=ticks)
            if settings.queue_connection == "redis":
                self.spill = spill_of(settings, RedisLink(self._address, seconds=SECONDS))
        self.limiter: Limiter = self.limits or LocalLimiter()
        """The rate limiter."""

    async def fault(self) -> str | None:
        """What is wrong with Redis, or None. It asks Redis if the last call for a rate limit failed."""
        if self.limits is not None and self.limits.alone:
            await self.limits.probe()
        if self.spill is not None and self.spill.fault is not None:
            return self.spill.fault
        if self.limits is not None and self.limits.alone:
            return "Redis does not answer in time: this process counts rate limits alone"
        return None

    @property
    def used(self) -> bool:
        """Whether the service uses Redis."""
        return self._address is not None

    def start(self, auth: Auth, store: Store, names: Names, commits: GroupCommit, clock: Callable[[], float]) -> None:
        """Start listening for changed keys, and draining the spill."""
        if self._address is not None:
            self.news = KeyNews(self._address, auth.forget)
            self.news.start()
        if self.spill is not None:
            self.drain = Drain(self.spill, store, names, commits.in_slot, clock=clock)
            self.drain.start()

    async def announce(self, key_id: int) -> None:
        """Announce to other processes that a key was changed."""
        if self.news is not None:
            await self.news.announce(key_id)

    async def close(self) -> None:
        """After the last commit: release the lease and close the connections."""
        for service in (self.drain, self.news, self.spill, self.limits):
            if service is not None:
                await service.close()


def address_of(settings: Settings) -> RedisAddress:
    """Where Redis is, and as whom the service logs in."""
    return RedisAddress(
        settings.redis_host or "",
        settings.redis_port,
        settings.redis_password,
        username=settings.redis_username,
        tls=settings.redis_tls,
        sentinels=tuple((host, port or SENTINEL_PORT) for host, port in settings.redis_sentinels),
        master=settings.redis_sentinel_master or "",
    )


def spill_of(settings: Settings, link: RedisLink) -> Spill:
    """The spill over a link, which it then owns."""
    return Spill(link, max_bytes=settings.spill_max_bytes, replicas=settings.spill_replicas)


def with_outage_guard(store: Store, settings: Settings) -> Store:
    """The store; with an OutageGuard if it is a database server, or if there is Redis."""
    if settings.db_connection == "mysql" or settings.uses_redis:
        return OutageGuard(store)
    return store

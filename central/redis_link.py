"""The connection to Redis: every call has a time limit, no call is retried, and there are two kinds of errors.

The library's own retries are switched off, because only the caller knows whether a call may be sent twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import redis
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from central.redis_cluster import ClusterConnection, ClusterNodes, ClusterTlsConnection
from central.redis_sentinel import FindingConnection, FindingTlsConnection, Sentinels
from central.redis_tls import TlsConnection
from central.tls_client import ClientTls

T = TypeVar("T")

PROBE_SECONDS: Final = 1.0


class RedisDown(Exception):
    """Redis did not answer in time. It may or may not have done what was asked."""


class RedisRefused(Exception):
    """Redis answered that it did not do it: no memory, no rights, a wrong password, or still loading."""


class Breaker:
    """A circuit breaker. A failure opens it; then one call per ``pause`` seconds may try. A success closes it."""

    def __init__(self, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._next_try: float | None = None
        self.opened = 0
        """How often the breaker opened."""

    @property
    def open(self) -> bool:
        """Whether the dependency is considered down."""
        return self._next_try is not None

    def try_pass(self) -> bool:
        """Whether this call may go. While the breaker is open, one call per pause may."""
        if self._next_try is None:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + self._pause
        return True

    def good(self) -> bool:
        """Note a call that succeeded. Returns whether the breaker was open."""
        was_open, self._next_try = self.open, None
        return was_open

    def bad(self) -> bool:
        """Note a call that failed. Returns whether the breaker was closed."""
        was_closed = not self.open
        self.opened += was_closed
        self._next_try = self._clock() + self._pause
        return was_closed


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of the server, of a node of a Redis Cluster, or of the sentinels that know the server."""

    host: str
    port: int
    password: str | None = field(default=None, repr=False)
    username: str | None = None
    tls: ClientTls | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    """The name of the primary at the sentinels."""


class RedisLink:
    """Calls to one server, each within ``seconds``. Connections are made when needed and closed after an error.

    ``breaker`` opens after a failure. Callers that can do without Redis ask it first; ``run`` itself does not.
    """

    def __init__(
        self, address: RedisAddress, *, seconds: float, connections: int = 4, breaker: Breaker | None = None
    ) -> None:
        self.seconds = seconds
        self.breaker = breaker or Breaker(PROBE_SECONDS)
        self.fails_over = bool(address.sentinels)
        """Whether another server may take the place of this one by itself."""
        encrypted: dict[str, Any] = {} if address.tls is None else {"context": address.tls.context()}
        self._sentinels: Sentinels | None = None
        if address.sentinels:
            plain = TlsConnection if encrypted else Connection
            self._sentinels = Sentinels(address.sentinels, address.master, plain, **encrypted)
            kind: type[Connection] = FindingTlsConnection if encrypted else FindingConnection
            where: dict[str, Any] = {"find": self._sentinels.primary}
        else:
            kind = ClusterTlsConnection if encrypted else ClusterConnection
            where = {"nodes": ClusterNodes(address.host, address.port)}
        self._pool = BlockingConnectionPool(
            connection_class=kind,
            **where,
            **encrypted,
            username=address.username,
            password=address.password,
            max_connections=connections,
            timeout=None,  # ``run`` limits the wait for a connection too
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self.client: Redis = Redis(connection_pool=self._pool)

    async def run(self, work: Callable[[Redis], Awaitable[T]], seconds: float | None = None) -> T:
        """Run ``work`` within ``seconds``, by default the link's. Raises RedisRefused or RedisDown."""
        limit = self.seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                result = await work(self.client)
        except TimeoutError:
            self.breaker.bad()
            raise RedisDown(f"no answer within {limit:g} s") from None
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self.breaker.bad()
            if isinstance(error, redis.AuthenticationError | redis.BusyLoadingError):
                raise RedisRefused(str(error)) from error
            raise RedisDown(str(error)) from error
        except redis.RedisError as error:
            self.breaker.bad()
            raise RedisRefused(str(error)) from error
        self.breaker.good()
        return result

    async def script(self, text: str, keys: list[str], *arguments: bytes | str | int) -> Any:
        """Run a Lua script, whole or not at all. Raises as ``run`` does."""
        return await self.run(lambda client: client.eval(text, len(keys), *keys, *arguments))

    async def leave(self) -> None:
        """Close idle connections: their server is not the primary any more. The next call looks for the primary."""
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        if self._sentinels is not None:
            await self._sentinels.close()

"""The connection to Redis: every call has a time limit, none is repeated, errors come in two kinds.

The library's own retries are off, because only the caller knows whether a call may be sent twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

T = TypeVar("T")

PROBE_SECONDS: Final = 1.0


class RedisDown(Exception):
    """No answer in time: it may or may not have been done."""


class RedisRefused(Exception):
    """The server answered that it did not do it (no memory, no rights, wrong password, still loading)."""


class Breaker:
    """A circuit breaker. A failure opens it; then one call per ``pause`` seconds may try. A success closes it."""

    def __init__(self, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._next_try: float | None = None
        self.opened = 0
        """How often it opened."""

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
    """Where the server is."""

    host: str
    port: int
    password: str | None = field(default=None, repr=False)


class RedisLink:
    """Calls on one server, each within ``seconds``. Connections are made when needed and closed when in doubt.

    ``breaker`` opens after a failure. It is for callers that can do without Redis; ``run`` ignores it.
    """

    def __init__(
        self, address: RedisAddress, *, seconds: float, connections: int = 4, breaker: Breaker | None = None
    ) -> None:
        self.seconds = seconds
        self.breaker = breaker or Breaker(PROBE_SECONDS)
        self._pool = BlockingConnectionPool(
            host=address.host,
            port=address.port,
            password=address.password,
            max_connections=connections,
            timeout=None,  # our own limit holds for the wait as well
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self.client: Redis = Redis(connection_pool=self._pool)

    async def run(self, work: Callable[[Redis], Awaitable[T]], seconds: float | None = None) -> T:
        """What ``work`` returns; it has ``seconds``, or else the link's. Raises RedisRefused or RedisDown."""
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
        """Run a Lua script: all of it or nothing. Raises as ``run`` does."""
        return await self.run(lambda client: client.eval(text, len(keys), *keys, *arguments))

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

"""Connections to the primary that Redis Sentinel names. Each new connection asks, so a fail-over needs nothing else."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import redis
from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from central.redis_tls import TlsConnection

Find = Callable[[], Awaitable[tuple[str, int]]]

_DOWN: Final = frozenset({"s_down", "o_down"})


class Sentinels:
    """Asks several sentinels for the primary, one after the other. Owns its connections to them.

    The one that answered last is asked first. One that did not answer is asked last, also if the caller gave up waiting
    for it: so a sentinel that is away costs one call at most.
    """

    def __init__(self, sentinels: Iterable[tuple[str, int]], master: str, kind: type[Connection], **more: Any) -> None:
        """``more`` are options of a connection of this kind, such as TLS."""
        self._master = master
        options = {"connection_class": kind, "protocol": 2, "retry": Retry(NoBackoff(), 0), **more}
        self._asked = deque(
            Redis.from_pool(ConnectionPool(host=host, port=port, **options)) for host, port in sentinels
        )

    async def primary(self) -> tuple[str, int]:
        """Host and port. Raises redis.ConnectionError if no sentinel knows a primary that is up."""
        faults = []
        for _ in range(len(self._asked)):
            sentinel = self._asked.popleft()
            self._asked.append(sentinel)
            try:
                state: Any = await sentinel.sentinel_master(self._master)
            except (redis.RedisError, OSError) as error:
                faults.append(str(error))
                continue
            if not _DOWN.isdisjoint(state["flags"].split(",")):
                faults.append(f"a sentinel says {state['flags']}")
                continue
            self._asked.remove(sentinel)
            self._asked.appendleft(sentinel)
            return str(state["ip"]), int(state["port"])
        raise redis.ConnectionError(f"no sentinel knows a primary {self._master} that is up: {'; '.join(faults)}")

    async def close(self) -> None:
        """Close the connections."""
        for sentinel in self._asked:
            await sentinel.aclose()


class _Finding(AbstractConnection):
    """Looks for the primary before it connects."""

    host: str
    port: int

    def __init__(self, *, find: Find, **options: Any) -> None:
        super().__init__(**options)
        self._find = find

    async def connect(self) -> None:
        """Connect to the primary, or stay connected."""
        if not self.is_connected:
            self.host, self.port = await self._find()
        await super().connect()  # type: ignore[no-untyped-call] # redis gives it no types

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The server's answer. A primary that has become a replica is left."""
        try:
            return await super().read_response(*arguments, **options)
        except redis.ReadOnlyError:
            await self.disconnect()
            raise


class FindingConnection(_Finding, Connection):
    """A plain connection to the primary."""


class FindingTlsConnection(_Finding, TlsConnection):
    """An encrypted connection to the primary."""

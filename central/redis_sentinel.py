"""Connections to the primary that Redis Sentinel names. Each new connection asks, so a fail-over needs nothing else."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis
from redis.asyncio import Connection, Sentinel, SSLConnection
from redis.asyncio.connection import AbstractConnection

Find = Callable[[], Awaitable[tuple[str, int]]]


class Sentinels:
    """Asks several sentinels for the primary. Owns its connections to them."""

    def __init__(self, sentinels: Sequence[tuple[str, int]], master: str, **options: Any) -> None:
        """``options`` are those of a connection, such as TLS."""
        self._master = master
        self._asked = Sentinel(sentinels, sentinel_kwargs={"protocol": 2, **options})  # type: ignore[no-untyped-call] # redis gives it no types

    async def primary(self) -> tuple[str, int]:
        """Host and port. Raises redis.ConnectionError if no sentinel knows a primary that is up."""
        host, port = await self._asked.discover_master(self._master)
        return str(host), int(port)

    async def close(self) -> None:
        """Close the connections."""
        for sentinel in self._asked.sentinels:
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


class FindingSSLConnection(_Finding, SSLConnection):
    """An encrypted connection to the primary."""

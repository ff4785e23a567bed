"""Connections to the node of a Redis Cluster that has the service's keys. All of them are in one slot.

Each new connection asks the server whose slot that is. A server that is in no cluster has the keys itself. A node tells
the addresses of the others too, and they are asked when it is away. So a fail-over needs nothing else, and no command
is ever redirected.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import redis
from redis.asyncio import Connection
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot

from central.redis_tls import TlsConnection

TAG: Final = "{spill}"
"""The hash tag of all keys."""
SLOT: Final = key_slot(TAG.encode())

_LEAVE: Final = (redis.ReadOnlyError, redis.exceptions.MovedError, redis.exceptions.ClusterDownError)

Address = tuple[str, int]


class ClusterNodes:
    """The servers that may be asked, those first that are most likely to answer."""

    def __init__(self, host: str, port: int) -> None:
        self._given = (host, port)
        self._known = [self._given]

    def next(self) -> Address:
        """The server to ask now. The next call gives another one, unless this one answers."""
        address, *others = self._known
        self._known = [*others, address]
        return address

    def learn(self, nodes: Iterable[Address]) -> None:
        """Note what a server told, or itself if it is in no cluster: the one with the keys comes first."""
        self._known = list(dict.fromkeys([*nodes, self._given]))


class _Elsewhere(redis.RedisError):
    """Another node has the keys."""

    def __init__(self, address: Address) -> None:
        super().__init__(f"the keys are at {address}")
        self.address = address


class _Routed(AbstractConnection):
    """Looks for the node with the keys before it connects."""

    host: str
    port: int

    def __init__(self, *, nodes: ClusterNodes, **options: Any) -> None:
        super().__init__(**options)
        self._nodes = nodes

    async def connect(self) -> None:
        """Connect to the node with the keys, or stay connected."""
        if self.is_connected:
            return
        self.host, self.port = self._nodes.next()
        try:
            await super().connect()  # type: ignore[no-untyped-call] # redis gives it no types
        except _Elsewhere as found:
            self.host, self.port = found.address
            await super().connect()  # type: ignore[no-untyped-call] # redis gives it no types

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and ask who has the keys. Raises _Elsewhere if it is another node."""
        await super().on_connect_check_health(check_health)
        here = (self.host, self.port)
        try:
            await self.send_command("CLUSTER", "SLOTS")
            nodes = list(nodes_of_slot(await self.read_response(), here))
        except redis.ResponseError:  # no cluster, or this user may not ask: then a command will say MOVED
            nodes = [here]
        self._nodes.learn(nodes)
        if nodes[:1] != [here]:
            raise _Elsewhere(nodes[0]) if nodes else redis.ConnectionError("no node of the Redis Cluster has our keys")

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The server's answer. A node that has the keys no longer, or has lost its cluster, is left."""
        try:
            return await super().read_response(*arguments, **options)
        except _LEAVE:
            self._nodes.next()
            await self.disconnect()
            raise


def nodes_of_slot(told: Iterable[Any], asked: Address) -> Iterator[Address]:
    """The addresses in an answer to CLUSTER SLOTS: first the primary that has our slot, then all others.

    An address without a host is at the host that was ``asked``. Nothing if no primary has the slot.
    """
    ranges = sorted(told, key=lambda one: not one[0] <= SLOT <= one[1])
    if ranges and ranges[0][0] <= SLOT <= ranges[0][1]:
        for _, _, *nodes in ranges:
            for host, port, *_ in nodes:
                yield (host.decode() if host else asked[0]), int(port)


class ClusterConnection(_Routed, Connection):
    """A plain connection to the node with the keys."""


class ClusterTlsConnection(_Routed, TlsConnection):
    """An encrypted connection to the node with the keys."""

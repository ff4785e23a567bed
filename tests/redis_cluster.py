"""A private Redis Cluster on loopback: three primaries, and a replica of the one that has the service's keys."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from central.redis_cluster import SLOT
from central.spill.spill import PREFIX
from central.tls_client import ClientTls
from tests.patience import a_moment
from tests.ports import free_port
from tests.redis_server import PASSWORD, RedisServer, redis_server

_SLOTS = 16_384
_PRIMARIES = 3


@dataclass
class RedisCluster:
    """``owner`` has the service's keys, and ``replica`` takes its place when it is gone. ``others`` have other keys."""

    owner: RedisServer
    replica: RedisServer
    others: list[RedisServer]

    async def until_owned_by(self, server: RedisServer) -> None:
        """Return once the other nodes agree that this server has the service's keys."""
        while not all([await _owner(node) == server.port for node in self.others]):
            await a_moment()

    async def until_spilled(self, more: int = 10) -> None:
        """Return once the service has put so many more entries into its spill."""
        entries = f"{PREFIX}:groups"
        before = await self.owner.client.xlen(entries)
        while await self.owner.client.xlen(entries) < before + more:
            await a_moment()

    async def until_settled(self, seconds: float = 2.0) -> None:
        """Return once the service's keys have been on a primary with a replica for so long. All nodes run.

        ``owner`` is then the one that the other nodes name.
        """
        since = time.monotonic()
        while time.monotonic() < since + seconds:
            if not await self._is_settled():
                since = time.monotonic()
            await asyncio.sleep(0.1)

    async def _is_settled(self) -> bool:
        with suppress(redis.RedisError, OSError):  # one of them is still being changed
            if await _owner(self.others[0]) == self.replica.port:
                self.owner, self.replica = self.replica, self.owner
            nodes = (self.owner, self.replica, *self.others)
            states = {(await node.client.cluster("INFO"))["cluster_state"] for node in nodes}
            owners = {await _owner(node) for node in nodes}
            info = await self.owner.client.info("replication")
            online = info.get("slave0", {}).get("state") == "online"
            return online and (states, owners) == ({"ok"}, {self.owner.port})
        return False

    async def move(self, source: RedisServer, to: RedisServer) -> None:
        """Give the slot of the service's keys, and the keys, to another primary."""
        giver, taker = [(await server.client.cluster("MYID")).decode() for server in (source, to)]
        await to.client.cluster("SETSLOT", SLOT, "IMPORTING", giver)
        await source.client.cluster("SETSLOT", SLOT, "MIGRATING", taker)
        while keys := await source.client.cluster("GETKEYSINSLOT", SLOT, 100):
            where = ("127.0.0.1", to.port, "", 0, 10_000, "AUTH", PASSWORD)
            await source.client.execute_command("MIGRATE", *where, "KEYS", *keys)
        for server in (to, source, *(other for other in self.others if other not in (to, source))):
            await server.client.cluster("SETSLOT", SLOT, "NODE", taker)


@asynccontextmanager
async def redis_cluster(folder: Path, tls: ClientTls | None = None) -> AsyncIterator[RedisCluster]:
    """It runs inside the block, and its nodes speak TLS to each other and to clients if there are files for it."""
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(_PRIMARIES + 1):
            own = {"cluster_enabled": "yes", "cluster_node_timeout": "1000", "cluster_port": str(free_port())}
            config = {**own, "masterauth": PASSWORD, "repl_diskless_sync_delay": "0"}
            nodes.append((await stack.enter_async_context(redis_server(folder / f"node{number}", tls, **config)), own))
        (first, _), *rest = nodes
        for server, own in rest:
            await first.client.cluster("MEET", "127.0.0.1", server.port, own["cluster_port"])
        (replica, _), *primaries = reversed(nodes)
        share = -(-_SLOTS // _PRIMARIES)
        for number, (server, _) in enumerate(primaries):
            await server.client.cluster("ADDSLOTSRANGE", number * share, min((number + 1) * share, _SLOTS) - 1)
        servers = [server for server, _ in primaries]
        owner = servers[SLOT // share]
        made = RedisCluster(owner, replica, [server for server in servers if server is not owner])
        for server, _ in nodes:
            while (await server.client.cluster("INFO"))["cluster_state"] != "ok":
                await a_moment()
        await replica.client.cluster("REPLICATE", (await owner.client.cluster("MYID")).decode())
        while (await owner.client.info("replication")).get("slave0", {}).get("state") != "online":
            await a_moment()
        yield made


async def _owner(node: RedisServer) -> int:
    """The port of the server that has the service's keys, as this node sees it."""
    for first, last, (_, port, *_), *_ in await node.client.execute_command("CLUSTER SLOTS"):
        if first <= SLOT <= last:
            return int(port)
    return 0

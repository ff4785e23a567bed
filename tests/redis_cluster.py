"""A private Redis Cluster on loopback: three primaries, and a replica of the one that has the service's keys."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from central.redis_cluster import SLOT
from central.tls_client import ClientTls
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
            pass

    async def move(self, to: RedisServer) -> None:
        """Give the slot of the service's keys, and the keys, to another primary."""
        source, target = [(await server.client.cluster("MYID")).decode() for server in (self.owner, to)]
        await to.client.cluster("SETSLOT", SLOT, "IMPORTING", source)
        await self.owner.client.cluster("SETSLOT", SLOT, "MIGRATING", target)
        while keys := await self.owner.client.cluster("GETKEYSINSLOT", SLOT, 100):
            where = ("127.0.0.1", to.port, "", 0, 10_000, "AUTH", PASSWORD)
            await self.owner.client.execute_command("MIGRATE", *where, "KEYS", *keys)
        for server in (to, self.owner, *self.others):
            await server.client.cluster("SETSLOT", SLOT, "NODE", target)


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
                pass
        await replica.client.cluster("REPLICATE", (await owner.client.cluster("MYID")).decode())
        while (await owner.client.info("replication")).get("slave0", {}).get("state") != "online":
            pass
        yield made


async def _owner(node: RedisServer) -> int:
    """The port of the server that has the service's keys, as this node sees it."""
    for first, last, (_, port, *_), *_ in await node.client.execute_command("CLUSTER SLOTS"):
        if first <= SLOT <= last:
            return int(port)
    return 0

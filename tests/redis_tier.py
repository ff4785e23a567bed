"""Two private Redis servers, one a replica of the other, and a Sentinel that promotes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio

from central.redis_link import RedisAddress
from tests.ports import free_port
from tests.redis_server import PASSWORD, RedisServer, redis_server

MASTER = "metrics"


@dataclass
class Tier:
    """A primary, its replica, and a client of the sentinel."""

    primary: RedisServer
    replica: RedisServer
    sentinel: Any
    port: int
    """The sentinel's."""

    @property
    def address(self) -> RedisAddress:
        """How a program finds the primary."""
        return RedisAddress("", 0, PASSWORD, sentinels=(("127.0.0.1", self.port),), master=MASTER)

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a service that spills there."""
        return {
            "REDIS_SENTINELS": f"127.0.0.1:{self.port}",
            "REDIS_SENTINEL_MASTER": MASTER,
            "REDIS_PASSWORD": PASSWORD,
            "QUEUE_CONNECTION": "redis",
        }

    async def until_primary(self, server: RedisServer) -> None:
        """Return once the sentinel names this server."""
        while (await self.sentinel.sentinel_get_master_addr_by_name(MASTER))[1] != server.port:
            pass

    @staticmethod
    async def follow(server: RedisServer, primary: RedisServer) -> None:
        """Let one follow the other at once. The sentinel does it too, within ten seconds."""
        await server.client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        await Tier.until_followed(primary)

    @staticmethod
    async def until_followed(server: RedisServer) -> None:
        """Return once a replica follows this server."""
        while (await server.client.info("replication")).get("slave0", {}).get("state") != "online":
            pass


@asynccontextmanager
async def redis_tier(folder: Path) -> AsyncIterator[Tier]:
    """All three run inside the block."""
    async with AsyncExitStack() as stack:
        own = {"masterauth": PASSWORD, "repl_diskless_sync_delay": "0"}
        primary = await stack.enter_async_context(redis_server(folder / "primary", **own))
        replica = await stack.enter_async_context(redis_server(folder / "replica", **own))
        await Tier.follow(replica, primary)
        port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nprotected-mode no\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {primary.port} 1\n"
            f'sentinel auth-pass {MASTER} "{PASSWORD}"\n'
            f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 2000\n"
        )
        with (folder / "sentinel.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                "redis-server", str(config), "--sentinel", stdout=log, stderr=log
            )
        stack.push_async_callback(process.wait)
        stack.callback(process.kill)
        sentinel = redis.asyncio.Redis(host="127.0.0.1", port=port, protocol=2)
        stack.push_async_callback(sentinel.aclose)
        made = Tier(primary, replica, sentinel, port)
        async with asyncio.timeout(30):
            while not await _knows_the_replica(sentinel):
                assert process.returncode is None, (folder / "sentinel.log").read_text()
        yield made


async def _knows_the_replica(sentinel: Any) -> bool:
    try:
        return bool(await sentinel.sentinel_slaves(MASTER))
    except redis.RedisError:
        return False

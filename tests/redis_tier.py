"""Two private Redis servers, one a replica of the other, and sentinels that promote it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio

from central.redis_link import RedisAddress
from central.tls_client import ClientTls
from tests.central.redis_help import tls_environ
from tests.patience import PATIENCE, a_moment
from tests.ports import free_port
from tests.redis_server import PASSWORD, RedisServer, client_of, port_of, redis_server

MASTER = "metrics"


@dataclass
class Tier:
    """A primary, its replica, and a client of the first sentinel."""

    primary: RedisServer
    replica: RedisServer
    sentinel: Any
    ports: tuple[int, ...]
    """The sentinels'."""

    @property
    def address(self) -> RedisAddress:
        """How a program finds the primary."""
        sentinels = tuple(("127.0.0.1", port) for port in self.ports)
        return RedisAddress("", 0, PASSWORD, tls=self.primary.tls, sentinels=sentinels, master=MASTER)

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a service that spills there."""
        return {
            "REDIS_SENTINELS": ",".join(f"127.0.0.1:{port}" for port in self.ports),
            "REDIS_SENTINEL_MASTER": MASTER,
            "REDIS_PASSWORD": PASSWORD,
            "QUEUE_CONNECTION": "redis",
            **tls_environ(self.primary.tls),
        }

    async def until_primary(self, server: RedisServer) -> None:
        """Return once the sentinel names this server."""
        while not await self.names(server):
            await a_moment()

    async def names(self, server: RedisServer) -> bool:
        """Whether the sentinel says that this server is the primary."""
        return bool((await self.sentinel.sentinel_get_master_addr_by_name(MASTER))[1] == server.port)

    async def fail_over(self) -> None:
        """Let the two change their roles. The sentinels refuse it until they have found the replica to be well."""
        server = self.replica
        async with asyncio.timeout(PATIENCE):
            while not await self.names(server):
                with suppress(redis.ResponseError):
                    await self.sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)
                await asyncio.sleep(0.2)

    async def settle(self, seconds: float = 2.0) -> None:
        """Return once one has followed the other for so long, and the sentinel finds no fault. Both run.

        ``primary`` is then the one that the sentinel names.
        """
        since = time.monotonic()
        while time.monotonic() < since + seconds:
            if not await self._settled():
                since = time.monotonic()
            await asyncio.sleep(0.1)

    async def _settled(self) -> bool:
        record = await self.sentinel.sentinel_master(MASTER)
        if record["port"] != self.primary.port:
            self.primary, self.replica = self.replica, self.primary
            return False
        with suppress(redis.RedisError, OSError):  # one of them is still being changed
            info = await self.primary.client.info("replication")
            if info["role"] == "master" and record["flags"] == "master":
                if info.get("slave0", {}).get("state") == "online":
                    return True
                await self.replica.client.execute_command("REPLICAOF", "127.0.0.1", self.primary.port)
        return False

    @staticmethod
    async def follow(server: RedisServer, primary: RedisServer) -> None:
        """Let one follow the other at once. The sentinel does it too, within ten seconds."""
        await server.client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        await Tier.until_followed(primary)

    @staticmethod
    async def until_followed(server: RedisServer) -> None:
        """Return once a replica follows this server."""
        while (await server.client.info("replication")).get("slave0", {}).get("state") != "online":
            await a_moment()


@asynccontextmanager
async def redis_tier(folder: Path, sentinels: int = 1, tls: ClientTls | None = None) -> AsyncIterator[Tier]:
    """All of them run inside the block, and speak TLS to each other and to clients if there are files for it."""
    async with AsyncExitStack() as stack:
        own = {"masterauth": PASSWORD, "repl_diskless_sync_delay": "0"}
        primary = await stack.enter_async_context(redis_server(folder / "primary", tls, **own))
        replica = await stack.enter_async_context(redis_server(folder / "replica", tls, **own))
        await Tier.follow(replica, primary)
        ports = tuple(free_port() for _ in range(sentinels))
        clients = []
        for port in ports:
            config = _config(folder / f"sentinel{port}", port_of(port, tls), primary.port, sentinels // 2 + 1)
            with config.with_suffix(".log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    "redis-server", str(config), "--sentinel", stdout=log, stderr=log
                )
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
            clients.append(client_of(port, tls))
            stack.push_async_callback(clients[-1].aclose)
        async with asyncio.timeout(PATIENCE):
            while not all([await _knows_all(client, sentinels - 1) for client in clients]):
                await a_moment()
        yield Tier(primary, replica, clients[0], ports)


def _config(folder: Path, own: dict[str, str], primary: int, quorum: int) -> Path:
    """The file of a sentinel, which it writes anew."""
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(
        "".join(f"{name} {text}\n" for name, text in own.items()) + f"bind 127.0.0.1\ndir {folder}\nprotected-mode no\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {primary} {quorum}\n"
        f'sentinel auth-pass {MASTER} "{PASSWORD}"\n'
        f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 2000\n"
    )
    return config


async def _knows_all(sentinel: Any, others: int) -> bool:
    """Whether the sentinel knows the replica and the other sentinels."""
    try:
        return bool(await sentinel.sentinel_slaves(MASTER)) and (
            len(await sentinel.sentinel_sentinels(MASTER)) == others
        )
    except redis.RedisError:
        return False

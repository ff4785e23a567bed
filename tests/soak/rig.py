"""The whole service on real processes: some central ones, agents, MariaDB and Redis, or one over the embedded store."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.agent.process import AgentProcess, an_agent, balance
from tests.central import mysql_help, redis_help
from tests.central.harness import Process, launch
from tests.ports import free_port
from tests.proxies import TLS, HAProxy, Nginx, trusting
from tests.redis_server import RedisServer, redis_server
from tests.servers import MariaDB
from tests.soak.packet import SAMPLES, packet

ADMIN_KEY: Final = "an-admin-key-for-one-soak-run-0123456789"
BURST: Final = 5
_PATIENCE: Final = 120.0


class Node:
    """One central service on a port of its own, started until it serves."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: list[str] = []
        self._environ = {**environ, "METRICS_LISTEN": f"127.0.0.1:{self.port}", "METRICS_ADMIN_KEY": ADMIN_KEY}
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    async def start(self) -> None:
        """Start the process. If it gives up because the database is away, start it again."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                process = await launch(self.folder, **self._environ)
                self.log = process.log
                if process.port:
                    self._process = process
                    return
                await process.wait()
                await asyncio.sleep(0.2)

    async def end(self, number: int) -> int:
        """Send a signal and wait for the end; the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.process.send_signal(signal.SIGCONT)
        return await process.end(number)

    def signal(self, number: int) -> None:
        """Send a signal that does not end it."""
        os.kill(self.pid, number)


class Host:
    """An agent, and an application that sends to it. Killed and started again it goes on from its spool."""

    def __init__(self, name: str, folder: Path, url: str, key: str, **more: str) -> None:
        """``more`` are settings of the agent."""
        self.name = name
        self.prefix = f"soak.{name}"
        self.sent = 0
        """Packets handed to the kernel."""
        self.at_risk = 0
        """Samples that were not in a spooled batch when the agent was killed."""
        self.kills = 0
        self._since_start = 0
        self.counted = 0
        """Packets that the oracle has counted."""
        self._settings = (folder, url, key, {f"FIESTA_AGENT_{name}": text for name, text in more.items()})
        self._stack = AsyncExitStack()
        self._agent: AgentProcess | None = None
        self._sending = asyncio.Lock()

    async def start(self) -> None:
        """Start the agent over its folder."""
        folder, url, key, more = self._settings
        self._agent = await self._stack.enter_async_context(an_agent(folder, url, around=more, API_KEY=key))
        self._since_start = 0

    async def kill(self) -> None:
        """kill -9 in the middle of a burst."""
        async with self._sending:
            assert self._agent is not None
            before = self._since_start
            status = await self._agent.status()
            self._burst()
            agent, self._agent = self._agent, None
            agent.process.kill()
            await agent.ended()
            unread = before * SAMPLES - status["received"]
            self.at_risk += status["in_window"] + unread + BURST * SAMPLES
            self.kills += 1
        await self.close()

    async def close(self) -> None:
        """End the agent, whatever its state."""
        await self._stack.aclose()

    async def send(self, over: asyncio.Event, pause: float) -> None:
        """Send packets while an agent runs."""
        while not over.is_set():
            async with self._sending:
                if self._agent is not None:
                    self._burst()
            await asyncio.sleep(pause)

    async def settled(self) -> None:
        """Return once everything received is acknowledged. The ledger must balance all the time."""
        while True:
            status = await self.status()
            if status["in_window"] + status["in_spool"] == 0:
                return
            await asyncio.sleep(0.1)

    async def status(self) -> dict[str, Any]:
        """The agent's ledger, which balances."""
        assert self._agent is not None
        status = await self._agent.status()
        assert balance(status) == 0, status
        return status

    def _burst(self) -> None:
        assert self._agent is not None
        self._agent.send([packet(self.prefix)] * BURST)
        self.sent += BURST
        self._since_start += BURST


@dataclass
class Rig:
    """All that runs. Without ``servers`` central has the embedded store, and there is no Redis."""

    nodes: list[Node]
    hosts: list[Host]
    http: aiohttp.ClientSession
    key: str
    proxy: str = ""
    """The address of a proxy before the nodes, if there is one."""
    servers: Sequence[MariaDB] = ()
    """The servers of the database. At the end each must have everything."""
    database: str = ""
    redis: Sequence[RedisServer] = ()
    until_applied: Callable[[], object] = lambda: None
    """Returns once each server has what the others have."""

    async def ready(self) -> None:
        """Return when every process has all it needs and nothing waits in the spill."""
        while True:
            if all([await self._at_rest(node) for node in self.nodes]):
                return
            await asyncio.sleep(0.1)

    async def said_by(self, node: Node) -> dict[str, Any]:
        """The answer of ``/ready``: what a process says of itself and of everything that it needs."""
        async with self.http.get(f"{node.url}/ready") as answer:
            body: dict[str, Any] = await answer.json()
        return body

    async def _at_rest(self, node: Node) -> bool:
        body = await self.said_by(node)
        spill = body.get("spill") or {"entries": 0}
        return bool(body["status"] == "ready" and spill["entries"] == 0)


@asynccontextmanager
async def on_mysql(
    folder: Path, mariadb: MariaDB, database: str, *, centrals: int = 2, agents: int = 1
) -> AsyncIterator[Rig]:
    """Some central processes and agents over a database and a Redis of their own."""
    async with redis_server(folder / "redis") as redis:
        environ = {**mysql_help.environ_of(mariadb, database), **redis_help.environ_of(redis.port)}
        async with running(folder, [environ] * centrals, agents) as rig:
            rig.servers, rig.database, rig.redis = [mariadb], database, [redis]
            yield rig


@asynccontextmanager
async def on_duckdb(folder: Path, *, agents: int = 1) -> AsyncIterator[Rig]:
    """One central process over the embedded store, and agents."""
    async with running(folder, [{}], agents) as rig:
        yield rig


@asynccontextmanager
async def running(
    folder: Path, environs: Sequence[Mapping[str, str]], agents: int, proxy: HAProxy | Nginx | None = None
) -> AsyncIterator[Rig]:
    """A central process for each environment, and agents; agents send to the proxy if there is one."""
    nodes = [Node(f"central{at}", folder / f"central{at}", environ) for at, environ in enumerate(environs)]
    connector = aiohttp.TCPConnector(limit=0, ssl=trusting())
    async with (
        AsyncExitStack() as stack,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(12)) as http,
    ):
        for node in nodes:
            stack.push_async_callback(node.end, signal.SIGKILL)
            await node.start()
        key = await _new_key(http, nodes)
        urls, more = [node.url for node in nodes], {}
        if proxy is not None:
            stack.callback(proxy.stop)
            proxy.start([node.url.removeprefix("http://") for node in nodes])
            urls, more = [proxy.url], {"CA_FILE": str(TLS / "cert.pem")}
        hosts = [Host(f"agent{at}", folder / f"spool{at}", urls[at % len(urls)], key, **more) for at in range(agents)]
        for host in hosts:
            stack.push_async_callback(host.close)
            await host.start()
        yield Rig(nodes, hosts, http, key, urls[0] if proxy else "")


async def _new_key(http: aiohttp.ClientSession, nodes: list[Node]) -> str:
    """A key for all writers, verified in every process."""
    body = {"name": "soak", "scopes": ["ingest", "query"]}
    path = "/api/admin/keys"
    async with http.post(nodes[0].url + path, json=body, headers={"X-API-Key": ADMIN_KEY}) as answer:
        key: str = (await answer.json())["data"]["key"]
    for node in nodes:
        async with http.get(node.url + "/api/metrics?limit=1", headers={"X-API-Key": key}) as answer:
            assert answer.status == 200, await answer.text()
    return key

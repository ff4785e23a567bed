"""A private redis-server on a free port: durable, and stopped, killed, paused and started again at will.

With TLS it has no other port, shows the certificate to everybody, and asks all others for one.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio

from central.tls_client import ClientTls
from tests.patience import PATIENCE
from tests.ports import free_port

DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
PASSWORD = "p'ass word"


class RedisServer:
    """One server and its folder. Ends with the test; only ever signals the process it started."""

    def __init__(self, folder: Path, port: int, config: dict[str, str], tls: ClientTls | None = None) -> None:
        self.folder = folder
        self.port = port
        self.tls = tls
        self._config = {**config, **port_of(port, tls)}
        self._process: asyncio.subprocess.Process | None = None
        self.client: Any = client_of(port, tls, password=PASSWORD)

    async def start(self) -> None:
        """Start, or start again with what is in the folder; returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f'{name} "{text}"' for name, text in self._config.items()]
        config = self.folder / "redis.conf"
        config.write_text("\n".join([*lines, 'bind "127.0.0.1"', 'save ""', f'dir "{self.folder}"', ""]))
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "redis-server", str(config), stdout=log, stderr=subprocess.STDOUT
            )
        async with asyncio.timeout(PATIENCE):
            while not await self._answers():
                if self._process.returncode is not None:
                    raise AssertionError((self.folder / "log").read_text())
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            return bool(await self.client.ping())
        except redis.RedisError:
            return False

    async def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self._process is not None:
            self._process.send_signal(number)
            await self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    async def kill(self) -> None:
        """kill -9."""
        await self.end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections are there and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def set(self, **config: str) -> None:
        """CONFIG SET; ``_`` stands for ``-``."""
        for name, text in config.items():
            await self.client.config_set(name.replace("_", "-"), text)


def port_of(port: int, tls: ClientTls | None) -> dict[str, str]:
    """The settings of the port of a server or sentinel, and of what it says to others."""
    if tls is None:
        return {"port": str(port)}
    files = {"tls-ca-cert-file": str(tls.ca), "tls-cert-file": str(tls.cert), "tls-key-file": str(tls.key)}
    return {"port": "0", "tls-port": str(port), "tls-replication": "yes", "tls-cluster": "yes", **files}


def client_of(port: int, tls: ClientTls | None, **options: Any) -> Any:
    """A client of a server or sentinel."""
    if tls is not None:
        files = {"ssl_ca_certs": str(tls.ca), "ssl_certfile": str(tls.cert), "ssl_keyfile": str(tls.key)}
        options |= {"ssl": True, **files}
    return redis.asyncio.Redis(host="127.0.0.1", port=port, protocol=2, **options)


@asynccontextmanager
async def redis_server(folder: Path, tls: ClientTls | None = None, /, **config: str) -> AsyncIterator[RedisServer]:
    """A server that is durable unless ``config`` says otherwise (``_`` stands for ``-``)."""
    given = {name.replace("_", "-"): text for name, text in config.items()}
    server = RedisServer(folder, free_port(), {**DURABLE, "requirepass": PASSWORD, **given}, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
        await server.client.aclose()

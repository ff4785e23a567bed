"""A real agent in a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.agent.fakes import KEY, RealCentral
from tests.patience import PATIENCE, a_moment


def environment(folder: Path, url: str, **settings: str) -> dict[str, str]:
    """Everything an agent needs; ports are free ones."""
    ours = {
        "CENTRAL_URL": url,
        "API_KEY": KEY,
        "UDP": "127.0.0.1:0",
        "HTTP": "127.0.0.1:0",
        "FLUSH_INTERVAL": "1",
        "SPOOL_DIR": str(folder),
        **settings,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FIESTA_AGENT_")}
    return kept | {f"FIESTA_AGENT_{name}": value for name, value in ours.items() if value}


class AgentProcess:
    """Started, with its ports known. ``log`` grows by a line at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.failed = ""
        """The last line that is no log entry: why it did not start, or the end of a traceback."""
        self.udp = 0
        self.tcp = 0
        self.http = 0
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if not line.startswith(b"{"):
                self.failed = line.decode()
                async with self._news:
                    self._news.notify_all()
                continue
            entry = json.loads(line)
            if entry["event"] == "status_open":
                self.http = int(entry["message"].split("/")[2].rpartition(":")[2])
            for kind, port in re.findall(
                r"(UDP|TCP) \S+:(\d+)", entry["message"] if entry["event"] == "started" else ""
            ):
                setattr(self, kind.lower(), int(port))
            self.log.append(entry)
            async with self._news:
                self._news.notify_all()

    async def until(self, event: str) -> None:
        """Wait for a line of the log. Raises ValueError when one comes that is none."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self.failed or any(entry["event"] == event for entry in self.log))
        if self.failed:
            raise ValueError(self.failed)

    def send(self, lines: Iterable[str]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for line in lines:
                sock.sendto(line.encode(), ("127.0.0.1", self.udp))

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.http}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((await self.get("/status"))[1])
        return status

    async def received(self, samples: int) -> None:
        """Wait until it has counted so many. What a socket of this host has taken may reach it a little later."""
        async with asyncio.timeout(PATIENCE):
            while (await self.status())["received"] < samples:
                await a_moment()  # its answer takes its turn with its reading

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            await self._reading
        return code


PASS_ON = """
import fcntl, os, sys
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",")]
for place, number in enumerate(given, 3):
    os.dup2(number, place)
os.closerange(3 + len(given), 200)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(given))}
os.execv(sys.executable, [sys.executable, "-m", *(sys.argv[2:] or ["agent", "run"])])
"""
"""What systemd does before it starts a service. Its arguments are the descriptors, and a module that is no agent."""


@asynccontextmanager
async def an_agent(
    folder: Path,
    central: RealCentral | str,
    passed: Sequence[socket.socket] = (),
    *,
    around: Mapping[str, str] | None = None,
    config: Path | None = None,
    **settings: str,
) -> AsyncIterator[AgentProcess]:
    """A running agent, killed at the end if it still runs. It gets the sockets ``passed`` as systemd would do it;
    ``around`` is what else is in its environment."""
    url = central if isinstance(central, str) else central.url
    numbers = [sock.fileno() for sock in passed]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(
            ["-c", PASS_ON, ",".join(map(str, numbers))]
            if numbers
            else ["-m", "agent", "run", *(["--config", str(config)] if config else [])]
        ),
        env=environment(folder, url, **settings) | dict(around or {}),
        stderr=asyncio.subprocess.PIPE,
        pass_fds=numbers,
    )
    agent = AgentProcess(process)
    try:
        await agent.until("started")
        yield agent
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await agent.ended()


async def all_sent(folder: Path, central: RealCentral, reached: Callable[[], bool]) -> None:
    """A stop sends for a few seconds, and a busy machine may need more for all of it. The next agent sends the rest."""
    if not reached():
        async with an_agent(folder, central):
            await central.until(reached)


def balance(status: dict[str, Any]) -> int:
    """0 when the ledger of /status adds up."""
    gone = status["acknowledged"] + sum(status["dropped"].values())
    left: int = status["received"] + status["recovered"] - gone - status["in_window"] - status["in_spool"]
    return left

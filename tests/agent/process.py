"""A real agent in a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.agent.fakes import KEY, RealCentre


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
        self.udp = 0
        self.http = 0
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            entry = json.loads(line)  # a traceback would not be JSON
            if entry["event"] in {"started", "books_open"}:
                found = re.search(r":(\d+)", entry["message"].replace("http://", ""))
                assert found is not None
                setattr(self, "udp" if entry["event"] == "started" else "http", int(found[1]))
            self.log.append(entry)
            async with self._news:
                self._news.notify_all()

    async def until(self, event: str) -> None:
        """Wait for a line of the log."""
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: any(entry["event"] == event for entry in self.log))

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

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(60):
            code = await self.process.wait()
            await self._reading
        return code


@asynccontextmanager
async def an_agent(
    folder: Path, centre: RealCentre | str, *, around: Mapping[str, str] | None = None, **settings: str
) -> AsyncIterator[AgentProcess]:
    """A running agent, killed at the end if it still runs. ``around`` is what else is in its environment."""
    url = centre if isinstance(centre, str) else centre.url
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        "run",
        env=environment(folder, url, **settings) | dict(around or {}),
        stderr=asyncio.subprocess.PIPE,
    )
    agent = AgentProcess(process)
    try:
        await agent.until("started")
        yield agent
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await agent.ended()


def balance(status: dict[str, Any]) -> int:
    """0 when the books of /status add up."""
    gone = status["acknowledged"] + sum(status["dropped"].values())
    left: int = status["received"] + status["recovered"] - gone - status["in_window"] - status["in_spool"]
    return left

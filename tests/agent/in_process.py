"""The whole agent in this process, with windows that close when a test says so."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.aggregate.compiled import CORE, MaybeCore
from agent.app import Agent, Outside, steady_time
from agent.forward.api_key import ApiKey
from agent.forward.forwarder import Pace
from agent.receive.datagrams import DatagramReceiver
from agent.settings import load_settings
from agent.spool.disk import Disk
from agent.telemetry.snapshot import Snapshot
from runtime.systemd import Notifier, silent
from tests.agent.fakes import KEY, EventLog
from tests.patience import PATIENCE


class Ticks:
    """A wall clock that starts a little in the past and moves to the next window with each ``tick``."""

    def __init__(self, interval: int = 1) -> None:
        self._interval = interval
        self._now = float(int(time.time()) // interval * interval - 20 * interval)
        self._ticked = asyncio.Event()

    def wall(self) -> float:
        return self._now

    def set_by(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._now += seconds

    def tick(self) -> None:
        self._now += self._interval
        self.end_waits()

    def end_waits(self) -> None:
        """Whoever waits for the next window or for a retry goes on, and the clock stays where it is."""
        self._ticked.set()
        self._ticked = asyncio.Event()

    async def pause(self, seconds: float | None, wake: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(wake.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._ticked.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class Running:
    def __init__(self, agent: Agent, log: EventLog, ticks: Ticks, stop: asyncio.Event, run: asyncio.Task[None]) -> None:
        self.agent, self.events, self.ticks, self.stop, self.task = agent, log, ticks, stop, run

    def put(self, lines: Iterable[str]) -> DatagramReceiver:
        """Send, and let the agent read when it wants to. Returns who will read."""
        (receiver,) = self.agent.receivers
        assert isinstance(receiver, DatagramReceiver)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for line in lines:
                sock.sendto(line.encode(), receiver.address)
        return receiver

    def send(self, lines: Iterable[str]) -> None:
        """Send, and let the agent read at once what its thread has not read."""
        self.put(lines).drain()

    async def until(self, event: str) -> None:
        await self.events.until(event)

    async def snapshot(self) -> Snapshot:
        await self.agent.settle()
        return self.agent.snapshot()

    async def end(self) -> None:
        self.stop.set()
        await self.task
        assert self.agent.ledger.balance() == 0


def settings_for(folder: Path, url: str, **more: str) -> Any:
    ours = {
        "CENTRAL_URL": url,
        "SPOOL_DIR": str(folder),
        "UDP": "127.0.0.1:0",
        "HTTP": "127.0.0.1:0",
        "FLUSH_INTERVAL": "1",
    }
    return load_settings({f"FIESTA_AGENT_{name}": text for name, text in (ours | more).items()})


@asynccontextmanager
async def running(
    folder: Path,
    url: str,
    disk: Disk | None = None,
    core: MaybeCore = CORE,
    *,
    notify: Notifier | None = None,
    **more: str,
) -> AsyncIterator[Running]:
    events, ticks, stop = EventLog(), Ticks(), asyncio.Event()
    pace = Pace(ticks.pause, lambda low, high: 1e-9)  # a wait that ends with the next tick
    outside = Outside(ticks.wall, steady_time, pace, disk or Disk(), core, notify or silent())
    agent = Agent(settings_for(folder, url, **more), ApiKey(KEY, None), events, outside)
    task = asyncio.create_task(agent.run(stop))
    one = Running(agent, events, ticks, stop, task)
    await one.until("started")
    try:
        yield one
    finally:
        if not task.done():
            await one.end()


async def turns_until(done: Callable[[], bool]) -> None:
    """Ask at every turn of the loop."""
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110 - every turn is looked at
            await asyncio.sleep(0)

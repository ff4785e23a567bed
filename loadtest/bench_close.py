"""What it costs to close a window: ``python -m loadtest.bench_close [NAMES]...``, by default 10,000 and 100,000.

An agent in this process, on the loop that it has in production, takes NAMES timings of two samples each over UDP in
every window, and a central service in a process of its own stores them. From just before the window's end until all
is acknowledged a watcher on the same loop looks how long it was kept from its turn: so long no socket was read.
"""

import asyncio
import gc
import os
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import uvloop

from agent.aggregate.window import seconds_left, window_start
from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.settings import load_settings
from loadtest.report import show_table
from loadtest.servers import Server, central

INTERVAL: Final = 10
WINDOWS: Final = 3
LOOK_SECONDS: Final = 0.001
LINES_PER_PACKET: Final = 30


class Watcher:
    """The longest it was kept from its turn, in seconds: in CPU of the loop's thread, and by the clock."""

    def __init__(self) -> None:
        self.work = 0.0
        self.waited = 0.0

    async def watch(self) -> None:
        while True:
            begun, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(LOOK_SECONDS)
            self.work = max(self.work, time.thread_time() - used)
            self.waited = max(self.waited, time.perf_counter() - begun - LOOK_SECONDS)


class Closed(NamedTuple):
    """See Watcher; and CPU of the close per name, sending included, in us."""

    work: float
    waited: float
    cpu: float


async def fill(port: int, names: int, window: int) -> None:
    """Two samples per name, with the loop's turns between."""
    lines = [b"bench.service.endpoint_%d.seconds:%d.%d:7|ms" % (name, window + 1, name % 97) for name in range(names)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for first in range(0, names, LINES_PER_PACKET):
            sock.sendto(b"\n".join(lines[first : first + LINES_PER_PACKET]), ("127.0.0.1", port))
            await asyncio.sleep(0.0002)


async def one_window(agent: Agent, names: int, number: int) -> Closed:
    start = window_start(time.time(), INTERVAL)
    await asyncio.sleep(seconds_left(start, INTERVAL, time.time()) + 1.5)  # the last one is through
    (receiver,) = agent.receivers
    await fill(int(receiver.name.rpartition(":")[2]), names, number)
    start = window_start(time.time(), INTERVAL)
    ledger, watcher = agent.ledger, Watcher()
    await asyncio.sleep(seconds_left(start, INTERVAL, time.time()) - 0.3)
    watching, begun, expected = asyncio.create_task(watcher.watch()), time.process_time(), (number + 1) * names * 2
    while ledger.acknowledged < expected:
        await asyncio.sleep(0.05)
        if time.time() > start + INTERVAL * 2:
            raise RuntimeError(f"{ledger.acknowledged:,} of {expected:,} samples were acknowledged in time: {ledger}")
    cpu = time.process_time() - begun
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return Closed(watcher.work, watcher.waited, cpu / names * 1e6)


async def measure(service: Server, folder: Path, names: int) -> Closed:
    """The worst holds and the median CPU of a few windows."""
    settings = {"CENTRAL_URL": service.url, "UDP": "127.0.0.1:0", "HTTP": "127.0.0.1:0", "SPOOL_DIR": str(folder)}
    loaded = load_settings({f"FIESTA_AGENT_{name}": value for name, value in settings.items()})
    started, stop = asyncio.Event(), asyncio.Event()

    def tell(event: str, message: str) -> None:
        if event == "started":
            started.set()

    agent = Agent(loaded, ApiKey(service.key, None), tell, Outside())
    running = asyncio.create_task(agent.run(stop))
    await started.wait()
    gc.collect()
    found = [await one_window(agent, names, number) for number in range(WINDOWS)]
    stop.set()
    await running
    works, waits, costs = zip(*found, strict=True)
    return Closed(max(works), max(waits), median(costs))


def main() -> None:
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-close-")))
        (folder / "central").mkdir()
        service = stack.enter_context(central(folder / "central"))
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for names in map(int, sys.argv[1:] or ["10000", "100000"]):
            found = uvloop.run(measure(service, folder / f"agent-{names}", names))
            rows.append([f"{names:,}", *(f"{held * 1e3:.0f} ms" for held in found[:2]), f"{found.cpu:.1f} us"])
    show_table("Closing a window", ["names", "longest hold of the loop: work", "by the clock", "CPU a name"], rows)


if __name__ == "__main__":
    main()

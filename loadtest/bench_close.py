"""What a window of many new names costs: ``python -m loadtest.bench_close [NAMES] [KIND]...``, by default 100,000.

An agent in this process, on the loop that it has in production, takes NAMES new names in every window over UDP, in
bursts of 64 packets from a process of its own. A service in another process acknowledges all. A watcher on
the agent's loop looks how long it was kept from its turn: so long no socket was read. It looks while the names come,
and from just before the window's end until all is acknowledged.
"""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import uvloop

from agent.aggregate.window import seconds_left, window_start
from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.settings import load_settings
from loadtest.report import show_table
from protocol.limits import HISTOGRAMS, TAGS
from tests.agent.fakes import KEY, RealCentral

INTERVAL: Final = 10
WINDOWS: Final = 3
LOOK_SECONDS: Final = 0.001
LINES_PER_PACKET: Final = 30
PACKETS_PER_BURST: Final = 64
BURST_SECONDS: Final = 0.02
ROOM: Final = {f"METRICS_MAX_{what}": "10000000" for what in ("NAMES", "NAMES_PER_KEY", "SERIES", "SERIES_PER_METRIC")}
SEND: Final = "send"
SERVE: Final = "serve"
"""The first arguments of the other processes."""


class Kind(NamedTuple):
    """A kind of line, by the number of its name and of its window, and how many samples it has."""

    line: Callable[[int, int], bytes]
    samples: int


def _series(number: int) -> tuple[int, int]:
    """The name and the tag of a series. One name may have at most a tenth of all series."""
    return number % 50, number // 50


KINDS: Final[Mapping[str, Kind]] = {
    "timings": Kind(lambda name, window: b"bench.t%d_%d.seconds:%d.%d:7|ms" % (window, name, window + 1, name % 97), 2),
    "counters": Kind(lambda name, window: b"bench.c%d_%d:1|c" % (window, name), 1),
    "gauges": Kind(lambda name, window: b"bench.g%d_%d:%d|g" % (window, name, name), 1),
    "sets": Kind(lambda name, window: b"bench.s%d_%d:m%d|s" % (window, name, name % 7), 1),
    "tagged-counters": Kind(lambda name, window: b"bench.tc%d.%d:1|c|#env:prod,user:%d" % (window, *_series(name)), 1),
    "tagged-timings": Kind(
        lambda name, window: (
            b"bench.tt%d.%d:%d.5:7|ms|#env:prod,user:%d" % (window, _series(name)[0], name, name // 50)
        ),
        2,
    ),
    "histograms": Kind(
        lambda name, window: b"bench.h%d_%d:%b|h" % (window, name, b":".join(b"%d" % (3**n + name) for n in range(8))),
        8,
    ),
}


class Hold(NamedTuple):
    """The longest time for which the loop did not come to its turn, in seconds: CPU of its thread, and by the clock."""

    work: float = 0.0
    waited: float = 0.0


class Watcher:
    """Measures, inside ``watching``, how long the running loop does not come to its turn."""

    def __init__(self) -> None:
        self.hold = Hold()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            begun, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(LOOK_SECONDS)
            work, waited = time.thread_time() - used, time.perf_counter() - begun - LOOK_SECONDS
            self.hold = Hold(max(self.hold.work, work), max(self.hold.waited, waited))


class Closed(NamedTuple):
    """The holds while the names came and while the window closed, and the CPU per name of closing and sending it."""

    filled: Hold
    closed: Hold
    cpu: float


def send(port: int, kind: str, names: int, window: int) -> None:
    """Send a line per name, in bursts."""
    os.sched_setaffinity(0, {0})
    lines = [KINDS[kind].line(name, window) for name in range(names)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number, first in enumerate(range(0, names, LINES_PER_PACKET)):
            sock.sendto(b"\n".join(lines[first : first + LINES_PER_PACKET]), ("127.0.0.1", port))
            if number % PACKETS_PER_BURST == PACKETS_PER_BURST - 1:
                time.sleep(BURST_SECONDS)


async def serve() -> None:
    """Run the service. It prints its address, and ends when the reader of its output is gone."""
    async with RealCentral().serving() as service:
        service.accepts = f"{HISTOGRAMS}, {TAGS}"
        print(service.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def service() -> Iterator[str]:
    """The address of a service that acknowledges everything."""
    command = [sys.executable, "-m", "loadtest.bench_close", SERVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


async def one_window(agent: Agent, kind: str, names: int, number: int) -> Closed:
    start = window_start(time.time(), INTERVAL)
    await asyncio.sleep(seconds_left(start, INTERVAL, time.time()) + 1.5)  # the last one is through
    (receiver,) = agent.receivers
    port, ledger = receiver.name.rpartition(":")[2], agent.ledger
    filling, closing = Watcher(), Watcher()
    async with filling.watching():
        command = [sys.executable, "-m", "loadtest.bench_close", SEND, port, kind, str(names), str(number)]
        sender = await asyncio.create_subprocess_exec(*command)
        await sender.wait()
    start = window_start(time.time(), INTERVAL)
    await asyncio.sleep(seconds_left(start, INTERVAL, time.time()) - 0.3)
    begun, expected = time.process_time(), (number + 1) * names * KINDS[kind].samples
    async with closing.watching():
        while ledger.acknowledged < expected:
            await asyncio.sleep(0.05)
            if time.time() > start + INTERVAL * 3:
                raise RuntimeError(f"{ledger.acknowledged:,} of {expected:,} samples were acknowledged: {ledger}")
    return Closed(filling.hold, closing.hold, (time.process_time() - begun) / names * 1e6)


async def measure(url: str, folder: Path, kind: str, names: int) -> Closed:
    """The worst holds and the median CPU of a few windows."""
    settings = {"CENTRAL_URL": url, "UDP": "127.0.0.1:0", "HTTP": "127.0.0.1:0", "SPOOL_DIR": str(folder)}
    loaded = load_settings({f"FIESTA_AGENT_{name}": value for name, value in settings.items()})
    started, stop = asyncio.Event(), asyncio.Event()

    def tell(event: str, message: str) -> None:
        if event == "started":
            started.set()

    agent = Agent(loaded, ApiKey(KEY, None), tell, Outside())
    running = asyncio.create_task(agent.run(stop))
    await started.wait()
    gc.collect()
    found = [await one_window(agent, kind, names, number) for number in range(WINDOWS)]
    stop.set()
    await running
    return Closed(
        _longest([one.filled for one in found]),
        _longest([one.closed for one in found]),
        median(one.cpu for one in found),
    )


def _longest(holds: list[Hold]) -> Hold:
    return Hold(max(hold.work for hold in holds), max(hold.waited for hold in holds))


def main(names: int, kinds: list[str]) -> None:
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-close-")))
        url = stack.enter_context(service())
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for kind in kinds:
            found = uvloop.run(measure(url, folder / f"agent-{kind}", kind, names))
            holds = [f"{held * 1e3:.0f} ms" for held in (*found.filled, *found.closed)]
            rows.append([kind, *holds, f"{found.cpu:.1f} us"])
    columns = ["kind", "coming: work", "by the clock", "closing: work", "by the clock", "CPU a name"]
    show_table(f"The longest hold of the loop, {names:,} new names", columns, rows)


if __name__ == "__main__":
    if sys.argv[1:] == [SERVE]:
        uvloop.run(serve())
    elif sys.argv[1:2] == [SEND]:
        send(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2:] or list(KINDS))

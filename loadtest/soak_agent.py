"""An agent under mixed load for a long time: memory stays flat, the ledger is exact, and the spool is empty at the end.

Counters, sampled ones, timings, gauges and sets with old and new names, bad lines, large packets, every ten seconds a
burst; now and then the service is stopped for some seconds, and continued. At the end its store is compared with
what was sent.
"""

import argparse
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from loadtest.servers import Server, agent, central, get_json
from loadtest.watch import resident
from protocol.times import format_time

TURN_SECONDS: Final = 0.05
PACKETS_PER_TURN: Final = 6
"""Packets per second, of 30 lines each: some 3,600 lines per second."""
BURST_TURNS, BURST_PACKETS, EVERY_TURNS = 10, 40, 200
"""For half a second of every ten, so many more packets per turn: 24,000 lines per second."""
FRESH_NAMES: Final = 20_000
"""New names come one after the other, and then again: what is forgotten and comes back must not add up."""
OUTAGE_SECONDS, OUTAGE_EVERY = 3.0, 20.0
BAD: Final = b"no line:at all|x\nempty.value:|c\nbad.rate:1|c|@2\n"
BAD_LINES: Final = 3
COUNTED: Final = "soak.counted"
FLAT_MB: Final = 4.0
"""How much the last quarter of a long run may have over the second."""
SPOOL_SECONDS: Final = 120.0

Row = tuple[str, str, str, bool]


class Sent(NamedTuple):
    """What went to the agent: lines in all, of them bad ones, and those of COUNTED."""

    lines: int
    bad: int
    counted: int


def mixed_packet(pick: random.Random) -> bytes:
    """30 lines of all kinds, each with names of its own, as a name has one kind for ever."""
    kinds = (
        lambda: f"soak.counter{pick.randrange(100)}:1|c",
        lambda: f"soak.sampled{pick.randrange(100)}:1|c|@0.5",
        lambda: f"soak.timing{pick.randrange(100)}:{pick.uniform(0, 1000):.3f}|ms",
        lambda: f"soak.gauge{pick.randrange(100)}:{pick.randrange(10_000) / 100}|g",
        lambda: f"soak.set{pick.randrange(20)}:user{pick.randrange(5000)}|s",
    )
    return "\n".join(pick.choices(kinds, weights=(30, 20, 30, 10, 10))[0]() for _ in range(30)).encode()


def load(port: int, seconds: float) -> Sent:
    """Send for this many seconds."""
    pick = random.Random(1)
    mixed = [mixed_packet(pick) for _ in range(1_000)]
    lines = bad = counted = turn = fresh = 0
    end = time.monotonic() + seconds
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        while time.monotonic() < end:
            burst = BURST_PACKETS if turn % EVERY_TURNS < BURST_TURNS else 0
            for _ in range(PACKETS_PER_TURN + burst):
                sender.send(mixed[pick.randrange(len(mixed))])
                lines += 30
            names = (f"fresh.name{(fresh + number) % FRESH_NAMES}:1|c" for number in range(10))
            sender.send("\n".join(names).encode())
            sender.send(f"{COUNTED}:1|c\n".encode())
            lines, fresh, counted = lines + 11, fresh + 10, counted + 1
            if turn % 20 == 0:
                sender.send(BAD)
                lines, bad = lines + BAD_LINES, bad + BAD_LINES
            turn += 1
            time.sleep(TURN_SECONDS)
    return Sent(lines, bad, counted)


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run ``work`` in a thread. At the end of the block its event is set, and it must end."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def interrupt(pid: int, stop: threading.Event) -> None:
    """Stop a process now and then, and continue it."""
    while not stop.wait(OUTAGE_EVERY - OUTAGE_SECONDS):
        os.kill(pid, signal.SIGSTOP)
        stop.wait(OUTAGE_SECONDS)
        os.kill(pid, signal.SIGCONT)


def measure(pid: int, memory: list[float], stop: threading.Event) -> None:
    """Resident memory in MB, once per second."""
    while not stop.wait(1.0):
        memory.append(resident(pid) / 2**20)


def drained(host: Server) -> dict[str, Any]:
    """The agent's /status, once the window and the spool are empty or the time is over."""
    end = time.monotonic() + SPOOL_SECONDS
    while True:
        status: dict[str, Any] = dict(get_json(host, "/status"))
        if not status["in_window"] + status["in_spool"] or time.monotonic() > end:
            return status
        time.sleep(0.2)


def stored(server: Server, days: int = 2) -> int:
    """What the service has of COUNTED."""
    now = int(time.time())
    span = {"start": format_time(now - days * 86_400), "end": format_time(now + 86_400)}
    query = {"name": COUNTED, "operation": "sum", "window": "1d", **span}
    answer: Any = get_json(server, f"/api/metrics/aggregate?{urllib.parse.urlencode(query)}")
    return sum(point["value"] for point in answer["data"])


def judge(sent: Sent, status: dict[str, Any], in_store: int, memory: list[float], flat_mb: float) -> list[Row]:
    """The rows of the report. At this load the kernel must not drop anything."""
    dropped = status["dropped"]
    quarter = len(memory) // 4
    growth = statistics.median(memory[-quarter:]) - statistics.median(memory[quarter : 2 * quarter])
    good = sent.lines - sent.bad
    lost = sum(dropped.values())
    kernel = sum(facts["kernel_drops"] or 0 for facts in status["sockets"])
    left = status["in_window"] + status["in_spool"]
    return [
        ("Lines sent, received", f"{sent.lines:,}", f"{status['received']:,}", status["received"] == sent.lines),
        ("Kernel drops", "0", f"{kernel:,}", not kernel),
        ("Bad lines, counted as dropped", f"{sent.bad:,}", f"{lost:,}", lost == sent.bad),
        ("Acknowledged", f"{good:,}", f"{status['acknowledged']:,}", status["acknowledged"] == good),
        (f"{COUNTED} in the store", f"{sent.counted:,}", f"{in_store:,}", in_store == sent.counted),
        ("Left in window and spool", "0", f"{left:,}", not left),
        ("Resident memory, last quarter over second", f"< {flat_mb:g} MB", f"{growth:+.1f} MB", growth < flat_mb),
        ("Resident memory, most", "", f"{max(memory):.0f} MB", True),
    ]


def soak(minutes: float, flush_interval: int = 10, flat_mb: float = FLAT_MB) -> list[Row]:
    """Run and judge."""
    memory: list[float] = []
    settings = {"FIESTA_AGENT_FLUSH_INTERVAL": str(flush_interval)}
    with (
        tempfile.TemporaryDirectory() as folder,
        central(Path(folder) / "central") as server,
        agent(Path(folder) / "spool", server.url, server.key, settings) as (host, udp),
    ):
        with meanwhile(partial(measure, host.pid, memory)), meanwhile(partial(interrupt, server.pid)):
            sent = load(udp, minutes * 60)
        status = drained(host)
        return judge(sent, status, stored(server), memory, flat_mb)


def main() -> None:
    """``--minutes N``. Exit code 1 where a row fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    rows = soak(parser.parse_args().minutes)
    for what, goal, measured, holds in rows:
        print(f"{'ok  ' if holds else 'FAIL'}  {what:<44}{goal:>14}{measured:>16}")
    sys.exit(not all(holds for *_, holds in rows))


if __name__ == "__main__":
    main()

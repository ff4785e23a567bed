"""CPU of the agent for each line beside three other StatsD daemons: ``python -m loadtest.bench_agent [WORKLOAD]...``.

All run at once, each gets the same packets at the same pace in turn, from a sender on a core of its own; a
daemon's processor time over its turn, one flush in it, comes from the kernel, less what it uses when idle.
A round is a turn of each; the figures are medians over the rounds, the ratio that of the rounds' ratios. What
each daemon says it has counted must be what was sent.
"""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from loadtest import statsd_daemons as daemons
from loadtest.lines import Workload, workloads
from loadtest.report import MARKS, show_table
from loadtest.servers import central
from loadtest.statsd_daemons import Agent, Daemon, cpu_seconds, resident_bytes

FLUSH_SECONDS: Final = 5
TURN_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 6.0
ROUNDS: Final = 3
FLOOD: Final = 500_000
"""Lines per second."""
CLOSE: Final = 0.001
"""What a daemon says it has counted may be off by this: netdata keeps rates, of 24 bits."""
LOST: Final = 0.1
"""Of what is sent to another daemon so much may get lost in its socket; its cost is that of the lines it counted."""


class Row(NamedTuple):
    """A workload, its packets per second, and the agent's CPU limit as a multiple of the best other daemon's."""

    workload: str
    pace: int
    goal: float | None


ROWS: Final = (
    Row("repeated counters", 10_000, 0.8),
    Row("distinct timings", 5_000, 1.0),
    Row("mixed", 5_000, None),
    Row("one line per packet", 40_000, 1.1),
)


@contextmanager
def all_daemons() -> Iterator[tuple[Agent, list[Daemon]]]:
    """The agent, and the others."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-agent-")))
        folders = [folder / name for name in ("central", "agent", "collectd", "netdata", "statsd")]
        for each in folders:
            each.mkdir()
        service = stack.enter_context(central(folders[0]))
        with on_core(-1):
            ours = stack.enter_context(daemons.agent(folders[1], service, FLUSH_SECONDS))
            others: list[Daemon] = [
                stack.enter_context(daemons.collectd(folders[2], FLUSH_SECONDS)),
                stack.enter_context(daemons.netdata(folders[3], FLUSH_SECONDS)),
                stack.enter_context(daemons.statsd(folders[4], FLUSH_SECONDS)),
            ]
        for daemon in (ours, *others):
            wait_until_it_listens(daemon.port)
        time.sleep(2)  # what they do once after the start is no part of what a line costs
        yield ours, others


@contextmanager
def on_core(index: int) -> Iterator[None]:
    """This process, and those that it starts meanwhile, on one of its cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[index]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def wait_until_it_listens(port: int) -> None:
    end = time.monotonic() + 30
    port_text = f":{port:04X} "
    while not any(port_text in line[:30] for line in Path("/proc/net/udp").read_text().splitlines()):
        if time.monotonic() > end:
            raise RuntimeError(f"nothing listens on UDP port {port}")
        time.sleep(0.05)


def send(port: int, packets: Sequence[bytes], pace: int, count: int) -> float:
    """Send ``count`` packets evenly, ``pace`` per second, over and over. Returns the packets per second reached.

    It waits by looking at the clock, so that it is punctual; hence the core of its own.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, on_core(0):
        sock.connect(("127.0.0.1", port))
        now, put = time.perf_counter, sock.send
        begun = now()
        for index, packet in enumerate(islice(cycle(packets), count)):
            due = begun + index / pace
            while now() < due:
                pass
            put(packet)
        return count / (now() - begun)


class Rounds:
    """CPU of each daemon for a line of one workload, round after round."""

    def __init__(self, row: Row, workload: Workload, idle: dict[str, float]) -> None:
        self._row, self._workload, self._idle = row, workload, idle
        self._packets = int(row.pace * TURN_SECONDS) // len(workload.packets) * len(workload.packets)
        self.nanoseconds: dict[str, list[float]] = {}
        self.paces: list[float] = []

    def round(self, everyone: Sequence[Daemon]) -> None:
        for daemon in everyone:
            self.nanoseconds.setdefault(daemon.name, []).append(self._turn(daemon))

    def ratios(self, shares: dict[str, float]) -> list[float]:
        """The agent's cost per counted line, divided by that of the best other daemon: one number per round."""
        costs = {name: [one / shares[name] for one in found] for name, found in self.nanoseconds.items()}
        ours = costs.pop("agent")
        return [mine / min(others) for mine, *others in zip(ours, *costs.values(), strict=True)]

    def _turn(self, daemon: Daemon) -> float:
        before, begun = cpu_seconds(daemon.pid), time.monotonic()
        self.paces.append(send(daemon.port, self._workload.packets, self._row.pace, self._packets))
        time.sleep(max(0.0, begun + TURN_SECONDS + 0.5 - time.monotonic()))
        used = cpu_seconds(daemon.pid) - before - self._idle[daemon.name] * (time.monotonic() - begun)
        return used / (self._packets * self._workload.lines_per_packet) * 1e9

    def sent(self, rounds: int) -> tuple[float, float]:
        """Lines sent to each daemon, and what their counters and timings come to."""
        repeats = self._packets // len(self._workload.packets) * rounds
        lines = len(self._workload.packets) * self._workload.lines_per_packet
        return lines * repeats, self._workload.numbers * repeats


def measure(row: Row, workload: Workload, everyone: Sequence[Daemon], idle: dict[str, float]) -> list[str]:
    """The row of the table. Raises RuntimeError when a daemon has not counted what was sent."""
    rounds = Rounds(row, workload, idle)
    before = {daemon.name: daemon.counted() for daemon in everyone}
    for _ in range(ROUNDS):
        rounds.round(everyone)
    time.sleep(2 * FLUSH_SECONDS + 1)  # netdata shows a flush only after the next one
    lines, numbers = rounds.sent(ROUNDS)
    shares = {}
    for daemon in everyone:
        expected, counted = lines if daemon.name == "agent" else numbers, daemon.counted() - before[daemon.name]
        shares[daemon.name] = counted / expected
        if counted > expected * (1 + CLOSE) or counted < expected * (1 - (CLOSE if daemon.name == "agent" else LOST)):
            raise RuntimeError(f"{row.workload}: {daemon.name} counted {counted:,.0f} of {expected:,.0f}")
    if min(rounds.paces) < 0.95 * row.pace:
        raise RuntimeError(f"{row.workload}: the sender reached only {min(rounds.paces):,.0f} packets per second")
    cells = [_cell(median(rounds.nanoseconds[daemon.name]), shares[daemon.name]) for daemon in everyone]
    ratios = rounds.ratios(shares)
    ratio = median(ratios)
    spread = f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    what = f"{row.workload}, {row.pace * workload.lines_per_packet:,} lines/s: ns per line"
    return [what, *cells, spread, *judged(ratio, row.goal)]


def _cell(nanoseconds: float, share: float) -> str:
    lost = f" ({1 - share:.1%} lost)" if share < 1 - CLOSE else ""
    return f"{nanoseconds / share:,.0f}{lost}"


def judged(value: float, goal: float | None) -> list[str]:
    """A goal, and whether it is reached."""
    return ["", ""] if goal is None else [f"{goal:g}", MARKS[value <= goal]]


def at_rest(everyone: Sequence[Daemon]) -> tuple[dict[str, float], list[list[str]]]:
    """Share of a core of each daemon when nothing is sent, and the rows of the table on that and on memory."""
    before = {daemon.name: cpu_seconds(daemon.pid) for daemon in everyone}
    begun = time.monotonic()
    time.sleep(IDLE_SECONDS)
    passed = time.monotonic() - begun
    idle = {daemon.name: (cpu_seconds(daemon.pid) - before[daemon.name]) / passed for daemon in everyone}
    shares = [idle[daemon.name] * 100 for daemon in everyone]
    sizes = [resident_bytes(daemon.pid) / 1e6 for daemon in everyone]
    return idle, [
        ["idle: % of a core", *(f"{share:.2f}" for share in shares), "", *judged(shares[0], 0.2)],
        ["idle: MB resident", *(f"{size:.0f}" for size in sizes), "", *judged(sizes[0], 40)],
    ]


def flood(ours: Agent, workload: Workload) -> list[str]:
    """Send FLOOD lines per second to the agent. Returns what the kernel dropped, and what was not counted."""
    pace = FLOOD // workload.lines_per_packet
    count = pace * int(TURN_SECONDS)
    before, dropped = ours.counted(), ours.kernel_drops()
    reached = send(ours.port, workload.packets, pace, count) * workload.lines_per_packet
    time.sleep(1)
    lost = count * workload.lines_per_packet - (ours.counted() - before)
    drops = ours.kernel_drops() - dropped
    if reached < 0.95 * FLOOD:
        raise RuntimeError(f"the sender reached only {reached:,.0f} lines per second")
    what = f"{reached:,.0f} lines/s: datagrams dropped, lines not counted"
    return [what, f"{drops}, {lost:.0f}", "", "", "", "", *judged(drops + lost, 0)]


def main(chosen: Sequence[str]) -> None:
    loads = workloads()
    rows: list[list[str]] = []
    names: list[str] = []
    try:
        with all_daemons() as (ours, others):
            everyone = [ours, *others]
            names = [daemon.name for daemon in everyone]
            idle, rows = at_rest(everyone)
            rows.append(flood(ours, loads["repeated counters"]))
            for row in ROWS:
                if not chosen or row.workload in chosen:
                    print(f"measuring {row.workload}", file=sys.stderr)
                    rows.append(measure(row, loads[row.workload], everyone, idle))
    finally:  # what was measured is shown, also when the next could not be
        title = f"The agent beside other StatsD daemons: medians of {ROUNDS} rounds, ratio to the best of the others"
        if rows:
            show_table(title, ["", *names, "ratio", "goal", ""], rows)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the daemons end too
    main(sys.argv[1:])

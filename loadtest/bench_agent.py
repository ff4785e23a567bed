"""CPU of the agent for each line beside three other StatsD daemons: ``python -m loadtest.bench_agent [SHAPE]...``.

All run at once, each gets the same packets at the same pace in turn, from a sender on a core of its own; a
daemon's processor time over its turn, one flush in it, comes from the kernel, less what it uses when idle.
A round is a turn of each; the figures are medians over the rounds, the ratio that of the rounds' ratios. What
each daemon says it has counted must be what was sent.

Packets come in two shapes: evenly, one at a time, so that a daemon which reads each one wakes up for each; and in
bursts, of which each fills one call of ``recvmmsg``. Beside the daemons stands a bare receive loop, which does nothing
with what it reads. The core, fed from memory, needs some time per line too. Both together are what the agent cannot
do without.
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

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.ledger import Ledger
from loadtest import statsd_daemons as daemons
from loadtest.lines import Workload, workloads
from loadtest.report import MARKS, show_table
from loadtest.servers import central
from loadtest.statsd_daemons import Agent, Daemon, cpu_seconds, resident_bytes

FLUSH_SECONDS: Final = 4
TURN_SECONDS: Final = 4.0
IDLE_SECONDS: Final = 6.0
ROUNDS: Final = 3
FLOOD: Final = 500_000
"""Lines per second."""
CLOSE: Final = 0.001
"""What a daemon says it has counted may be off by this: netdata keeps rates, of 24 bits."""
PUNCTUAL: Final = 0.95
"""If the sender reaches a smaller part of its pace, the row says so. A burst still comes at once, but less often."""
LOST: Final = 0.5
"""A daemon that loses more than this in its socket is not compared: on a busy machine a small buffer loses much of each
burst. The cost of the others is that of the lines they counted."""


TO_BARE: Final = 1.3
"""The goal: the agent's cost divided by the cost of the bare loop and the core together."""


class Shape(NamedTuple):
    """How packets come: so many at once. And how many names of each type are in them."""

    name: str
    burst: int
    names: int


class Row(NamedTuple):
    """A workload in a shape, its packets per second, and the agent's limit as a multiple of the best other daemon's."""

    shape: Shape
    workload: str
    pace: int
    goal: float | None

    def title(self, lines_per_packet: int, reached: float) -> str:
        """What is measured. ``reached``: packets per second of the slowest turn; a busy sender is late."""
        late = f" (slowest {reached / self.pace:.0%})" if reached < PUNCTUAL * self.pace else ""
        return f"{self.shape.name}: {self.workload}, {self.pace * lines_per_packet:,} lines/s{late}"


EVENLY: Final = Shape("evenly", 1, 100)
BURSTS: Final = Shape("bursts", 64, 500)
ROWS: Final = (
    Row(EVENLY, "repeated counters", 10_000, 0.8),
    Row(EVENLY, "distinct timings", 5_000, 1.0),
    Row(EVENLY, "mixed with tags", 5_000, None),
    Row(EVENLY, "one line per packet", 40_000, 1.1),
    Row(BURSTS, "repeated counters", FLOOD // 30, 0.3),
    Row(BURSTS, "distinct timings", FLOOD // 30, 0.3),
    Row(BURSTS, "mixed with tags", FLOOD // 30, 0.3),
    Row(BURSTS, "one line per packet", 100_000, 0.5),
)
WITHOUT: Final = {"mixed with tags": "netdata"}
"""A daemon that does not count such lines."""


@contextmanager
def all_daemons() -> Iterator[tuple[Agent, list[Daemon], Daemon]]:
    """The agent, the others, and the yardstick."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-agent-")))
        folders = [folder / name for name in ("central", "agent", "collectd", "netdata", "statsd", "bare")]
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
            bare = stack.enter_context(daemons.bare(folders[5]))
        for daemon in (ours, *others, bare):
            wait_until_it_listens(daemon.port)
        time.sleep(2)  # what they do once after the start is no part of what a line costs
        yield ours, others, bare


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


def send(port: int, packets: Sequence[bytes], pace: int, count: int, burst: int = 1) -> float:
    """Send ``count`` packets, ``pace`` per second, ``burst`` at once, over and over. Returns the packets per second.

    It waits by looking at the clock, so that it is punctual; hence the core of its own.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, on_core(0):
        sock.connect(("127.0.0.1", port))
        now, put = time.perf_counter, sock.send
        begun = now()
        for index, packet in enumerate(islice(cycle(packets), count)):
            if index % burst == 0:
                due = begun + index / pace
                while now() < due:
                    pass
            put(packet)
        return count / (now() - begun)


class Rounds:
    """CPU of each daemon per line of one workload, round after round."""

    def __init__(self, row: Row, workload: Workload, idle: dict[str, float]) -> None:
        self._row, self._workload, self._idle = row, workload, idle
        self._packets = int(row.pace * TURN_SECONDS) // len(workload.packets) * len(workload.packets)
        self.nanoseconds: dict[str, list[float]] = {}
        self.paces: list[float] = []

    def round(self, everyone: Sequence[Daemon]) -> None:
        for daemon in everyone:
            self.nanoseconds.setdefault(daemon.name, []).append(self._turn(daemon))

    def costs(self, name: str, shares: dict[str, float]) -> list[float]:
        """The cost per counted line, round by round."""
        return [one / shares[name] for one in self.nanoseconds[name]]

    def ratios(self, shares: dict[str, float]) -> list[float]:
        """The agent's cost per counted line, divided by that of the best other daemon: one number per round.

        Empty when all others lost too much.
        """
        fit = (name for name, share in shares.items() if name not in ("agent", "bare") and share > 1 - LOST)
        others = [self.costs(name, shares) for name in fit]
        if not others:
            return []
        return [mine / min(rest) for mine, *rest in zip(self.costs("agent", shares), *others, strict=True)]

    def ratios_to_bare(self, shares: dict[str, float], core: float) -> list[float]:
        """The agent's cost per counted line, divided by that of the bare loop and the core together, round by round."""
        both = zip(self.costs("agent", shares), self.costs("bare", shares), strict=True)
        return [mine / (bare + core) for mine, bare in both]

    def _turn(self, daemon: Daemon) -> float:
        before, begun = cpu_seconds(daemon.pid), time.monotonic()
        row = self._row
        self.paces.append(send(daemon.port, self._workload.packets, row.pace, self._packets, row.shape.burst))
        time.sleep(max(0.0, begun + TURN_SECONDS + 0.5 - time.monotonic()))
        used = cpu_seconds(daemon.pid) - before - self._idle[daemon.name] * (time.monotonic() - begun)
        return used / (self._packets * self._workload.lines_per_packet) * 1e9

    def sent(self, daemon: Daemon) -> float:
        """What a daemon was sent, as it counts: lines, datagrams, or what the counters and timings come to."""
        repeats = self._packets // len(self._workload.packets) * ROUNDS
        if daemon.name == "bare":
            return len(self._workload.packets) * repeats
        lines = len(self._workload.packets) * self._workload.lines_per_packet
        return (lines if daemon.name == "agent" else self._workload.numbers) * repeats


def measure(row: Row, workload: Workload, everyone: Sequence[Daemon], idle: dict[str, float]) -> list[str]:
    """The row of the table. Raises RuntimeError when a daemon has not counted what was sent."""
    present = [daemon for daemon in everyone if daemon.name != WITHOUT.get(row.workload)]
    rounds = Rounds(row, workload, idle)
    before = {daemon.name: daemon.counted() for daemon in present}
    dropped = sum(daemon.kernel_drops() for daemon in present if isinstance(daemon, Agent))
    for _ in range(ROUNDS):
        rounds.round(present)
    time.sleep(2 * FLUSH_SECONDS + 1)  # netdata shows a flush only after the next one
    shares = {}
    for daemon in present:
        expected, counted = rounds.sent(daemon), daemon.counted() - before[daemon.name]
        shares[daemon.name] = counted / expected
        least = 0.0
        if isinstance(daemon, Agent):  # it says what was lost
            expected -= (daemon.kernel_drops() - dropped) * workload.lines_per_packet
            least = 1 - CLOSE
        if not least * expected <= counted <= (1 + CLOSE) * expected:
            raise RuntimeError(f"{row.workload}: {daemon.name} counted {counted:,.0f} of {expected:,.0f}")
    core = fed_again(workload, row.pace * FLUSH_SECONDS) * 1e9
    cells = [_cell(rounds, daemon.name, shares) if daemon in present else "" for daemon in everyone]
    cells[-1] += f" + {core:,.0f}"
    ratios, to_bare = rounds.ratios(shares), rounds.ratios_to_bare(shares, core)
    return [
        row.title(workload.lines_per_packet, min(rounds.paces)),
        *cells,
        *_judged(ratios, row.goal),
        *_judged(to_bare, TO_BARE),
    ]


def fed_again(workload: Workload, packets: int) -> float:
    """Seconds of CPU per line for the core fed from memory, with names that it knows; the best of some rounds.

    It counts ``packets`` together, as many as come between two flushes: Python's part is done once for each series.
    """
    aggregator, seconds = Aggregator(AggregateOptions(), Ledger(), CORE), []
    for _ in range(ROUNDS + 1):
        begun = time.process_time()
        for packet in islice(cycle(workload.packets), packets):
            aggregator.feed(packet)
        aggregator.settle()
        seconds.append(time.process_time() - begun)
    return min(seconds[1:]) / packets / workload.lines_per_packet


def _cell(rounds: Rounds, name: str, shares: dict[str, float]) -> str:
    if not shares[name]:
        return "all lost"
    lost = f" ({1 - shares[name]:.1%} lost)" if shares[name] < 1 - CLOSE else ""
    return f"{median(rounds.costs(name, shares)):,.0f}{lost}"


def _judged(ratios: Sequence[float], goal: float | None) -> list[str]:
    if not ratios:
        return ["", *judged(0, None)]
    return [f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", *judged(median(ratios), goal)]


def judged(value: float, goal: float | None) -> list[str]:
    """A goal, and whether it is reached."""
    return ["", ""] if goal is None else [f"{goal:g}", MARKS[value <= goal]]


def at_rest(everyone: Sequence[Daemon]) -> tuple[dict[str, float], list[list[str]]]:
    """The share of a core that each daemon takes at rest, and the table's rows about it and about memory."""
    before = {daemon.name: cpu_seconds(daemon.pid) for daemon in everyone}
    begun = time.monotonic()
    time.sleep(IDLE_SECONDS)
    passed = time.monotonic() - begun
    idle = {daemon.name: (cpu_seconds(daemon.pid) - before[daemon.name]) / passed for daemon in everyone}
    shares = [idle[daemon.name] * 100 for daemon in everyone]
    sizes = [resident_bytes(daemon.pid) / 1e6 for daemon in everyone]
    return idle, [
        ["idle: % of a core", *(f"{share:.2f}" for share in shares), "", *judged(shares[0], 0.05)],
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
    what = f"{reached:,.0f} lines/s: datagrams dropped, lines not counted"
    return [what, f"{drops}, {lost:.0f}", "", "", "", "", "", *judged(drops + lost, 0)]


def main(chosen: Sequence[str]) -> None:
    loads = {shape: workloads(shape.names) for shape in (EVENLY, BURSTS)}
    rows: list[list[str]] = []
    names: list[str] = []
    try:
        with all_daemons() as (ours, others, bare):
            everyone = [ours, *others, bare]
            names = [daemon.name for daemon in everyone]
            idle, rows = at_rest(everyone)
            rows.append(flood(ours, loads[EVENLY]["repeated counters"]))
            for row in ROWS:
                if not chosen or row.shape.name in chosen:
                    print(f"measuring {row.shape.name}, {row.workload}", file=sys.stderr)
                    rows.append(measure(row, loads[row.shape][row.workload], everyone, idle))
    finally:  # what was measured is shown, also when the next could not be
        title = f"The agent beside other StatsD daemons, ns per line: medians of {ROUNDS} rounds, ratio to the best"
        if rows:
            columns = ["", *names[:-1], "bare + core", "ratio", "goal", "", "to bare + core", "goal", ""]
            show_table(title, columns, [[*row, *([""] * (len(columns) - len(row)))] for row in rows])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the daemons end too
    main(sys.argv[1:])

"""What a second thread of the agent brings: ``python -m loadtest.bench_threads``.

Sockets are filled before, so that no sender needs a core meanwhile. Then one thread reads one full socket, or each of
two threads reads its own at the same time, and counts, with a journal. Two things are measured: lines per second until
everything is read, by the clock, which needs two free cores; and the processor time of each thread per line, which
does not. Where two threads take no more time per line than one, they do not hinder each other.
"""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from agent.aggregate.aggregator import AggregateOptions
from agent.aggregate.compiled import CORE
from agent.journal.journal import Journal, JournalRoom
from agent.receive.datagrams import open_udp
from loadtest.lines import Workload, workloads
from loadtest.report import show_table

if TYPE_CHECKING:
    from agent.aggregate.core import Core

ROUNDS: Final = 60
NAMES: Final = 500
PACKETS: Final = 3_000
"""They fit into a receive buffer."""
WORKLOADS: Final = ("repeated counters", "distinct timings", "one line per packet")


def learn(name: bytes, tail: bytes) -> tuple[int, Any, bool]:
    """As the agent does."""
    return 10**12, (name, tail), tail.startswith(b"ms")


def fill(sock: socket.socket, packets: Sequence[bytes]) -> None:
    """Let the packets wait in the socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(sock.getsockname())
        for packet in packets:
            sender.send(packet)


def timed(
    cores: Sequence["Core"], socks: Sequence[socket.socket], packets: Sequence[bytes], first: int
) -> tuple[float, float]:
    """Seconds until all was read and counted, and the mean processor time of a thread.

    The threads are on different processors, from the ``first`` on.
    """
    for sock in socks:
        fill(sock, packets)
    stop, tell = os.eventfd(1), os.eventfd(0)  # each thread stops as soon as nothing waits
    begin, cpus = threading.Barrier(len(cores)), sorted(os.sched_getaffinity(0))
    used, began, ended = list[float](), list[float](), list[float]()

    def run(number: int, core: "Core", sock: socket.socket) -> None:
        os.sched_setaffinity(
            0, {cpus[(first + number) % len(cpus)]}
        )  # of this thread; it is over before the kernel spreads them
        begin.wait()
        began.append(time.perf_counter())
        before = time.thread_time()
        core.serve(sock.fileno(), 0, stop, tell, 1)
        used.append(time.thread_time() - before)
        ended.append(time.perf_counter())

    pairs = enumerate(zip(cores, socks, strict=True))
    threads = [threading.Thread(target=run, args=(number, *pair)) for number, pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(stop)
    os.close(tell)
    return max(ended) - min(began), sum(used) / len(used)


def measure(load: Workload, folder: Path) -> list[str]:
    """Two threads beside one. Raises RuntimeError when a packet was not read."""
    assert CORE is not None
    packets = load.packets[:PACKETS]
    lines = len(packets) * load.lines_per_packet
    cores = [CORE(learn) for _ in range(3)]
    for core in cores:
        for packet in packets:
            core.feed(packet)
        core.take()
    journal = Journal(folder / "journal", cores[0], lambda event, message: None, JournalRoom(), cores[1:])
    journal.open("bench", AggregateOptions())
    paces: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        socks = [stack.enter_context(open_udp("127.0.0.1", 0)) for _ in range(2)]
        for number in range(ROUNDS):
            for threads in (1, 2):
                journal.turn(number, 0.0)
                before = sum(core.served()[0] for core in cores)
                passed, used = timed(cores[1 : 1 + threads], socks[:threads], packets, number)
                if sum(core.served()[0] for core in cores) - before != threads * len(packets):
                    raise RuntimeError("the sockets were too small for the packets")
                paces[threads].append(threads * lines / passed)
                costs[threads].append(used / lines * 1e9)
                for core in cores:
                    core.take()
    journal.close()
    ratio, best = median(paces[2]) / median(paces[1]), max(paces[2]) / max(paces[1])
    return [
        *(f"{max(paces[threads]) / 1e6:.1f}" for threads in (1, 2)),
        *(f"{best:.2f}", f"{ratio:.2f}"),
        *(f"{min(costs[threads]):.0f} ({median(costs[threads]):.0f})" for threads in (1, 2)),
    ]


def main() -> None:
    loads = workloads(NAMES)
    with tempfile.TemporaryDirectory(prefix="bench-threads-") as folder:
        rows = [[name, *measure(loads[name], Path(folder))] for name in WORKLOADS]
    columns = ["", "1 thread: million lines/s", "2 threads", "ratio of the best", "of the medians"]
    columns += ["1 thread: ns per line, best (median)", "2 threads, each"]
    show_table(f"Two threads beside one: {ROUNDS} rounds of {PACKETS:,} packets per socket", columns, rows)


if __name__ == "__main__":
    main()

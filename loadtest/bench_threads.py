"""What a second thread of the agent brings: ``python -m loadtest.bench_threads``.

Sockets are filled before, so that no sender needs a core meanwhile. Then one thread reads one full socket, or each of
two threads reads its own at the same time, and counts, with a journal. Two things are measured: lines per second until
everything is read, by the clock, which needs two free cores (or realtime priority: ``chrt -f 50``); and the processor
time of each thread per line, which does not. Two processes that share nothing do the same beside them: what they do
not reach, the machine does not give.
"""

import multiprocessing
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent.aggregate.aggregator import AggregateOptions
from agent.aggregate.compiled import CORE
from agent.journal.journal import Journal, JournalRoom
from agent.receive.datagrams import open_udp
from loadtest.lines import Workload, workloads
from loadtest.report import show_table

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from agent.aggregate.core import Core

ROUNDS: Final = 60
NAMES: Final = 500
PACKETS: Final = 3_000
"""They fit into a receive buffer."""
SOON: Final = 0.005
"""Seconds after which two processes begin at once."""
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


class Drained(NamedTuple):
    """When a thread began and ended, by the clock, and its processor time. All in seconds."""

    began: float
    ended: float
    used: float


def drain(
    core: "Core", sock: socket.socket, packets: Sequence[bytes], cpu: int, begin: Callable[[], object]
) -> Drained:
    """Fill the socket, ``begin``, then read and count everything in it, on this processor.

    What one processor has filled is also read there, so that two do not free each other's memory.
    """
    stop, tell = os.eventfd(1), os.eventfd(0)  # the thread stops as soon as nothing waits
    os.sched_setaffinity(0, {cpu})  # of this thread; it is over before the kernel spreads several
    fill(sock, packets)
    begin()
    began, before = time.perf_counter(), time.thread_time()
    core.serve(sock.fileno(), 0, stop, tell, 1)
    drained = Drained(began, time.perf_counter(), time.thread_time() - before)
    os.close(stop)
    os.close(tell)
    return drained


def cores_that_know(packets: Sequence[bytes], count: int) -> list["Core"]:
    """Cores that have learned the names of these packets."""
    assert CORE is not None
    cores = [CORE(learn) for _ in range(count)]
    for core in cores:
        for _ in range(2 + NAMES // 100):  # one call learns only some names
            for packet in packets:
                core.feed(packet)
        core.take()
    return cores


@contextmanager
def journal_of(cores: Sequence["Core"], folder: Path) -> Iterator[Journal]:
    """An open journal."""
    journal = Journal(folder / "journal", cores[0], lambda event, message: None, JournalRoom(), cores[1:])
    journal.open("bench", AggregateOptions())
    yield journal
    journal.close()


def in_threads(
    cores: Sequence["Core"], socks: Sequence[socket.socket], packets: Sequence[bytes], first: int
) -> list[Drained]:
    """Drain the sockets at once, in a thread each, on different processors, from the ``first`` on."""
    begin, cpus = threading.Barrier(len(cores)), sorted(os.sched_getaffinity(0))
    drained = list[Drained]()

    def run(number: int, core: "Core", sock: socket.socket) -> None:
        drained.append(drain(core, sock, packets, cpus[(first + number) % len(cpus)], begin.wait))

    pairs = enumerate(zip(cores, socks, strict=True))
    threads = [threading.Thread(target=run, args=(number, *pair)) for number, pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return drained


def work(packets: Sequence[bytes], folder: Path, cpu: int, asked: "Connection") -> None:
    """Be one of two processes. It is sent the number of each round, and then when to begin."""
    folder.mkdir()
    (core,) = cores_that_know(packets, 1)
    with journal_of([core], folder) as journal, open_udp("127.0.0.1", 0) as sock:
        while (number := asked.recv()) is not None:
            opened = journal.turn(number, 0.0)
            asked.send(drain(core, sock, packets, cpu, partial(meet, asked)))
            core.take()
            journal.release(opened.generation)


def meet(asked: "Connection") -> None:
    """Say that the socket is full, and wait for the moment at which all begin, by looking at the clock."""
    asked.send(None)
    moment = asked.recv()
    while time.perf_counter() < moment:
        pass


def in_processes(workers: Sequence["Connection"], number: int) -> list[Drained]:
    """Let each process drain a socket of its own, all at once."""
    for worker in workers:
        worker.send(number)
    for worker in workers:
        worker.recv()
    at = time.perf_counter() + SOON
    for worker in workers:
        worker.send(at)
    return [worker.recv() for worker in workers]


@contextmanager
def processes(packets: Sequence[bytes], folder: Path) -> Iterator[list["Connection"]]:
    """Two processes that ``work``."""
    context, cpus = multiprocessing.get_context("fork"), sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        ours = list["Connection"]()
        for number in range(2):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(packets, folder / str(number), cpus[number], there))
            process.start()
            stack.callback(process.join)
            stack.callback(here.send, None)
            ours.append(here)
        yield ours


def measure(load: Workload, folder: Path) -> list[str]:
    """Two threads, and two processes, beside one thread. Raises RuntimeError when a packet was not read."""
    packets = load.packets[:PACKETS]
    lines = len(packets) * load.lines_per_packet
    paces: dict[str, list[float]] = {"one": [], "threads": [], "processes": []}
    costs: dict[str, list[float]] = {"one": [], "threads": [], "processes": []}

    def note(name: str, drained: Sequence[Drained]) -> None:
        passed = max(one.ended for one in drained) - min(one.began for one in drained)
        paces[name].append(len(drained) * lines / passed)
        costs[name].append(sum(one.used for one in drained) / len(drained) / lines * 1e9)

    with ExitStack() as stack:
        workers = stack.enter_context(processes(packets, folder))
        cores = cores_that_know(packets, 3)
        journal = stack.enter_context(journal_of(cores, folder))
        socks = [stack.enter_context(open_udp("127.0.0.1", 0)) for _ in range(2)]
        for number in range(ROUNDS):
            for name, count in (("one", 1), ("threads", 2)):
                opened = journal.turn(number, 0.0)
                before = sum(core.served()[0] for core in cores)
                note(name, in_threads(cores[1 : 1 + count], socks[:count], packets, number))
                if sum(core.served()[0] for core in cores) - before != count * len(packets):
                    raise RuntimeError("the sockets were too small for the packets")
                for core in cores:
                    core.take()
                journal.release(opened.generation)
            note("processes", in_processes(workers, number))
    best = {name: max(each) for name, each in paces.items()}
    middle = {name: median(each) for name, each in paces.items()}
    return [
        *(f"{best[name] / 1e6:.1f}" for name in best),
        *(f"{best[name] / best['one']:.2f} ({middle[name] / middle['one']:.2f})" for name in ("threads", "processes")),
        *(f"{min(each):.0f} ({median(each):.0f})" for each in costs.values()),
    ]


def main() -> None:
    loads = workloads(NAMES)
    rows = []
    for name in WORKLOADS:
        with tempfile.TemporaryDirectory(prefix="bench-threads-") as folder:
            rows.append([name, *measure(loads[name], Path(folder))])
    columns = [
        "",
        "1 thread: million lines/s",
        "2 threads",
        "2 processes",
        "threads: ratio, best (median)",
    ]
    columns += ["processes", "1 thread: ns per line, best (median)", "2 threads, each", "2 processes, each"]
    show_table(f"Two threads beside one: {ROUNDS} rounds of {PACKETS:,} packets per socket", columns, rows)


if __name__ == "__main__":
    main()

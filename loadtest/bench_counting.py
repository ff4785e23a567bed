"""CPU of counting a line, in this process and without a socket: ``python -m loadtest.bench_counting``.

bare      Counter.update(packet.split(b"\\n")): counts lines and understands none
plain     Aggregator.feed and settle in plain Python
compiled  the same with the compiled core

Nanoseconds per line, the best of a few rounds.
"""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE, MaybeCore
from agent.ledger import Ledger
from loadtest.lines import Workload, workloads
from loadtest.report import show_table

ROUNDS: Final = 3


def bare(load: Workload) -> float:
    """Seconds of CPU of the loop ``bare``."""
    counts: Counter[bytes] = Counter()
    begun = time.process_time()
    for packet in load.packets:
        counts.update(packet.split(b"\n"))
    return time.process_time() - begun


def fed(load: Workload, core: MaybeCore) -> float:
    """Seconds of CPU for the aggregator."""
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    begun = time.process_time()
    for packet in load.packets:
        aggregator.feed(packet)
    aggregator.settle()
    seconds = time.process_time() - begun
    assert ledger.in_window == ledger.received == len(load.packets) * load.lines_per_packet
    return seconds


def best(seconds: Callable[[], float], load: Workload) -> str:
    """Nanoseconds per line of the best round."""
    return f"{min(seconds() for _ in range(ROUNDS)) / len(load.packets) / load.lines_per_packet * 1e9:.0f}"


def main() -> None:
    rows = []
    for name, load in workloads().items():
        row = [name, best(partial(bare, load), load), best(partial(fed, load, None), load)]
        rows.append([*row, best(partial(fed, load, CORE), load) if CORE else "not built"])
    show_table("Counting a line, ns of CPU", ["", "bare", "plain", "compiled"], rows)


if __name__ == "__main__":
    main()

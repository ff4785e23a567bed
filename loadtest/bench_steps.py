"""The longest step of a window of new names: ``python -m loadtest.bench_steps [NAMES] [KIND]...``.

An aggregator in this process takes NAMES (100,000) new names in every window, as ``bench_close`` sends them, counts
what is due in steps, cuts the window and makes its batches. Windows of one kind have the same steps. So the least time
of each step, over some windows, is that of the step without what other work on the machine added. Garbage is collected
as in the agent, and shown apart: the longest collection of the best window. All times are of this thread's processor.
"""

import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.app import GC_THRESHOLD
from agent.ledger import Ledger
from agent.spool.batch import batches, ids_of
from loadtest.bench_close import INTERVAL, KINDS, LINES_PER_PACKET
from loadtest.report import show_table

UNCOUNTED: Final = 3
"""Windows at the beginning. After them the agent forgets gauges as fast as new ones come."""
WINDOWS: Final = 4
PARTS: Final = ("feed", "count", "cut", "batch")


class Clock:
    """Times steps of one window, without the collections of garbage in them."""

    def __init__(self) -> None:
        self.steps = defaultdict[str, list[float]](list)
        self.longest_collection = 0.0
        self._begun = self._collected = 0.0

    def collecting(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        """For ``gc.callbacks``."""
        if phase == "start":
            self._begun = time.thread_time()
        else:
            took = time.thread_time() - self._begun
            self._collected += took
            self.longest_collection = max(self.longest_collection, took)

    def step(self, part: str, work: Callable[[], Any]) -> Any:
        """Time one step. Returns its result."""
        self._collected = 0.0
        begun = time.thread_time()
        result = work()
        self.steps[part].append(time.thread_time() - begun - self._collected)
        return result


def one_window(aggregator: Aggregator, kind: str, names: int, number: int) -> Clock:
    """The steps of a window."""
    lines = [KINDS[kind].line(name, number) for name in range(names)]
    clock = Clock()
    gc.collect(1)  # the lines are not the agent's
    gc.callbacks.append(clock.collecting)
    for first in range(0, names, LINES_PER_PACKET):
        packet = b"\n".join(lines[first : first + LINES_PER_PACKET])
        clock.step("feed", partial(aggregator.feed, packet))
        while clock.step("count", aggregator.step):
            pass
    if aggregator.core:
        aggregator.core.forget()  # at the cut, so that each window learns all of its names
    clock.step("cut", lambda: aggregator.cut(number * INTERVAL))
    closing = aggregator.settling()
    while clock.step("count", lambda: next(closing, 0)) is None:
        pass
    made = batches(aggregator.closed(), ids_of("0" * 24))
    while clock.step("batch", lambda: next(made, None)) is not None:
        pass
    gc.callbacks.remove(clock.collecting)
    return clock


def measure(kind: str, names: int) -> list[str]:
    """The row of a kind."""
    aggregator = Aggregator(AggregateOptions(), Ledger(), CORE)
    aggregator.when_due = lambda: None  # it is counted step by step
    clocks = [one_window(aggregator, kind, names, number) for number in range(UNCOUNTED + WINDOWS)][UNCOUNTED:]
    least = [max(map(min, zip(*(clock.steps[part] for clock in clocks), strict=False))) for part in PARTS]
    return [kind, *(f"{1e3 * one:.1f}" for one in (*least, min(clock.longest_collection for clock in clocks)))]


def main(names: int, kinds: Sequence[str]) -> None:
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    rows = [measure(kind, names) for kind in kinds]
    show_table(f"The longest step of a window of {names:,} new names, ms", ["", *PARTS, "garbage"], rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2:] or list(KINDS))

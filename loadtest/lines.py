"""StatsD lines to measure with: packets by workload, the same on every run."""

import random
from collections.abc import Callable
from typing import Final, NamedTuple

NAMES: Final = 100
PACKETS: Final = 4_000
LINES_PER_PACKET: Final = 30


class Workload(NamedTuple):
    """``numbers`` is what the counters of all packets add up to, rates and all, and the number of their timings."""

    packets: list[bytes]
    lines_per_packet: int
    numbers: float


class _Pick:
    """Random lines, and what they add up to. Each name has one type, because central allows only one."""

    def __init__(self, names: int) -> None:
        self.random = random.Random(1)
        self.numbers = 0.0
        self._names = names
        self._tags = ""

    def name(self, kind: str) -> str:
        index = self.random.randrange(self._names)
        return f"app.service{index % 7}.{kind}{index}{self._tags}"

    def mixed_with_tags(self) -> str:
        """The same, half of them with tags in the name, as Graphite writes them: most daemons count such a name."""
        self._tags = f";env=prod;host=web-{self.random.randrange(4)}" if self.random.randrange(2) else ""
        try:
            return self.mixed()
        finally:
            self._tags = ""

    def counter(self) -> str:
        self.numbers += 1
        return f"{self.name('counter')}:1|c"

    def timing(self) -> str:
        self.numbers += 1
        return f"{self.name('timing')}:{self.random.uniform(0, 1000):.3f}|ms"

    def mixed(self) -> str:
        """As most daemons understand them: 30 % counters, 20 % sampled ones, 30 % timings, gauges, sets."""
        part = self.random.randrange(100)
        if part < 30:
            return self.counter()
        if part < 50:
            self.numbers += 2
            return f"{self.name('counter')}:1|c|@0.5"
        if part < 80:
            return self.timing()
        if part < 90:
            return f"{self.name('gauge')}:{self.random.randrange(10_000) / 100}|g"
        return f"{self.name('set')}:user{self.random.randrange(500)}|s"

    def workload(self, line: Callable[[], str], lines_per_packet: int) -> Workload:
        before = self.numbers
        packets = ["\n".join(line() for _ in range(lines_per_packet)).encode() for _ in range(PACKETS)]
        return Workload(packets, lines_per_packet, self.numbers - before)


def workloads(names: int = NAMES) -> dict[str, Workload]:
    """Workloads by name, with so many names of each type."""
    pick = _Pick(names)
    return {
        "repeated counters": pick.workload(pick.counter, LINES_PER_PACKET),
        "distinct timings": pick.workload(pick.timing, LINES_PER_PACKET),
        "mixed": pick.workload(pick.mixed, LINES_PER_PACKET),
        "mixed with tags": pick.workload(pick.mixed_with_tags, LINES_PER_PACKET),
        "one line per packet": pick.workload(pick.counter, 1),
    }

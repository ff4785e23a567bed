"""What processes need while they run: memory, file handles, lags, sampled from outside."""

import asyncio
import contextlib
import re
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from loadtest.plot import Points

MEMORY, HANDLES, LAG, WAITING = "memory", "handles", "lag", "waiting"


class Watch:
    """Samples by kind and by process; ``points`` are seconds since the start and values."""

    def __init__(self, pids: Mapping[str, int], centrals: Mapping[str, str], agent: str) -> None:
        self._pids = pids
        self._centrals = centrals
        self._agent = agent
        self._started = time.monotonic()
        self.points: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))

    @asynccontextmanager
    async def every(self, seconds: float) -> AsyncIterator[None]:
        """Sample all the time inside the block."""

        async def run() -> None:
            while True:
                await asyncio.to_thread(self.sample)
                await asyncio.sleep(seconds)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def sample(self) -> None:
        """Take one sample of each process. It blocks."""
        now = time.monotonic() - self._started
        for name, pid in self._pids.items():
            self.points[MEMORY][name].append((now, resident(pid) / 2**20))
            self.points[HANDLES][name].append((now, len(list(Path(f"/proc/{pid}/fd").iterdir()))))
        for name, url in self._centrals.items():
            numbers = scrape(url)
            self.points[LAG][f"spill, {name}"].append((now, numbers["fiesta_spill_lag_seconds"]))
            self.points[WAITING][name].append((now, numbers["fiesta_requests_waiting"]))
        numbers = scrape(self._agent)
        # What the agent has not delivered: nothing, or as old as its last success.
        age = (
            numbers.get("fiesta_agent_last_success_age_seconds", 0.0) if numbers["fiesta_agent_spool_batches"] else 0.0
        )
        self.points[LAG]["agent"].append((now, age))

    def most(self, kind: str) -> float:
        """The largest value of all processes."""
        return max((value for points in self.points[kind].values() for _, value in points), default=0.0)

    def growth(self, kind: str, name: str) -> float:
        """The median of the last quarter minus the median of the second quarter."""
        points = self.points[kind][name]
        quarter = len(points) // 4
        return median(points[-quarter:]) - median(points[quarter : 2 * quarter]) if quarter else 0.0


def median(points: Points) -> float:
    """The median of the values."""
    ordered = sorted(value for _, value in points)
    return ordered[len(ordered) // 2]


def resident(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0


def scrape(url: str) -> dict[str, float]:
    """The samples of a /metrics page."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

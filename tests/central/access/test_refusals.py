"""central/access/refusals.py: refusals are answered at one pace, and a flood of them ends in time."""

import pytest

from central.access.refusals import BURST, MOST_SECONDS, PER_SECOND, Refusals
from tests.central.harness import Clock


class Paced:
    """Refusals on a clock of their own; ``slept`` has how long each of those that waited had to wait."""

    def __init__(self) -> None:
        self.clock = Clock(1_000.0)
        self.slept: list[float] = []
        self.refusals = Refusals(self.clock, self._sleep)

    async def wait(self, count: int) -> list[float]:
        """How long each of so many that come at once waits."""
        before = len(self.slept)
        for _ in range(count):
            await self.refusals.wait()
        return self.slept[before:]

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_few_refusals_wait_for_nothing() -> None:
    paced = Paced()
    assert await paced.wait(BURST) == []


async def test_a_flood_goes_at_its_pace() -> None:
    paced = Paced()
    waits = [0.0, *await paced.wait(BURST + 100)]
    assert waits == pytest.approx([number / PER_SECOND for number in range(100)], abs=1e-6)


async def test_what_would_wait_too_long_does_not_wait() -> None:
    paced = Paced()
    held = int(MOST_SECONDS * PER_SECOND)
    waits = await paced.wait(BURST + 3 * held)
    assert len(waits) == pytest.approx(held, abs=2)
    assert max(waits) == pytest.approx(MOST_SECONDS, abs=0.01)
    paced.clock.now += 1
    assert len(await paced.wait(3 * held)) == pytest.approx(PER_SECOND, abs=2), "a second has made room"


async def test_after_a_quiet_time_the_pace_begins_anew() -> None:
    paced = Paced()
    await paced.wait(BURST + 100)
    paced.clock.now += 10
    assert await paced.wait(BURST) == []

"""A clock for deletions, which cannot be undone: it follows a jump of the wall clock only after a grace time. Pure.

The second source is the time since the start, which nobody can set (``time.monotonic``). While the two keep step, the
wall clock is right or was wrong from the beginning; where they part, one reading of it proves nothing.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

GRACE_SECONDS: Final = 3_600.0
"""How long a clock keeps step before anything is removed because of it."""
TOLERANCE_SECONDS: Final = 30.0
"""By how much two readings may part and still be in step: a clock is slewed, and a process is stopped for a moment."""


class Reading(NamedTuple):
    """UTC seconds by which to judge ages, and for how many more seconds nothing may be removed because of its age."""

    now: float
    wait: float


class PlausibleClock:
    """The wall clock, except that it follows a jump only after the jump has lasted for the grace time.

    A process that has just started knows no earlier clock, so it waits for the grace time too. ``on_jump`` is called
    for each jump with its seconds, which are negative for a jump back.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        *,
        grace: float = GRACE_SECONDS,
        on_jump: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._wall = wall
        self._ticks = ticks
        self._grace = grace
        self._on_jump = on_jump
        self.jumps = 0
        self._since = ticks()
        self._offset = self._trusted = wall() - self._since

    def __call__(self) -> float:
        """UTC seconds, as in ``read``."""
        return self.read().now

    def settled(self) -> bool:
        """Whether things may be removed because of their age now."""
        return not self.read().wait

    def read(self) -> Reading:
        """Read both clocks. Call it more often than once per grace time, or it misses a jump back."""
        ticks = self._ticks()
        offset = self._wall() - ticks
        step = offset - self._offset
        self._offset = offset
        if abs(step) > TOLERANCE_SECONDS:
            self._since = ticks
            self.jumps += 1
            self._on_jump(step)
        wait = max(0.0, self._since + self._grace - ticks)
        # Back where it was, it is right at once: then what came between was the fault.
        if not wait or abs(offset - self._trusted) <= TOLERANCE_SECONDS:
            self._trusted = offset
        return Reading(self._trusted + ticks, wait)

"""A clock for what cannot be undone: a jump of the wall clock is believed only after it has lasted. Pure.

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
    """UTC seconds to judge ages by, and how many seconds more nothing may be removed because of them; 0 for now."""

    now: float
    wait: float


class PlausibleClock:
    """The wall clock, but a jump is followed only when it has lasted for the grace time.

    A process that has just begun knows nothing of the clock before: it waits for the grace time too. ``on_jump`` is
    told of each jump, forward or back, by how many seconds.
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
        """Look at both clocks. To be asked more often than once in a grace time, or a jump back is not seen."""
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

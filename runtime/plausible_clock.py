"""A clock for deletions, which nobody can undo. It follows a jump of the wall clock only after a grace time. Pure.

It compares the wall clock with the monotonic clock, which nobody can set. While the two agree, the wall clock is right
or was wrong from the start. When they differ, one reading of the wall clock proves nothing.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

GRACE_SECONDS: Final = 3_600.0
"""How long the two clocks must agree before anything is removed."""
DOUBT_SECONDS: Final = 30.0
"""How long after a jump nobody knows whether the jump or the time before it was wrong."""
TOLERANCE_SECONDS: Final = 30.0
"""Two clocks that differ by less agree. A clock may be slewed, and a process may be stopped for a moment."""


class Reading(NamedTuple):
    """UTC seconds for the computation of ages, and for how many more seconds nothing may be removed."""

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
        return self._look() + self._trusted

    def settled(self) -> bool:
        """Whether things may be removed because of their age now."""
        return not self.read().wait

    def doubtful(self) -> bool:
        """Whether the wall clock has just jumped and is not back: nothing may be recorded under its time now."""
        offset = self._wall() - self._ticks()
        if abs(offset - self._trusted) <= TOLERANCE_SECONDS and abs(offset - self._offset) <= TOLERANCE_SECONDS:
            self._offset = self._trusted = offset  # as ``_look`` does; two of these calls are a part of each POST
            return False
        ticks = self._look()
        return self._is_away() and ticks - self._since < DOUBT_SECONDS

    def fault(self) -> str | None:
        """What is wrong with the wall clock, in words. None when it is where it was."""
        wait = self.read().wait
        if not self._is_away():
            return None
        left = self._since + DOUBT_SECONDS - self._ticks()
        says = f"nothing is stored for {left:.0f} s" if left > 0 else f"nothing is removed for {wait:.0f} s"
        return f"this host's clock has jumped by {self._offset - self._trusted:+.0f} s; {says}, or until it is back"

    def read(self) -> Reading:
        """Read both clocks. Call it more often than once per grace time, or it misses a jump back."""
        ticks = self._look()
        return Reading(self._trusted + ticks, max(0.0, self._since + self._grace - ticks))

    def _look(self) -> float:
        """Compare the clocks. Returns the monotonic one."""
        ticks = self._ticks()
        offset = self._wall() - ticks
        step = offset - self._offset
        self._offset = offset
        if abs(step) > TOLERANCE_SECONDS:
            self._since = ticks
            self.jumps += 1
            self._on_jump(step)
        # A clock that jumps back to its old time is right at once: the time in between was wrong.
        if abs(offset - self._trusted) <= TOLERANCE_SECONDS or ticks >= self._since + self._grace:
            self._trusted = offset
        return ticks

    def _is_away(self) -> bool:
        return abs(self._offset - self._trusted) > TOLERANCE_SECONDS

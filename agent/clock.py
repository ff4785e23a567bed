"""Central's clock, as far as its Date headers tell: it decides what is too old and what is in the future.

It is kept against a clock that nobody sets, so that a step of this host's wall clock does not move it.
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from protocol.limits import CLOCK_SKEW_SECONDS, MAX_AGE_SECONDS, MAX_CLOCK_SKEW_SECONDS
from runtime.plausible_clock import PlausibleClock

CLOCK_OFF_SECONDS: Final = 30.0
"""A clock that differs by more is wrong, whatever else may cost time on the way."""


def parse_http_date(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date, None where there is none or it is no date."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class CentralClock:
    """``wall`` is this host's time in seconds since the epoch, ``steady`` never steps."""

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self.wall: Final = wall
        self.steady: Final = steady
        self.sure = False
        """Whether the time came from central itself, not from what stands before it."""
        self.when_sure: Callable[[], None] = lambda: None
        """Called once, when it first has."""
        self._skew = CLOCK_SKEW_SECONDS
        """Of a central that does not say its own."""
        self._learned: tuple[float, float] | None = None
        self._steadiness = PlausibleClock(self.now, steady)

    def learn(self, date: str | None, ours: bool, skew: str | None = None) -> None:
        """Take the Date of an answer that has just come. A stranger's counts only until central's own.

        ``skew`` is the answer's Metrics-Clock-Skew, which central alone can know. Nonsense changes nothing.
        """
        if ours and skew is not None and skew.isascii() and skew.isdigit() and len(skew) < 12:
            self._skew = min(int(skew), MAX_CLOCK_SKEW_SECONDS)
        seconds = parse_http_date(date)
        if seconds is not None and (ours or not self.sure):
            self._learned = seconds, self.steady()
            first, self.sure = ours and not self.sure, ours
            if first:
                self.when_sure()

    def assume(self) -> None:
        """Go on with the time as we know it, as if it had been told again: nobody would tell it."""
        self._learned = self.now(), self.steady()

    @property
    def known(self) -> bool:
        """Whether any answer has told the time."""
        return self._learned is not None

    def age(self) -> float:
        """Seconds since the time was last told; infinite before the first."""
        return self.steady() - self._learned[1] if self._learned else float("inf")

    def now(self) -> float:
        """Central's time, at most a second and the way back behind it; this host's while unknown."""
        if self._learned is None:
            return self.wall()
        told, at = self._learned
        return told + self.steady() - at

    def ahead(self) -> float:
        """How many seconds this host is ahead of central; a second or so is noise."""
        return self.wall() - self.now()

    def latest_start(self) -> float:
        """A window that starts later than this would be refused as in the future."""
        return self.now() + self._skew

    def plausible(self) -> bool:
        """Whether central's time has kept step with the steady one for so long that what it calls old may go.

        To be asked at least once in a window.
        """
        return self._steadiness.settled()

    def earliest_start(self) -> float:
        """A window that started before this would be refused as too old; -inf while we are not sure."""
        return self.now() - MAX_AGE_SECONDS if self.sure else float("-inf")


class WindowClock:
    """The time that windows go by: this host's, unless central itself has told that it is far off.

    Then the windows go on as they did, or by central's time where they were wrong from the start. So a clock that
    somebody sets wrong, by an hour or by a year, moves no window to a time that central would refuse.
    ``base`` is what this time had before the steady one at the last look: windows that were recorded under another
    base are moved to the true one once it is known, see ``shift``.
    """

    def __init__(self, central: CentralClock) -> None:
        self._central = central
        self.base = central.wall() - central.steady()

    def now(self) -> float:
        """Seconds since the epoch."""
        central = self._central
        wall, steady = central.wall(), central.steady()
        if not central.sure or abs(central.ahead()) <= CLOCK_OFF_SECONDS:
            self.base = wall - steady
            return wall
        if abs(self.base + steady - central.now()) > CLOCK_OFF_SECONDS:
            self.base = central.now() - steady
        return self.base + steady

    def shift(self, base: float, interval: int) -> int:
        """By how many seconds, whole windows, one recorded under ``base`` must move; 0 while the truth is not known."""
        self.now()
        off = self.base - base
        return int(off // interval) * interval if self._central.sure and abs(off) > CLOCK_OFF_SECONDS else 0

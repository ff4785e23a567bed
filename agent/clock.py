"""Central's clock, learned from its Date headers. It decides which windows are too old or in the future.

Between two answers it follows the steady clock, which nobody can set. So a step of this host's wall clock does not
change it.
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from protocol.limits import CLOCK_SKEW_SECONDS, MAX_AGE_SECONDS, MAX_CLOCK_SKEW_SECONDS
from runtime.plausible_clock import PlausibleClock

CLOCK_OFF_SECONDS: Final = 30.0
"""A clock that differs by more is wrong. Delays of the network are shorter."""


def parse_http_date(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date. None when it is absent or malformed."""
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
        """Whether the time came from central itself, and not from a proxy in front of it."""
        self.when_sure: Callable[[], None] = lambda: None
        """Called once, when ``sure`` becomes true."""
        self._skew = CLOCK_SKEW_SECONDS
        """Used until central says its own."""
        self._learned: tuple[float, float] | None = None
        self._steadiness = PlausibleClock(self.now, steady)

    def learn(self, date: str | None, ours: bool, skew: str | None = None) -> None:
        """Take over the Date of an answer that has just come. The Date of a proxy counts only until central's own.

        ``ours``: the answer is central's. ``skew`` is its Metrics-Clock-Skew header. Malformed headers are ignored.
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
        """Treat the time that we have as new, because no answer gave one."""
        self._learned = self.now(), self.steady()

    @property
    def known(self) -> bool:
        """Whether any answer has given the time."""
        return self._learned is not None

    def age(self) -> float:
        """Seconds since an answer last gave the time. Infinite before the first."""
        return self.steady() - self._learned[1] if self._learned else float("inf")

    def now(self) -> float:
        """Central's time, late by at most a second and the answer's time on the network.

        This host's time while central's is unknown.
        """
        if self._learned is None:
            return self.wall()
        date, learned_at = self._learned
        return date + self.steady() - learned_at

    def ahead(self) -> float:
        """How many seconds this host is ahead of central. About a second is noise."""
        return self.wall() - self.now()

    def latest_start(self) -> float:
        """Central refuses windows that start later than this as in the future."""
        return self.now() + self._skew

    def plausible(self) -> bool:
        """Whether central's time has agreed with the steady clock for so long that old batches may be removed.

        Call it at least once per window.
        """
        return self._steadiness.settled()

    def earliest_start(self) -> float:
        """Central refuses windows that started before this as too old. -inf while we are not sure of its time."""
        return self.now() - MAX_AGE_SECONDS if self.sure else float("-inf")


class WindowClock:
    """The clock of the windows. It is this host's clock, unless central's time shows that this host's is far off.

    Then the windows go on at the old pace, or by central's time when they were wrong from the start. So a clock that is
    set wrong, by an hour or a year, moves no window to a time that central would refuse.
    ``base`` is this clock minus the steady clock at the last call of ``now``. Windows that were recorded under another
    base are moved once the true one is known: see ``shift``.
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
        """By how many seconds to move a window that was recorded under ``base``: a multiple of ``interval``.

        0 while central's time is not known.
        """
        self.now()
        off = self.base - base
        return int(off // interval) * interval if self._central.sure and abs(off) > CLOCK_OFF_SECONDS else 0

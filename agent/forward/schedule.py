"""What is sent when, so that a fleet is a steady stream to its service. Pure: clocks and chance are passed in.

All agents close their windows at the same moment. The window that has just closed, the *fresh* one, is due after
this host's own share of the interval; then it is the *present*, and goes at once. All else is the *past*: what an
outage left, or the last run. Of that, PAST_WINDOWS windows go in an interval, so that a fleet that comes back sends
at most 1 + PAST_WINDOWS times what it sends in quiet times. Present and past take turns, so neither starves the other.
"""

import socket
from hashlib import blake2b
from pathlib import Path
from typing import Final

from agent.forward.backoff import Uniform
from agent.forward.outcome import Allowance
from agent.spool.index import IndexEntry, Order
from protocol.limits import MAX_BATCH_ITEMS

PAST_WINDOWS: Final = 4
"""An outage of an hour is made up in a quarter of an hour."""
FOR_THE_PRESENT: Final = 2
"""One part in so many of a key's minute: the rest is for the way back after an outage."""


def share_of(host: str) -> float:
    """A host's place among others, from 0 up to 1: always the same, and evenly spread over different hosts."""
    return int.from_bytes(blake2b(host.encode(), digest_size=8).digest()) / 2**64


class Schedule:
    """``interval`` is that of the windows in seconds, ``share`` see share_of; ``now`` is on the steady clock.

    Windows are known by their start and never compared with a clock, so a clock that is set changes nothing.
    """

    def __init__(self, interval: float, share: float, uniform: Uniform) -> None:
        self._interval = interval
        self._offset = interval * share
        self._uniform = uniform
        self._fresh: int | None = None
        self._due = 0.0
        self._present: int | None = None
        self._past: int | None = None
        """The window of the past that is being sent."""
        self._next_past = float("-inf")
        """When another may begin."""
        self._oldest_next = True
        self._tried_oldest = True
        self._past_next = False
        self._hurried = False

    def started(self, now: float) -> None:
        """Agents that start together do not send what the last run left together."""
        self._next_past = now + self._gap * self._offset / (self._interval or 1)

    def closed(self, start: int, now: float) -> None:
        """A window has closed. To be called before its batches can be seen."""
        self._come_due(float("inf"))
        self._fresh, self._due = start, now + self._offset

    def hurry(self) -> None:
        """All is due at once from now on: there may be no later."""
        self._hurried = True

    def choose(self, index: Order, latest: float, now: float) -> IndexEntry | None:
        """What to send now; None when there is nothing, or not yet. No window that starts after ``latest`` is meant."""
        self._come_due(float("inf") if self._hurried else now)
        present = self._end(index, self._present, latest)
        past = self._end(index, self._past, latest) if self._past != self._present else None
        if past is None and (now >= self._next_past or self._hurried):
            past = self._end(index, self._next_window(index, latest), latest)
        if present is None or (past is not None and self._past_next):
            return past
        return present

    def took(self, entry: IndexEntry, now: float) -> None:
        """What was chosen is being sent."""
        self._past_next = entry.start == self._present
        self._tried_oldest = self._oldest_next
        if entry.start not in {self._present, self._past}:
            self._past = entry.start
            self._next_past = now + self._uniform(0.5, 1.5) * self._gap
            self._oldest_next = not self._oldest_next

    def failed(self) -> None:
        """It did not go through. It must not stand before all others, so next time the other end is tried."""
        self._past = None
        self._oldest_next = not self._tried_oldest

    def allowed(self, allowance: Allowance, now: float) -> None:
        """What central says is left of the key's minute. The second half of it is for the present, of all hosts."""
        if allowance.remaining * 2 < allowance.limit:
            self._past = None
            until = now + allowance.reset + self._uniform(0.0, self._interval)
            self._next_past = max(self._next_past, until)

    def wait(self, index: Order, latest: float, now: float) -> float | None:
        """Seconds until ``choose`` may find something where it has just found nothing; None for never."""
        waits = []
        if self._fresh is not None and index.ends(self._fresh):
            waits.append(self._due - now)
        if self._next_window(index, latest) is not None:
            waits.append(self._next_past - now)
        return max(0.0, min(waits)) if waits else None

    @property
    def _gap(self) -> float:
        return self._interval / PAST_WINDOWS

    def _come_due(self, now: float) -> None:
        if self._fresh is not None and now >= self._due:
            self._present, self._fresh = self._fresh, None

    def _next_window(self, index: Order, latest: float) -> int | None:
        """The oldest window of the past, or the newest, in turn."""
        others = {self._fresh, self._present}
        entry = index.oldest() if self._oldest_next else index.newest(latest)
        while entry is not None and entry.start in others:
            entry = index.after(entry.start) if self._oldest_next else index.newest(entry.start - 1)
        return entry.start if entry is not None and entry.start <= latest else None

    def _end(self, index: Order, start: int | None, latest: float) -> IndexEntry | None:
        """The first batch of a window, or its last, in turn."""
        ends = index.ends(start) if start is not None and start <= latest else None
        return ends[not self._oldest_next] if ends else None


def requests_a_minute(names: int, interval: int) -> int:
    """What a host with so many names in each window of ``interval`` seconds sends in quiet times."""
    return max(1, -(-names // MAX_BATCH_ITEMS)) * 60 // interval


def hosts_a_key(limit: int, names: int, interval: int) -> int:
    """How many such hosts can share a key with ``limit`` requests per minute; 0 when it is too small for one."""
    return limit // FOR_THE_PRESENT // requests_a_minute(names, interval)


def host_name(machine_id: Path = Path("/etc/machine-id")) -> str:
    """The name of the host and, since names repeat in some fleets and ids in others, the machine's id."""
    try:
        known = machine_id.read_text("ascii").strip()
    except (OSError, ValueError):
        known = ""
    return f"{socket.gethostname()} {known}"

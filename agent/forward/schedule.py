"""What is sent when, so that a fleet sends a steady stream to its service. Pure: clocks and chance are passed in.

All agents close their windows at the same moment. The window that has just closed is the *fresh* one. It is due after
this host's own share of the interval. Then it is the *present* one and is sent at once. All other windows are the
*past*: an outage or the last run left them. PAST_WINDOWS of them are sent per interval, so a fleet that comes back
sends at most 1 + PAST_WINDOWS times its usual rate. Present and past alternate, so neither blocks the other.
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
"""Windows of the past that are sent per interval. So a backlog of an hour takes a quarter of an hour."""
FOR_THE_PRESENT: Final = 2
"""A key's requests per minute, divided by this, are for present windows. The others are for a backlog."""


def share_of(host: str) -> float:
    """A host's share of the interval, from 0 up to 1. It never changes, and hosts are spread evenly."""
    return int.from_bytes(blake2b(host.encode(), digest_size=8).digest()) / 2**64


class Schedule:
    """Which batch is next. ``interval`` is the length of a window in seconds; for ``share`` see share_of.

    ``now`` is on the steady clock. A window is identified by its start, which is never compared with a clock. So a
    clock that is set changes nothing.
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
        """When another window of the past may begin."""
        self._oldest_next = True
        self._tried_oldest = True
        self._past_next = False
        self._hurried = False

    def started(self, now: float) -> None:
        """Say that the agent has started. Agents that start together begin with their backlogs at different times."""
        self._next_past = now + self._gap * self._offset / (self._interval or 1)

    def closed(self, start: int, now: float) -> None:
        """Say that a window has closed. Call it before its batches are in the index."""
        self._come_due(float("inf"))
        self._fresh, self._due = start, now + self._offset

    def hurry(self) -> None:
        """Everything is due at once from now on, because the agent stops."""
        self._hurried = True

    def choose(self, index: Order, latest: float, now: float) -> IndexEntry | None:
        """The batch to send now, None when none is due. Windows that start after ``latest`` are left out."""
        self._come_due(float("inf") if self._hurried else now)
        present = self._end(index, self._present, latest)
        past = self._end(index, self._past, latest) if self._past != self._present else None
        if past is None and (now >= self._next_past or self._hurried):
            past = self._end(index, self._next_window(index, latest), latest)
        if present is None or (past is not None and self._past_next):
            return past
        return present

    def took(self, entry: IndexEntry, now: float) -> None:
        """Say that the chosen batch is being sent."""
        self._past_next = entry.start == self._present
        self._tried_oldest = self._oldest_next
        if entry.start not in {self._present, self._past}:
            self._past = entry.start
            self._next_past = now + self._uniform(0.5, 1.5) * self._gap
            self._oldest_next = not self._oldest_next

    def failed(self) -> None:
        """Say that it failed. So that it does not block all others, the next try begins at the other end."""
        self._past = None
        self._oldest_next = not self._tried_oldest

    def allowed(self, allowance: Allowance, now: float) -> None:
        """Take over what central says is left of the key's minute. Below half of it, no window of the past is sent."""
        if allowance.remaining * 2 < allowance.limit:
            self._past = None
            until = now + allowance.reset + self._uniform(0.0, self._interval)
            self._next_past = max(self._next_past, until)

    def wait(self, index: Order, latest: float, now: float) -> float | None:
        """Seconds until ``choose`` may return a batch, after it has returned None. None when no batch waits."""
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
        """The oldest window of the past and the newest, by turns."""
        others = {self._fresh, self._present}
        entry = index.oldest() if self._oldest_next else index.newest(latest)
        while entry is not None and entry.start in others:
            entry = index.after(entry.start) if self._oldest_next else index.newest(entry.start - 1)
        return entry.start if entry is not None and entry.start <= latest else None

    def _end(self, index: Order, start: int | None, latest: float) -> IndexEntry | None:
        """The first batch of a window and the last, by turns."""
        ends = index.ends(start) if start is not None and start <= latest else None
        return ends[not self._oldest_next] if ends else None


def requests_per_minute(names: int, interval: int) -> int:
    """How many requests per minute a host sends, with ``names`` names per window of ``interval`` seconds."""
    return max(1, -(-names // MAX_BATCH_ITEMS)) * 60 // interval


def hosts_per_key(limit: int, names: int, interval: int) -> int:
    """How many such hosts can share a key of ``limit`` requests per minute. 0 when the limit is too small for one."""
    return limit // FOR_THE_PRESENT // requests_per_minute(names, interval)


def host_name(machine_id: Path = Path("/etc/machine-id")) -> str:
    """The host name and the machine id. Both, because some fleets repeat names and others repeat ids."""
    try:
        known = machine_id.read_text("ascii").strip()
    except (OSError, ValueError):
        known = ""
    return f"{socket.gethostname()} {known}"

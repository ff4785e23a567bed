"""Rate limits: requests per key and minute. A batch counts as one request. Queries count too (PRD 2.2)."""

from typing import Final, NamedTuple, Protocol

from aiohttp.hdrs import RETRY_AFTER
from multidict import istr

_LIMIT: Final = istr("RateLimit-Limit")
_REMAINING: Final = istr("RateLimit-Remaining")
_RESET: Final = istr("RateLimit-Reset")


class Decision(NamedTuple):
    """Whether a request may pass, and the limits to send back. ``reset`` is the seconds until the next minute."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """The RateLimit-* headers, and Retry-After if the request was refused."""
        headers: dict[str, str] = {
            _LIMIT: str(self.limit),
            _REMAINING: str(self.remaining),
            _RESET: str(self.reset),
        }
        if not self.allowed:
            headers[RETRY_AFTER] = str(self.reset)
        return headers


class Used(NamedTuple):
    """How many requests a key has sent, as far as this process knows."""

    this_minute: int
    last_minute: int


class Limiter(Protocol):
    """Counts requests per key and decides whether each may pass."""

    async def hit(self, key_id: int, limit: int, now: float) -> Decision:
        """Count a request at ``now`` (UTC seconds) against ``limit`` per minute."""

    def used(self, key_id: int, now: float) -> Used:
        """The key's requests in the minute of ``now`` and in the one before. Counts nothing."""


class LocalLimiter:
    """Counts in this process, per minute of the clock. It needs two ints per key."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[int, int] = {}
        self._before: dict[int, int] = {}

    async def hit(self, key_id: int, limit: int, now: float) -> Decision:
        """See Limiter."""
        return decide(self.count(key_id, now), limit, now)

    def count(self, key_id: int, now: float) -> int:
        """Count one request and return the key's count. When the clock steps, forward or back, counts start again."""
        minute = int(now // 60)
        if minute != self._minute:
            self._before = self._counts if minute == self._minute + 1 else {}
            self._minute = minute
            self._counts = {}
        count = self._counts[key_id] = self._counts.get(key_id, 0) + 1
        return count

    def used(self, key_id: int, now: float) -> Used:
        """See Limiter."""
        minutes = {self._minute: self._counts, self._minute - 1: self._before}
        this, last = (minutes.get(int(now // 60) - back, {}).get(key_id, 0) for back in (0, 1))
        return Used(this, last)

    def learn(self, key_id: int, count: int, minute: int) -> None:
        """Raise the key's count to ``count``, which all processes together have counted in ``minute``."""
        if minute == self._minute and count > self._counts.get(key_id, 0):
            self._counts[key_id] = count


def decide(count: int, limit: int, now: float) -> Decision:
    """The decision for the ``count``-th request of the minute that holds ``now``."""
    return Decision(count <= limit, limit, max(limit - count, 0), max(60 - int(now % 60), 1))

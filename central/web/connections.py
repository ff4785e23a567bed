"""Connections that do nothing: they are closed after a while, and the one that has done so longest when room is needed.

A connection waits for a request, or a request is handled, or its answer is taken. Waiting and taking have their time,
checked once per second: one timer per connection would cost more than the request.
"""

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final, Protocol

MAX_CONNECTIONS: Final = 10_000
RESERVED: Final = 256
"""Descriptors for the store, Redis, the log and all else that is no connection of a client."""
HEAD_SECONDS: Final = 15.0
"""How long the head of a request may take, from its first byte, and on a new connection from the beginning."""
IDLE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request: longer than proxies keep theirs, and than agents are silent."""
TAKE_SECONDS: Final = 60.0
"""How long a client may take over an answer."""
LARGE: Final = 65_536
"""Bytes of an answer that are counted while it is taken; the kernel and the transport take fewer at once."""
MAX_UNREAD: Final = 128 << 20
MAX_UNREAD_OF_ONE_KEY: Final = 32 << 20
CONNECTIONS: Final = "connections"
UNREAD: Final = "unread answers"
_CHECK_SECONDS: Final = 1.0


class Peer(Protocol):
    """A connection that can be ended."""

    def end(self) -> None:
        """Close it at once, whatever is in its buffers."""

    def has_begun(self) -> bool:
        """Whether a part of the next head is there. Asked once, of a connection that waits since its last answer."""


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """How many connections there may be, and how many seconds each may take for what."""

    most: int = MAX_CONNECTIONS
    head: float = HEAD_SECONDS
    idle: float = IDLE_SECONDS
    take: float = TAKE_SECONDS


class Connections:
    """All that are open. ``busy`` counts those that were closed for others, and answers that were not read in time."""

    def __init__(self, bounds: ConnectionBounds, busy: Counter[str]) -> None:
        busy[CONNECTIONS] += 0
        busy[UNREAD] += 0
        self._bounds = bounds
        self._busy = busy
        self._open = 0
        self._waiting: dict[Peer, float] = {}  # until when, the one that has waited longest first
        self._may_idle: dict[Peer, float] = {}
        self._taking: dict[Peer, float] = {}
        self._unread: Counter[int] = Counter()
        self._loop = asyncio.get_running_loop()
        self._next_check = self._loop.call_later(_CHECK_SECONDS, self._close_late)

    def close(self) -> None:
        """Look no more, and end those that wait."""
        self._next_check.cancel()
        for peer in list(self._waiting):
            peer.end()

    def opened(self, peer: Peer) -> None:
        """A connection has come. Where there are too many the one that has waited longest goes, or else this one."""
        self._open += 1
        if self._open > self._bounds.most:
            self._busy[CONNECTIONS] += 1
            oldest = next(iter(self._waiting), peer)
            self._waiting.pop(oldest, None)
            oldest.end()
            if oldest is peer:
                return
        self._waiting[peer] = self._loop.time() + self._bounds.head

    def lost(self, peer: Peer) -> None:
        """A connection has gone."""
        self._open -= 1
        self._waiting.pop(peer, None)
        self._may_idle.pop(peer, None)
        self._taking.pop(peer, None)

    def head_begun(self, peer: Peer) -> None:
        """The first bytes of a request are there, and not all of its head."""
        until = self._waiting.get(peer)
        if until is not None:
            self._waiting[peer] = min(until, self._loop.time() + self._bounds.head)
            self._may_idle.pop(peer, None)

    def asked(self, peer: Peer) -> None:
        """A request is there, and is handled."""
        self._waiting.pop(peer, None)
        self._may_idle.pop(peer, None)

    def answering(self, peer: Peer) -> None:
        """An answer goes out."""
        self._taking[peer] = self._loop.time() + self._bounds.take

    def answered(self, peer: Peer) -> None:
        """The answer is taken, and the next request may come. A part of its head may have come with the last one."""
        if self._taking.pop(peer, None) is not None:
            now = self._loop.time()
            self._waiting[peer] = now + min(self._bounds.head, self._bounds.idle)
            self._may_idle[peer] = now + self._bounds.idle

    def try_take_room(self, key_id: int, size: int) -> bool:
        """Whether there is room for an answer of so many bytes; ``give_room`` gives it back."""
        if self._unread[key_id] + size > MAX_UNREAD_OF_ONE_KEY or self._unread.total() + size > MAX_UNREAD:
            self._busy[UNREAD] += 1
            return False
        self._unread[key_id] += size
        return True

    def give_room(self, key_id: int, size: int) -> None:
        """The answer is taken, or its client has gone."""
        self._unread[key_id] -= size
        if not self._unread[key_id]:
            del self._unread[key_id]

    def _close_late(self) -> None:
        now = self._loop.time()
        for peer in [peer for peer, until in self._waiting.items() if until < now and peer in self._may_idle]:
            # The time of a head is over. Only where none has begun is it an idle connection, which has more.
            until = self._may_idle.pop(peer)
            if not peer.has_begun():
                self._waiting[peer] = until
        for peers in (self._waiting, self._taking):
            late = [peer for peer, until in peers.items() if until < now]
            self._busy[UNREAD] += len(late) if peers is self._taking else 0
            for peer in late:
                del peers[peer]
                peer.end()
        self._next_check = self._loop.call_later(_CHECK_SECONDS, self._close_late)


def within_descriptors(bounds: ConnectionBounds) -> ConnectionBounds:
    """``bounds`` that this process has descriptors for, after it was given as many as it needs and may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = bounds.most + RESERVED
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return replace(bounds, most=room_within(bounds.most, soft))


def room_within(most: int, descriptors: int) -> int:
    """How many connections, at most ``most``, there may be in a process that may have so many descriptors."""
    return min(most, max(descriptors - RESERVED, descriptors // 2))

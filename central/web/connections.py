"""Limits for connections: idle ones are closed after a while, and the longest idle one if there are too many.

A connection is in one of three states: it waits for a request, its request is handled, or its client takes the answer.
The first and the last have a time limit. It is checked once per second, because one timer per connection would cost
more than a request.
"""

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final, Protocol

MAX_CONNECTIONS: Final = 10_000
RESERVED: Final = 256
"""Descriptors that are kept for everything except clients' connections: the store, Redis, the log."""
HEAD_SECONDS: Final = 15.0
"""How long the head of a request may take: from its first byte, or on a new connection from its start."""
IDLE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request: longer than proxies keep one, and than agents are silent."""
TAKE_SECONDS: Final = 60.0
"""How long a client may take to read an answer."""
LARGE: Final = 65_536
"""Answers with more bytes count as unread until the client has taken them. Smaller ones fit into the send buffers."""
MAX_UNREAD: Final = 128 << 20
MAX_UNREAD_OF_ONE_KEY: Final = 32 << 20
CONNECTIONS: Final = "connections"
UNREAD: Final = "unread answers"
_CHECK_SECONDS: Final = 1.0


class Peer(Protocol):
    """A connection that can be ended."""

    def end(self) -> None:
        """Close the connection at once, and drop what is in its buffers."""

    def has_begun(self) -> bool:
        """Whether a part of the next head is there. Asked once, of a connection that waits since its last answer."""


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """How many connections there may be, and how many seconds each state may take."""

    most: int = MAX_CONNECTIONS
    head: float = HEAD_SECONDS
    idle: float = IDLE_SECONDS
    take: float = TAKE_SECONDS


class Connections:
    """All open connections. ``busy`` counts those closed to make room, and answers that were not read in time."""

    def __init__(self, bounds: ConnectionBounds, busy: Counter[str]) -> None:
        busy[CONNECTIONS] += 0
        busy[UNREAD] += 0
        self._bounds = bounds
        self._busy = busy
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()
        self._waiting: dict[Peer, float] = {}  # the deadline of each; the one that has waited longest is first
        self._may_idle: dict[Peer, float] = {}
        self._taking: dict[Peer, float] = {}
        self._unread: Counter[int] = Counter()
        self._loop = asyncio.get_running_loop()
        self._next_check = self._loop.call_later(_CHECK_SECONDS, self._close_late)

    def close(self) -> None:
        """Stop the checks, and end the connections that wait for a request."""
        self._next_check.cancel()
        for peer in list(self._waiting):
            peer.end()

    async def none(self) -> None:
        """Return once there is no connection."""
        while self._open:
            await self._none.wait()

    def opened(self, peer: Peer) -> None:
        """Note a new connection. If there are too many, end the one that has waited longest, or this one."""
        self._open += 1
        self._none.clear()
        if self._open > self._bounds.most:
            self._busy[CONNECTIONS] += 1
            oldest = next(iter(self._waiting), peer)
            self._waiting.pop(oldest, None)
            oldest.end()
            if oldest is peer:
                return
        self._waiting[peer] = self._loop.time() + self._bounds.head

    def lost(self, peer: Peer) -> None:
        """Note that a connection has ended."""
        self._open -= 1
        if not self._open:
            self._none.set()
        self._waiting.pop(peer, None)
        self._may_idle.pop(peer, None)
        self._taking.pop(peer, None)

    def head_begun(self, peer: Peer) -> None:
        """Note that a part of a request's head has arrived, but not all of it."""
        until = self._waiting.get(peer)
        if until is not None:
            self._waiting[peer] = min(until, self._loop.time() + self._bounds.head)
            self._may_idle.pop(peer, None)

    def asked(self, peer: Peer) -> None:
        """Note that a request has arrived and is handled."""
        self._waiting.pop(peer, None)
        self._may_idle.pop(peer, None)

    def answering(self, peer: Peer) -> None:
        """Note that an answer is being sent."""
        self._taking[peer] = self._loop.time() + self._bounds.take

    def answered(self, peer: Peer) -> None:
        """Note that the client has taken the answer. A part of the next request's head may have arrived already."""
        if self._taking.pop(peer, None) is not None:
            now = self._loop.time()
            self._waiting[peer] = now + min(self._bounds.head, self._bounds.idle)
            self._may_idle[peer] = now + self._bounds.idle

    def try_take_room(self, key_id: int, size: int) -> bool:
        """Whether there is room for an unread answer of ``size`` bytes. If True, call ``give_room`` afterwards."""
        if self._unread[key_id] + size > MAX_UNREAD_OF_ONE_KEY or self._unread.total() + size > MAX_UNREAD:
            self._busy[UNREAD] += 1
            return False
        self._unread[key_id] += size
        return True

    def give_room(self, key_id: int, size: int) -> None:
        """Give the room back: the client has taken the answer, or has gone."""
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
    """Raise this process's limit of descriptors as far as needed and allowed. Returns bounds that fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = bounds.most + RESERVED
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return replace(bounds, most=room_within(bounds.most, soft))


def room_within(most: int, descriptors: int) -> int:
    """How many connections, at most ``most``, a process may have that may have ``descriptors`` descriptors."""
    return min(most, max(descriptors - RESERVED, descriptors // 2))

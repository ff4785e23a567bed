"""Hands every datagram on to another daemon, byte for byte, while a team moves from that daemon to this agent.

Nothing waits for it: what cannot be sent at once is dropped and counted. It has a socket of its own, so a target that
is dead, slow or not known changes nothing for our own path. docs/decisions/0023-a-mirror-without-a-queue.md says why it
is a plain socket.
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from agent.attempts import Tell
from runtime.addresses import from_this_host, is_ip, join_address
from runtime.resolver import find_addresses

RESOLVE_SECONDS: Final = 60.0
"""The pause between two attempts to find the target's address."""
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
Reason = Literal["refused", "buffer_full", "too_long", "unresolved", "loop", "failed"]
"""Why a datagram was not handed on. A refused one was sent: nobody listened there."""
MIRROR_LOSSES: Final[dict[Reason, str]] = {
    "refused": "nobody listens there",
    "buffer_full": "this host could not send so fast",
    "too_long": "it does not fit into a datagram on the way there",
    "unresolved": "the name of the host is not known",
    "loop": "it is this agent itself",
    "failed": "the network failed",
}
MIRROR_REASONS: Final = get_args(Reason)
_OF_THREADS: Final[tuple[Reason, ...]] = ("refused", "buffer_full", "too_long", "failed")
"""What threads count beside what they have sent: see agent.aggregate.core.Core.mirror."""
_NOT_OPEN: Final = -1
_CLOSED: Final = -2
_BY_ERRNO: Final[dict[int | None, Reason]] = {
    errno.ECONNREFUSED: "refused",
    errno.EAGAIN: "buffer_full",
    errno.ENOBUFS: "buffer_full",
    errno.EMSGSIZE: "too_long",
}


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """Where datagrams are handed on, how many were, and how many were not, by reason."""

    target: str
    sent: int
    dropped: dict[str, int]


class Mirror:
    """Call ``begin``, then ``run`` in a task, and ``send`` with each datagram. ``send`` drops what comes too early."""

    def __init__(self, host: str, port: int, tell: Tell) -> None:
        self.others: Callable[[int], Sequence[int]] | None = None
        """Lets threads hand on too, by the descriptor of the socket, and gives what they did."""
        self._host = host
        self._port = port
        self._tell = tell
        self._own: Sequence[tuple[str, int]] = ()
        self._socket: socket.socket | None = None
        self._without: Reason = "unresolved"
        """Why there is no socket."""
        self._sent = 0
        self._dropped: Counter[str] = Counter(dict.fromkeys(MIRROR_REASONS, 0))
        self._dropped_before = 0
        self._sent_before = 0
        self._fails = False

    def send(self, packet: bytes) -> None:
        """Hand on a datagram, or count it as dropped. Never waits and never raises."""
        sock = self._socket
        if sock is None:
            self._dropped[self._without] += 1
            return
        try:
            sock.send(packet)
        except ConnectionRefusedError:  # it says that an earlier datagram was refused, and this one was not sent
            self._sent -= 1
            self._dropped["refused"] += 1
            try:
                sock.send(packet)
            except OSError as error:
                self._failed(error)
                return
        except OSError as error:
            self._failed(error)
            return
        self._sent += 1

    def status(self) -> MirrorStatus:
        """What became of the datagrams since the start."""
        self._gather()
        dropped = {reason: count for reason, count in self._dropped.items() if count}
        return MirrorStatus(f"UDP {join_address(self._host, self._port)}", self._sent, dropped)

    def begin(self, own: Sequence[tuple[str, int]]) -> None:
        """Begin to send, if the target is an IP address. ``own`` are the addresses of our UDP sockets.

        None of them may be the target.
        """
        self._own = own
        if is_ip(self._host):
            with suppress(OSError):
                self._open(*_first(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)))
        self._gather()

    async def run(self) -> None:
        """Begin to send, if that was not possible yet. Tries again until the name is known and a way leads there."""
        while self._socket is None and self._without != "loop":
            with suppress(OSError):
                self._open(*_first(await find_addresses(self._host, self._port, socket.SOCK_DGRAM)))
                return
            await asyncio.sleep(RESOLVE_SECONDS)

    def window_closed(self) -> None:
        """Log once that datagrams begin to be dropped, and once that all of a window were handed on again."""
        self._gather()
        dropped, sent = self._dropped.total(), self._sent
        more, self._dropped_before = dropped - self._dropped_before, dropped
        some, self._sent_before = sent > self._sent_before, sent
        if more and not self._fails:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.status().dropped.items())
            self._tell(
                "mirror_fails", f"{self.status().target} does not get every datagram: {reasons}; ours are counted"
            )
        elif self._fails and some and not more:
            self._tell("mirror_works_again", f"{self.status().target} gets every datagram again")
        self._fails = bool(more) or (self._fails and not some)

    def close(self) -> None:
        """Close the socket."""
        self._gather(_CLOSED)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _gather(self, fd: int = _NOT_OPEN) -> None:
        """Add what the threads did. From now on they use the socket, if it is open, or do as ``fd`` says."""
        if self.others is None:
            return
        if fd == _NOT_OPEN and self._socket is not None:
            fd = self._socket.fileno()
        sent, *counts, early = self.others(fd)
        self._sent += sent
        self._dropped.update(dict(zip(_OF_THREADS, counts, strict=True)))
        self._dropped[self._without] += early

    def _failed(self, error: OSError) -> None:
        self._dropped[_BY_ERRNO.get(error.errno, "failed")] += 1

    def _open(self, family: int, host: str, port: int) -> None:
        """Open the socket, unless the target is one of our own. Raises OSError."""
        if any(_is_own(family, host, port, address) for address in self._own):
            self._without = "loop"
            self._tell("mirror_loop", f"{self.status().target} is this agent itself, so nothing is handed on")
            return
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect((host, port))
        except OSError:
            self._without = "failed"
            sock.close()
            raise
        self._socket = sock
        self._gather()


def _first(found: Sequence[tuple[int, int, int, str, Any]]) -> tuple[int, str, int]:
    """Family, host and port of the first address."""
    family, _, _, _, (host, port, *_) = found[0]
    return family, str(host), int(port)


def _is_own(family: int, host: str, port: int, own: tuple[str, int]) -> bool:
    """Whether a datagram to this address would come to a socket that is bound to ``own``."""
    bound, number = own
    if number != port:
        return False
    if bound in _EVERYWHERE:
        return _is_local(family, host)
    return _plain(bound) == _plain(host)


def _is_local(family: int, host: str) -> bool:
    """Whether the address is one of this host: only those can be bound."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _plain(host: str) -> str:
    """The address without the mark of IPv4 within IPv6. A target of 0.0.0.0 is this host."""
    return from_this_host(host.removeprefix("::ffff:"))

"""Datagrams from the kernel to those who count: no queue, and no await between packets.

What waits, waits in the socket's own buffer, which has a bound and a drop counter that we show.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.receive.socket_status import SocketStatus, limits, receive_memory, socket_name

if TYPE_CHECKING:
    from agent.aggregate.core import Core

MAX_DATAGRAM: Final = 65_536
"""More than any UDP datagram holds (65,507 bytes over IPv4). A unix datagram that is longer is cut short,
and that is counted."""
RECEIVE_BUFFER: Final = 8 << 20
PACKETS_A_TURN: Final = 256
"""Read at most so many before the event loop gets its turn: about half a millisecond."""
PAUSE_SECONDS: Final = 0.001
"""What comes in so long fits the smallest usual buffer even at 500,000 packets per second.

A unix socket is read without a pause: it holds ten datagrams on many systems, and then its senders wait."""
SMALLEST_BUFFER: Final = 208 << 10
LONGEST_PAUSE_SECONDS: Final = 0.01
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound
_NO_FAULT: Final = (0, errno.EAGAIN, errno.EINTR)
_SO_RCVBUFFORCE: Final = 33  # Linux; the socket module has no name for it
_SMALLEST_PACKET: Final = 512
"""The kernel charges a packet to the buffer with more than this, however small it is."""


def open_udp(host: str, port: int, buffer_bytes: int = RECEIVE_BUFFER) -> socket.socket:
    """A bound, non-blocking UDP socket, IPv4 or IPv6 by ``host``; port 0 takes a free one.

    The receive buffer is what the kernel grants of ``buffer_bytes``; over its limit only with the right
    to do so. Raises OSError when the address is taken, not ours or unknown.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        ask_buffer(sock, buffer_bytes)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] is all of IPv4 too
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def ask_buffer(sock: socket.socket, size: int) -> None:
    """Make the receive buffer ``size`` bytes, or as near to it as it may be."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    if granted_buffer(sock) < size:
        with suppress(PermissionError):  # then the system's limit stands, and is reported as granted
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)


def granted_buffer(sock: socket.socket) -> int:
    """Bytes of receive buffer granted, as asked for: the kernel says twice that, to cover its own costs."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def refuse_new(sock: socket.socket) -> None:
    """Let a bound datagram socket take nothing new: its senders are told so, and what waits can still be read.

    Not for a socket that another process holds too: it is the socket that changes. A UDP socket that is connected takes
    datagrams of its peer alone, and the peer it gets is itself.
    """
    with suppress(OSError):  # then what comes until the close is lost as it is with any program that ends
        if sock.family == socket.AF_UNIX:
            sock.shutdown(socket.SHUT_RD)
            return
        host, port = sock.getsockname()[:2]
        sock.connect((_LOOPBACK.get(host, host), port))


class Taken(NamedTuple):
    """What one read took out of a socket; ``failed`` when the socket, not its emptiness, ended it."""

    packets: int
    bytes: int
    failed: bool = False
    truncated: int = 0

    def plus(self, more: "Taken") -> "Taken":
        """Both together."""
        return Taken(
            self.packets + more.packets,
            self.bytes + more.bytes,
            self.failed or more.failed,
            self.truncated + more.truncated,
        )


Read = Callable[[socket.socket, int], Taken]
"""Takes at most so many datagrams from a non-blocking socket, in order and whole, to where they are counted.

Raises nothing. It stops early only when nothing waits or the socket fails.
"""


def read_each(feed: Callable[[bytes], None]) -> Read:
    """A Read that hands each datagram to ``feed``."""

    def read(sock: socket.socket, at_most: int) -> Taken:
        recv = sock.recv
        done = size = 0
        try:
            while done < at_most:
                packet = recv(MAX_DATAGRAM)
                done += 1
                size += len(packet)
                feed(packet)
        except BlockingIOError:
            pass
        except OSError:
            return Taken(done, size, failed=True)
        return Taken(done, size)

    return read


def read_batches(core: "Core", settle_when_due: Callable[[], None]) -> Read:
    """A Read that counts datagrams in the compiled core; ``settle_when_due`` is called after each batch."""

    def read(sock: socket.socket, at_most: int) -> Taken:
        fd, done, size, fault = sock.fileno(), 0, 0, 0
        while done < at_most and not fault:
            packets, length, fault = core.read(fd, at_most - done)
            done += packets
            size += length
            settle_when_due()
        return Taken(done, size, failed=fault not in _NO_FAULT)

    return read


class DatagramReceiver:
    """Calls ``read`` for a bound, non-blocking socket when it must. Owns the socket, or shares it where not ``ours``.

    ``packets``, ``bytes`` and ``errors`` (of the socket) are counted since the start.
    """

    def __init__(self, sock: socket.socket, read: Read, name: str = "", *, ours: bool = True) -> None:
        self.name = name or socket_name(sock)
        self.packets = 0
        self.bytes = 0
        self.errors = 0
        self.truncated = 0
        self.granted = granted_buffer(sock)
        self._limits = limits()
        self._sock = sock
        self._ours = ours
        self._read_socket = read
        fits = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * self.granted / SMALLEST_BUFFER)
        self._pause = 0 if sock.family == socket.AF_UNIX else fits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_turn: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port the socket is bound to."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read when something is there, and then every few milliseconds as long as there is.

        Waking up costs several times what reading a packet does, so under load a few are left to gather;
        the larger the buffer, the more.
        """
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._wake, loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._sock.fileno())
        self._turn(loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        packets = self._read(PACKETS_A_TURN)
        if packets:
            self._next_turn = loop.call_later(0 if packets == PACKETS_A_TURN else self._pause, self._turn, loop)
        else:
            self._next_turn = None
            loop.add_reader(self._sock.fileno(), self._wake, loop)

    def stop(self) -> None:
        """Read no more; what comes still goes to the socket's buffer. May be called again."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop = None

    def refuse(self) -> None:
        """Take nothing new; what waits can still be read. Nothing changes where another process holds the socket."""
        if self._ours:
            refuse_new(self._sock)

    def go_on_with(self, sock: socket.socket) -> None:
        """Take another socket in place of ours, whose senders are told that it has gone. What waited in it is read."""
        loop = self._loop
        self.stop()
        self.refuse()
        self.drain()
        self._sock.close()
        self._sock = sock
        if loop is not None:
            self.start(loop)

    def drain(self) -> int:
        """Read what waits in the socket until nothing does; the number of packets. For after ``stop``.

        Under a flood that is not refused it ends once everything that waited at the beginning must have been read.
        """
        return self._read(2 * self.granted // _SMALLEST_PACKET)

    def close(self) -> None:
        """Stop and close the socket; what it still holds is lost, so drain first. May be called again."""
        self.stop()
        self._sock.close()

    def status(self) -> SocketStatus:
        """The socket's numbers. A unix socket drops nothing and has no buffer of its own: its senders wait."""
        known = SocketStatus(self.name, self.bytes, self.errors, self.packets, self.truncated)
        if self._sock.family == socket.AF_UNIX:
            return replace(known, kernel_drops=0, queue_limit=self._limits.dgram_queue)
        used, drops = receive_memory(self._sock)
        return replace(
            known,
            kernel_drops=drops,
            buffer_asked=RECEIVE_BUFFER,
            buffer_granted=self.granted,
            buffer_used=used,
            buffer_limit=self._limits.rmem_max,
        )

    def _read(self, at_most: int) -> int:
        taken = self._read_socket(self._sock, at_most)
        self.packets += taken.packets
        self.bytes += taken.bytes
        self.errors += taken.failed
        self.truncated += taken.truncated
        return taken.packets

"""Datagrams from the kernel to the aggregator, with no queue and no await between packets.

Packets wait only in the socket's own buffer. It has a limit and a drop counter, which we show.
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
"""More than any UDP datagram holds (65,507 bytes over IPv4). A longer unix datagram is cut short and counted."""
RECEIVE_BUFFER: Final = 8 << 20
PACKETS_PER_TURN: Final = 256
"""Packets read before the event loop can do other work: about half a millisecond."""
NEW_PER_TURN: Final = 500
"""New names after which the event loop can do other work. To learn one takes some ten microseconds."""
MOST_AT_ONCE: Final = 32
"""Datagrams that one call of the core reads. Of these it learns 500 names at most: some milliseconds."""
PAUSE_SECONDS: Final = 0.001
"""The pause between reads under load. The smallest usual buffer holds what comes meanwhile, even at 500,000 packets per
second. A unix socket is read without a pause, because on many systems it holds only ten datagrams."""
SMALLEST_BUFFER: Final = 208 << 10
LONGEST_PAUSE_SECONDS: Final = 0.01
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound
_NO_FAULT: Final = (0, errno.EAGAIN, errno.EINTR)
_SO_RCVBUFFORCE: Final = 33  # Linux; the socket module has no name for it
_SMALLEST_PACKET: Final = 512
"""Even the smallest packet takes more bytes of the receive buffer than this."""


def open_udp(host: str, port: int, buffer_bytes: int = RECEIVE_BUFFER) -> socket.socket:
    """A bound, non-blocking UDP socket, IPv4 or IPv6 by ``host``. Port 0 takes a free one.

    The kernel may grant a receive buffer smaller than ``buffer_bytes``. Raises OSError when the address is taken,
    unknown or not on this host.
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


def open_beside(first: socket.socket, buffer_bytes: int = RECEIVE_BUFFER) -> socket.socket:
    """A UDP socket with the address of a bound one, as another one of several that share it. Raises OSError.

    The first one was bound alone, so no other program has the address. None can bind it later, unless it has the same
    user and sets SO_REUSEPORT.
    """
    sock = socket.socket(first.family, first.type, first.proto)
    try:
        sock.setblocking(False)
        ask_buffer(sock, buffer_bytes)
        if first.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for one in (first, sock):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(first.getsockname())
    except OSError:
        sock.close()
        raise
    return sock


def ask_buffer(sock: socket.socket, size: int) -> None:
    """Make the receive buffer ``size`` bytes, or as large as the kernel allows."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    if granted_buffer(sock) < size:
        with suppress(PermissionError):  # then the system's limit stands, and is reported as granted
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)


def granted_buffer(sock: socket.socket) -> int:
    """Bytes of receive buffer granted. The kernel reports twice as many, which covers its own costs."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def refuse_new(sock: socket.socket) -> None:
    """Make a bound datagram socket take nothing new. Senders get an error, and what waits can still be read.

    Do not use it on a socket that another process has too, because it changes the socket itself. A UDP socket is
    connected to itself: a connected socket takes datagrams of its peer only.
    """
    with suppress(OSError):  # then datagrams that come before the close are lost, as when any program ends
        if sock.family == socket.AF_UNIX:
            sock.shutdown(socket.SHUT_RD)
            return
        host, port = sock.getsockname()[:2]
        sock.connect((_LOOPBACK.get(host, host), port))


class ReadResult(NamedTuple):
    """What one read took from a socket. ``failed`` when it ended with a fault and not because nothing was left.

    ``unfinished`` when it took so long that it ended although more may wait.
    """

    packets: int
    bytes: int
    failed: bool = False
    truncated: int = 0
    unfinished: bool = False

    def plus(self, more: "ReadResult") -> "ReadResult":
        """The sum of both."""
        return ReadResult(
            self.packets + more.packets,
            self.bytes + more.bytes,
            self.failed or more.failed,
            self.truncated + more.truncated,
            more.unfinished,
        )


Read = Callable[[socket.socket, int], ReadResult]
"""Reads at most so many datagrams from a non-blocking socket and hands them on in order.

Raises nothing. It stops early only when nothing waits, the socket fails, or it says that it is unfinished.
"""


def read_each(feed: Callable[[bytes], None]) -> Read:
    """A Read that hands each datagram to ``feed``."""

    def read(sock: socket.socket, at_most: int) -> ReadResult:
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
            return ReadResult(done, size, failed=True)
        return ReadResult(done, size)

    return read


def read_batches(core: "Core", settle_when_due: Callable[[], None], learned: Callable[[], int]) -> Read:
    """A Read that counts datagrams in the compiled core. It calls ``settle_when_due`` after each batch.

    ``learned`` is how many names were new so far. While many are, it takes fewer datagrams at once, and ends early.
    """
    batch = MOST_AT_ONCE

    def read(sock: socket.socket, at_most: int) -> ReadResult:
        nonlocal batch
        fd, done, size, fault, begun = sock.fileno(), 0, 0, 0, learned()
        while done < at_most and not fault:
            before = learned()
            packets, length, fault = core.read(fd, min(batch, at_most - done))
            done += packets
            size += length
            settle_when_due()
            new = learned() - before
            if new > NEW_PER_TURN // 2:
                batch = max(1, batch * NEW_PER_TURN // 2 // new)
            elif new < NEW_PER_TURN // 8:
                batch = min(2 * batch, MOST_AT_ONCE)
            if learned() - begun > NEW_PER_TURN // 2 and not fault:
                return ReadResult(done, size, unfinished=True)
        return ReadResult(done, size, failed=fault not in _NO_FAULT)

    return read


class DatagramReceiver:
    """Calls ``read`` when packets wait in a bound, non-blocking socket.

    It owns the socket. With ``ours`` False another process has the socket too. ``packets``, ``bytes`` and ``errors``
    of the socket are counted since the start.
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
    def is_udp(self) -> bool:
        """Whether the socket has an address; a unix socket has a path."""
        return self._sock.family != socket.AF_UNIX

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the socket is bound to."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read when a packet comes, and then every few milliseconds while more come.

        To wake up costs several times what a packet costs. So under load several packets wait for one read, and more
        of them where the buffer is larger.
        """
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._wake, loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._sock.fileno())
        self._turn(loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = self._read(PACKETS_PER_TURN)
        if taken.packets:
            more = taken.unfinished or taken.packets == PACKETS_PER_TURN
            self._next_turn = loop.call_later(0 if more else self._pause, self._turn, loop)
        else:
            self._next_turn = None
            loop.add_reader(self._sock.fileno(), self._wake, loop)

    def stop(self) -> None:
        """Read no more. New packets wait in the socket's buffer. You may call it more than once."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop = None

    def refuse(self) -> None:
        """Take nothing new. What waits can still be read. Does nothing when another process has the socket too."""
        if self._ours:
            refuse_new(self._sock)

    def go_on_with(self, sock: socket.socket) -> None:
        """Replace our socket by another. What waits in the old one is read, and its senders then get an error."""
        loop = self._loop
        self.stop()
        self.refuse()
        self.drain()
        self._sock.close()
        self._sock = sock
        if loop is not None:
            self.start(loop)

    def drain(self) -> int:
        """Read everything that waits in the socket and return the number of packets. Call it after ``stop``.

        Under a flood that cannot be refused, it ends when everything that waited at the beginning was read.
        """
        most, done = 2 * self.granted // _SMALLEST_PACKET, 0
        while done < most:
            taken = self._read(most - done)
            done += taken.packets
            if not taken.unfinished:
                break
        return done

    def close(self) -> None:
        """Stop and close the socket. Drain it first, or what waits is lost. You may call it more than once."""
        self.stop()
        self._sock.close()

    def status(self) -> SocketStatus:
        """The socket's numbers. A unix socket drops nothing and has no buffer of its own, because its senders wait."""
        counts = SocketStatus(self.name, self.bytes, self.errors, self.packets, self.truncated)
        if self._sock.family == socket.AF_UNIX:
            return replace(counts, kernel_drops=0, queue_limit=self._limits.dgram_queue)
        used, drops = receive_memory(self._sock)
        return replace(
            counts,
            kernel_drops=drops,
            buffer_asked=RECEIVE_BUFFER,
            buffer_granted=self.granted,
            buffer_used=used,
            buffer_limit=self._limits.rmem_max,
        )

    def _read(self, at_most: int) -> ReadResult:
        taken = self._read_socket(self._sock, at_most)
        self.packets += taken.packets
        self.bytes += taken.bytes
        self.errors += taken.failed
        self.truncated += taken.truncated
        return taken

"""Lines over connections: TCP, or a unix stream socket, which takes DogStatsD's frames too.

A line ends with ``\\n``. The last one of a connection that its client closes needs no end, as the last one of a
datagram does not. What another end cuts off is no line, since half a line may well read like another: a connection that
breaks, one that is closed because it is idle, our own stop. It is counted as ``line_cut``.

Once something is to be read of a connection it is read until nothing is left, and not until the loop speaks again:
uvloop speaks of a reset once, whatever still waits before it. All that the kernel acknowledged waits there.
"""

import asyncio
import errno
import fcntl
import socket
import struct
import termios
from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from agent.receive.cutters import MAX_LINE, Cutter, EitherCutter, LineCutter
from agent.receive.socket_status import CREDENTIALS, SocketStatus, sender_name, socket_name
from agent.receive.unix import BACKLOG

READS_A_TURN: Final = 16
"""Read so often before the event loop gets its turn: 256 KiB, about 5 ms of counting."""
NO_ROOM_SECONDS: Final = 1.0
"""Seconds until the next accept when the process has no free descriptor."""
_SO_ATTACH_FILTER: Final = 26  # Linux; the socket module has no name for it
_BPF_RETURN: Final = 6
_RESET: Final = struct.pack("ii", 1, 0)
"""Do not linger at the close."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many connections may be open, and after how many seconds without a byte one is closed.

    What waits for the end of its line is at most ``connections`` times MAX_LINE.
    """

    connections: int = 1_024
    idle_seconds: float = 300.0


class LineSink(Protocol):
    """Where lines go."""

    def lines(self, lines: bytes, sender: str) -> None:
        """Whole lines, the last one without its end."""

    def lost(self, reason: str, lines: int, sample: bytes, sender: str) -> None:
        """So many lines that are not counted, and why; a sample of one of them."""


def open_tcp(host: str, port: int) -> socket.socket:
    """A listening, non-blocking TCP socket, IPv4 or IPv6 by ``host``. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def refuse_connections(sock: socket.socket) -> None:
    """Let a listening socket take no new connection; those that wait can still be accepted.

    Not for a socket that another process holds too: it is the socket that changes. A TCP listener that is shut down
    forgets the connections that wait, so it gets a packet filter that lets nothing pass; a unix one keeps them.
    """
    nothing = array("B", struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    with suppress(OSError):  # then a connection made between the last accept and the close is lost
        if sock.family == socket.AF_UNIX:
            sock.shutdown(socket.SHUT_RD)
        else:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, nothing.buffer_info()[0]))


class _Connection:
    __slots__ = ("cutter", "last", "sender", "sock")

    def __init__(self, sock: socket.socket, sender: str, now: float) -> None:
        self.sock = sock
        self.sender = sender
        self.last = now
        self.cutter: Cutter = EitherCutter() if sock.family == socket.AF_UNIX else LineCutter()


class StreamReceiver:
    """Accepts connections of a listening, non-blocking socket and hands their lines on. Owns the sockets, or shares
    the listening one where not ``ours``."""

    def __init__(
        self, sock: socket.socket, intake: LineSink, limits: StreamLimits, name: str = "", *, ours: bool = True
    ) -> None:
        self.name = name or socket_name(sock)
        self.bytes = 0
        self.errors = 0
        self.accepted = 0
        self.refused = 0
        self.idle_closed = 0
        self._sock = sock
        self._ours = ours
        self._taker = intake
        self._limits = limits
        self._open: dict[int, _Connection] = {}  # by descriptor, longest idle first
        self._unread: dict[_Connection, None] = {}
        """Connections of which something may be left to read, in turn."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._accept_again: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port the socket is bound to."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept and read from now on."""
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._accept)

    def stop(self) -> None:
        """Accept and read no more; what comes stays in the kernel. May be called again."""
        if self._loop is None:
            return
        for handle in (self._sweep, self._accept_again):
            if handle is not None:
                handle.cancel()
        self._sweep = self._accept_again = None
        for number in (self._sock.fileno(), *self._open):
            self._loop.remove_reader(number)
        self._loop = None
        self._unread.clear()

    def refuse(self) -> None:
        """Take no new connections; those that wait for us can still be accepted. Nothing changes where another
        process holds the socket."""
        if self._ours:
            refuse_connections(self._sock)

    def go_on_with(self, sock: socket.socket) -> None:
        """Listen on another socket in place of ours. Connections go on, those that wait to be accepted too."""
        self.refuse()
        self._accept()
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.add_reader(sock.fileno(), self._accept)
        self._sock.close()
        self._sock = sock

    def drain(self) -> int:
        """End all connections, those not accepted yet too, and read what the kernel has taken of them; the bytes.

        For after ``stop``. All that the kernel has acknowledged to a client is read, and it acknowledges no more.
        """
        before = self.bytes
        self._accept()
        for connection in list(self._open.values()):
            self._finish(connection)
        return self.bytes - before

    def close(self) -> None:
        """Stop and close all; a line begun is counted as cut. Drain first. May be called again."""
        self.stop()
        for connection in list(self._open.values()):
            self._leave(connection, whole=False)
        self._sock.close()

    def status(self) -> SocketStatus:
        """The sockets' numbers; ``buffer_used`` is what waits in all connections."""
        return SocketStatus(
            self.name,
            self.bytes,
            self.errors,
            kernel_drops=0,
            buffer_used=sum(_waiting(connection.sock) for connection in self._open.values()),
            connections=len(self._open),
            accepted=self.accepted,
            refused=self.refused,
            idle_closed=self.idle_closed,
        )

    def _accept(self) -> None:
        for _ in range(BACKLOG + 1):  # the kernel lets one more wait
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EINVAL:  # a unix socket that was told to refuse, and has none left
                    self._accept_failed(error)
                return
            if len(self._open) >= self._limits.connections:
                self.refused += 1
                sock.close()
                continue
            self._enter(sock, address)

    def _accept_failed(self, error: OSError) -> None:
        """Most often there is no descriptor left, and the socket would wake us again at once."""
        self.errors += 1
        if self._loop is not None and not isinstance(error, ConnectionError):
            self._loop.remove_reader(self._sock.fileno())
            self._accept_again = self._loop.call_later(NO_ROOM_SECONDS, self.start, self._loop)

    def _enter(self, sock: socket.socket, address: object) -> None:
        sock.setblocking(False)
        self.accepted += 1
        credentials = b""
        if sock.family == socket.AF_UNIX:
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        sender = sender_name(address, credentials)
        now = 0.0 if self._loop is None else self._loop.time()
        connection = self._open[sock.fileno()] = _Connection(sock, sender, now)
        if self._loop is not None:
            self._loop.add_reader(sock.fileno(), self._readable, connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._limits.idle_seconds, self._close_idle)

    def _readable(self, connection: _Connection) -> None:
        """Have it read, in turn. The loop may call this again before that, and after an error never again."""
        loop = self._loop
        if loop is None or connection in self._unread:
            return
        if not self._unread:
            loop.call_soon(self._turn)
        self._unread[connection] = None

    def _turn(self) -> None:
        """Read of many connections in turn, and leave the loop to the other sockets now and then."""
        loop, unread = self._loop, self._unread
        if loop is None:
            return
        for _ in range(min(READS_A_TURN, len(unread))):
            connection = next(iter(unread))
            del unread[connection]
            if self._try_read(connection):
                connection.last = loop.time()
                number = connection.sock.fileno()
                self._open[number] = self._open.pop(number)
                unread[connection] = None
        if unread:
            loop.call_soon(self._turn)

    def _try_read(self, connection: _Connection) -> bool:
        """Read once; False when nothing waits, or the connection has ended and is gone."""
        try:
            data = connection.sock.recv(MAX_LINE)
        except BlockingIOError:
            return False
        except OSError:
            self.errors += 1
            self._leave(connection, whole=False)
            return False
        if not data:
            self._leave(connection, whole=True)
            return False
        self._push(connection, data)
        return True

    def _finish(self, connection: _Connection) -> None:
        """Read what waits, and end the connection unless its client has."""
        until = self.bytes + _waiting(connection.sock)  # it may go on for ever
        while self._try_read(connection) and self.bytes <= until:
            pass
        if connection.sock.fileno() >= 0:
            self._end(connection)

    def _end(self, connection: _Connection) -> None:
        """From the shutdown on the kernel takes nothing, and resets a client that goes on sending.

        One that waits for room would not hear of that for a minute, so we reset it.
        """
        with suppress(OSError):  # the client was quicker
            connection.sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):  # that is the client, reset
            while data := connection.sock.recv(MAX_LINE):
                self._push(connection, data)
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._leave(connection, whole=False)

    def _push(self, connection: _Connection, data: bytes) -> None:
        self.bytes += len(data)
        self._hand_on(connection, connection.cutter.push(data))

    def _hand_on(self, connection: _Connection, lines: bytes) -> None:
        """Give away lines, and what is lost of the connection."""
        if lines:
            self._taker.lines(lines, connection.sender)
        if connection.cutter.lost:
            for reason, count, sample in connection.cutter.lost:
                self._taker.lost(reason, count, sample, connection.sender)
            connection.cutter.lost.clear()

    def _leave(self, connection: _Connection, whole: bool) -> None:
        """Close a connection; what it has begun is a line if it is ``whole``."""
        number = connection.sock.fileno()
        if self._loop is not None:
            self._loop.remove_reader(number)
        del self._open[number]
        self._unread.pop(connection, None)
        connection.sock.close()
        self._hand_on(connection, connection.cutter.end(closed=whole))

    def _close_idle(self) -> None:
        """Close connections that have been idle for too long and wait for the next that could be."""
        self._sweep = None
        loop = self._loop
        if loop is None:
            return
        for connection in list(self._open.values()):
            left = connection.last + self._limits.idle_seconds - loop.time()
            if left > 0:
                self._sweep = loop.call_later(left, self._close_idle)
                return
            self.idle_closed += 1
            self._finish(connection)


def _waiting(sock: socket.socket) -> int:
    """Bytes that wait in a connection; 0 where the kernel does not say."""
    with suppress(OSError):
        waiting: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0]
        return waiting
    return 0

"""Lines over connections: TCP, or a unix stream socket, which takes DogStatsD's frames too.

A line ends with ``\\n``. When the client closes the connection, its last line needs no end. When a connection ends in
another way, an unfinished line is counted as ``line_cut``, because half a line may read like another line. Other ways
are a broken connection, one that we close because it is idle, and the stop of the agent.

When a connection is readable, it is read until nothing is left. We do not wait for the loop to report it again, because
uvloop reports a reset only once, even when data still waits before it. Everything that the kernel has acknowledged to
the client waits there.
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

READS_PER_TURN: Final = 16
"""Reads before the event loop can do other work: 256 KiB, about 5 ms of counting."""
NO_ROOM_SECONDS: Final = 1.0
"""Seconds until the next accept when the process has no free descriptor."""
_SO_ATTACH_FILTER: Final = 26  # Linux; the socket module has no name for it
_BPF_RETURN: Final = 6
_RESET: Final = struct.pack("ii", 1, 0)
"""A value of SO_LINGER: the close resets the connection."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many connections may be open, and after how many idle seconds one is closed.

    Unfinished lines take at most ``connections`` times MAX_LINE bytes.
    """

    connections: int = 1_024
    idle_seconds: float = 300.0


class LineSink(Protocol):
    """Takes the lines of a connection."""

    def lines(self, lines: bytes, sender: str) -> None:
        """Take whole lines. The last one has no newline."""

    def lost(self, reason: str, lines: int, sample: bytes, sender: str) -> None:
        """Count ``lines`` lines that cannot be used. ``sample`` is the beginning of one of them."""

    def fault(self, error: Exception, lines: bytes, sender: str) -> None:
        """Count lines that a fault of ours has lost."""

    def unfinished(self, more: int) -> None:
        """Count the connections whose last line has not come to its end."""


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
    """Make a listening socket refuse new connections. Those that wait can still be accepted.

    Do not use it on a socket that another process has too, because it changes the socket itself. A unix listener is
    shut down. A TCP listener would then forget the connections that wait, so it gets a packet filter that lets nothing
    pass.
    """
    nothing = array("B", struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    with suppress(OSError):  # then a connection made between the last accept and the close is lost
        if sock.family == socket.AF_UNIX:
            sock.shutdown(socket.SHUT_RD)
        else:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, nothing.buffer_info()[0]))


class _Connection:
    __slots__ = ("cutter", "last", "sender", "sock", "unfinished")

    def __init__(self, sock: socket.socket, sender: str, now: float) -> None:
        self.sock = sock
        self.sender = sender
        self.last = now
        self.unfinished = False
        self.cutter: Cutter = EitherCutter() if sock.family == socket.AF_UNIX else LineCutter()


class StreamReceiver:
    """Accepts connections of a listening, non-blocking socket and hands their lines to ``intake``.

    It owns the sockets. With ``ours`` False another process has the listening socket too.
    """

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
        self._intake = intake
        self._limits = limits
        self._open: dict[int, _Connection] = {}  # by descriptor, longest idle first
        self._unread: dict[_Connection, None] = {}
        """Connections that may have more to read. The first one is read next."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._accept_again: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the socket is bound to."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept and read from now on."""
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._accept)

    def stop(self) -> None:
        """Accept and read no more. New data waits in the kernel. You may call it more than once."""
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
        """Refuse new connections. Those that wait can still be accepted.

        Does nothing when another process has the socket too.
        """
        if self._ours:
            refuse_connections(self._sock)

    def go_on_with(self, sock: socket.socket) -> None:
        """Replace our listening socket by another. Open connections go on; those that wait are accepted first."""
        self.refuse()
        self._accept()
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.add_reader(sock.fileno(), self._accept)
        self._sock.close()
        self._sock = sock

    def drain(self) -> int:
        """End all connections, also those not accepted yet, and read what waits. Returns the bytes read.

        Call it after ``stop``. Everything that the kernel has acknowledged to a client is read. It acknowledges no
        more.
        """
        before = self.bytes
        self._accept()
        for connection in list(self._open.values()):
            self._finish(connection)
        return self.bytes - before

    def close(self) -> None:
        """Stop and close all. Call ``drain`` first. Unfinished lines count as cut. You may call it more than once."""
        self.stop()
        for connection in list(self._open.values()):
            self._leave(connection, whole=False)
        self._sock.close()

    def status(self) -> SocketStatus:
        """The sockets' numbers. ``buffer_used`` is the bytes that wait in all connections."""
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
                if error.errno != errno.EINVAL:  # EINVAL: a unix socket after ``refuse``, with none left to accept
                    self._accept_failed(error)
                return
            if len(self._open) >= self._limits.connections:
                self.refused += 1
                sock.close()
                continue
            try:
                self._enter(sock, address)
            except OSError:  # the client was quicker, or the kernel has no room to watch one more
                self.errors += 1
                self._open.pop(sock.fileno(), None)
                sock.close()

    def _accept_failed(self, error: OSError) -> None:
        """Wait before the next accept. The usual cause is that no descriptor is free, and that would repeat at once."""
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
        """Put a connection into the line for ``_turn``. After an error, the loop does not call this again."""
        loop = self._loop
        if loop is None or connection in self._unread:
            return
        if not self._unread:
            loop.call_soon(self._turn)
        self._unread[connection] = None

    def _turn(self) -> None:
        """Read from the connections one after the other, and let the loop do other work after a few reads."""
        loop, unread = self._loop, self._unread
        if loop is None:
            return
        for _ in range(min(READS_PER_TURN, len(unread))):
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
        """Read once. Returns False when nothing waits or the connection has ended."""
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
        return connection.sock.fileno() >= 0

    def _finish(self, connection: _Connection) -> None:
        """Read what waits, and end the connection unless its client has ended it."""
        until = self.bytes + _waiting(connection.sock)  # a client may send for ever
        while self._try_read(connection) and self.bytes <= until:
            pass
        if connection.sock.fileno() >= 0:
            self._end(connection)

    def _end(self, connection: _Connection) -> None:
        """Shut a connection down, read what waits, and close it.

        After the shutdown the kernel takes no data and resets a client that sends more. A client that waits for room
        would not notice for a minute, so we reset it.
        """
        with suppress(OSError):  # the client has closed it first
            connection.sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):  # the client has reset it
            while data := connection.sock.recv(MAX_LINE):
                self._push(connection, data)
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._leave(connection, whole=False)

    def _push(self, connection: _Connection, data: bytes) -> None:
        """Take what was read. A fault of ours ends the connection: nobody knows then where its next line begins."""
        self.bytes += len(data)
        try:
            self._hand_on(connection, connection.cutter.push(data))
        except Exception as error:
            connection.cutter = LineCutter()
            self._intake.fault(error, data, connection.sender)
            self._leave(connection, whole=False)

    def _hand_on(self, connection: _Connection, lines: bytes) -> None:
        """Hand on lines, and what the cutter has lost."""
        if lines:
            self._intake.lines(lines, connection.sender)
        if connection.cutter.lost:
            for reason, count, sample in connection.cutter.lost:
                self._intake.lost(reason, count, sample, connection.sender)
            connection.cutter.lost.clear()
        unfinished = connection.cutter.unfinished
        if unfinished != connection.unfinished:
            self._intake.unfinished(unfinished - connection.unfinished)
            connection.unfinished = unfinished

    def _leave(self, connection: _Connection, whole: bool) -> None:
        """Close a connection, if it is open. Its unfinished last line counts when ``whole``, else it is lost."""
        number = connection.sock.fileno()
        if number < 0:
            return
        if self._loop is not None:
            self._loop.remove_reader(number)
        del self._open[number]
        self._unread.pop(connection, None)
        connection.sock.close()
        try:
            self._hand_on(connection, connection.cutter.end(closed=whole))
        except Exception as error:
            self._intake.fault(error, b"", connection.sender)

    def _close_idle(self) -> None:
        """Close connections that were idle for too long, and set a timer for the next one."""
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
    """Bytes that wait in a connection. 0 when the kernel does not say."""
    with suppress(OSError):
        waiting: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0]
        return waiting
    return 0

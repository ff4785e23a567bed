"""Takes the lines of all sockets: it hands them to the aggregator and lets bad ones be logged."""

import errno
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from agent.ledger import AGENT_FAULT, Ledger, lines_in
from agent.receive.bad_lines import BadLines
from agent.receive.datagrams import MAX_DATAGRAM, Read, ReadResult
from agent.receive.socket_status import CREDENTIALS, sender_name, sender_of

if TYPE_CHECKING:
    from agent.aggregate.core import Core

_CONTROL: Final = socket.CMSG_SPACE(CREDENTIALS.size)


_NOTHING_MORE: Final = (errno.EAGAIN, errno.EINTR)
SOME: Final = 64
"""Datagrams that the core reads at once."""


class Losses(Protocol):
    """Keeps over a kill what was lost before it: see agent.journal.journal."""

    def keep_lost(self, reason: str, lines: int) -> None: ...
    def unfinished(self, more: int) -> None: ...


class Intake:
    """``feed`` takes a datagram or whole lines. The other methods are for lines that may be logged.

    ``hand_on`` gets each whole datagram before it is counted. It must not raise. ``losses`` is for streams; datagrams
    are kept whole before they come here.
    """

    def __init__(
        self,
        feed: Callable[[bytes], None],
        ledger: Ledger,
        bad: BadLines,
        hand_on: Callable[[bytes], None] | None = None,
        losses: Losses | None = None,
    ) -> None:
        self.feed = feed if hand_on is None else partial(_both, hand_on, feed)
        self._feed = feed
        self._ledger = ledger
        self._bad = bad
        self._losses = losses

    def lines(self, lines: bytes, sender: str) -> None:
        """Take lines whose sender is known. Raises nothing."""
        self._take(self.feed, lines, sender)

    def _take(self, feed: Callable[[bytes], None], lines: bytes, sender: str) -> None:
        try:
            feed(lines)
        except Exception as error:
            self.fault(error, lines, sender)
            return
        self._inspect(lines, sender)

    def counted(self, lines: bytes, address: bytes) -> None:
        """Let lines be logged that a thread has read. ``address`` is the sockaddr of their sender. Raises nothing."""
        self._inspect(lines, sender_of(address, b""))

    def _inspect(self, lines: bytes, sender: str) -> None:
        if self._bad.armed:
            try:
                self._bad.inspect(lines, sender)
            except Exception as error:  # they are counted already
                self._bad.fault(error, lines, sender)

    def lost(self, reason: str, lines: int, sample: bytes, sender: str = "") -> None:
        """Count lines that cannot be used. ``sample`` is the beginning of one of them."""
        if self._losses is not None:
            self._losses.keep_lost(reason, lines)
        self._ledger.reject(reason, lines)
        self._bad.show(reason, sample, sender)

    def fault(self, error: Exception, lines: bytes, sender: str = "") -> None:
        """Count lines that a fault of ours has lost. It is one when nobody knows how many."""
        self._ledger.reject(AGENT_FAULT, lines_in(lines) or 1)
        self._bad.fault(error, lines, sender)

    def cut(self, packet: bytes, sender: str = "") -> None:
        """Take what is left of a datagram that was too long. Its last line is counted as ``truncated``."""
        whole, newline, begun = packet.rpartition(b"\n")
        if newline:
            self._take(self._feed, whole, sender)
        self.lost("truncated", 1, begun, sender)

    def unfinished(self, more: int) -> None:
        """Count the connections whose last line has not come to its end."""
        if self._losses is not None:
            self._losses.unfinished(more)

    def reading(self, core: "Core", kind: int) -> Read:
        """A Read through the core, which keeps the datagrams as records of this kind. It hands on each."""

        def read(sock: socket.socket, at_most: int) -> ReadResult:
            done = size = truncated = fault = 0
            while done < at_most and not fault:
                packets, fault = core.receive(sock.fileno(), min(SOME, at_most - done), kind)
                for packet, cut, address, credentials in packets:
                    done += 1
                    size += len(packet)
                    truncated += cut
                    if cut or self._bad.armed:
                        (self.cut if cut else self.lines)(packet, sender_of(address, credentials))
                    else:
                        self.feed(packet)
            return ReadResult(done, size, bool(fault) and fault not in _NOTHING_MORE, truncated)

        return read

    def watching(self, read: Read, read_one: Read | None = None) -> Read:
        """A Read like ``read``. While lines are inspected, it reads each datagram with its sender, by ``read_one``.

        A fault of ours ends one read alone, and counts as one lost line.
        """

        def watched(sock: socket.socket, at_most: int) -> ReadResult:
            taken = ReadResult(0, 0)
            try:
                while self._bad.armed and taken.packets < at_most:
                    one = (read_one or self._take_one)(sock, 1)
                    taken = taken.plus(one)
                    if not one.packets:
                        return taken
                if taken.packets < at_most:
                    taken = taken.plus(read(sock, at_most - taken.packets))
            except Exception as error:  # the loop would never call the reader of this socket again
                self.fault(error, b"")
                return taken.plus(ReadResult(1, 0, failed=True))
            return taken

        return watched

    def _take_one(self, sock: socket.socket, _at_most: int) -> ReadResult:
        try:
            packet, control, flags, address = sock.recvmsg(MAX_DATAGRAM, _CONTROL)
        except BlockingIOError:
            return ReadResult(0, 0)
        except OSError:
            return ReadResult(0, 0, failed=True)
        sender = sender_name(address, control[0][2] if control else b"")
        if flags & socket.MSG_TRUNC:
            self.cut(packet, sender)
        else:
            self.lines(packet, sender)
        return ReadResult(1, len(packet), truncated=int(bool(flags & socket.MSG_TRUNC)))


def _both(hand_on: Callable[[bytes], None], feed: Callable[[bytes], None], packet: bytes) -> None:
    hand_on(packet)
    feed(packet)

"""The compiled core (native/agent/). It counts lines in usual forms and stores all other lines."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Counted: TypeAlias = tuple[Any, int, int, int, Any, int, bool, bytes]
"""See ``Core.take``."""

class Core:
    """The core calls ``learn`` once for each name and tail as sent.

    ``learn`` returns the limit of the values, a whole number: each value must be between -limit and limit, both
    excluded. With 0 the core does not count these lines. The second result is the object that ``take`` gives for them.
    The third says how they are counted: 0, numbers are added up; 1, and counted by bucket too; 2, the last number of a
    gauge counts, and a line whose number has a sign is not counted; 3, the same for numbers with a sign too; 4, each
    different member of a set is kept. Without it they are added up.
    """

    def __init__(self, learn: Callable[[bytes, bytes], tuple[int, Any] | tuple[int, Any, int]], /) -> None: ...
    @property
    def left(self) -> int:
        """Bytes of the lines that were stored and not counted."""

    def feed(self, packet: bytes) -> None:
        """Count one datagram. Raises what ``learn`` raises.

        Lines of new names are not counted after the first 500 of one call, because to learn a name takes long.
        """

    def read(self, fd: int, at_most: int) -> tuple[int, int, int]:
        """Read and count at most ``at_most`` datagrams with one system call. Returns their number, bytes and an errno.

        The errno is 0 when more may wait, EAGAIN when no more wait, else the socket's fault. Never blocks.
        Raises what ``learn`` raises, and learns no more new names than ``feed``. With a journal, the datagrams are in
        it before they are counted.
        """

    def receive(self, fd: int, at_most: int, kind: int, /) -> tuple[list[tuple[bytes, bool, bytes, bytes]], int]:
        """Read datagrams as ``read`` does, but do not count them. Returns them and an errno.

        Each is (bytes, whether it was longer than 65,536 bytes and was cut, the sockaddr of its sender or b"", the
        sender's credentials or b""). With a journal, they are in it, as records of this kind.
        """

    def open_journal(
        self, map: Any, make_room: Callable[[int], object], descriptor: int = -1, first: int = 0, /
    ) -> None:
        """Have a journal in the map of a file: see agent.journal.layout. Nothing is kept until ``aim_journal``.

        ``make_room`` is called with a number of bytes when there is no room for them. It may call ``aim_journal``.
        Many records at once are written through ``descriptor``, in which the map begins at ``first``. Others, and all
        with -1, are written into the map.
        """

    def aim_journal(self, word: int, room: int, /) -> None:
        """Append records where this word of the map says, up to the offset ``room``. Word 0: keep nothing.

        Raises ValueError when the map has no such place.
        """

    @staticmethod
    def records_end(map: Any, first: int, room: int, generation: int, /) -> int:
        """Where the records of a window end, the first of which is at ``first``: all that are whole and unchanged.

        ``generation`` is the word of the window's generation, ``room`` where its place ends. Raises ValueError when the
        map has no such place.
        """

    def finish_journal(self) -> None:
        """Append the datagrams that a killed process has read and not appended. Raises ValueError for a bad map."""

    def close_journal(self) -> None:
        """Let go of the map."""

    def keep(self, kind: int, data: bytes, /) -> bool:
        """Append a record. Returns False when nothing is kept. Raises what ``make_room`` raises."""

    def take(self) -> tuple[Iterator[Counted], bytes]:
        """What was counted since the last take, and the lines that were not counted, as sent, each with a newline.

        A counted series is (object from ``learn``, lines, values, sum, smallest, largest, fine, histogram). The numbers
        are in 10^-6, or in 10^-18 where ``fine`` is true. The histogram is as protocol.histogram.encode makes it, where
        each value weighs one sample. It is empty when values are not counted by bucket.

        Of a set it is (object, lines, lines, members, times, 0, False, texts): how many different members, how often
        each came in four bytes each, and the members themselves, separated by newlines. Over 1,000 are given in parts.

        Of a gauge only the last of several lines is among those that were not counted, in its place among the others
        that may change a gauge. Its series says how many it has overtaken: (object, lines, lines, 0, 0, 0, False, b"").

        All is copied in one step; the iterator makes the objects one by one. The garbage collector does not see it,
        so these objects must not refer to it. A MemoryError of the iterator loses nothing: it gives the same series
        next time.
        """

    def forget(self) -> None:
        """Let the next ``take`` forget what ``learn`` returned. Until then, new names are not learned."""

    def release(self, at_most: int, /) -> bool:
        """Release so many of the objects that a ``take`` has forgotten. Returns whether there are more."""

    def serve(self, fd: int, kind: int, stop: int, tell: int, pause: int, /) -> None:
        """Read a socket and count, without the interpreter's lock, until the eventfd ``stop`` can be read.

        Call it in a thread of its own. After some datagrams it pauses for ``pause`` milliseconds, so that several wait
        for the next read. It never calls ``learn``: it leaves the lines of new names. It writes to the eventfd ``tell``
        when the main thread should ask what it ``wants``. With a journal, datagrams are in it as records of this kind.
        Meanwhile the other methods raise RuntimeError, except between ``hold`` and ``let_go``, and except ``served``.
        """

    def hold(self) -> None:
        """Wait until the thread is between two reads, and keep it there. Only for one thread; it may hold it again."""

    def let_go(self) -> None:
        """Let the thread go on, after as many calls as of ``hold``."""

    def wants(self) -> tuple[int, bool, int, int, int]:
        """What the thread waits for.

        The bytes of the journal without which it cannot go on (or 0), whether the journal's room will not last (said
        once), how many names it has to be taught, the bytes of lines that are left, and how many datagrams were lost
        in part since the last call, because there was no memory.
        """

    def served(self) -> tuple[int, int, int]:
        """Datagrams, bytes and faults of the socket that the thread has read."""

    def teach(self, at_most: int, /) -> bool:
        """Call ``learn`` for so many names that the thread does not know. Returns whether there are more."""

    def stamp(self, senders: int, /) -> None:
        """Note from now on when lines that are left were read, and who sent so many of the next datagrams with them."""

    def parts(self) -> list[tuple[int, int, bytes]]:
        """When parts of the lines that are left were read, where they end, and the sockaddr of their sender or b"".

        The time is in nanoseconds of a clock that all threads share. ``take`` forgets the parts.
        """

    def mirror(self, fd: int, /) -> tuple[int, int, int, int, int, int]:
        """Hand each datagram on to this socket from now on: -1, it is not open yet; -2, do not.

        Returns how many, since the last call, were sent, refused, not sent because a buffer was full, too long, failed,
        and came before the socket was open.
        """

    @staticmethod
    def merge(histograms: list[bytes], /) -> bytes:
        """See protocol.histogram.merge."""

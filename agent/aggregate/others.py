"""The cores of the threads that read sockets, beside the main one. What they have counted comes together here.

A line that a core cannot count by itself is left for plain Python. The order of such lines matters for gauges. So every
core notes when it read them, by a clock that all share, and the lines of all cores are put into that order.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.aggregate.compiled import holding

if TYPE_CHECKING:
    from agent.aggregate.core import Core, Counted

FIRST_SENDERS: Final = 200
"""Datagrams per window, and per core, whose senders are kept with the lines that are left of them."""


class Taken(NamedTuple):
    """What was counted, as the core gives it, and the lines that are left."""

    sums: "Iterator[Counted]"
    left: bytes


class Others:
    """``cores`` are those of the threads. ``mark`` changes the lines that they left, see agent.receive.gauge_signs.

    ``inspect`` gets lines and the sockaddr of their sender.
    """

    def __init__(self, cores: Sequence["Core"]) -> None:
        self.cores = cores
        self.mark: Callable[[bytes], bytes] = bytes
        self.inspect: Callable[[bytes, bytes], object] = lambda lines, sender: None
        self.arm()

    def held(self) -> AbstractContextManager[None]:
        """Keep all of them at one moment: no thread reads meanwhile."""
        return holding(self.cores)

    def arm(self) -> None:
        """Keep the senders of the next lines that are left."""
        with self.held():
            for core in self.cores:
                core.stamp(FIRST_SENDERS)

    def forget(self) -> None:
        """Let the next ``take`` forget what lines mean."""
        with self.held():
            for core in self.cores:
                core.forget()

    def mirror(self, fd: int) -> list[int]:
        """Hand datagrams on to this socket: see Core.mirror. Returns the sums of what the cores give."""
        with self.held():
            return [sum(counts) for counts in zip(*(core.mirror(fd) for core in self.cores), strict=True)]

    def take(self, main: "Core") -> Taken:
        """What all cores have counted up to one moment, and the lines that are left, in the order of their reading."""
        with self.held():
            all_parts = [core.parts() for core in (main, *self.cores)]
            taken = [core.take() for core in (main, *self.cores)]
        read: list[tuple[int, bytes]] = []
        for number, (parts, (_, left)) in enumerate(zip(all_parts, taken, strict=True)):
            begun = 0
            for stamp, end, sender in parts:
                lines, begun = left[begun:end], end
                if sender:
                    self.inspect(lines, sender)
                read.append((stamp, self.mark(lines) if number else lines))
        read.sort(key=itemgetter(0))  # lines with the same stamp keep their order
        return Taken(chain.from_iterable(sums for sums, _ in taken), b"".join(lines for _, lines in read))

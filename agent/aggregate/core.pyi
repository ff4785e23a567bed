"""The compiled core (native/agent/): counts counters and timings in everyday forms, leaves all other lines alone."""

from collections.abc import Callable, Iterator
from typing import Any

class Core:
    """``learn`` is asked once for each name and tail as sent: the limit of its values in whole numbers, both ends
    excluded, or 0 when its lines are to be left alone; and an object that stands for the two in ``take``."""

    def __init__(self, learn: Callable[[bytes, bytes], tuple[int, Any]], /) -> None: ...
    @property
    def left(self) -> int:
        """Bytes of the lines that were left alone."""

    def feed(self, packet: bytes) -> None:
        """Count one datagram. Raises what ``learn`` raises."""

    def read(self, fd: int, at_most: int) -> tuple[int, int, int]:
        """Read and count at most so many datagrams, one system call's worth: how many, their bytes, and an errno.

        That is 0 when more may wait, EAGAIN when no more do, else what ails the socket. Never blocks.
        Raises what ``learn`` raises.
        """

    def take(self) -> tuple[Iterator[tuple[Any, int, int, int, int, int, bool]], bytes]:
        """What was counted since the last take, and the lines left alone as sent, each with a newline.

        Counted: what ``learn`` gave, lines, values, and their sum, smallest and largest in 10^-6, or in 10^-18
        where the last is true. It is copied in one step, and made into objects one by one as the iterator goes on.
        A MemoryError of the iterator loses nothing: the series is then the next one.
        """

"""A UDP socket that a thread of its own reads and counts, without the interpreter's lock. It has a core of its own.

Several such sockets share one address (SO_REUSEPORT). The kernel gives each datagram to one of them, by the addresses
and ports of both ends. So what one socket of a client sends comes to one thread, in order.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agent.aggregate.aggregator import SETTLE_BYTES
from agent.aggregate.compiled import holding
from agent.attempts import Tell
from agent.receive.datagrams import DatagramReceiver, Read
from agent.receive.socket_status import SocketStatus
from agent.turns import Turns

if TYPE_CHECKING:
    from agent.aggregate.core import Core

LEARN_AT_ONCE: Final = 100
"""Names that a core is taught in one turn of the loop, while its thread waits: some milliseconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """A core, and what the main thread does for the thread that it counts in.

    ``kind`` is that of the records in the journal: see agent.journal.layout. ``make_room`` finds the bytes there
    without which the thread cannot go on. ``grow`` makes sure that it will have more soon.
    """

    core: "Core"
    kind: int
    make_room: Callable[["Core", int], object]
    grow: Callable[["Core"], object]
    count_left: Callable[[], object]
    fault: Callable[[Exception, bytes], object]
    tell: Tell
    thread: Callable[..., threading.Thread] = threading.Thread


class ThreadReceiver(DatagramReceiver):
    """Like DatagramReceiver, but a thread reads from ``start`` to ``stop``.

    ``read`` is for what is left then, and for a host that has no room for another thread.
    """

    def __init__(self, sock: socket.socket, served: Served, read: Read, name: str, *, ours: bool) -> None:
        super().__init__(sock, read, name, ours=ours)
        self._served = served
        self._core = served.core
        self._thread: threading.Thread | None = None
        self._stop_it = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._attention = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._looks = Turns(self._look)
        self._closed = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""
        self._loop = loop
        pause = max(1, round(self._pause * 1_000))
        arguments = (self._sock.fileno(), self._served.kind, self._stop_it, self._attention, pause)
        # A daemon, so that a fault elsewhere can end the process. A stop waits for it.
        thread = self._served.thread(target=self._core.serve, args=arguments, name=self.name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._served.tell(
                "thread_missing",
                f"{self.name}: the event loop reads it, because no thread can be started ({error}); nothing is lost, "
                "but a packet costs more; raise the limit of tasks and restart the agent",
            )
            super().start(loop)
            return
        self._thread = thread
        loop.add_reader(self._attention, self._attend)

    def stop(self) -> None:
        """Wait until the thread has ended. New packets wait in the socket's buffer. You may call it more than once."""
        thread, self._thread = self._thread, None
        if thread is None:
            super().stop()
            return
        os.eventfd_write(self._stop_it, 1)
        thread.join()
        os.eventfd_read(self._stop_it)
        if self._loop is not None:
            self._loop.remove_reader(self._attention)
            self._loop = None
            self._look()

    def close(self) -> None:
        """Stop and close the socket. Drain it first, or what waits is lost. You may call it more than once."""
        super().close()
        if not self._closed:
            self._closed = True
            os.close(self._stop_it)
            os.close(self._attention)

    def status(self) -> SocketStatus:
        """The socket's numbers."""
        packets, size, errors = self._core.served()
        drained = super().status()
        return replace(
            drained,
            packets=(drained.packets or 0) + packets,
            bytes=drained.bytes + size,
            errors=drained.errors + errors,
        )

    def _attend(self) -> None:
        os.eventfd_read(self._attention)
        self._looks.begin()

    def _look(self) -> bool:
        """Do what the thread waits for, and what only the main thread can do. Returns whether to look again."""
        with holding([self._core]):
            wanted, low, unknown, left, faults = self._core.wants()
            more = bool(unknown) and self._core.teach(LEARN_AT_ONCE)
            if wanted:
                self._served.make_room(self._core, wanted)
            elif low:
                self._served.grow(self._core)
        for _ in range(faults):
            self._served.fault(MemoryError(), b"")
        if left >= SETTLE_BYTES:
            self._served.count_left()
        return more and self._loop is not None

"""The core is killed at any instruction: a datagram is kept or still waits in the socket, never both or neither."""

import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.aggregate.aggregator import AggregateOptions
from agent.aggregate.compiled import CORE
from agent.journal.journal import Journal, JournalRoom
from agent.journal.layout import ABSOLUTE, Record
from agent.journal.left import open_left
from tests.agent.fakes import EventLog
from tests.agent.journal.stepping import killed_after

if TYPE_CHECKING:
    from agent.aggregate.core import Core

ROOM = JournalRoom(8 << 20, 8 << 20)
KEPT = 32
"""A kind that no datagram has."""
STEPS = 5_000
"""Instructions of two reads; few, because the kernel takes some 30 us for each step."""
LONG = b"n:1|c\n" + b"x" * 9_000
"""A datagram that is written by a call of the kernel. It has two lines, so that it is counted in few steps."""
LONG_STEPS = 30_000


def a_core() -> "Core":
    assert CORE is not None
    return CORE(lambda name, tail: (10**12, (name, tail)))


class Trial:
    """A journal with an open window, and a socket in which packets wait."""

    def __init__(self, folder: Path, chance: random.Random, packet: bytes = b"n:1|c\n") -> None:
        self.core = a_core()
        self.journal = Journal(folder / "journal", self.core, EventLog(), ROOM)
        self.journal.open("boot", AggregateOptions())
        self.journal.turn(50, 0.0)
        self.path = folder / "journal"
        self.sock, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sent = [packet * chance.randrange(1, 5) for _ in range(chance.randrange(1, 5))]
        self.core.feed(b"n:1|c\n")  # what a name means is asked before, in far more steps
        for each in self.sent:
            self._sender.send(each)

    def act(self) -> None:
        """Two reads, and what is kept beside them."""
        self.core.read(self.sock.fileno(), 2)
        self.core.keep(KEPT, b"k:1|c")
        self.core.receive(self.sock.fileno(), 2, ABSOLUTE)
        self.core.keep(KEPT, b"l:1|c")

    def turn(self) -> None:
        """The end of a window, and its release."""
        self.journal.turn(60, 0.0)
        self.journal.release(1)

    def records(self) -> list[Record]:
        left = open_left(self.path, a_core(), "boot", EventLog())
        if left is None:
            return []
        found = [record for window in left.windows() for record in left.records(window)]
        left.close()
        return found

    def waits(self) -> list[bytes]:
        packets = []
        try:
            while True:
                packets.append(self.sock.recv(100_000, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return packets

    def close(self) -> None:
        self.journal.close()
        self.sock.close()
        self._sender.close()


@pytest.mark.parametrize(("packet", "steps"), [(b"n:1|c\n", STEPS), (LONG, LONG_STEPS)], ids=["short", "long"])
@pytest.mark.parametrize("seed", range(3))
def test_each_datagram_is_kept_or_waits(tmp_path: Path, seed: int, packet: bytes, steps: int) -> None:
    chance = random.Random(seed)
    for _ in range(8):
        trial = Trial(tmp_path, chance, packet)
        ended = killed_after(chance.randrange(steps), trial.act)
        waits, records = trial.waits(), trial.records()
        datagrams = [record for record in records if record.kind != KEPT]
        assert [record.data for record in datagrams] + waits == trial.sent
        assert [record.kind for record in datagrams] == [0, 0, ABSOLUTE, ABSOLUTE][: len(datagrams)]
        kept = [record.data for record in records if record.kind == KEPT]
        assert kept == [b"k:1|c", b"l:1|c"][: len(kept)]
        assert not ended or len(kept) == 2
        trial.close()


@pytest.mark.parametrize("steps", [0, 1, 10, 100, 1_000, 10_000])
def test_a_new_window_is_there_or_it_is_not(tmp_path: Path, steps: int) -> None:
    """The switch to the next window, and the release of the last one, in any moment of them."""
    trial = Trial(tmp_path, random.Random(0))
    trial.core.keep(KEPT, b"k:1|c")
    killed_after(steps, trial.turn)
    left = open_left(trial.path, a_core(), "boot", EventLog())
    assert left is not None
    windows = [(window.generation, window.start, window.places[0]) for window in left.windows()]
    assert [(generation, start, end - first) for generation, start, (first, end) in windows] in (
        [(1, 50, 13)],
        [(1, 50, 13), (2, 60, 0)],
        [(2, 60, 0)],
    )
    left.close()
    trial.close()

"""A core that a thread serves: it reads and counts without Python, and leaves to the main thread what needs that."""

import mmap
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent.aggregate.compiled import holding
from agent.journal import layout
from agent.receive.mirror import MIRROR_REASONS
from tests.agent.aggregate.test_core import a_core, learn, take

if TYPE_CHECKING:
    from agent.aggregate.core import Core

ONE: Final = 10**18
NEEDED: Final = 64 * (65_536 + 8) + 16
"""Room in the journal without which a thread does not read."""


class Served(SimpleNamespace):
    """A core whose thread reads ``sock``; ``sender`` sends there."""

    core: "Core"
    sock: socket.socket
    sender: socket.socket
    wake: int

    def until(self, done: Callable[["Core"], bool]) -> None:
        """Wait until it is so. What the thread tells is not attended to."""
        while True:
            with holding([self.core]):
                if done(self.core):
                    return

    def read(self, packets: int) -> None:
        """Wait until so many were read since the start."""
        while self.core.served()[0] < packets:
            pass

    def is_told(self, *, within: float = 30) -> bool:
        """Wait until the thread tells that it wants something."""
        if not select.select([self.wake], [], [], within)[0]:
            return False
        os.eventfd_read(self.wake)
        return True


@contextmanager
def served(core: "Core", kind: int = 0) -> Iterator[Served]:
    stop, wake = os.eventfd(0), os.eventfd(0)
    sock, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with sock, sender:
        sock.bind(("127.0.0.1", 0))
        sender.connect(sock.getsockname())
        thread = threading.Thread(target=core.serve, args=(sock.fileno(), kind, stop, wake, 1))
        thread.start()
        try:
            yield Served(core=core, sock=sock, sender=sender, wake=wake)
        finally:
            os.eventfd_write(stop, 1)
            thread.join()
            os.close(stop)
            os.close(wake)


def test_new_names_are_left_until_they_are_taught_and_then_counted() -> None:
    core = a_core(learn)
    with served(core) as one:
        one.sender.send(b"a:1|c\nb:1|g")
        assert one.is_told()
        with holding([core]):
            assert core.wants() == (0, False, 2, len(b"a:1|c\nb:1|g\n"), 0)
            assert core.teach(1)
            assert not core.teach(1)
            assert take(core) == ([], b"a:1|c\nb:1|g\n")
        one.sender.send(b"a:2|c\nb:2|g\na:3|c")
        one.read(2)
        with holding([core]):
            assert core.wants()[2] == 0
            assert take(core) == ([((b"a", b"c"), 2, 2, 5 * ONE, 2 * ONE, 3 * ONE)], b"b:2|g\n")
    assert core.served() == (2, 28, 0)


def test_a_served_core_is_refused_to_those_who_do_not_hold_it() -> None:
    core = a_core(learn)
    with served(core) as one:
        one.sender.send(b"a:1|c")
        one.read(1)
        for call in (core.take, core.wants, core.parts, core.forget, core.close_journal):
            with pytest.raises(RuntimeError, match="hold it first"):
                call()
        for method in (core.teach, core.stamp, core.mirror):
            with pytest.raises(RuntimeError, match="hold it first"):
                method(1)
        with pytest.raises(RuntimeError, match="nobody holds"):
            core.let_go()
        with holding([core]), holding([core]):
            assert core.take()[1] == b"a:1|c\n"
    assert core.take()[1] == b"", "after its thread ended it is as any other"
    core.feed(b"c:1|c")
    assert take(core)[0] == [((b"c", b"c"), 1, 1, ONE, ONE, ONE)]


def test_a_core_serves_one_socket_with_a_kind_that_there_is() -> None:
    core = a_core(learn)
    for arguments in ((0, 256, 0, 0, 1), (0, -1, 0, 0, 1), (0, 0, 0, 0, -1)):
        with pytest.raises(ValueError, match="serves one socket"):
            core.serve(*arguments)
    with served(core), holding([core]), pytest.raises(ValueError, match="serves one socket"):
        core.serve(0, 0, 0, 0, 1)


def test_a_held_thread_waits_and_reads_what_came_meanwhile() -> None:
    core = a_core(learn)
    with served(core) as one:
        with holding([core]):
            before = core.served()
            for number in range(100):
                one.sender.send(b"a:%d|c" % number)
            assert core.served() == before
        one.read(100)


def test_lines_that_are_left_have_a_time_and_some_a_sender() -> None:
    core = a_core(learn)
    core.stamp(1)
    with served(core) as one:
        for number in range(3):
            one.sender.send(b"g:%d|g" % number)
            one.read(number + 1)
        with holding([core]):
            parts, left = core.parts(), core.take()[1]
            assert core.parts() == []
        port = one.sender.getsockname()[1]
    times = [time for time, _, _ in parts]
    assert times == sorted(times)
    assert left == b"g:0|g\ng:1|g\ng:2|g\n"
    assert [end for _, end, _ in parts][-1] == len(left)
    assert parts[0][1] == 6, "the part of the one whose sender is kept"
    assert int.from_bytes(parts[0][2][2:4], "big") == port, "a sockaddr"
    assert [bool(sender) for _, _, sender in parts] == [True, *[False] * (len(parts) - 1)]


def test_too_many_lines_left_make_the_thread_wait() -> None:
    core = a_core(lambda name, tail: (0, None))
    packet = b"\n".join([b"g:1|g" + b" " * 995] * 60)
    with served(core) as one:
        one.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        sent = 0
        while core.served()[1] < 4 << 20:
            one.sender.send(packet)
            sent += 1
            one.read(sent)
        one.sender.send(b"last:1|g")
        with holding([core]):
            wanted, low, _, left, faults = core.wants()
            assert left >= 4 << 20
            assert (wanted, low, faults) == (0, False, 0)
            assert core.served()[0] == sent
            assert core.take()[1].count(b"\n") == 60 * sent
        one.read(sent + 1)


@contextmanager
def with_journal(core: "Core", room: int, descriptor: int = -1) -> Iterator[tuple[mmap.mmap, layout.Block]]:
    """A journal whose open place may take ``room`` bytes."""
    with mmap.mmap(-1, layout.RECORDS + (32 << 20)) as map_:
        words = memoryview(map_)[: layout.WORDS * 8].cast("Q")
        layout.begin_words(words)
        block = layout.Block(words, 0)
        block.begin(1, layout.RECORDS, 0, 0.0, "0" * 24)
        core.open_journal(map_, lambda wanted: None, descriptor)
        core.aim_journal(block.end_word, layout.RECORDS + room)
        yield map_, block
        core.close_journal()
        words.release()


def kept(map_: mmap.mmap, block: layout.Block) -> list[Any]:
    with memoryview(map_) as whole, whole[layout.RECORDS : block.get(layout.END)] as data:
        return list(layout.stamped(layout.records(data)))


def test_without_room_in_the_journal_the_thread_waits_for_it() -> None:
    core = a_core(learn)
    with with_journal(core, NEEDED - 1) as (map_, block), served(core, 1) as one:
        one.sender.send(b"a:1|c")
        assert one.is_told()
        with holding([core]):
            assert core.wants() == (NEEDED, True, 0, 0, 0)
            assert kept(map_, block) == []
            core.aim_journal(block.end_word, layout.RECORDS + NEEDED)
        one.read(1)
        with holding([core]):
            assert [record for _, record in kept(map_, block)] == [(1, b"a:1|c")]
            core.aim_journal(0, 0)
        one.sender.send(b"a:2|c")
        one.read(2)
        with holding([core]):
            assert len(kept(map_, block)) == 1


def test_records_that_the_disk_does_not_take_go_into_the_map() -> None:
    core, lines = a_core(learn), [b"a:1|c\n" * 9_000, b"b:1|c"]
    with Path("/dev/full").open("wb", buffering=0) as full, with_journal(core, NEEDED, full.fileno()) as (map_, block):
        for each in lines:
            assert core.keep(0, each)
        assert [record.data for _, record in kept(map_, block)] == lines


def test_the_thread_says_once_that_its_room_will_not_last() -> None:
    core = a_core(lambda name, tail: (1_000, (name, tail)))
    core.feed(b"a:1|c")
    with with_journal(core, 2 * NEEDED - 1) as (map_, block), served(core) as one:
        one.sender.send(b"a:1|c")
        assert one.is_told()
        with holding([core]):
            assert core.wants()[:2] == (0, True)
        one.sender.send(b"a:1|c")
        one.read(2)
        with holding([core]):
            core.teach(10)
            assert core.wants()[:2] == (0, False)
            core.aim_journal(block.end_word, layout.RECORDS + 2 * NEEDED - 1)
            assert core.wants()[:2] == (0, True), "another room is another question"
        stamps = [stamp for stamp, _ in kept(map_, block)]
        assert stamps == sorted(stamps)
        assert all(stamps)


def test_datagrams_are_handed_on_and_counted_by_what_became_of_them() -> None:
    core = a_core(learn)
    with served(core) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(30)
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.connect(target.getsockname())
        with holding([core]):
            assert core.mirror(-1) == (0,) * (len(MIRROR_REASONS))
        one.sender.send(b"early")
        one.read(1)
        with holding([core]):
            assert core.mirror(out.fileno()) == (0, 0, 0, 0, 0, 1)
        for packet in (b"a:1|c\n", b"\0\xff" * 700, b"x" * 60_000):
            one.sender.send(packet)
            assert target.recv(70_000) == packet
        with holding([core]):
            assert core.mirror(out.fileno()) == (3, 0, 0, 0, 0, 0)
        target.close()
        for number in range(4):  # the kernel says with the next one that the one before was refused
            one.sender.send(b"b:%d|c" % number)
            one.read(5 + number)
        with holding([core]):
            sent, refused, *others = core.mirror(-2)
        assert (sent + refused, others) == (4, [0, 0, 0, 0])
        assert refused >= 1
        one.sender.send(b"off")
        one.read(9)
        with holding([core]):
            assert core.mirror(-2) == (0,) * 6
        out.close()


def test_what_is_no_descriptor_is_refused() -> None:
    with pytest.raises(ValueError, match="no descriptor"):
        a_core(learn).mirror(-3)


def test_learning_that_fails_is_tried_again() -> None:
    answers: list[MemoryError | tuple[int, str]] = [MemoryError(), (1_000, "a")]

    def once(name: bytes, tail: bytes) -> tuple[int, Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        with pytest.raises(RuntimeError, match="not reentrant"):
            core.take()
        return answer

    core = a_core(once)
    with served(core) as one:
        one.sender.send(b"a:1|c")
        one.read(1)
        with holding([core]):
            with pytest.raises(MemoryError):
                core.teach(5)
            assert not core.teach(5)
            assert answers == []
            core.forget()
            core.take()
            assert core.wants()[2] == 0, "what is forgotten need not be taught"

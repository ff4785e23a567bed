"""A journal of several cores: one part of the file for each, and one word that releases a window of all."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.aggregate.aggregator import AggregateOptions
from agent.journal import layout
from agent.journal.journal import Journal, JournalRoom
from agent.journal.left import LeftJournal, open_left
from protocol.statsd import KEEP
from tests.agent.aggregate.test_core import a_core, learn
from tests.agent.journal.lives import Log

if TYPE_CHECKING:
    from agent.aggregate.core import Core

ROOM = JournalRoom(8 << 20, 8 << 20, lambda descriptor, offset, length: None)


class Several:
    """A journal of three cores. The first one is that of the main thread."""

    def __init__(self, path: Path, room: JournalRoom = ROOM) -> None:
        self.path = path
        self.log = Log()
        self.cores = [a_core(learn) for _ in range(3)]
        for core in self.cores:
            core.stamp(0)
        self.journal = Journal(path, self.cores[0], self.log, room, self.cores[1:])
        self.journal.open("boot", AggregateOptions())
        self.generation = self.journal.turn(10, 0.0).generation

    def keep(self, *texts: tuple[int, bytes]) -> None:
        for number, text in texts:
            assert self.cores[number].keep(layout.PLAIN, text)

    @contextmanager
    def left(self) -> Iterator[LeftJournal]:
        """What the next start finds."""
        found = open_left(self.path, a_core(learn), "boot", self.log)
        assert found is not None, self.log.messages("journal_left")
        yield found
        found.close()


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Several]:
    one = Several(tmp_path / "journal")
    yield one
    one.journal.close()


def data(left: LeftJournal) -> list[list[bytes]]:
    return [[record.data for record in left.records(window)] for window in left.windows()]


def test_records_come_in_the_order_of_their_reading_whoever_read_them(several: Several) -> None:
    several.keep((0, b"a"), (2, b"b"), (1, b"c"), (1, b"d"), (0, b"e"))
    several.journal.turn(20, 0.0)
    several.keep((2, b"f"), (1, b"g"))
    with several.left() as left:
        assert data(left) == [[b"a", b"b", b"c", b"d", b"e"], [b"f", b"g"]]
        assert len({window.id for window in left.windows()}) == 2


def test_one_word_releases_a_window_of_all(several: Several) -> None:
    several.keep((0, b"a"), (1, b"b"))
    second = several.journal.turn(20, 0.0).generation
    several.keep((2, b"c"))
    several.journal.release(several.generation)
    with several.left() as left:
        assert data(left) == [[b"c"]]
        left.release(second)
        assert left.windows() == []


def test_a_part_whose_turn_had_not_come_has_nothing_of_the_new_window(several: Several) -> None:
    """The kill came between two parts: the first one has a window that the others do not know."""
    several.keep((1, b"a"))
    window_id = "0" * 24
    several.journal._lanes[0].begin(1 - several.journal._place, several.generation + 1, 20, 0.0, window_id)
    with several.left() as left:
        assert data(left) == [[b"a"], []]


def test_rules_hold_for_what_each_core_reads_after_them(several: Several) -> None:
    several.keep((1, b"a"), (2, b"b"))
    several.journal.use(layout.Rules("new.", KEEP, 5))
    several.keep((2, b"c"), (1, b"d"))
    with several.left() as left:
        (records,) = ([*left.records(window)] for window in left.windows())
    kinds = [record.kind for record in records]
    assert kinds == [layout.PLAIN] * 2 + [layout.RULES] * 3 + [layout.PLAIN] * 2
    assert [record.data for record in records if record.kind == layout.PLAIN] == [b"a", b"b", b"c", b"d"]


def test_an_agent_of_one_thread_reads_what_one_of_many_has_left(several: Several) -> None:
    several.keep((1, b"a"))
    with several.left() as left:
        assert data(left) == [[b"a"]]


def test_a_file_that_lacks_a_part_is_put_aside(several: Several) -> None:
    several.keep((1, b"a"))
    with several.path.open("r+b") as file:
        file.truncate(2 * layout.lane_bytes(ROOM.window))
    assert open_left(several.path, a_core(learn), "boot", several.log) is None
    assert "has not the size that it says" in several.log.messages("journal_left")[0]


def test_a_damaged_record_of_any_core_puts_the_file_aside(several: Several) -> None:
    several.keep((0, b"a"), (2, b"b"))
    lane = several.journal._lanes[2]
    with several.path.open("r+b") as file:
        file.seek(lane.first + lane.blocks[several.journal._place].get(layout.END) - 1)
        file.write(b"c")
    assert open_left(several.path, a_core(learn), "boot", several.log) is None
    assert "has a damaged record" in several.log.messages("journal_left")[0]


def test_a_part_that_never_had_a_window_has_nothing(several: Several) -> None:
    """The kill came in the first turn."""
    several.keep((0, b"a"))
    layout.begin_words(several.journal._lanes[2].words)
    with several.left() as left:
        assert data(left) == [[b"a"]]


def test_a_stamp_that_is_none_puts_the_file_aside(several: Several) -> None:
    several.keep((0, b"a"))
    several.cores[1].keep(layout.STAMP, b"123")
    assert open_left(several.path, a_core(learn), "boot", several.log) is None
    assert "a stamp that is none" in several.log.messages("journal_left")[0]


def test_without_room_for_one_core_nothing_more_of_the_window_is_kept(tmp_path: Path) -> None:
    full: list[int] = []

    def allocate(descriptor: int, offset: int, length: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    several = Several(tmp_path / "journal", JournalRoom(32 << 20, 8 << 20, allocate))
    several.keep((1, b"a"))
    full.append(1)
    several.journal.grow(several.cores[2])
    assert several.journal.why_not == "No space left on device"
    assert [core.keep(layout.PLAIN, b"b") for core in several.cores] == [False] * 3
    assert several.log.count("journal_fails") == 1
    with several.left() as left:
        assert data(left) == [[b"a"]]
    full.clear()
    several.journal.turn(20, 0.0)
    assert several.journal.why_not == ""
    several.journal.close()


def test_a_core_that_needs_room_gets_it_or_the_window_is_closed(tmp_path: Path) -> None:
    several = Several(tmp_path / "journal", JournalRoom(16 << 20, 8 << 20, ROOM.allocate))
    closed: list[int] = []
    several.journal.when_full = lambda: closed.append(several.journal.turn(20, 0.0).generation)
    core = several.cores[1]
    _fill(core, 8 << 20)
    several.journal.make_room(core, 5 << 20)
    assert (_has_room(core, 5 << 20), closed) == (True, [])
    several.journal.grow(core)
    assert not closed, "there is no more to grow by"
    _fill(core, 6 << 20)
    several.journal.make_room(core, 5 << 20)
    assert closed == [2]
    assert _has_room(core, 5 << 20)
    several.journal.make_room(a_core(learn), 5 << 20)
    several.journal.close()


def _fill(core: "Core", size: int) -> None:
    for _ in range(size // (1 << 20)):
        core.keep(layout.PLAIN, b"x" * ((1 << 20) - 64))


def _has_room(core: "Core", size: int) -> bool:
    return core.keep(layout.PLAIN, b"y" * size)

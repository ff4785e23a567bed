"""Reads the journal that a killed agent has left: which windows were never stored, and what was read in them."""

import errno
import heapq
import mmap
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.aggregate.aggregator import AggregateOptions
from agent.attempts import Tell
from agent.journal import layout
from agent.journal.layout import About, Block, Record

if TYPE_CHECKING:
    from agent.aggregate.core import Core

MAX_TRIES: Final = 10
"""Starts that may end before what is left is stored. More than so many means that something in it ends the agent."""
ASIDE: Final = "journal.bad"
"""The name of a file that cannot be used, beside the journal. It replaces an earlier one."""


@dataclass(frozen=True, slots=True)
class LeftWindow:
    """A window that was not stored. ``base`` is that of its clock.

    ``places`` says where its records begin and end, part by part of the file.
    """

    generation: int
    id: str
    start: int
    base: float
    places: tuple[tuple[int, int], ...]


class LeftLane:
    """A part of the file. ``first`` is where it begins."""

    def __init__(self, map_: mmap.mmap, first: int, room: int, core: "Core") -> None:
        self._first = first
        self._room = room
        self._core = core
        self._view = memoryview(map_)[first : first + layout.lane_bytes(room)]
        self.words = self._view[: layout.WORDS * 8].cast("Q")
        self.blocks = layout.blocks(self.words)

    def finish(self) -> None:
        """Append what the killed process had read last, and find where the records end. Raises ValueError."""
        opened = max(self.blocks, key=lambda block: block.generation)
        if not opened.generation:
            return  # the kill came before its first window
        self._core.open_journal(self._view, _no_room)
        try:
            self._core.aim_journal(opened.end_word, self._place_end(opened))
            self._core.finish_journal()
        finally:
            self._core.close_journal()
        for block in self.blocks:
            if block.generation:
                self._find_end(block)

    def place(self, generation: int) -> tuple[int, int] | None:
        """Where the records of a window begin and end in the file. None when it has none here. Raises ValueError."""
        for block in self.blocks:
            if block.generation == generation:
                return self._place(block)
        return None

    def close(self) -> None:
        """Let go of the file."""
        self.words.release()
        self._view.release()

    def _place(self, block: Block) -> tuple[int, int]:
        first, end = layout.first_record(block.place, self._room), block.get(layout.END)
        if not block.is_sealed:
            raise ValueError("has a window whose words are damaged")
        if not first <= end <= self._place_end(block):
            raise ValueError("has a window that ends outside of it")
        return self._first + first, self._first + end

    def _find_end(self, block: Block) -> None:
        """Find the end of the records. The last one counts, even if a kill came before the word that counts it."""
        first = layout.first_record(block.place, self._room)
        end = self._core.records_end(self._view, first, self._place_end(block), block.get(layout.GENERATION))
        if end < block.get(layout.END):
            raise ValueError("has a damaged record")
        block.set(layout.END, end)

    def _place_end(self, block: Block) -> int:
        return layout.first_record(block.place + 1, self._room)


class LeftJournal:
    """The file of an earlier run. No window of it has been sent. ``release`` says that one is stored."""

    def __init__(self, path: Path, map_: mmap.mmap, about: About, core: "Core") -> None:
        self._path = path
        self._map = map_
        size = layout.lane_bytes(about.room)
        self._lanes = tuple(LeftLane(map_, number * size, about.room, core) for number in range(about.lanes))
        self._words = self._lanes[0].words
        self._blocks: tuple[Block, ...] = self._lanes[0].blocks
        self._about = about

    @property
    def boot(self) -> str:
        """The id of the boot in which it was written."""
        return self._about.boot

    @property
    def options(self) -> AggregateOptions:
        """What its lines mean."""
        return self._about.options

    @property
    def unfinished(self) -> int:
        """Connections whose last line had not come to its end. Raises ValueError."""
        return layout.number_in(self._words[layout.UNFINISHED])

    @property
    def tries(self) -> int:
        """How many starts have begun to redo it. Raises ValueError."""
        return layout.number_in(self._words[layout.TRIES])

    def begin_try(self) -> None:
        """Count this start, take what the killed process had read last, and look at all that is there.

        Raises ValueError when something is damaged.
        """
        self._words[layout.TRIES] = layout.guarded(self.tries + 1)
        for lane in self._lanes:
            lane.finish()
        for word in (layout.UNFINISHED, layout.GAUGES_OF):
            layout.number_in(self._words[word])
        for window in self.windows():
            for place in window.places:
                for record in self._records(*place):
                    layout.check_record(record)

    def windows(self) -> list[LeftWindow]:
        """The windows that were not stored, the oldest first. Raises ValueError when the words of one are damaged."""
        return sorted(
            (self._window(block) for block in self._blocks if block.generation),
            key=lambda window: window.generation,
        )

    def records(self, window: LeftWindow) -> Iterator[Record]:
        """What was read in a window, in the order in which it was read."""
        lanes = [layout.stamped(self._records(*place)) for place in window.places]
        for _, record in heapq.merge(*lanes, key=itemgetter(0)):
            yield record

    def release(self, generation: int) -> None:
        """Call this when a window is stored."""
        for block in self._blocks:
            if block.generation == generation:
                block.release()

    def gauges_of(self, generation: int) -> None:
        """See agent.journal.journal.Journal."""
        self._words[layout.GAUGES_OF] = layout.guarded(generation)

    @property
    def gauges_are_of_the_future(self) -> bool:
        """Whether the next file of the gauges has those of the end of a window that is not stored."""
        generation = layout.number_in(self._words[layout.GAUGES_OF])
        return any(generation and block.generation == generation for block in self._blocks)

    def close(self) -> None:
        """Let go of the file."""
        self._blocks = ()
        for lane in self._lanes:
            lane.close()
        self._map.close()

    def _records(self, first: int, end: int) -> Iterator[Record]:
        with memoryview(self._map) as whole, whole[first:end] as data:
            yield from layout.records(data)

    def _window(self, block: Block) -> LeftWindow:
        places = [lane.place(block.generation) for lane in self._lanes]
        return LeftWindow(
            block.generation,
            block.window_id,
            block.get(layout.START),
            layout.word_to_double(block.get(layout.BASE)),
            tuple(place for place in places if place is not None),
        )


def open_left(path: Path, core: "Core | None", boot: str, tell: Tell) -> LeftJournal | None:
    """What an earlier run has left in the journal at ``path``. None when there is nothing to redo.

    A file that cannot be used is put aside, and ``tell`` says why. Raises nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        put_aside(path, "is a symbolic link" if error.errno == errno.ELOOP else error.strerror or str(error), tell)
        return None
    try:
        left = _read(path, descriptor, core)
        if left is None or not left.windows():
            return None
        if left.boot != boot:
            raise ValueError("is of another boot of this host: what was read in its last window is lost")
        if left.tries >= MAX_TRIES:
            raise ValueError(f"could not be redone in {MAX_TRIES} starts")
        left.begin_try()
    except (OSError, ValueError) as error:
        put_aside(path, str(getattr(error, "strerror", None) or error), tell)
        return None
    finally:
        os.close(descriptor)
    return left


def put_aside(path: Path, why: str, tell: Tell) -> None:
    """Give the journal at ``path`` another name, and say why. Raises nothing."""
    became = f"it is now {ASIDE}"
    try:
        path.replace(path.with_name(ASIDE))
    except OSError as error:
        became = f"it cannot be put aside: {error.strerror or error}"
    tell("journal_left", f"{path} {why}; {became}")


def _read(path: Path, descriptor: int, core: "Core | None") -> LeftJournal | None:
    """The journal in a file. None when its run ended before the file was made. Raises ValueError, and OSError."""
    file = os.fstat(descriptor)
    if not stat.S_ISREG(file.st_mode):
        raise ValueError("is no regular file")
    if file.st_uid not in {os.geteuid(), path.parent.stat().st_uid}:
        raise ValueError("belongs to another user")
    head = os.pread(descriptor, layout.HEAD_BYTES, 0)
    if not any(head[:8]) and not any(os.pread(descriptor, 8, layout.RECORDS)):
        return None
    if len(head) < layout.HEAD_BYTES:
        raise ValueError("is too short")
    if int.from_bytes(head[:8], sys.byteorder) != layout.MAGIC:
        raise ValueError("is not a journal of this version")
    about = layout.decode_about(head[layout.ABOUT :])
    if about.lanes < 1 or file.st_size != about.lanes * layout.lane_bytes(about.room):
        raise ValueError("has not the size that it says")
    if core is None:
        raise ValueError("needs the compiled core, which this installation does not have")
    return LeftJournal(path, mmap.mmap(descriptor, file.st_size), about, core)


def _no_room(wanted: int) -> None:
    """An ``allocate`` that does nothing: the file has room already for what is in the slots."""

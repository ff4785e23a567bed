"""Reads the journal that a killed agent has left: which windows were never stored, and what was read in them."""

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
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
    """A window that was not stored. ``base`` is that of its clock."""

    generation: int
    id: str
    start: int
    base: float
    first: int
    end: int


class LeftJournal:
    """The file of an earlier run. No window of it has been sent. ``release`` says that one is stored."""

    def __init__(self, path: Path, map_: mmap.mmap, core: "Core") -> None:
        """Raises ValueError when the file is not a whole journal."""
        self._path = path
        self._map = map_
        if len(map_) < layout.RECORDS:
            raise ValueError("is too short")
        self._words = memoryview(map_)[: layout.WORDS * 8].cast("Q")
        self._blocks: tuple[layout.Block, ...] = layout.blocks(self._words)
        if self._words[layout.MAGIC_WORD] != layout.MAGIC:
            raise ValueError("is not a journal of this version")
        about: About = layout.decode_about(map_[layout.ABOUT : layout.ABOUT + layout.ABOUT_BYTES])
        self.boot: Final = about.boot
        self.options: Final[AggregateOptions] = about.options
        self._core = core

    @property
    def unfinished(self) -> int:
        """Connections whose last line had not come to its end."""
        return int(self._words[layout.UNFINISHED])

    @property
    def tries(self) -> int:
        """How many starts have begun to redo it."""
        return int(self._words[layout.TRIES])

    def begin_try(self) -> None:
        """Count this start, and take what the killed process had read last."""
        self._words[layout.TRIES] = self.tries + 1
        open_block = max(self._blocks, key=lambda block: block.get(layout.GENERATION))
        if open_block.get(layout.GENERATION):
            self._core.open_journal(self._map, _no_room)
            try:
                self._core.aim_journal(open_block.end_word, self._place_end(open_block))
                self._core.finish_journal()
            finally:
                self._core.close_journal()

    def windows(self) -> list[LeftWindow]:
        """The windows that were not stored, the oldest first. Raises ValueError when one is outside of the file."""
        return sorted(
            (self._window(block) for block in self._blocks if block.get(layout.GENERATION)),
            key=lambda window: window.generation,
        )

    def records(self, window: LeftWindow) -> Iterator[Record]:
        """What was read in a window, in order. Raises ValueError."""
        with memoryview(self._map) as whole, whole[window.first : window.end] as data:
            yield from layout.records(data)

    def release(self, generation: int) -> None:
        """A window is stored."""
        for block in self._blocks:
            if block.get(layout.GENERATION) == generation:
                block.set(layout.GENERATION, 0)

    def gauges_of(self, generation: int) -> None:
        """See agent.journal.journal.Journal."""
        self._words[layout.GAUGES_OF] = generation

    @property
    def gauges_are_of_the_future(self) -> bool:
        """Whether the next file of the gauges has those of the end of a window that is not stored."""
        generation = self._words[layout.GAUGES_OF]
        return any(generation and block.get(layout.GENERATION) == generation for block in self._blocks)

    def close(self) -> None:
        """Let go of the file."""
        self._blocks = ()
        self._words.release()
        self._map.close()

    def _window(self, block: Block) -> LeftWindow:
        first, end = layout.first_record(block.place, self._room()), block.get(layout.END)
        if not first <= end <= self._place_end(block):
            raise ValueError("has a window that ends outside of it")
        return LeftWindow(
            block.get(layout.GENERATION),
            block.window_id,
            block.get(layout.START),
            layout.word_to_double(block.get(layout.BASE)),
            first,
            end,
        )

    def _room(self) -> int:
        return (len(self._map) - layout.RECORDS) // 2

    def _place_end(self, block: Block) -> int:
        return layout.first_record(block.place + 1, self._room())


def open_left(path: Path, core: "Core | None", boot: str, tell: Tell) -> LeftJournal | None:
    """What an earlier run has left in the journal at ``path``. None when there is nothing to redo.

    A file that cannot be used is put aside, and ``tell`` says why. Raises nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        _put_aside(path, error.strerror or str(error), tell)
        return None
    try:
        with os.fdopen(descriptor, "r+b") as file:
            if file.read(8) in {b"", bytes(8)}:  # its run ended before the file was made
                return None
            if core is None:
                raise ValueError("needs the compiled core, which this installation does not have")
            map_ = mmap.mmap(file.fileno(), 0)
        left = LeftJournal(path, map_, core)
        if not left.windows():
            return None
        if left.boot != boot:
            raise ValueError("is of another boot of this host: what was read in its last window is lost")
        if left.tries >= MAX_TRIES:
            raise ValueError(f"could not be redone in {MAX_TRIES} starts")
        left.begin_try()
        for window in left.windows():
            for _ in left.records(window):
                pass
    except (OSError, ValueError) as error:
        _put_aside(path, str(getattr(error, "strerror", None) or error), tell)
        return None
    return left


def _put_aside(path: Path, why: str, tell: Tell) -> None:
    with suppress(OSError):
        path.replace(path.with_name(ASIDE))
    tell("journal_left", f"{path} {why}; it is now {ASIDE}")


def _no_room(wanted: int) -> None:
    """What is in the slots has its room already."""

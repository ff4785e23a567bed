"""One core's part of the journal's file. Each core reads without the others, so each has slots and records of its own.

The parts have the same layout (agent.journal.layout) and follow each other in the file. The first one has what is said
once for all: which file this is, the settings, and above all which windows are not released.
"""

import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent.journal import layout

if TYPE_CHECKING:
    from agent.aggregate.core import Core


QUIET_WINDOWS: Final = 6
"""So many quiet windows in a row, and the process gives back the memory of their busy predecessors. Load that comes and
goes within a minute finds its pages again: to bring in each again takes half a microsecond."""


class Lane:
    """A part of the file while it is written. ``room`` is how many bytes each of its places has at most."""

    def __init__(self, core: "Core", number: int, map_: mmap.mmap, room: int) -> None:
        size = layout.lane_bytes(room)
        self.core = core
        self.first = number * size
        """Where it begins in the file."""
        self._view = memoryview(map_)[self.first : self.first + size]
        self.words = self._view[: layout.WORDS * 8].cast("Q")
        self.blocks = layout.blocks(self.words)
        self._map = map_
        self._room = room
        self._allocated = [0] * layout.PLACES
        """How many bytes of each place are on the disk."""
        self._touched = [0] * layout.PLACES
        """How many bytes of each place may be in the memory of the process."""
        self._quiet = 0
        """How many of the last windows were quiet, in a row."""

    def open(self, make_room: Callable[[int], object], step: int, descriptor: int) -> None:
        """Let the core append here. It keeps nothing until ``aim``. The disk has given the first place a step."""
        layout.begin_words(self.words)
        self._allocated[0] = step
        self.core.open_journal(self._view, make_room, descriptor, self.first)

    def begin(self, place: int, generation: int, start: int, base: float, window_id: str) -> None:
        """Make a place the open window's."""
        self.blocks[place].begin(generation, self._begins(place), start, base, window_id)
        self.aim(place)

    def aim(self, place: int) -> None:
        """Append to this place, up to where the disk has room."""
        self.core.aim_journal(self.blocks[place].end_word, self._begins(place) + self._allocated[place])

    def used(self, place: int) -> int:
        """Bytes of the records in a place."""
        return self.blocks[place].get(layout.END) - self._begins(place)

    def grows_by(self, place: int, step: int) -> int:
        """How many bytes more a place may have: a step, or what is left of its room."""
        return min(step, self._room - self._allocated[place])

    def grow(self, place: int, step: int, allocate: Callable[[int, int], object]) -> None:
        """Let a place have so many bytes more. ``allocate`` takes an offset and a length. Raises OSError."""
        allocate(self.first + self._begins(place) + self._allocated[place], step)
        self._allocated[place] += step

    def has_any(self, place: int) -> bool:
        """Whether the disk has given anything to a place."""
        return bool(self._allocated[place])

    def forget_quiet(self, last: int, quiet: int) -> None:
        """Give the memory of the other places back, if the last windows took few bytes. The file keeps its room.

        ``last`` is the place of the last one.
        """
        used = self.used(last) if self.blocks[last].get(layout.END) else 0
        self._touched[last] = max(self._touched[last], used)
        self._quiet = self._quiet + 1 if used < quiet else 0
        for place, touched in enumerate(self._touched):
            if self._quiet >= QUIET_WINDOWS and quiet < touched and place != last:
                self._map.madvise(mmap.MADV_DONTNEED, self.first + self._begins(place), touched)
                self._touched[place] = 0

    def close(self) -> None:
        """Let go of the map."""
        self.words.release()
        self.core.close_journal()
        self._view.release()

    def _begins(self, place: int) -> int:
        return layout.first_record(place, self._room)

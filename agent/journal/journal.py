"""Writes the journal: it finds room for what is read, and has a place for each window until its batches are durable.

The cores append to the map (native/agent/receive.c). This decides where, and what happens when there is no room. Only
the main thread calls it; it holds the cores of the other threads meanwhile.
"""

import errno
import mmap
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.aggregate.aggregator import AggregateOptions
from agent.aggregate.compiled import holding
from agent.attempts import Tell
from agent.journal import layout
from agent.journal.lane import Lane
from agent.journal.layout import About, Block, Rules
from runtime.private_files import open_new

if TYPE_CHECKING:
    from agent.aggregate.core import Core

NO_CORE: Final = "there is no compiled core"
NO_PLACE: Final = "the disk is too slow, and the open window has no room for more"
NO_MAP: Final = "its file system cannot map files into memory; put the spool on a local disk"
_MANY: Final = 1 << 20
"""A window of fewer bytes is a quiet one. After some, the process gives back the memory of their busy predecessors."""


@dataclass(frozen=True, slots=True)
class JournalRoom:
    """How much may be kept, in bytes, and who gives it.

    A window whose records take more than ``window`` is closed early. The disk gives room in steps, as it is needed. One
    read of 64 datagrams needs 4 MiB of it. ``window`` is below 2 GiB. ``allocate`` takes a descriptor, an offset and a
    length, ``map`` a descriptor and a length; both raise OSError.
    """

    window: int = 128 << 20
    step: int = 8 << 20
    allocate: Callable[[int, int, int], object] = os.posix_fallocate
    map: Callable[[int, int], mmap.mmap] = mmap.mmap


class OpenedWindow(NamedTuple):
    """A window in the journal. ``generation`` is 0 when nothing of it is kept. ``id`` begins the ids of its batches."""

    generation: int
    id: str


class Journal:
    """The journal of one run. ``why_not`` says why nothing is kept now; it is empty while all is kept.

    ``when_full`` is called when the open window has taken all of its room. It must close the window and call ``turn``.
    ``others`` are the cores of the threads; each has a part of the file.
    """

    def __init__(
        self,
        path: Path,
        core: "Core | None",
        tell: Tell,
        room: JournalRoom,
        others: Sequence["Core"] = (),
    ) -> None:
        self.why_not = NO_CORE if core is None else "it is not open"
        self.when_full: Callable[[], object] = lambda: None
        self._path = path
        self._core = core
        self._others = others
        self._tell = tell
        self._room = room.window
        self._step = room.step
        self._allocate = room.allocate
        self._map_file = room.map
        self._descriptor = -1
        self._map: mmap.mmap | None = None
        self._lanes: tuple[Lane, ...] = ()
        """The part of the main core, and those of the others. Empty while there is no file."""
        self._generation = 0
        self._place = 0
        self._about: About | None = None
        self._rules = b""
        """The rules of the lines, when they are not those of the start."""
        self._quiet = 0
        """After a fault, how many windows must be kept as a whole before the next fault is logged."""

    def open(self, boot: str, options: AggregateOptions) -> None:
        """Make a new file, in place of an earlier one. Raises nothing: see ``why_not``."""
        if self._core is not None and not boot:
            self._stop("this system does not say when it was booted")
        elif self._core is not None:
            self._about = About(boot, options, self._room, 1 + len(self._others))
            self._try_make(self._core, self._about)

    def turn(self, start: int, base: float) -> OpenedWindow:
        """Begin a new window, which starts at ``start`` under the clock's ``base``, for what is read from now on.

        Call it only while it ``has_place``.
        """
        window_id = secrets.token_hex(12)
        if self._core is None or self._about is None:
            return OpenedWindow(0, window_id)
        if not self._lanes and not self._try_make(self._core, self._about):
            return OpenedWindow(0, window_id)
        if not self.why_not:
            self._quiet = max(0, self._quiet - 1)
        last, self._place = self._place, self._next_place()
        self._generation += 1
        with holding(self._others):
            for lane in self._lanes:  # the first one first: without it, the block of another one means nothing
                lane.forget_quiet(last, _MANY)
                lane.begin(self._place, self._generation, start, base, window_id)
            if all(lane.has_any(self._place) or self._try_grow(lane) for lane in self._lanes):
                self.why_not = ""
                self._keep_rules()
        return OpenedWindow(self._generation, window_id)

    @property
    def has_windows(self) -> bool:
        """Whether there is a file, in which windows wait for the disk."""
        return bool(self._lanes)

    @property
    def has_place(self) -> bool:
        """Whether a window can begin. It cannot while all places have windows that are not released."""
        return not self._lanes or any(not block.generation for block in self._blocks())

    def use(self, rules: Rules) -> None:
        """Write down the rules for the lines that are read from now on."""
        self._rules = layout.encode_rules(rules)
        self._keep_rules()

    def release(self, generation: int) -> None:
        """Call this when the batches of a window are durable, or are sent from memory. It is not redone any more."""
        for block in self._blocks():
            if generation and block.generation == generation:
                block.release()

    def release_closed(self) -> None:
        """Release all windows but the open one."""
        for block in self._blocks():
            if block.generation != self._generation:
                block.release()

    def gauges_of(self, generation: int) -> None:
        """Write down which window's end the next file of gauges stands for."""
        if self._lanes:
            self._lanes[0].words[layout.GAUGES_OF] = layout.guarded(generation)

    def keeping(self, feed: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """A ``feed`` that keeps lines before it hands them on."""
        core = self._core
        if core is None:
            return feed

        def kept(lines: bytes) -> None:
            core.keep(layout.PLAIN, lines)
            feed(lines)

        return kept

    def keep_lost(self, reason: str, lines: int) -> None:
        """Write down that lines were counted as lost, so that the next start counts them too."""
        if self._core is not None:
            self._core.keep(layout.LOST, layout.encode_lost(reason, lines))

    def unfinished(self, more: int) -> None:
        """Count connections whose last line has not come to its end."""
        if self._lanes:
            words = self._lanes[0].words
            number = layout.number_in(words[layout.UNFINISHED]) + more
            words[layout.UNFINISHED] = layout.guarded(max(0, number))

    def make_room(self, core: "Core", wanted: int) -> None:
        """Find room for so many bytes, for which the thread of a core waits."""
        for lane in self._lanes:
            if lane.core is core:
                self._make_room(lane, wanted)

    def grow(self, core: "Core") -> None:
        """Give the thread of a core another step of room before it needs it, if its window may have one."""
        for lane in self._lanes:
            if lane.core is core and lane.grows_by(self._place, self._step):
                self._try_grow(lane)

    def close(self) -> None:
        """Remove the file. Call it at a stop, when all windows are in the spool."""
        for block in self._blocks():
            block.release()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._release_file()

    def _try_make(self, core: "Core", about: About) -> bool:
        """Make the file. Returns False when that failed; each window tries again."""
        try:
            self._make(core, about)
        except (OSError, ValueError) as error:
            self._release_file()
            with suppress(OSError):
                self._path.unlink()
            no_map = isinstance(error, OSError) and error.errno == errno.ENODEV
            self._stop(NO_MAP if no_map else str(getattr(error, "strerror", None) or error))
            return False
        return True

    def _make(self, core: "Core", about: About) -> None:
        text = layout.encode_about(about)
        cores = (core, *self._others)
        size = layout.lane_bytes(self._room) * len(cores)
        os.close(open_new(self._path))
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.ftruncate(self._descriptor, size)
        for number in range(len(cores)):
            first = number * layout.lane_bytes(self._room)
            self._allocate(self._descriptor, first, layout.RECORDS + self._step)
        self._map = self._map_file(self._descriptor, size)
        self._map[layout.ABOUT : layout.ABOUT + len(text)] = text
        with holding(self._others):
            self._lanes = tuple(Lane(one, number, self._map, self._room) for number, one in enumerate(cores))
            for lane in self._lanes:
                lane.open(partial(self._make_room, lane), self._step, self._descriptor)
        self._generation, self._place = 0, layout.PLACES - 1
        self._lanes[0].words[layout.MAGIC_WORD] = layout.MAGIC

    def _next_place(self) -> int:
        """The first one that is free. Places that are used rarely take no room of the disk."""
        return min(block.place for block in self._blocks() if not block.generation)

    def _blocks(self) -> Sequence[Block]:
        """The blocks of the first part, which say which windows are not released."""
        return self._lanes[0].blocks if self._lanes else ()

    def _keep_rules(self) -> None:
        with holding(self._others):
            for lane in self._lanes if self._rules else ():
                lane.core.keep(layout.RULES, self._rules)

    def _make_room(self, lane: Lane, wanted: int) -> None:
        """Find room for so many bytes: grow, or close the window early, or keep nothing until the next one."""
        used = lane.used(self._place)
        if used + wanted <= self._room:
            self._try_grow(lane)
        elif used and self.has_place:
            self.when_full()
        elif used:
            self._stop(NO_PLACE)

    def _try_grow(self, lane: Lane) -> bool:
        """Let the open window have another step of the disk. Keeps nothing more of it when the disk has none."""
        step = lane.grows_by(self._place, self._step)
        try:
            lane.grow(self._place, step, partial(self._allocate, self._descriptor))
        except OSError as error:
            self._stop(error.strerror or str(error))
            return False
        with holding(self._others):
            lane.aim(self._place)
        return True

    def _stop(self, why: str) -> None:
        """Keep nothing, until the next window."""
        with holding(self._others):
            for core in (self._core, *self._others):
                if core is not None:
                    core.aim_journal(0, 0)
        first, self._quiet = not self._quiet, 2
        if first:
            self._tell("journal_fails", f"{self._path}: {why}; until it can be written, a kill loses the open window")
        self.why_not = why

    def _release_file(self) -> None:
        with holding(self._others):
            for lane in self._lanes:
                lane.close()
        self._lanes = ()
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

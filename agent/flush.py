"""Closes a window. In: the sums of the aggregator. Out: batches in the spool, durable before they may be sent.

The aggregator owns the samples of a window until it gives the closed window. The spool owns them as soon as a batch is
added. The disk is written while the next window is open, so a slow disk does not delay a window.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

from agent.aggregate.aggregator import Aggregator
from agent.aggregate.window import Window, seconds_left, window_start
from agent.attempts import Attempts, Tell
from agent.clock import CentralClock, WindowClock
from agent.journal.journal import Journal, OpenedWindow
from agent.spool.batch import batches, ids_of
from agent.spool.disk import in_thread
from agent.spool.folder import SpoolFolder
from agent.spool.gauge_file import GaugeFile
from agent.spool.spool import Spool
from protocol.times import format_time

MAX_WAITING_WINDOWS: Final = 3
"""When so many windows should have ended during one write, the disk hangs, and the watchdog gets no sign of life."""


@dataclass(frozen=True, slots=True)
class FlushStages:
    """The stages that a window passes when it closes."""

    aggregator: Aggregator
    spool: Spool
    folder: SpoolFolder
    gauges: GaugeFile
    clock: CentralClock
    attempts: Attempts
    journal: Journal


class CutWindow(NamedTuple):
    """A window that has ended and whose batches are not made yet. ``unsure``: its clock may be wrong."""

    opened: OpenedWindow
    base: float
    unsure: bool


class ClosedWindow(NamedTuple):
    """A window whose batches are in the spool and are not on the disk yet, with the gauges at its end."""

    opened: OpenedWindow
    gauges: Mapping[str, Decimal]


class Flush:
    """Has the open window. It calls ``closed`` with each window's start, and ``persisted`` when batches can be sent."""

    def __init__(
        self,
        stages: FlushStages,
        interval: int,
        tell: Tell,
        *,
        closed: Callable[[int], None],
        persisted: Callable[[], None],
    ) -> None:
        self._stages = stages
        self._interval = interval
        self._tell = tell
        self._closed = closed
        self._persisted = persisted
        self._window_clock = WindowClock(stages.clock)
        self._start = 0
        self._since = 0
        """The start of the interval that the clock was in when the window was opened, or had to stay open."""
        self._base = 0.0
        self._disk_fails = False
        self._opened = OpenedWindow(0, "")
        self._cut: deque[CutWindow] = deque()
        self._closing = asyncio.Lock()
        """Held while a window is closed, so that the spool has either all of its batches or none."""
        self._to_persist: deque[ClosedWindow] = deque()
        self._early: asyncio.Task[None] | None = None
        self._persisting: asyncio.Task[None] | None = None
        self.waiting = 0
        """Ends of windows that have passed during one write to the disk."""

    def load_gauges(self) -> None:
        """Go on from the gauges of the last run. Raises UnreadableGaugesError while their file cannot be read."""
        try:
            self._stages.aggregator.restore_gauges(self._stages.gauges.load())
        except ValueError as error:
            self._stages.aggregator.note_lost_gauges()
            self._tell("gauges_lost", f"gauges.json {error}; gauges start from 0")

    def open(self) -> None:
        """Open the window that the clock is in."""
        self._start = self._since = window_start(self._window_clock.now(), self._interval)
        self._base = self._window_clock.base
        self._opened = self._stages.journal.turn(self._start, self._base)

    def seconds_left(self) -> float:
        """Seconds until the open window is over. 0 when it is over."""
        return seconds_left(self._since, self._interval, self._window_clock.now())

    def shift(self, base: float) -> int:
        """By how many seconds to move a window that was recorded under the clock's ``base``."""
        return self._window_clock.shift(base, self._interval)

    @property
    def behind(self) -> bool:
        """Whether the disk hangs: several windows should have ended during one write."""
        return self.waiting >= MAX_WAITING_WINDOWS

    async def close(self) -> None:
        """Close the window, open the next one, and begin to make its batches durable.

        A window with many names is closed in steps. The sockets and all other tasks run between two steps.
        While the journal has no place for another window, the open one goes on: it keeps its start and its place.
        """
        if self._stages.journal.has_place:
            self._end_window()
            await self._close_all()
        else:
            self._go_on()

    def close_early(self) -> None:
        """End the window now, because the journal has no room for more of it. The next one may have the same start."""
        self._end_window()
        if self._early is None or self._early.done():
            self._early = asyncio.create_task(self._close_early())

    async def close_last(self) -> None:
        """Close the window after which nothing is read, and wait for the disk, before and after."""
        await self.finish()  # so that the journal has a place, and this window need not go on
        await self.close()
        await self.finish()

    async def finish(self) -> None:
        """Wait until the disk has stored or refused what ``close`` gave it."""
        if self._early is not None:
            await self._early
        if self._persisting is not None:
            await self._persisting

    def _go_on(self) -> None:
        """Let the open window have one more interval, so that a kill loses nothing."""
        self._since = window_start(self._window_clock.now(), self._interval)
        self.waiting += 1
        if self.waiting == MAX_WAITING_WINDOWS:
            start = format_time(self._start)
            self._tell("window_goes_on", f"the disk is slow, so the window of {start} stays open; nothing is lost")

    def _end_window(self) -> None:
        """What is read from now on belongs to the next window."""
        self._cut.append(CutWindow(self._opened, self._base, not self._stages.clock.sure))
        with self._stages.aggregator.held():
            self._stages.aggregator.cut(self._start + self.shift(self._base))
            self.open()

    async def _close_early(self) -> None:
        with self._stages.attempts.guard("flush"):
            await self._close_all()

    async def _close_all(self) -> None:
        async with self._closing:
            while self._cut:
                cut = self._cut.popleft()
                try:
                    await self._close_one(cut)
                except Exception:
                    self._stages.journal.release(cut.opened.generation)  # a part of it may be in the spool
                    raise

    async def _close_one(self, cut: CutWindow) -> None:
        """Give the batches of the oldest window that has ended to the spool."""
        aggregator = self._stages.aggregator
        # What came before the cut may not be counted yet. Other tasks run after each step.
        for _ in aggregator.settling():
            await asyncio.sleep(0)
        window = aggregator.closed()
        # The forwarder must know of the window before it sees a batch of it, so that the batch waits for its due time.
        with self._stages.attempts.guard("flush"):
            self._closed(window.start)
        new_id = ids_of(cut.opened.id)
        await self._spool_batches(window, cut, new_id)
        for earlier in window.earlier:
            await self._spool_earlier(earlier, new_id)
        self._to_persist.append(ClosedWindow(cut.opened, window.gauges))
        self._begin_to_persist()

    async def _spool_batches(self, window: Window, cut: CutWindow, new_id: Callable[[], str]) -> None:
        """Give the spool one batch at a time.

        The clock may become sure meanwhile. Then the spool has corrected its batches, and this corrects the others.
        """
        clock, spool = self._stages.clock, self._stages.spool
        for batch in batches(window, new_id):
            late = cut.unsure and clock.sure
            placed = batch.at(window.start + self.shift(cut.base)) if late else batch
            spool.add([placed], None if clock.sure else cut.base)
            await asyncio.sleep(0)

    async def _spool_earlier(self, window: Window, new_id: Callable[[], str]) -> None:
        """The same for values that came with a time of their own. That is right whatever our clock is."""
        for batch in batches(window, new_id):
            self._stages.spool.add([batch], None)
            await asyncio.sleep(0)

    def _begin_to_persist(self) -> None:
        """Only one task writes at a time. What closes meanwhile waits in the journal, or can be sent from memory."""
        if self._persisting is not None and not self._persisting.done():
            self.waiting += 1
            if not self._stages.journal.has_windows:
                self._to_persist = deque([self._to_persist[-1]])
                self._stages.spool.send_from_memory()
                self._persisted()
        else:
            self._persisting = asyncio.create_task(self._persist())

    async def _persist(self) -> None:
        """Write the gauges, then the batches (see agent.spool.gauge_file), then do the rest. One window at a time.

        A failure of one job does not stop the others.
        """
        spool, attempts, journal = self._stages.spool, self._stages.attempts, self._stages.journal
        while self._to_persist:
            async with self._closing:
                self.waiting = 0
                window = self._to_persist.popleft()
                later = tuple(one.opened.id for one in self._to_persist)
                names = {name for name in spool.not_written() if not name.startswith(later)}
            with attempts.guard("gauges"):
                journal.gauges_of(window.opened.generation)
                await self.prepare_gauges(window.gauges)
            release = partial(journal.release, window.opened.generation)
            with attempts.guard("persist"):
                try:
                    await spool.persist(release, names)
                except Exception:
                    release()  # the next window writes its batches too, and then they can be sent
                    raise
            self.commit_gauges()
            self._tell_disk()
            self._persisted()
            with attempts.guard("replay"):
                spool.take_replays()
            with attempts.guard("unreadable"):
                spool.read_again()
            self._persisted()

    async def prepare_gauges(self, gauges: Mapping[str, Decimal]) -> None:
        """Save them beside the file until ``commit_gauges``.

        Or read the file again that could not be read at the start, and save at the next window.
        """
        stages = self._stages
        try:
            if stages.gauges.unread:
                self.load_gauges()
            else:
                await in_thread(stages.gauges.prepare, gauges)
        except OSError as error:
            stages.folder.failed(error)

    def commit_gauges(self) -> None:
        """Let the saved gauges take the place of the file. Raises nothing; the next window tries again."""
        self._stages.folder.try_to(self._stages.gauges.commit)

    def _tell_disk(self) -> None:
        """Log once that the disk begins to fail, and once that it works again."""
        trouble, failed_before = self._stages.folder.counts.trouble, self._disk_fails
        self._disk_fails = trouble is not None
        if trouble is not None and not failed_before:
            self._tell("disk_fails", f"{trouble}; the agent keeps in memory what it cannot write, within a bound")
        elif failed_before and trouble is None:
            self._tell("disk_works_again", "the spool can be written again")

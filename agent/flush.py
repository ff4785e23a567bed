"""Closes a window. In: the sums of the aggregator. Out: batches in the spool, durable before they may be sent.

The samples of a window belong to the aggregator until ``cut``, then to this file, and to the spool once they are added:
at each of these moments the ledger counts them once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agent.aggregate.aggregator import Aggregator
from agent.aggregate.window import Window, seconds_left, window_start
from agent.clock import CentralClock, WindowClock
from agent.forward.forwarder import Tell
from agent.spool.batch import batches
from agent.spool.folder import SpoolFolder
from agent.spool.gauge_file import GaugeFile
from agent.spool.spool import Spool


@dataclass(frozen=True, slots=True)
class FlushStages:
    """The stages that a window passes when it closes."""

    aggregator: Aggregator
    spool: Spool
    folder: SpoolFolder
    gauges: GaugeFile
    clock: CentralClock


class Flush:
    """Knows the open window. ``closed`` is called with the start of each window, before its batches are made."""

    def __init__(self, stages: FlushStages, interval: int, closed: Callable[[int], None], tell: Tell) -> None:
        self._stages = stages
        self._interval = interval
        self._closed = closed
        self._tell = tell
        self._window_clock = WindowClock(stages.clock)
        self._start = 0
        self._base = 0.0
        self._disk_fails = False

    def open(self) -> None:
        """Open the window that the clock is in."""
        self._start = window_start(self._window_clock.now(), self._interval)
        self._base = self._window_clock.base

    def seconds_left(self) -> float:
        """Until the open window is over; 0 when it is."""
        return seconds_left(self._start, self._interval, self._window_clock.now())

    def shift(self, base: float) -> int:
        """By how many seconds a window that was stamped on the clock's ``base`` has to move."""
        return self._window_clock.shift(base, self._interval)

    async def close(self) -> None:
        """Close the window, open the next one and make the batches durable: gauges first, see agent.spool.gauge_file.

        A window with many names is closed in steps, and the sockets and all else have their turns between them.
        """
        spool = self._stages.spool
        await self._spool_window()
        spool.take_replays()
        await spool.persist()
        self._tell_disk()

    async def _spool_window(self) -> None:
        aggregator, clock = self._stages.aggregator, self._stages.clock
        base, unsure = self._base, not clock.sure
        aggregator.cut(self._start + self.shift(base))
        self.open()
        # What came before the cut may not be counted yet. Others have their turns after each step.
        for _ in aggregator.settling():
            await asyncio.sleep(0)
        window = aggregator.closed()
        self._closed(window.start)
        await self._spool_batches(window, base, unsure=unsure)
        try:
            await asyncio.to_thread(self._stages.gauges.save, window.gauges)
        except OSError as error:
            self._stages.folder.failed(error)

    async def _spool_batches(self, window: Window, base: float, *, unsure: bool) -> None:
        """Hand over a batch at a time. The clock may become sure meanwhile: then the spool has moved what it has."""
        clock, spool = self._stages.clock, self._stages.spool
        for batch in batches(window):
            late = unsure and clock.sure
            placed = batch.at(window.start + self.shift(base)) if late else batch
            spool.add([placed], None if clock.sure else base)
            await asyncio.sleep(0)

    def _tell_disk(self) -> None:
        """Say once that the disk begins to fail, and once that it works again."""
        trouble, told = self._stages.folder.counts.trouble, self._disk_fails
        self._disk_fails = trouble is not None
        if trouble is not None and not told:
            self._tell("disk_fails", f"{trouble}; what it does not take is kept in memory, as far as that goes")
        elif told and trouble is None:
            self._tell("disk_works_again", "the spool can be written again")

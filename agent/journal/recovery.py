"""Opens the spool, and counts again what a killed agent had read: the windows that it left are stored, each once.

No batch of such a window was sent, because batches can be sent only when their window is released. So whatever a killed
agent, or a killed recovery, has written of it is removed first, and the window is made anew.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from agent.aggregate.aggregator import Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.aggregate.window import Window
from agent.attempts import Tell
from agent.flush import Flush
from agent.journal import layout
from agent.journal.left import LeftJournal, LeftWindow, open_left
from agent.ledger import Ledger
from agent.receive.bad_lines import BadLines
from agent.receive.gauge_signs import mark_absolute
from agent.receive.intake import Intake
from agent.spool.batch import Batch, batches, ids_of
from agent.spool.folder import SpoolFolder
from agent.spool.gauge_file import GaugeFile, UnreadableGaugesError
from agent.spool.spool import Spool
from protocol.times import format_time

JOURNAL: Final = "journal"
"""The name of the journal in the spool folder."""


@dataclass(frozen=True, slots=True)
class RecoveryStages:
    """Where a window that was left goes."""

    core: MaybeCore
    bad: BadLines
    flush: Flush
    folder: SpoolFolder
    spool: Spool
    gauges: GaugeFile
    ledger: Ledger


class Recovery:
    """Call ``open_spool``, then ``redo``, before anything is received or sent. ``boot`` is the id of this boot."""

    def __init__(self, stages: RecoveryStages, boot: str, tell: Tell) -> None:
        self._stages = stages
        self._boot = boot
        self._tell = tell
        self._left: LeftJournal | None = None
        self.put_aside = ""
        """Why what an earlier run had read in its last window cannot be used. Empty when nothing was lost so."""

    def open_spool(self) -> None:
        """Lock and open the spool, without the batches of windows that are made anew. Raises as Spool.open."""
        stages = self._stages
        stages.folder.open()
        core = stages.core(_count_nothing) if stages.core else None
        left = open_left(stages.folder.path / JOURNAL, core, self._boot, self._tell_aside)
        if left is not None and not stages.folder.try_discard({window.id for window in left.windows()}):
            self._tell_aside("journal_left", "batches that would be made anew cannot be removed, so they are sent")
            left = None
        stages.spool.open()
        discard = left is not None and left.gauges_are_of_the_future
        stages.folder.try_to(partial(stages.gauges.settle, discard=discard))
        self._left = left

    def _tell_aside(self, event: str, message: str) -> None:
        self.put_aside = message
        self._tell(event, message)

    async def redo(self) -> Mapping[str, str]:
        """Store what was left. Returns the gauges at its end, as exact decimal text.

        The samples count as recovered, and those of bad lines also as dropped, as if they had been read now.
        """
        left, self._left = self._left, None
        if left is None:
            return {}
        ledger, texts = Ledger(), dict[str, str]()
        with suppress(ValueError, UnreadableGaugesError):  # the agent reads them again, and says what is wrong
            texts = self._stages.gauges.load()
        aggregator = Aggregator(left.options, ledger, self._stages.core)
        aggregator.when_failed = self._stages.bad.fault
        aggregator.restore_gauges(texts)
        ledger.notes.clear()
        if left.unfinished:
            ledger.reject("line_cut", left.unfinished)
        windows, before, packets = left.windows(), self._stages.ledger.recovered, 0
        gauges: Mapping[str, Decimal] = {}
        for window in windows:
            packets += _feed(aggregator, ledger, self._stages.bad, left, window)
            closed = aggregator.close(window.start)
            await self._store(left, window, closed, ledger)
            gauges = closed.gauges
        left.close()
        self._tell(
            "journal_redone",
            f"{self._stages.ledger.recovered - before:,} samples, in {packets:,} packets that a killed agent had read "
            f"in the windows since {format_time(windows[0].start)}, are in the spool",
        )
        return {name: format(value, "f") for name, value in gauges.items()}

    async def _store(self, left: LeftJournal, window: LeftWindow, closed: Window, ledger: Ledger) -> None:
        """Make the batches of a window durable, with the gauges at its end."""
        spool, flush = self._stages.spool, self._stages.flush
        for batch, base in _batches(closed, window):
            spool.add([batch], base)
        _hand_over(ledger, self._stages.ledger)
        left.gauges_of(window.generation)
        await flush.prepare_gauges(closed.gauges)
        await spool.persist(partial(left.release, window.generation))
        flush.commit_gauges()


def _feed(aggregator: Aggregator, ledger: Ledger, bad: BadLines, left: LeftJournal, window: LeftWindow) -> int:
    intake, packets = Intake(aggregator.feed, ledger, bad), 0
    for kind, data in left.records(window):
        packets += 1
        if kind == layout.LOST:
            ledger.reject(*layout.decode_lost(data))
            continue
        if kind == layout.RULES:
            rules = layout.decode_rules(data)
            aggregator.name_by(rules.prefix, rules.tags)
            aggregator.bound(rules.max_names)
            continue
        lines = mark_absolute(data) if kind & layout.ABSOLUTE else data
        (intake.cut if kind & layout.CUT else intake.feed)(lines)
    return packets


def _batches(closed: Window, window: LeftWindow) -> Iterator[tuple[Batch, float | None]]:
    """The batches, each with the base of its clock. Those of values with a time of their own have none."""
    new_id = ids_of(window.id)
    for batch in batches(closed, new_id):
        yield batch, window.base
    for earlier in closed.earlier:
        for batch in batches(earlier, new_id):
            yield batch, None


def _hand_over(redone: Ledger, ledger: Ledger) -> None:
    """Add the counts of what was redone to those of this run. The spool has added its own part already."""
    ledger.recovered += redone.received
    ledger.dropped.update(redone.dropped)
    ledger.notes.update(redone.notes)
    redone.received = 0
    redone.dropped.clear()
    redone.notes.clear()


def _count_nothing(name: bytes, tail: bytes) -> tuple[int, None]:
    """The core that reads what was left counts no lines."""
    return 0, None

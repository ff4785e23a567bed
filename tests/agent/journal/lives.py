"""Agents without sockets, in this process, that a test kills at any call of the disk."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.attempts import Attempts
from agent.clock import CentralClock
from agent.flush import Flush, FlushStages
from agent.journal.journal import Journal, JournalRoom
from agent.journal.layout import PLAIN
from agent.journal.recovery import JOURNAL, Recovery, RecoveryStages
from agent.ledger import Ledger
from agent.receive.bad_lines import BadLines
from agent.spool.disk import Disk
from agent.spool.folder import AsideLimits, SpoolFolder
from agent.spool.gauge_file import GaugeFile
from agent.spool.spool import Spool, SpoolLimits
from tests.agent.fakes import EventLog, Time, run_here

ROOM: Final = JournalRoom(8 << 20, 8 << 20, lambda descriptor, offset, length: None)
"""A file without room of its own is made faster."""
NEVER: Final = 1 << 30
BOOT: Final = "00000000-0000-0000-0000-000000000000"


class KilledError(BaseException):
    """The process is gone. No handler of ours catches it."""


class Fuse:
    """Ends the process at the call after ``left`` others, before or after what the call does."""

    def __init__(self) -> None:
        self.left = NEVER
        self.after = False

    def disk(self) -> Disk:
        return Disk(self._burns(os.write), self._burns(os.fsync), self._burns(os.replace), self._burns(os.unlink))

    def _burns(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def burning(*args: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise KilledError
            result = call(*args)
            if self.left == 0:
                raise KilledError
            return result

        return burning


class Log(EventLog):
    """A ``tell`` that remembers the messages too."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[tuple[str, str]] = []

    def __call__(self, event: str, message: str) -> None:
        super().__call__(event, message)
        self._messages.append((event, message))

    def messages(self, event: str) -> list[str]:
        return [message for one, message in self._messages if one == event]


class Life:
    """One run of an agent in ``folder``. ``stored`` is what central has, by the id of the batch."""

    def __init__(
        self,
        folder: Path,
        stored: dict[str, list[dict[str, Any]]],
        options: AggregateOptions | None = None,
        *,
        boot: str = BOOT,
        room: JournalRoom | None = None,
        run: Callable[..., Awaitable[Any]] = run_here,
    ) -> None:
        self.fuse = Fuse()
        self.log = Log()
        self.ledger = Ledger()
        self.options = options or AggregateOptions()
        self.boot = boot
        self.time = Time()
        disk = self.fuse.disk()
        self.folder = SpoolFolder(folder, disk, AsideLimits())
        self.gauges = GaugeFile(folder / "gauges.json", disk)
        self.aggregator = Aggregator(self.options, self.ledger, CORE)
        self.journal = Journal(folder / JOURNAL, self.aggregator.core, self.log, room or ROOM)
        self.spool = Spool(self.folder, self.ledger, SpoolLimits(), run, boot)
        self._stored = stored
        attempts = Attempts(self.log)
        clock = CentralClock(lambda: self.time.wall, lambda: self.time.steady)
        self.flush = Flush(
            FlushStages(self.aggregator, self.spool, self.folder, self.gauges, clock, attempts, self.journal),
            10,
            self.log,
            closed=lambda start: None,
            persisted=lambda: None,
        )
        bad = BadLines(self.log, lambda: self.time.steady)
        stages = RecoveryStages(CORE, bad, self.flush, self.folder, self.spool, self.gauges, self.ledger)
        self.recovery = Recovery(stages, boot, self.log)
        self.spool.when_sent_from_memory = self.journal.release_closed
        self.journal.when_full = self.flush.close_early

    async def start(self) -> None:
        """As agent.app does it."""
        self.recovery.open_spool()
        self.aggregator.restore_gauges(await self.recovery.redo())
        self.flush.load_gauges()
        self.journal.open(self.boot, self.options)
        self.flush.open()

    def read(self, packet: bytes) -> None:
        """What is read is kept, and then counted."""
        core = self.aggregator.core
        assert core is not None
        core.keep(PLAIN, packet)
        self.aggregator.feed(packet)

    async def close_window(self) -> None:
        self.time.pass_by(10)
        await self.flush.close()
        await self.flush.finish()

    def send(self, *, answered: bool = True) -> None:
        """Central takes the oldest batch. The answer may never come."""
        entry = self.spool.index.all.oldest()
        batch = entry and self.spool.take(entry)
        if entry is None or batch is None:
            return
        items = [json.loads(item) for item in batch.items]
        assert self._stored.setdefault(batch.id, items) == items, "an id stands for one batch for ever"
        if answered:
            self.spool.acknowledge(entry, {})

    async def try_send(self, *, answered: bool) -> None:
        """The same, for what may be killed."""
        self.send(answered=answered)

    def balance(self) -> int:
        self.aggregator.settle()
        return self.ledger.balance()

    def killed(self) -> None:
        """What the kernel does with a killed process: it lets go of the lock, and the map stays as it is."""
        self.spool.close()
        self.journal._release_file()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

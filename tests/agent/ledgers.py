"""Spools under test, whose ledgers must balance, and the forwarder's bench."""

from pathlib import Path
from typing import Any

import pytest

from agent.ledger import Ledger
from agent.spool.batch import Batch
from agent.spool.index import IndexEntry
from agent.spool.spool import Spool
from tests.agent.fakes import NOW, FailingDisk, ScriptedCentral, Time, a_batch, a_forwarder, a_spool, put


class Ledgers:
    """Spools opened by a test, all of which must balance at its end."""

    def __init__(self) -> None:
        self.open: list[tuple[Spool, Ledger]] = []

    def spool(self, path: Path, *args: Any) -> tuple[Spool, Ledger]:
        spool, ledger = a_spool(path, *args)
        spool.open()
        self.open.append((spool, ledger))
        return spool, ledger

    def restart(self, path: Path) -> tuple[Spool, Ledger]:
        """As after kill -9: the kernel lets go of the lock, nothing else happens."""
        for spool, _ in self.open:
            spool.close()
        return self.spool(path)


def the_oldest(spool: Spool) -> IndexEntry:
    entry = spool.index.all.oldest()
    assert entry is not None
    return entry


def taken(spool: Spool) -> tuple[IndexEntry, Batch]:
    entry = the_oldest(spool)
    batch = spool.take(entry)
    assert batch is not None
    return entry, batch


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def queue(path: Path) -> list[str]:
    return names_in(path / "queue")


class Bench:
    """One forwarder with all it needs; the ledger must balance at the end of each test."""

    def __init__(
        self,
        path: Path,
        disk: FailingDisk | None = None,
        wall_ahead: float = 0.0,
        offset: float = 0,
        *,
        interval: float = 0,
        share: float = 0,
    ) -> None:
        self.time = Time()
        self.central = ScriptedCentral(self.time, offset)
        self.spool, self.ledger = a_spool(path, disk.disk if disk else None)
        self.spool.open()
        self.forwarder, self.clock, self.events = a_forwarder(
            self.spool, self.time, self.central, wall_ahead, (interval, share)
        )

    async def put(self, *numbers: int, start: int = NOW - 1_000, items: int = 3) -> None:
        await put(self.spool, self.ledger, *(a_batch(n, items, start + 10 * n) for n in numbers))

    async def until_empty(self, steps: int = 10_000) -> None:
        """Go on as ``run`` does, until nothing is left to send."""
        for _ in range(steps):
            if not await self.go_on():
                return
        pytest.fail(f"not empty after {steps} attempts: {self.forwarder.trouble}")

    async def go_on(self) -> bool:
        """One attempt and the wait after it; whether there may be something to do."""
        delay = await self.forwarder.step()
        if delay is None:
            delay = self.forwarder.idle_seconds()
        self.time.pass_by(delay or 0)
        return delay is not None

    def close(self) -> None:
        self.spool.close()

    def ids(self) -> list[int]:
        """Numbers of the batches sent, in order, probes left out."""
        return [int(asked.split(".")[0], 16) for asked in self.central.asked if asked != "health"]

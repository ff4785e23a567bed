"""The disk of the spool is full: batches wait in memory, counted, and are files once there is room; none is lost.

The disk is a small file system in memory where we may mount one; else, and that is printed, ours fails.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.fakes import FULL, FailingDisk, a_batch, put
from tests.agent.ledgers import Ledgers, queue
from tests.small_disk import SmallDisk


class SpoolDisk(SmallDisk):
    """256 KiB, or writes that are made to fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "256k")
        self.failing = FailingDisk()

    def fill(self) -> None:
        """Until nothing fits."""
        super().fill()
        if not self.is_real:
            self.failing.fault = FULL

    def free(self) -> None:
        """There is room again."""
        self.failing.fault = None
        super().free()


@pytest.fixture
def small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[SpoolDisk]:
    disk = SpoolDisk(tmp_path / "disk")
    if not disk.is_real:
        with capsys.disabled():
            print("\nno right to mount a small file system: the spool's disk is made to fail instead")
    try:
        yield disk
    finally:
        disk.close()


async def test_a_full_disk_keeps_batches_in_memory_until_there_is_room(small: SpoolDisk, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(small.folder / "spool", small.failing.disk)
    await put(spool, ledger, a_batch(1))
    before = queue(small.folder / "spool")
    small.fill()
    await put(spool, ledger, a_batch(2), a_batch(3))
    assert queue(small.folder / "spool") == before
    assert (len(spool.index), ledger.in_spool, sum(ledger.dropped.values())) == (3, 18, 0)
    small.free()
    await spool.persist()
    assert len(queue(small.folder / "spool")) == 3
    again, recovered = ledgers.restart(small.folder / "spool")
    assert (len(again.index), recovered.recovered) == (3, 18)

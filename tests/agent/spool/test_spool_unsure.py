"""Windows of a clock that nobody had confirmed yet, over a restart before the first contact with the service."""

from pathlib import Path

import pytest

from agent.ledger import Ledger
from agent.spool.batch_file import encode, file_name
from agent.spool.disk import Disk
from agent.spool.folder import AsideLimits, SpoolFolder
from agent.spool.spool import Spool, SpoolLimits
from tests.agent.fakes import a_batch, run_here
from tests.agent.ledgers import the_oldest

HOUR = 3_600
BASE = 7.5


def opened(path: Path, boot: str) -> tuple[Spool, Ledger]:
    ledger = Ledger()
    spool = Spool(SpoolFolder(path, Disk(), AsideLimits()), ledger, SpoolLimits(), run_here, boot)
    spool.open()
    return spool, ledger


async def leave_one(path: Path, boot: str = "this") -> None:
    """A run that ends before it hears of the service."""
    spool, ledger = opened(path, boot)
    ledger.received += a_batch(1).total
    spool.add([a_batch(1)], BASE)
    await spool.persist()
    spool.close()


def shift(base: float) -> int:
    return HOUR if base == BASE else 0


@pytest.mark.parametrize(("boot", "moves"), [("this", True), ("another", False), ("", False)])
async def test_batches_of_an_earlier_run_move_within_the_same_boot(tmp_path: Path, boot: str, moves: bool) -> None:
    await leave_one(tmp_path)
    spool, ledger = opened(tmp_path, boot)
    spool.restamp(shift)
    expected = a_batch(1).at(a_batch(1).start + HOUR) if moves else a_batch(1)
    assert spool.take(the_oldest(spool)) == expected
    assert (ledger.recovered, ledger.balance()) == (6, 0)
    spool.close()


async def test_batches_that_an_earlier_run_may_have_sent_stay(tmp_path: Path) -> None:
    """Its id may be stored with these bytes."""
    await leave_one(tmp_path)
    spool, _ = opened(tmp_path, "this")
    assert spool.take(the_oldest(spool)) == a_batch(1)
    spool.close()
    again, _ = opened(tmp_path, "this")
    again.restamp(shift)
    assert again.take(the_oldest(again)) == a_batch(1)
    again.close()


async def test_a_crash_in_the_middle_of_a_move_counts_nothing_twice(tmp_path: Path) -> None:
    await leave_one(tmp_path)
    moved = a_batch(1).at(a_batch(1).start + HOUR)
    (tmp_path / "queue" / file_name(moved)).write_bytes(encode(moved))
    spool, ledger = opened(tmp_path, "this")
    spool.restamp(shift)
    assert [entry.name for entry in spool.index] == [file_name(moved)]
    assert (ledger.recovered, ledger.in_spool, ledger.balance()) == (6, 6, 0)
    spool.close()

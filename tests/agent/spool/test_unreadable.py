"""Files of the spool that cannot be read for a while: nothing is condemned, and nothing is lost."""

from pathlib import Path

import pytest

from agent.spool.batch_file import file_name
from agent.spool.browse import list_spool, replay
from tests.agent.fakes import a_batch, put
from tests.agent.ledgers import Ledgers, names_in, the_oldest


class OutOfReach:
    """A file that cannot be read, whoever reads, until ``end``. As if it were another user's."""

    def __init__(self, path: Path) -> None:
        self._path, self._hidden = path, path.with_name("hidden")
        path.rename(self._hidden)
        path.symlink_to(path.name)  # a link to itself: reading it is an OSError

    def end(self) -> None:
        self._path.unlink()
        self._hidden.rename(self._path)


async def test_a_file_that_cannot_be_read_at_the_start_waits(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path / "spool")
    await put(spool, ledger, a_batch(1), a_batch(2))
    queue = tmp_path / "spool" / "queue"
    (queue / file_name(a_batch(1))).rename(tmp_path / "kept")
    (queue / file_name(a_batch(1))).symlink_to(file_name(a_batch(1)))
    again, ledger = ledgers.restart(tmp_path / "spool")
    assert (again.unreadable, ledger.recovered, again.folder.counts.corrupt_files) == (1, 6, 0)
    again.read_again()
    assert again.unreadable == 1
    (tmp_path / "kept").replace(queue / file_name(a_batch(1)))
    again.read_again()
    assert (again.unreadable, ledger.recovered, len(again.index)) == (0, 12, 2)


async def test_a_file_that_cannot_be_read_when_it_is_due_waits(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(1), a_batch(2))
    entry = the_oldest(spool)
    file = OutOfReach(tmp_path / "queue" / entry.name)
    assert spool.take(entry) is None
    assert spool.waits(entry)
    assert the_oldest(spool) != entry, "the others go on"
    assert (ledger.in_spool, dict(ledger.dropped)) == (12, {})
    file.end()
    spool.read_again()
    assert the_oldest(spool) == entry
    assert spool.take(entry) == a_batch(1)


async def test_an_unreadable_file_that_proves_damaged_is_counted(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    entry = the_oldest(spool)
    file = OutOfReach(tmp_path / "queue" / entry.name)
    assert spool.take(entry) is None
    file.end()
    (tmp_path / "queue" / entry.name).write_bytes(b"x")
    spool.read_again()
    assert (ledger.dropped["spool_corrupt"], ledger.in_spool, spool.unreadable) == (6, 0, 0)


async def test_a_half_whose_parent_cannot_be_read_is_not_sent(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path / "spool")
    await put(spool, ledger, a_batch())
    halves = a_batch().halves()
    assert halves is not None
    await put(spool, ledger, halves[0])
    queue = tmp_path / "spool" / "queue"
    (queue / file_name(a_batch())).rename(tmp_path / "kept")
    (queue / file_name(a_batch())).symlink_to(file_name(a_batch()))
    again, ledger = ledgers.restart(tmp_path / "spool")
    assert len(again.index) == 0
    (tmp_path / "kept").replace(queue / file_name(a_batch()))
    again.read_again()
    assert ledger.recovered == 6
    assert again.must_split(the_oldest(again))


@pytest.mark.parametrize("number", ["000000012_", ""])
@pytest.mark.parametrize(("content", "comes_back"), [("sound", True), ("damaged", False)])
async def test_a_quarantined_file_comes_back_when_it_is_sound(
    tmp_path: Path, ledgers: Ledgers, content: str, comes_back: bool, number: str
) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    spool.close()
    file = tmp_path / "queue" / file_name(a_batch())
    if content == "damaged":
        file.write_bytes(b"x")
    file.rename(tmp_path / "corrupt" / f"{number}{file.name}")
    assert replay(tmp_path) == comes_back
    again, ledger = ledgers.restart(tmp_path)
    assert ledger.recovered == (6 if comes_back else 0)
    assert names_in(tmp_path / "corrupt") == ([] if comes_back else [number + file.name])
    assert [listed.folder for listed in list_spool(tmp_path)] == (["queue"] if comes_back else ["corrupt"])
    assert again.replayed == comes_back

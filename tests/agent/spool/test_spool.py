"""The spool: nothing acknowledged before durable, nothing lost without a reason, and it always starts."""

import stat
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.ledger import Ledger
from agent.spool.batch_file import encode, file_name
from agent.spool.disk import FolderInUseError
from agent.spool.folder import AsideLimits, SpoolFolder
from agent.spool.spool import Spool, SpoolLimits
from tests.agent.fakes import FULL, NOW, Crash, FailingDisk, a_batch, a_spool, put
from tests.agent.ledgers import Ledgers, names_in, queue, taken, the_oldest


async def test_a_batch_is_a_file_before_it_can_be_sent_and_none_after(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    ledger.received = 6
    spool.add([a_batch()])
    assert ledger.in_spool == 6
    assert not len(spool.index)
    await spool.persist()
    assert queue(tmp_path) == [file_name(a_batch())]
    entry, batch = taken(spool)
    assert batch == a_batch()
    spool.acknowledge(entry, {})
    assert queue(tmp_path) == []
    assert (ledger.acknowledged, ledger.in_spool, spool.index.size) == (6, 0, 0)


async def test_rejected_items_are_dropped_by_code(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    entry, _ = taken(spool)
    spool.acknowledge(entry, {"INVALID_NAME": 2, "INVALID_VALUE": 2})
    assert ledger.acknowledged == 2
    assert ledger.dropped == Counter(rejected_INVALID_NAME=2, rejected_INVALID_VALUE=2)


async def test_only_the_owner_can_read_it(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path / "new" / "spool")
    await put(spool, ledger, a_batch())
    for path in [tmp_path / "new" / "spool", *(tmp_path / "new" / "spool").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


async def test_a_restart_finds_every_batch_once(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(1, start=NOW), a_batch(2, start=NOW - 10))
    again, ledger = ledgers.restart(tmp_path)
    assert (ledger.recovered, ledger.in_spool, len(again.index)) == (12, 12, 2)
    assert the_oldest(again).start == NOW - 10
    assert again.index.size == spool.index.size


async def test_a_second_agent_on_the_folder_is_refused(tmp_path: Path, ledgers: Ledgers) -> None:
    ledgers.spool(tmp_path)
    other, _ = a_spool(tmp_path)
    with pytest.raises(FolderInUseError, match=str(tmp_path)):
        other.open()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rename(path: Path) -> None:
    path.rename(path.with_name("holiday.jpg"))


def be_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def be_empty(path: Path) -> None:
    path.write_bytes(b"")


def be_another(path: Path) -> None:
    path.write_bytes(encode(a_batch(9)))


@pytest.mark.parametrize("damage", [cut, flip, rename, be_a_folder, be_empty, be_another])
async def test_a_bad_file_is_put_aside_and_counted_and_the_others_flow(
    tmp_path: Path, ledgers: Ledgers, damage: Callable[[Path], None]
) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(1), a_batch(2), a_batch(3))
    damage(tmp_path / "queue" / file_name(a_batch(2)))
    again, ledger = ledgers.restart(tmp_path)
    assert again.folder.counts.corrupt_files == 1
    assert ledger.recovered == 12
    assert len(names_in(tmp_path / "corrupt")) == 1
    assert queue(tmp_path) == [file_name(a_batch(1)), file_name(a_batch(3))]


async def test_temporary_files_of_the_last_run_are_removed(tmp_path: Path, ledgers: Ledgers) -> None:
    ledgers.spool(tmp_path)
    (tmp_path / "queue" / f"{file_name(a_batch())}.tmp").write_bytes(b"half a ba")
    again, _ = ledgers.restart(tmp_path)
    assert queue(tmp_path) == []
    assert again.folder.counts.corrupt_files == 0


async def test_a_bad_file_that_cannot_be_moved_stays_counted_and_unused(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(1), a_batch(2))
    cut(tmp_path / "queue" / file_name(a_batch(1)))
    spool.close()
    failing = FailingDisk()
    failing.fault = FULL
    again, ledger = ledgers.spool(tmp_path, failing.disk)
    assert (again.folder.counts.corrupt_files, ledger.recovered) == (1, 6)


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.unlink()])
async def test_a_file_damaged_under_a_running_agent_is_counted(
    tmp_path: Path, ledgers: Ledgers, damage: Callable[[Path], None]
) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    damage(tmp_path / "queue" / file_name(a_batch()))
    assert spool.take(the_oldest(spool)) is None
    assert ledger.dropped == Counter(spool_corrupt=6)
    assert (spool.folder.counts.corrupt_files, len(spool.index)) == (1, 0)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (SpoolLimits(files=2), "spool_files"),
        (SpoolLimits(bytes=2 * len(encode(a_batch()))), "spool_bytes"),
    ],
)
async def test_a_full_spool_drops_its_oldest(
    tmp_path: Path, ledgers: Ledgers, limits: SpoolLimits, reason: str
) -> None:
    spool, ledger = ledgers.spool(tmp_path, None, limits)
    await put(spool, ledger, *(a_batch(n, start=NOW + n) for n in (3, 1, 2)))
    assert ledger.dropped == Counter({reason: 6})
    assert queue(tmp_path) == [file_name(a_batch(n, start=NOW + n)) for n in (2, 3)]
    assert spool.overflowing
    await spool.persist()
    assert not spool.overflowing


async def test_the_batch_being_sent_is_not_pushed_out(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path, None, SpoolLimits(files=1))
    await put(spool, ledger, a_batch(1, start=NOW))
    entry, _ = taken(spool)
    await put(spool, ledger, a_batch(2, start=NOW + 10))
    assert ledger.dropped == Counter(spool_files=6)
    spool.acknowledge(entry, {})
    assert (ledger.acknowledged, queue(tmp_path)) == (6, [])


async def test_too_old_batches_expire(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, *(a_batch(n, start=NOW + n) for n in range(3)))
    spool.expire(NOW + 2)
    assert ledger.dropped == Counter(spool_age=12)
    assert queue(tmp_path) == [file_name(a_batch(2, start=NOW + 2))]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
async def test_on_a_full_disk_batches_are_sent_from_memory_and_written_later(
    tmp_path: Path, ledgers: Ledgers, call: str
) -> None:
    failing = FailingDisk()
    spool, ledger = ledgers.spool(tmp_path, failing.disk)
    failing.fault, failing.fail_only = FULL, call
    await put(spool, ledger, a_batch(1, start=NOW), a_batch(2, start=NOW + 1))
    assert spool.folder.counts.disk_failures == 1
    assert "No space left" in str(spool.folder.counts.trouble)
    assert (spool.in_memory, len(spool.index), queue(tmp_path)) == (2, 2, [])
    entry, batch = taken(spool)
    assert batch == a_batch(1, start=NOW)
    spool.acknowledge(entry, {})
    failing.fault = None
    await spool.persist()
    assert spool.folder.counts.trouble is None
    assert (spool.in_memory, queue(tmp_path)) == (0, [file_name(a_batch(2, start=NOW + 1))])
    assert ledger.in_spool == 6


async def test_memory_is_bounded_while_the_disk_fails_and_the_loss_is_counted(tmp_path: Path, ledgers: Ledgers) -> None:
    failing = FailingDisk()
    spool, ledger = ledgers.spool(tmp_path, failing.disk, SpoolLimits(memory_bytes=2 * len(encode(a_batch()))))
    failing.fault = FULL
    await put(spool, ledger, *(a_batch(n, start=NOW + n) for n in range(5)))
    assert ledger.dropped == Counter(spool_write_failed=18)
    assert [entry.start for entry in spool.index] == [NOW + 3, NOW + 4]


class Writing:
    """Runs a call of the disk here, after what a test does meanwhile; that gets the file's name."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[str], object] = len

    async def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        self.meanwhile(args[0])
        return call(*args)


async def test_a_batch_settled_while_it_is_being_written_leaves_no_file(tmp_path: Path, ledgers: Ledgers) -> None:
    failing, writing = FailingDisk(), Writing()
    spool, ledger = ledgers.spool(tmp_path, failing.disk, None, writing)
    failing.fault = FULL
    await put(spool, ledger, a_batch(1), a_batch(2))
    failing.fault = None
    writing.meanwhile = lambda name: spool.acknowledge(taken(spool)[0], {})
    await spool.persist()
    assert queue(tmp_path) == []
    assert (ledger.acknowledged, ledger.in_spool) == (12, 0)


async def test_a_batch_settled_before_its_turn_to_be_written_is_not_written(tmp_path: Path, ledgers: Ledgers) -> None:
    failing, writing = FailingDisk(), Writing()
    spool, ledger = ledgers.spool(tmp_path, failing.disk, None, writing)
    failing.fault = FULL
    await put(spool, ledger, a_batch(1), a_batch(2))
    failing.fault = None
    written = []

    def answer_all(name: str) -> None:
        written.append(name)
        while len(spool.index):
            entry, _ = taken(spool)
            spool.acknowledge(entry, {})

    writing.meanwhile = answer_all
    await spool.persist()
    assert written == [file_name(a_batch(1))]
    assert queue(tmp_path) == []


async def test_a_batch_being_written_is_not_split_meanwhile(tmp_path: Path, ledgers: Ledgers) -> None:
    failing, writing = FailingDisk(), Writing()
    spool, ledger = ledgers.spool(tmp_path, failing.disk, None, writing)
    failing.fault = FULL
    await put(spool, ledger, a_batch())
    failing.fault = None
    split = []
    writing.meanwhile = lambda name: split.append(spool.try_split(*taken(spool)))
    await spool.persist()
    assert split == [False]
    assert queue(tmp_path) == [file_name(a_batch())]


async def test_writes_happen_in_a_thread_by_default(tmp_path: Path) -> None:
    ledger = Ledger()
    spool = Spool(SpoolFolder(tmp_path, FailingDisk().disk, AsideLimits()), ledger, SpoolLimits())
    spool.open()
    await put(spool, ledger, a_batch())
    assert queue(tmp_path) == [file_name(a_batch())]
    spool.close()


async def test_an_unlink_that_fails_is_counted_and_loses_no_sample(tmp_path: Path, ledgers: Ledgers) -> None:
    failing = FailingDisk()
    spool, ledger = ledgers.spool(tmp_path, failing.disk)
    await put(spool, ledger, a_batch())
    entry, _ = taken(spool)
    failing.fault = FULL
    spool.acknowledge(entry, {})
    assert (ledger.acknowledged, ledger.in_spool, len(spool.index)) == (6, 0, 0)
    assert spool.folder.counts.trouble is not None


# Windows of a clock that proves wrong


async def test_batches_that_were_never_sent_move_to_their_true_time(tmp_path: Path) -> None:
    failing = FailingDisk()
    spool, ledger = a_spool(tmp_path, failing.disk)
    spool.open()
    sure, sent, on_disk, in_memory = a_batch(1), a_batch(2), a_batch(3), a_batch(4)
    ledger.received = 24
    spool.add([sure])
    spool.add([sent, on_disk], unsure_base=100.0)
    await spool.persist()
    failing.fault = FULL
    spool.add([in_memory], unsure_base=200.0)
    await spool.persist()
    entry = spool.index.all.get(file_name(sent))
    assert entry is not None
    spool.take(entry)  # an attempt, without an answer
    spool.unpin()
    failing.fault = None
    spool.restamp({100.0: -3_600, 200.0: 50}.__getitem__)
    await spool.persist()
    moved = [on_disk.at(NOW - 3_610), sure, sent, in_memory.at(NOW + 40)]
    assert [spool.take(entry) for entry in spool.index] == moved
    assert queue(tmp_path) == [file_name(batch) for batch in moved]
    assert b"2026-02-14T22:59:50Z" in moved[0].body()
    assert (ledger.in_spool, ledger.balance()) == (24, 0)
    spool.restamp(lambda base: 1_000)
    assert [entry.start for entry in spool.index] == [batch.start for batch in moved], "once, and never again"
    spool.close()


async def test_a_batch_being_written_moves_too(tmp_path: Path) -> None:
    spool, ledger = a_spool(tmp_path)
    spool.open()
    ledger.received = 6
    spool.add([a_batch(1)], unsure_base=0.0)
    save = spool.folder.save

    def save_and_learn(name: str, data: bytes) -> None:
        save(name, data)
        spool.restamp(lambda base: 3_600)

    spool.folder.save = save_and_learn  # type: ignore[method-assign]
    await spool.persist()
    spool.folder.save = save  # type: ignore[method-assign]
    await spool.persist()
    assert queue(tmp_path) == [file_name(a_batch(1).at(NOW + 3_590))]
    assert (ledger.in_spool, ledger.balance()) == (6, 0)
    spool.close()


async def test_a_disk_that_fails_leaves_a_batch_where_it_is(tmp_path: Path) -> None:
    failing = FailingDisk()
    spool, ledger = a_spool(tmp_path, failing.disk)
    spool.open()
    ledger.received = 6
    spool.add([a_batch(1)], unsure_base=0.0)
    await spool.persist()
    failing.fault = FULL
    spool.restamp(lambda base: 3_600)
    assert [entry.name for entry in spool.index] == [file_name(a_batch(1))]
    assert (ledger.in_spool, ledger.balance()) == (6, 0)
    spool.close()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(5))
async def test_a_crash_while_a_batch_moves_loses_it_nowhere(
    tmp_path: Path, ledgers: Ledgers, call: int, after: bool
) -> None:
    """At any call of the disk: it is in its old place or its new one, or in both, under the one id."""
    failing = FailingDisk(after=after)
    spool, ledger = ledgers.spool(tmp_path, failing.disk)
    ledger.received = 6
    spool.add([a_batch(1)], unsure_base=0.0)
    await spool.persist()
    failing.crash_at = failing.calls + call
    with suppress(Crash):
        spool.restamp(lambda base: 3_600)
    again, recovered = ledgers.restart(tmp_path)
    found = [again.take(entry) for entry in again.index]
    assert found in ([a_batch(1)], [a_batch(1).at(NOW + 3_590)], [a_batch(1), a_batch(1).at(NOW + 3_590)])
    assert recovered.recovered == 6 * len(found)

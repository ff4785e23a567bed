"""agent/spool/spool.py: dead letters are kept, come back when they are replayed, and never block the queue."""

import os
from collections import Counter
from pathlib import Path
from shutil import rmtree

from agent.ledger import Ledger
from agent.spool.batch_file import encode, file_name, parse_dead_name
from agent.spool.browse import replay
from agent.spool.folder import AsideLimits, SpoolFolder
from agent.spool.spool import Spool, SpoolLimits
from tests.agent.fakes import FULL, NOW, FailingDisk, a_batch, put
from tests.agent.ledgers import Ledgers, names_in, queue, taken, the_oldest


async def test_a_dead_letter_keeps_its_code_and_comes_back_when_replayed(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(1), a_batch(2))
    spool.bury(*taken(spool), "INVALID_JSON")
    assert ledger.dropped == Counter(dead_letter=6)
    assert (len(spool.index), spool.folder.counts.dead_letters) == (1, 1)
    (name,) = names_in(tmp_path / "dead")
    assert name == "000000001_" + file_name(a_batch(1)).replace(".batch", ".INVALID_JSON.dead")

    assert replay(tmp_path) == 1
    spool.take_replays()
    assert (ledger.recovered, ledger.in_spool, spool.replayed) == (6, 12, 1)
    assert the_oldest(spool).name == file_name(a_batch(1))
    assert queue(tmp_path) == [file_name(a_batch(1)), file_name(a_batch(2))]


async def test_a_replay_while_no_agent_runs_is_found_at_the_start(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    spool.bury(*taken(spool), "INVALID_JSON")
    replay(tmp_path)
    again, ledger = ledgers.restart(tmp_path)
    assert (ledger.recovered, again.replayed, len(again.index)) == (6, 1, 1)


async def test_a_damaged_replay_is_put_aside(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    (tmp_path / "replay" / file_name(a_batch())).write_bytes(b"nonsense")
    spool.take_replays()
    assert (spool.folder.counts.corrupt_files, ledger.recovered) == (1, 0)


async def test_a_replay_of_what_is_in_the_queue_counts_once(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    (tmp_path / "replay" / file_name(a_batch())).write_bytes(encode(a_batch()))
    spool.take_replays()
    assert (ledger.recovered, ledger.in_spool, len(spool.index)) == (0, 6, 1)
    assert names_in(tmp_path / "replay") == []


async def test_dead_letters_that_came_first_go_first_whatever_the_clock(tmp_path: Path) -> None:
    """Neither the windows' starts nor the files' times are in the order in which the batches were refused."""
    ledger = Ledger()
    old = tmp_path / "dead" / file_name(a_batch(9)).replace(".batch", ".INVALID_JSON.dead")  # of an older version
    for run in (1, 2):
        spool = Spool(SpoolFolder(tmp_path, FailingDisk().disk, AsideLimits(files=3)), ledger, SpoolLimits())
        spool.open()
        if run == 1:
            old.write_bytes(encode(a_batch(9)))
            os.utime(old, (4 * NOW, 4 * NOW))
        for number, start, written in ((1, NOW + 900, NOW), (2, NOW, 3 * NOW), (3, NOW - 900, 5)):
            await put(spool, ledger, a_batch(10 * run + number, start=start))
            entry, batch = taken(spool)
            os.utime(tmp_path / "queue" / entry.name, (written, written))
            spool.bury(entry, batch, "INVALID_JSON")
        assert numbers_in(tmp_path / "dead") == [10 * run + number for number in (1, 2, 3)]
        spool.close()
    assert ledger.dropped == Counter(dead_letter=36)


async def test_damaged_files_that_came_first_go_first(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path, FailingDisk().disk, AsideLimits(files=2))
    folder.open()
    for name, written in (("zzz", NOW), (file_name(a_batch(1)), 3 * NOW), ("aaa", 5)):
        file = tmp_path / "queue" / name
        file.write_bytes(b"nonsense")
        os.utime(file, (written, written))
        assert folder.load(name) is None
    assert [name.partition("_")[2] for name in names_in(tmp_path / "corrupt")] == [file_name(a_batch(1)), "aaa"]
    folder.close()


def numbers_in(dead: Path) -> list[int]:
    """The numbers of the batches in the order of their files' names."""
    letters = [parse_dead_name(name) for name in names_in(dead)]
    return [int(letter.batch_name.split("-")[2].removesuffix(".batch"), 16) for letter in letters if letter is not None]


async def test_folders_that_are_gone_are_a_fault_of_the_disk_and_no_crash(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(1), a_batch(2))
    entry, batch = taken(spool)
    rmtree(tmp_path)
    spool.bury(entry, batch, "CODE")
    assert spool.take(the_oldest(spool)) is None
    await put(spool, ledger, a_batch(3))
    assert spool.in_memory == 1
    assert ledger.dropped == Counter(dead_letter=6, spool_corrupt=6)


async def test_a_dead_letter_from_memory_is_written(tmp_path: Path, ledgers: Ledgers) -> None:
    failing = FailingDisk()
    spool, ledger = ledgers.spool(tmp_path, failing.disk)
    failing.fault = FULL
    await put(spool, ledger, a_batch())
    failing.fault = None
    spool.bury(*taken(spool), "INVALID_JSON")
    assert len(names_in(tmp_path / "dead")) == 1
    await spool.persist()
    assert queue(tmp_path) == []


async def test_a_dead_letter_that_cannot_be_moved_does_not_block_the_queue(tmp_path: Path, ledgers: Ledgers) -> None:
    failing = FailingDisk()
    spool, ledger = ledgers.spool(tmp_path, failing.disk)
    await put(spool, ledger, a_batch())
    failing.fault, failing.fail_only = FULL, "rename"
    spool.bury(*taken(spool), "INVALID_JSON")
    assert (len(spool.index), queue(tmp_path), ledger.dropped["dead_letter"]) == (0, [], 6)

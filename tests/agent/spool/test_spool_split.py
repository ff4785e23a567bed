"""A batch becomes its halves, whatever happens meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.spool.batch_file import child_names, encode, file_name
from tests.agent.fakes import FULL, NOW, Crash, FailingDisk, a_batch, a_spool, put
from tests.agent.ledgers import Ledgers, queue, taken


async def test_a_split_puts_the_halves_in_the_parents_place(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    assert spool.try_split(*taken(spool))
    assert queue(tmp_path) == list(child_names(file_name(a_batch())))
    assert [entry.samples for entry in spool.index] == [4, 2]
    assert ledger.in_spool == 6


async def test_a_single_item_is_not_split(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch(items=1))
    assert not spool.try_split(*taken(spool))
    assert len(spool.index) == 1


def count_calls_per_split(path: Path) -> int:
    async def count() -> int:
        disk = FailingDisk()
        spool, ledger = a_spool(path, disk.disk)
        spool.open()
        await put(spool, ledger, a_batch())
        before = disk.calls
        spool.try_split(*taken(spool))
        spool.close()
        return disk.calls - before

    return asyncio.run(count())


CALLS_PER_SPLIT = 10
"""Write, fsync, rename and fsync of the folder for each half; unlink and fsync of the folder."""


def test_the_steps_of_a_split(tmp_path: Path) -> None:
    assert count_calls_per_split(tmp_path) == CALLS_PER_SPLIT


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(CALLS_PER_SPLIT))
async def test_a_crash_at_any_step_of_a_split_loses_nothing_and_doubles_nothing(
    tmp_path: Path, ledgers: Ledgers, step: int, after: bool
) -> None:
    spool, ledger = a_spool(tmp_path)
    spool.open()
    await put(spool, ledger, a_batch(items=5))
    spool.close()
    crashing = FailingDisk()
    spool, ledger = a_spool(tmp_path, crashing.disk)
    spool.open()
    crashing.crash_at, crashing.after, crashing.calls = step, after, 0
    entry, batch = taken(spool)
    with pytest.raises(Crash):
        spool.try_split(entry, batch)

    spool.close()  # as the kernel does
    again, ledger = ledgers.spool(tmp_path)
    assert ledger.recovered == 10, "the samples are in the parent or in the halves, once"
    sent: list[str] = []
    while len(again.index):
        entry, batch = taken(again)
        if again.must_split(entry):
            assert again.try_split(entry, batch)
            continue
        sent += batch.items
        again.acknowledge(entry, {})
    assert sorted(sent) == sorted(a_batch(items=5).items)
    assert ledger.acknowledged == 10
    assert queue(tmp_path) == []


@pytest.mark.parametrize("step", range(CALLS_PER_SPLIT))
async def test_a_disk_that_fails_within_a_split_keeps_the_batch(tmp_path: Path, ledgers: Ledgers, step: int) -> None:
    failing = FailingDisk()
    spool, ledger = ledgers.spool(tmp_path, failing.disk)
    await put(spool, ledger, a_batch(items=5))
    last = failing.calls + step
    original = failing.disk

    def until_now(call: Callable[..., Any]) -> Callable[..., Any]:
        def limited(*args: Any) -> Any:
            if failing.calls >= last:
                raise FULL
            return call(*args)

        return limited

    for name in ("write", "fsync", "rename", "unlink"):
        object.__setattr__(original, name, until_now(getattr(original, name)))
    entry, batch = taken(spool)
    assert not spool.try_split(entry, batch)
    assert spool.must_split(entry)
    assert spool.index.pinned is None
    last += 1_000
    await spool.persist()
    entry, batch = taken(spool)
    assert spool.try_split(entry, batch)
    assert [entry.samples for entry in spool.index] == [6, 4]
    assert queue(tmp_path) == list(child_names(file_name(a_batch())))


async def test_dropping_a_batch_whose_split_was_begun_leaves_no_half(tmp_path: Path, ledgers: Ledgers) -> None:
    spool, ledger = ledgers.spool(tmp_path)
    await put(spool, ledger, a_batch())
    (tmp_path / "queue" / child_names(file_name(a_batch()))[0]).write_bytes(encode(a_batch().halves()[0]))  # type: ignore[index]
    again, ledger = ledgers.restart(tmp_path)
    assert ledger.recovered == 6
    again.expire(NOW)
    assert queue(tmp_path) == []
    assert ledger.dropped == Counter(spool_age=6)

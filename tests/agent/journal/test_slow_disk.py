"""A disk that takes longer than windows: they wait in the journal, the open one goes on, and a kill loses nothing."""

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.spool.batch_file import decode
from agent.spool.disk import Disk
from agent.telemetry.snapshot import health
from tests.agent.in_process import Running, running, turns_until
from tests.agent.journal.test_recovery import Stored, one_life


def behind(gate: asyncio.Event) -> Callable[..., Awaitable[Any]]:
    """What runs a write once the gate is open."""

    async def run(call: Callable[..., Any], *args: Any) -> Any:
        await gate.wait()
        return call(*args)

    return run


class SlowDisk:
    """An fsync that waits for ``go`` after ``hold``."""

    def __init__(self) -> None:
        self.go, self.entered = threading.Event(), threading.Event()
        self.go.set()

    def hold(self) -> None:
        self.go.clear()
        self.entered.clear()

    def fsync(self, descriptor: int) -> None:
        self.entered.set()
        self.go.wait()
        os.fsync(descriptor)


async def until_waiting(agent: Running, windows: int) -> None:
    """Return once so many windows wait for the disk."""
    await turns_until(lambda: agent.agent.snapshot().windows_waiting == windows)


@pytest.mark.parametrize("ends", range(1, 8))
def test_a_disk_that_is_slow_for_however_long_costs_a_kill_nothing(tmp_path: Path, ends: int) -> None:
    """The first window is being written when the agent is killed. Two wait, and the fourth stays open."""

    async def never(call: Any, *args: Any) -> None:
        await asyncio.Event().wait()

    async def lives() -> None:
        stored: Stored = {}
        life = await one_life(tmp_path, stored, run=never)
        for _ in range(ends):
            life.read(b"a:1|c\ng:+1|g")
            life.time.pass_by(10)
            await life.flush.close()
            await asyncio.sleep(0)
        assert (len(life.spool.index), life.balance()) == (0, 0), "nothing is sent that the disk does not have"
        life.read(b"a:1|c\ng:+1|g")
        life.killed()
        life = await one_life(tmp_path, stored)
        while len(life.spool.index):
            life.send()
        assert life.balance() == 0
        found = sorted((item["name"], item["value"]) for items in stored.values() for item in items)
        whole = min(ends, 3)
        assert found == [
            *(("a", 1) for _ in range(whole)),
            ("a", ends + 1 - whole),
            *(("g", number) for number in (*range(1, whole + 1), ends + 1)),
        ]
        life.killed()

    asyncio.run(lives())


@pytest.mark.parametrize("ends", [4, 6])
def test_a_window_that_went_on_ends_with_an_interval(tmp_path: Path, ends: int) -> None:
    gate = asyncio.Event()

    async def lives() -> None:
        life = await one_life(tmp_path, {}, run=behind(gate))
        for _ in range(ends):
            life.read(b"a:1|c")
            life.time.pass_by(10)
            await life.flush.close()
            await asyncio.sleep(0)
        assert (life.flush.waiting, life.flush.behind, life.flush.seconds_left()) == (ends - 1, True, 10)
        assert life.log.count("window_goes_on") == 1
        gate.set()
        await life.flush.finish()
        assert life.flush.waiting == 0
        for _ in range(2):
            life.read(b"a:1|c")
            await life.close_window()
        starts = [entry.start for entry in life.spool.index]
        assert [start - starts[0] for start in starts] == [0, 10, 20, 30, 10 * (ends + 1)]
        assert [entry.samples for entry in life.spool.index] == [1, 1, 1, ends - 2, 1]
        assert life.journal.why_not == ""
        life.killed()

    asyncio.run(lives())


def test_a_window_that_went_on_and_fills_the_journal_is_counted_on(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def lives() -> None:
        life = await one_life(tmp_path, {}, run=behind(gate))
        for _ in range(4):
            life.read(b"a:1|c")
            life.time.pass_by(10)
            await life.flush.close()
            await asyncio.sleep(0)
        many = b"\n".join([b"a:1|c"] * 100_000)
        for _ in range(20):  # 12 MB where 8 MiB are room
            life.read(many)
        assert life.balance() == 0
        assert life.journal.why_not == "the disk is too slow, and the open window has no room for more"
        assert len(life.log.messages("journal_fails")) == 1
        gate.set()
        await life.flush.finish()
        await life.close_window()
        assert (life.journal.why_not, life.balance()) == ("", 0)
        assert sum(entry.samples for entry in life.spool.index) == 4 + 20 * 100_000
        life.killed()

    asyncio.run(lives())


def test_a_fault_of_ours_in_a_write_keeps_no_place_and_doubles_nothing(tmp_path: Path) -> None:
    faults = 5

    async def faulty(call: Any, *args: Any) -> Any:
        nonlocal faults
        faults -= 1
        if faults >= 0:
            raise ZeroDivisionError
        return call(*args)

    async def lives() -> None:
        stored: Stored = {}
        life = await one_life(tmp_path, stored, run=faulty)
        for _ in range(7):
            life.read(b"a:1|c")
            await life.close_window()
        life.read(b"a:1|c")
        while len(life.spool.index):
            life.send()
        life.killed()
        life = await one_life(tmp_path, stored)
        while len(life.spool.index):
            life.send()
        assert [item["value"] for items in stored.values() for item in items] == [1] * 8
        life.killed()

    asyncio.run(lives())


async def test_windows_keep_their_starts_while_the_disk_is_slow(tmp_path: Path) -> None:
    disk = SlowDisk()
    starts = []
    async with running(tmp_path, "http://127.0.0.1:1", Disk(fsync=disk.fsync)) as agent:
        disk.hold()
        for number in range(3):
            starts.append(int(agent.ticks.wall()))
            agent.send([f"n{number}:1|c"])
            assert (await agent.snapshot()).in_window == 1
            agent.ticks.tick()
            if not number:
                await asyncio.to_thread(disk.entered.wait)
            await turns_until(lambda: agent.agent.snapshot().in_window == 0)
        disk.go.set()
    files = [decode(path.name, path.read_bytes()) for path in sorted((tmp_path / "queue").iterdir())]
    assert [batch.start for batch in files] == starts
    assert [json.loads(item)["name"] for batch in files for item in batch.items] == ["n0", "n1", "n2"]


async def test_a_stop_while_the_disk_is_slow_stores_all_windows(tmp_path: Path) -> None:
    disk = SlowDisk()
    async with running(tmp_path, "http://127.0.0.1:1", Disk(fsync=disk.fsync)) as agent:
        disk.hold()
        for number in range(6):
            agent.send([f"n{number}:1|c"])
            await agent.agent.settle()
            agent.ticks.tick()
            if not number:
                await asyncio.to_thread(disk.entered.wait)
            await until_waiting(agent, number)
        try:
            await agent.until("window_goes_on")
            snapshot = await agent.snapshot()
            assert (snapshot.in_window, snapshot.in_spool, snapshot.spool_batches) == (3, 3, 0)
            assert [reason for reason in health(snapshot) if "the disk is slow" in reason]
            stopped = asyncio.create_task(agent.end())
            await turns_until(agent.stop.is_set)
            for _ in range(100):
                await asyncio.sleep(0)
        finally:
            disk.go.set()
        await stopped
    files = [decode(path.name, path.read_bytes()) for path in sorted((tmp_path / "queue").iterdir())]
    assert sorted(json.loads(item)["name"] for batch in files for item in batch.items) == [f"n{n}" for n in range(6)]
    assert len(files) == 4

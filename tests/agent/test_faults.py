"""Faults inside the agent: what cannot be read, and exceptions where none should be. The ledger adds up."""

import errno
import os
from collections import Counter
from pathlib import Path

import pytest

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.ledger import Ledger
from agent.spool.disk import Disk, read_file
from agent.telemetry.snapshot import health
from tests.agent.cores import each_core
from tests.agent.fakes import RealCentral
from tests.agent.in_process import running


class FailingNotes(Counter[str]):
    """Notes of which one cannot be written: the lines that need it meet an exception on their way."""

    def __setitem__(self, note: str, count: int) -> None:
        if note == "name_cleaned":
            raise ZeroDivisionError("no such note")
        super().__setitem__(note, count)


LOST = {
    b"b c:1|c": 1,
    b"b c:1|c\nb c:1|c": 2,
    b"b c:1:2:3|ms": 3,
    b"b c:1|g": 1,
    b"b c:+1|g": 1,
    b"b c:x|s\nb c:y|s": 2,
    b"b c:1|c|@0.5\nb d:1|c\nb c:x|s": 3,
    b"b c:1|c:2|g": 2,
    b"b c:1|ms\n" * 3_000: 3_000,
}
"""What meets the exception, and how many samples that is."""


@each_core
@pytest.mark.parametrize("lines", LOST, ids=range(len(LOST)))
def test_an_exception_while_counting_is_a_drop_and_the_rest_goes_on(core: MaybeCore, lines: bytes) -> None:
    ledger, events = Ledger(notes=FailingNotes()), list[str]()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.when_failed = lambda error, lost: events.append(f"{error}")
    for _ in range(2):
        aggregator.feed(b"a:1|c\n" + lines + b"\na:2|g")
        aggregator.settle()
    assert ledger.dropped == {"agent_fault": 2 * LOST[lines]}
    assert (ledger.in_window, ledger.received) == (4, 4 + 2 * LOST[lines])
    assert ledger.balance() == 0
    assert set(events) == {"no such note"}
    assert [item.samples for item in aggregator.close(0).items] == [2, 2]


async def test_a_burst_of_exceptions_is_reported_once_and_stops_nothing(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        agent.agent.ledger.notes = FailingNotes()
        for _ in range(3):
            agent.send(["b c:1|c", "foo:1|c", "b c:1|g"])
            await agent.agent.settle()
        agent.ticks.tick()
        await central.until(lambda: central.total("foo") == 3)
        assert (await agent.snapshot()).dropped == {"agent_fault": 6}
        assert agent.events.count("agent_fault") == 1
        await agent.end()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
async def test_unreadable_gauges_stay_as_they_are_until_they_are_read(tmp_path: Path, number: int) -> None:
    fault: list[OSError] = []

    def read(path: Path) -> bytes:
        if path.name == "gauges.json" and fault:
            raise fault[0]
        return read_file(path)

    async with RealCentral().serving() as central:
        async with running(tmp_path, central.url) as agent:
            agent.send(["depth:40|g", "level:7|g"])
        before = (tmp_path / "gauges.json").read_bytes()
        fault.append(OSError(number, os.strerror(number)))
        async with running(tmp_path, central.url, Disk(read=read)) as agent:
            assert "attempt_failed" in agent.events
            assert "gauges_lost" not in agent.events
            agent.send(["level:9|g"])
            agent.ticks.tick()
            await central.until(lambda: central.total("level") == 7 + 9)
            assert f"({os.strerror(number)}) and stays as it is" in " ".join(health(await agent.snapshot()))
            assert (tmp_path / "gauges.json").read_bytes() == before
            fault.clear()
            agent.ticks.tick()
            await agent.until("attempt_works_again")
            assert health(await agent.snapshot()) == []
            agent.send(["depth:+2|g", "level:+1|g"])
        assert (central.total("depth"), central.total("level")) == (40 + 42, 7 + 9 + 10)
        async with running(tmp_path, central.url) as agent:
            agent.send(["depth:+1|g"])
        assert central.total("depth") == 40 + 42 + 43

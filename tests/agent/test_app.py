"""The whole agent in this process, against a real central."""

import asyncio
import json
import socket
import time
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from agent.aggregate.aggregator import SETTLE_BYTES, STEP
from agent.aggregate.compiled import MaybeCore
from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.spool.batch_file import file_name
from agent.spool.disk import FolderInUseError
from protocol.limits import MAX_BATCH_ITEMS
from runtime.addresses import join_address
from runtime.start_error import StartError
from tests.agent.cores import each_core
from tests.agent.fakes import FULL, KEY, EventLog, FailingDisk, RealCentral, a_batch
from tests.agent.in_process import running, settings_for, turns_until


@each_core
async def test_a_line_becomes_a_batch_at_the_service(tmp_path: Path, core: MaybeCore) -> None:
    async with (
        RealCentral().serving() as central,
        running(tmp_path, central.url, core=core, PREFIX="web1", TAGS="append") as agent,
    ):
        agent.send(["foo:1|c|#a:b", "foo:2|c|#a:b"])
        assert (await agent.snapshot()).in_window == 2
        assert (await agent.snapshot()).compiled is (core is not None)
        agent.ticks.tick()
        await central.until(lambda: central.total("web1.foo.a.b") == 3)
        agent.send(["foo:4|c"])
        await agent.end()
        assert central.total("web1.foo") == 4
        assert agent.events[-1] == "stopped"


@each_core
async def test_a_window_with_many_names_is_closed_in_small_steps(tmp_path: Path, core: MaybeCore) -> None:
    names, kinds = 2_000, ("c", "ms", "g", "s")
    async with RealCentral().serving() as central, running(tmp_path, central.url, core=core) as agent:
        ledger = agent.agent.ledger
        for kind in kinds:
            agent.send(["\n".join(f"{kind}{n}:1|{kind}" for n in range(at, at + 500)) for at in range(0, names, 500)])
        asked = asyncio.create_task(agent.snapshot())
        agent.ticks.tick()
        steps = [(0, 0)]

        def all_is_through() -> bool:
            assert ledger.balance() == 0
            steps.append((ledger.received, ledger.in_spool + ledger.acknowledged))
            return ledger.acknowledged == names * len(kinds)

        await turns_until(all_is_through)
        counted, put = zip(*(((b[0] - a[0]), (b[1] - a[1])) for a, b in pairwise(steps)), strict=True)
        assert max(counted) <= 2 * STEP, "who asks for the ledger counts, and so does the close"
        assert max(put) <= MAX_BATCH_ITEMS
        assert (await asked).received >= names * len(kinds)


@each_core
async def test_many_gauges_are_counted_in_small_steps_of_the_loop(tmp_path: Path, core: MaybeCore) -> None:
    async with running(tmp_path, "http://127.0.0.1:1", core=core) as agent:
        ledger, gauges, steps = agent.agent.ledger, SETTLE_BYTES // 40, [0]
        lines = [f"gauge.{'x' * 30}.{number}:+1|g" for number in range(gauges)]
        for at in range(0, gauges, 500):
            agent.agent.aggregator.feed("\n".join(lines[at : at + 500]).encode())

        def all_are_counted() -> bool:
            steps.append(ledger.received)
            return ledger.received > SETTLE_BYTES // 50

        await turns_until(all_are_counted)
        assert max(after - before for before, after in pairwise(steps)) <= STEP


async def test_a_time_learned_while_a_window_closes_corrects_all_its_batches(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, running(tmp_path, "http://127.0.0.1:1") as agent:
        one, hour = agent.agent, 3_600
        agent.send(["\n".join(f"a{n}:1|c" for n in range(at, at + 500)) for at in range(0, 3_000, 500)])
        start = int(agent.ticks.wall())
        agent.ticks.tick()
        await turns_until(lambda: one.ledger.in_spool >= 1_000)
        one.clock.learn(formatdate(agent.ticks.wall() + hour, usegmt=True), ours=True)
        await turns_until(lambda: len(one.spool.index) == 3)
        assert {entry.start for entry in one.spool.index} == {start + hour}
        assert one.ledger.in_spool == 3_000
        assert not central.stored


async def test_items_carry_their_windows_start(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        opened = agent.ticks.wall()
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        await central.until(lambda: len(central.stored) == 1)
        agent.send(["foo:1|c"])
        await agent.end()
        times = [item["recorded_at"] for items in central.stored.values() for item in items]
        assert times == [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(opened + step)) for step in (0, 1)]


async def test_a_clock_set_back_or_ahead_by_an_hour_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        for step in (0.0, -3_600.0, 3_600.0):
            agent.ticks.set_by(step)
            agent.send(["foo:1|c"])
            agent.ticks.tick()
        await agent.end()
        assert central.total("foo") == 3
        assert agent.agent.ledger.acknowledged == 3


async def test_gauges_survive_a_restart_and_a_bad_gauge_file_is_reported(tmp_path: Path) -> None:
    async with RealCentral().serving() as central:
        for value in ("40", "+2"):
            async with running(tmp_path, central.url) as agent:
                agent.send([f"depth:{value}|g"])
        assert central.total("depth") == 40 + 42
        (tmp_path / "gauges.json").write_bytes(b"nonsense")
        async with running(tmp_path, central.url) as agent:
            assert "gauges_lost" in agent.events
            assert (await agent.snapshot()).notes == {"gauge_state_bad": 1}
            agent.send(["depth:+1|g"])
        assert central.total("depth") == 40 + 42 + 1


async def test_a_full_disk_is_reported_and_loses_nothing_with_the_service_up(tmp_path: Path) -> None:
    failing = FailingDisk()
    async with RealCentral().serving() as central, running(tmp_path, central.url, failing.disk) as agent:
        failing.fault = FULL
        agent.send(["foo:1|c", "depth:1|g"])
        agent.ticks.tick()
        await central.until(lambda: central.total("foo") == 1)
        assert "No space left" in str((await agent.snapshot()).disk_trouble)
        await agent.until("disk_fails")
        failing.fault = None
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        await central.until(lambda: central.total("foo") == 2)
        assert (await agent.snapshot()).disk_trouble is None
        await agent.until("disk_works_again")
        assert agent.events.count("disk_fails") == 1


async def test_samples_that_neither_disk_nor_service_took_count_as_lost(tmp_path: Path) -> None:
    failing = FailingDisk()
    async with running(tmp_path, "http://127.0.0.1:1", failing.disk) as agent:
        agent.send(["kept:1|c"])
        agent.ticks.tick()
        await agent.until("wait")
        failing.fault = FULL
        agent.send(["foo:1|c", "foo:x|c"])
        await agent.end()
        assert agent.events[-2:] == ["samples_lost", "stopped"]
        assert agent.agent.snapshot().dropped == {"bad_number": 1, "spool_write_failed": 1}
        assert agent.agent.snapshot().in_spool == 1


async def test_batches_of_the_last_run_are_sent_and_bad_files_reported(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:1") as agent:
        agent.send(["foo:1|c"])
    (tmp_path / "queue" / file_name(a_batch())).write_bytes(b"nonsense")
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        assert agent.events[:2] == ["spool_corrupt", "spool_recovered"]
        await central.until(lambda: central.total("foo") == 1)


async def test_a_html_200_and_a_redirect_are_no_acknowledgement(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        strange = [
            web.Response(status=307, headers={"Location": "/elsewhere"}),
            web.Response(text="<html>log in</html>", content_type="text/html"),
        ]
        central.answer = lambda request: strange.pop() if strange else None
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        for event in ("wait", "wait_and_shout"):
            await agent.until(event)
            agent.ticks.tick()
        await central.until(lambda: len(central.stored) == 1)
        assert list(central.requests.values()) == [3]


async def test_a_second_agent_on_the_folder_does_not_start(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:1"):
        other = Agent(settings_for(tmp_path, "http://127.0.0.1:1"), ApiKey(KEY, None), EventLog(), Outside())
        with pytest.raises(FolderInUseError, match=str(tmp_path)):
            await other.run(asyncio.Event())


async def test_a_port_in_use_is_reported_with_its_setting(tmp_path: Path) -> None:
    async with running(tmp_path / "one", "http://127.0.0.1:1") as agent:
        udp = agent.agent.receivers[0].name.removeprefix("UDP ")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            http = join_address(*taken.getsockname())
            for name, address in (("UDP", udp), ("HTTP", http)):
                settings = settings_for(tmp_path / "two", "http://127.0.0.1:1", **{name: address})
                with pytest.raises(StartError, match=f"^FIESTA_AGENT_{name} {address} cannot be used: .*in use"):
                    await Agent(settings, ApiKey(KEY, None), EventLog(), Outside()).run(asyncio.Event())


async def test_an_unusable_folder_or_ca_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unusable = settings_for(tmp_path / "file" / "spool", "http://127.0.0.1:1")
    with pytest.raises(StartError, match="SPOOL_DIR"):
        await Agent(unusable, ApiKey(KEY, None), EventLog(), Outside()).run(asyncio.Event())
    no_ca = settings_for(tmp_path, "https://127.0.0.1:1", CA_FILE=str(tmp_path / "none.pem"))
    with pytest.raises(StartError, match=r"CA_FILE .*none\.pem"):
        Agent(no_ca, ApiKey(KEY, None), EventLog(), Outside())


async def test_a_fault_in_the_forwarder_is_reported_and_the_agent_goes_on(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        real, faults = agent.agent.forwarder.step, [ZeroDivisionError("of a test"), ZeroDivisionError("of a test")]

        async def broken() -> float | None:
            if faults:
                raise faults.pop()
            return await real()

        agent.agent.forwarder.step = broken  # type: ignore[method-assign]
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        await agent.until("attempt_failed")
        assert (await agent.snapshot()).failing["forward"].startswith("ZeroDivisionError: of a test at broken:")
        agent.ticks.tick()
        await turns_until(lambda: agent.agent.snapshot().failures["forward"] == 2)
        agent.ticks.tick()
        await central.until(lambda: central.total("foo") == 1)
        await agent.until("attempt_works_again")


async def test_a_replay_folder_that_cannot_be_listed_stops_nothing(tmp_path: Path) -> None:
    """As when the process has no descriptor left for a moment."""
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        (tmp_path / "replay").rmdir()
        (tmp_path / "replay").write_text("in the way")
        (tmp_path / "replay").unlink()
        (tmp_path / "replay").symlink_to("replay")
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        await central.until(lambda: central.total("foo") == 1)
        assert not agent.task.done()


async def test_the_snapshot_says_what_is_wrong(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:1") as agent:
        agent.send(["foo:1|c", "bad"])
        agent.ticks.tick()
        await agent.until("wait")
        snapshot = await agent.snapshot()
        assert snapshot.trouble is not None
        assert "Connection refused" in snapshot.trouble.message
        assert snapshot.dropped == {"no_type": 1}
        assert (snapshot.in_spool, snapshot.spool_batches, snapshot.retries) == (1, 1, 1)
        assert json.dumps(snapshot.dropped)

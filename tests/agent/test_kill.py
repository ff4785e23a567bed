"""Real agents, killed at every kind of moment: what was spooled is stored once."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from agent.spool.batch_file import decode
from tests.agent.fakes import RealCentral
from tests.agent.process import all_sent, an_agent, balance


def names_in_queue(folder: Path) -> set[str]:
    """Names in the batches on disk, read as the agent would."""
    found = set()
    for path in (folder / "queue").glob("*.batch"):
        for item in decode(path.name, path.read_bytes()).items:
            found.add(item.split('"')[3])
    return found


def lines(prefix: str, count: int = 40) -> list[str]:
    return [f"{prefix}.{number}:1|c" for number in range(count)]


def names(prefix: str, count: int = 40) -> set[str]:
    return {f"{prefix}.{number}" for number in range(count)}


MOMENTS = ["as a request comes", "stored but not answered", "just answered", "just received"]


async def kill_at(moment: str, round_: str, folder: Path, central: RealCentral) -> set[str]:
    """Run an agent that is killed at ``moment``; returns the names that were in its spool then."""
    killed = asyncio.Event()
    async with an_agent(folder, central) as agent:

        def kill() -> None:
            if not killed.is_set():
                agent.process.kill()
                killed.set()

        def answer(request: web.Request) -> web.StreamResponse | None:
            if not names(round_) <= names_in_queue(folder) | central.times_stored().keys():
                return None  # a batch of an earlier run
            if moment == "as a request comes":
                kill()
                return web.Response(status=503)
            if moment == "stored but not answered":
                asyncio.get_running_loop().call_soon(kill)
            if moment == "just answered":
                asyncio.get_running_loop().call_later(0.002, kill)
            return None

        central.answer = answer
        agent.send(lines(round_))
        if moment == "just received":
            kill()
        await killed.wait()
        assert await agent.ended() == -signal.SIGKILL
    central.answer = lambda request: None
    return names_in_queue(folder)


async def test_kill_9_at_any_moment_stores_each_spooled_batch_once(tmp_path: Path) -> None:
    async with RealCentral().serving() as central:
        spooled: set[str] = set()
        for number, moment in enumerate([*MOMENTS, *MOMENTS]):
            spooled |= await kill_at(moment, f"round{number}", tmp_path, central)
        async with an_agent(tmp_path, central) as agent:
            agent.send(lines("last"))
            await central.until(lambda: names("last") <= central.times_stored().keys())
            assert await agent.end(signal.SIGTERM) == 0
        stored = central.times_stored()
        assert spooled <= stored.keys()
        assert set(stored.values()) == {1}, "nothing is stored under two ids"
        for number, moment in enumerate([*MOMENTS, *MOMENTS]):
            if moment != "just received":
                assert names(f"round{number}") <= stored.keys(), "only an open window may be missing"
        assert names_in_queue(tmp_path) == set()


async def test_sigterm_loses_nothing_that_was_received(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central, FLUSH_INTERVAL="60") as agent:
        for round_ in range(5):
            agent.send(lines(f"round{round_}", 100))
        assert await agent.end(signal.SIGTERM) == 0
        assert agent.log[-1]["event"] == "stopped"
        await all_sent(tmp_path, central, lambda: sum(central.times_stored().values()) >= 500)
        assert sum(central.times_stored().values()) == 500
        assert names_in_queue(tmp_path) == set()


def send_until_refused(family: socket.AddressFamily, address: object, line: bytes, begun: Callable[[], object]) -> int:
    """Send a line over and over; how many the kernel took for the receiver. Paced, so that no buffer overflows."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)  # type: ignore[arg-type]  # a path or host and port, as the family wants
        sent = 0
        try:
            while True:
                sock.send(line)
                sent += 1
                if sent % 20 == 0:
                    time.sleep(0.0005)
                if sent == 1000:
                    begun()
        except (ConnectionRefusedError, BrokenPipeError):
            return sent - (family == socket.AF_INET)  # of UDP the kernel tells with the next datagram


async def test_lines_sent_during_a_stop_are_counted_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with an_agent(tmp_path, "http://127.0.0.1:1", FLUSH_INTERVAL="60", UNIX=str(path)) as agent:
        loop, begun = asyncio.get_running_loop(), asyncio.Semaphore(0)

        def tell() -> None:
            loop.call_soon_threadsafe(begun.release)

        ways = {
            "udp": (socket.AF_INET, ("127.0.0.1", agent.udp)),
            "unix": (socket.AF_UNIX, str(path)),
        }
        senders = [
            asyncio.create_task(asyncio.to_thread(send_until_refused, *way, f"through.{name}:1|c".encode(), tell))
            for name, way in ways.items()
        ]
        for _ in ways:
            await begun.acquire()
        assert await agent.end(signal.SIGTERM) == 0
        taken = dict(zip(ways, await asyncio.gather(*senders), strict=True))
    spooled = dict.fromkeys(ways, 0)
    for file in (tmp_path / "queue").glob("*.batch"):
        for item in map(json.loads, decode(file.name, file.read_bytes()).items):
            spooled[item["name"].removeprefix("through.")] += item["value"]
    assert spooled == taken


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_the_service_is_down_keeps_everything(tmp_path: Path, number: signal.Signals) -> None:
    async with an_agent(tmp_path, "http://127.0.0.1:1", FLUSH_INTERVAL="60") as agent:
        agent.send(lines("a"))
        assert await agent.end(number) == 0
    assert names_in_queue(tmp_path) == names("a")
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        await central.until(lambda: names("a") <= central.times_stored().keys())
        assert (await agent.status())["recovered"] == 40


async def test_gauges_continue_from_the_last_values_of_a_killed_agent(tmp_path: Path) -> None:
    async with RealCentral().serving() as central:
        async with an_agent(tmp_path, central) as agent:
            agent.send(["depth:40|g"])
            await central.until(lambda: central.times_stored()["depth"] == 1)
            await agent.end(signal.SIGKILL)
        async with an_agent(tmp_path, central) as agent:
            agent.send(["depth:+2|g"])
            await central.until(lambda: central.total("depth") == 82)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"a.0"', b'"b.0"')),
    ],
)
async def test_a_damaged_spool_file_stops_neither_the_agent_nor_the_others(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    for round_ in ("a", "b"):
        async with an_agent(tmp_path, "http://127.0.0.1:1", FLUSH_INTERVAL="60") as agent:
            agent.send(lines(round_))
            await agent.end(signal.SIGTERM)
    damaged = next(path for path in (tmp_path / "queue").iterdir() if b'"a.0"' in path.read_bytes())
    damage(damaged)
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        await central.until(lambda: names("b") <= central.times_stored().keys())
        status = await agent.status()
        assert (status["corrupt_files"], status["recovered"], balance(status)) == (1, 40, 0)
        assert any(entry["event"] == "spool_corrupt" for entry in agent.log)
        assert "a.0" not in central.times_stored()


async def test_the_ledger_adds_up_at_every_scrape_under_traffic(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        while not central.stored:
            agent.send([*lines("a"), "bad line", "x:nan|c", "g:+1|g", "s:m|s"])
            assert balance(await agent.status()) == 0
        assert (await agent.get("/health"))[0] == 200
        assert "fiesta_agent_samples_received_total" in (await agent.get("/metrics"))[1]
        assert await agent.end(signal.SIGTERM) == 0

"""Real agents under abuse: memory stays below what docs/sockets.md says, good samples count, every drop is counted."""

import asyncio
import os
import random
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.agent.fakes import RealCentral
from tests.agent.process import AgentProcess, all_sent, an_agent, balance
from tests.patience import PATIENCE

MAX_NAMES = 5_000


def bound(max_names: int) -> int:
    """Bytes, from the sentences in the docs. The kernel counts the journal's pages as resident too."""
    text = (Path(__file__).parents[2] / "docs" / "sockets.md").read_text()
    found = re.search(r"under (\d+) MiB\s+plus (\d+) KiB for each of `FIESTA_AGENT_MAX_NAMES`", text)
    journal = re.search(r"at most (\d+) MiB of\s+them", text)
    assert found is not None
    assert journal is not None
    return (int(found[1]) + int(journal[1]) << 20) + (int(found[2]) << 10) * max_names


def most_memory(agent: AgentProcess) -> int:
    """The most that was resident since the start, in bytes."""
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def descriptors(agent: AgentProcess) -> int:
    return len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir()))


def packets(lines: Iterable[bytes], size: int = 8_000) -> Iterator[bytes]:
    packet: list[bytes] = []
    length = 0
    for line in lines:
        packet.append(line)
        length += len(line) + 1
        if length >= size:
            yield b"\n".join(packet) + b"\n"
            packet, length = [], 0
    yield b"\n".join(packet) + b"\n"


def pour(port: int, lines: Iterable[bytes]) -> None:
    """Send over TCP, which waits for the agent, and wait until it has read all."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        for packet in packets(lines):
            client.sendall(packet)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b"", "the agent closes when it has read the end"


async def fine(agent: AgentProcess) -> dict[str, int]:
    """The dropped samples; the ledger balances and memory is within its bound."""
    status = await agent.status()
    assert balance(status) == 0
    assert most_memory(agent) < bound(MAX_NAMES)
    dropped: dict[str, int] = status["dropped"]
    return dropped


async def test_forty_times_too_many_names_push_out_no_good_one(tmp_path: Path) -> None:
    good = [b"good.%d:1|c" % number for number in range(50)]

    def flood() -> Iterator[bytes]:
        for number in range(40 * MAX_NAMES):
            yield b"junk.%d:1|c" % number
            if number % MAX_NAMES == 0:
                yield from good

    def good_is(count: int) -> bool:
        return all(central.total(f"good.{number}") == count for number in range(50))

    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path, central, TCP="127.0.0.1:0", MAX_NAMES=str(MAX_NAMES)) as agent,
    ):
        await asyncio.to_thread(pour, agent.tcp, good)
        await central.until(lambda: good_is(1))
        await asyncio.to_thread(pour, agent.tcp, flood())
        dropped = await fine(agent)
        assert dropped["names_over_cap"] > 0
        # Health says so for a while. On a machine that is too busy the first flood may be older than that.
        async with asyncio.timeout(PATIENCE):
            while "samples of new names were dropped" not in (health := await agent.get("/health"))[1]:
                await asyncio.to_thread(pour, agent.tcp, (b"junk.%d:1|c" % number for number in range(4 * MAX_NAMES)))
        assert health[0] == 503
        await central.until(lambda: good_is(41))
        assert await agent.end(signal.SIGTERM) == 0


LONG = b"x" * 230
dice = random.Random(1)
ATTACKS: dict[str, Callable[[], Iterable[bytes]]] = {
    "random bytes": lambda: (dice.randbytes(200) for _ in range(15_000)),
    "tiny lines": lambda: (b"%x" % number for number in range(200_000)),
    "names of 255": lambda: (b"%s%d:%d|ms" % (LONG, number, number) for number in range(20_000)),
    "gauges with 400 digits": lambda: (b"%s%d:1e-399|g" % (LONG, number) for number in range(20_000)),
    "tags": lambda: (b"a:1|c|#%s:%d" % (b"t" * 2_000, number) for number in range(5_000)),
    "names far too long": lambda: (b"%s%d:1|c" % (b"n" * 8_000, number) for number in range(3_000)),
    "lines without an end": lambda: [b"e" * 10_000_000],
    "members": lambda: (b"set%d:%d%s|s" % (number % 3, number, LONG) for number in range(150_000)),
    "rates": lambda: (b"r%d:1|c|@0.%d1" % (n // 100, 10**300 + n % 100) for n in range(50_000)),
    "packed values": lambda: (b"p%d:%s|ms" % (n, b":".join([b"1.5"] * 3_000)) for n in range(300)),
    "values with types": lambda: (b"a:1|c:%d|c:%s1|c" % (number, b"1|c:" * 3_000) for number in range(150)),
    "long numbers": lambda: (b"l%d:0.%s1|ms" % (number, b"0" * 390) for number in range(15_000)),
}


async def test_memory_stays_bounded_and_good_lines_are_counted(tmp_path: Path) -> None:
    sent = 0

    def with_good(lines: Iterable[bytes]) -> Iterator[bytes]:
        """So that it comes before the names of any window are too many, however long an attack lasts."""
        nonlocal sent
        for number, line in enumerate(lines):
            if number % (MAX_NAMES // 10) == 0:
                sent += 1
                yield b"good:1|c"
            yield line

    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path, central, TCP="127.0.0.1:0", MAX_NAMES=str(MAX_NAMES)) as agent,
    ):
        for lines in ATTACKS.values():
            await asyncio.to_thread(pour, agent.tcp, with_good(lines()))
            await fine(agent)
        await central.until(lambda: central.total("good") == sent)
        assert len(agent.log) < 40, "the log is no flood"
        shown = [entry["message"] for entry in agent.log if entry["event"] == "bad_line"]
        assert shown
        assert all(message.isascii() and len(message) < 500 for message in shown)
        assert len(await agent.get("/metrics")) < 20_000
        assert await agent.end(signal.SIGTERM) == 0


async def test_a_flood_is_counted_or_counted_as_dropped_by_the_kernel(tmp_path: Path) -> None:
    packet = b"\n".join(b"flood.%d:1|c" % number for number in range(30))
    unix = str(tmp_path / "a.sock")
    async with RealCentral().serving() as central, an_agent(tmp_path / "spool", central, UNIX=unix) as agent:
        os.kill(agent.process.pid, signal.SIGSTOP)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            for _ in range(60_000):
                flood.sendto(packet, ("127.0.0.1", agent.udp))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as good:
            good.sendto(b"good:1|c", unix)
            os.kill(agent.process.pid, signal.SIGCONT)
            for _ in range(500):
                good.sendto(b"good:1|c", unix)

        def udp(status: dict[str, Any]) -> dict[str, int]:
            return next(numbers for numbers in status["sockets"] if numbers["name"].startswith("UDP"))

        def all_counted(status: dict[str, Any]) -> bool:
            """What was read is counted a little later, in steps."""
            numbers = udp(status)
            arrived = numbers["packets"] + numbers["kernel_drops"]
            return bool(arrived >= 60_000 and status["received"] >= 30 * numbers["packets"] + 501)

        async with asyncio.timeout(PATIENCE):
            while not all_counted(status := await agent.status()):
                pass  # the agent's answer takes its turn with its reading
        numbers = udp(status)
        assert numbers["kernel_drops"] > 0
        assert numbers["packets"] + numbers["kernel_drops"] == 60_000
        assert status["received"] == 30 * numbers["packets"] + 501
        assert balance(status) == 0
        code, health = await agent.get("/health")
        assert code == 503
        assert "dropped by the kernel" in health
        assert await agent.end(signal.SIGTERM) == 0
        counted = 30 * numbers["packets"]
        await all_sent(
            tmp_path / "spool", central, lambda: sum(map(central.total, central.times_stored())) >= counted + 501
        )
        assert central.total("good") == 501
        assert sum(central.total(f"flood.{number}") for number in range(30)) == counted


async def test_after_a_kill_in_a_flood_the_next_agents_ledger_adds_up(tmp_path: Path) -> None:
    lines = [b"n.%d:1|c" % number for number in range(100_000)]
    async with RealCentral().serving() as central:
        async with an_agent(tmp_path, central, TCP="127.0.0.1:0", MAX_NAMES=str(MAX_NAMES)) as agent:
            flood = asyncio.to_thread(pour, agent.tcp, lines)
            pouring = asyncio.create_task(flood)
            await central.until(lambda: len(central.stored) > 0)
            await agent.end(signal.SIGKILL)
            with suppress(OSError):
                await pouring
        async with an_agent(tmp_path, central, TCP="127.0.0.1:0", MAX_NAMES=str(MAX_NAMES)) as agent:
            await asyncio.to_thread(pour, agent.tcp, [b"good:1|c"])
            await central.until(lambda: central.total("good") == 1)
            await fine(agent)
            async with asyncio.timeout(PATIENCE):
                while (await agent.status())["in_spool"]:
                    pass  # what the killed one left is sent beside what is new
            assert await agent.end(signal.SIGTERM) == 0
        assert set(central.times_stored().values()) <= {1, 2}
        assert {path.suffix for path in (tmp_path / "queue").iterdir()} == set()


async def test_too_many_connections_starve_neither_memory_nor_the_spool(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central, TCP="127.0.0.1:0") as agent:
        with ExitStack() as stack:
            for _ in range(1_100):
                with suppress(ConnectionError):
                    client = stack.enter_context(socket.create_connection(("127.0.0.1", agent.tcp)))
                    client.sendall(b"h" * 15_000)
            agent.send(["good:1|c"])
            await central.until(lambda: central.total("good") == 1)
            tcp: dict[str, Any] = {"connections": 0, "refused": 0}
            async with asyncio.timeout(PATIENCE):
                while tcp["connections"] + tcp["refused"] < 1_100:
                    (*_, tcp) = (await agent.status())["sockets"]
            assert (tcp["name"].split()[0], tcp["connections"], tcp["refused"]) == ("TCP", 1_024, 76)
            assert "connections were refused" in (await agent.get("/health"))[1]
            assert most_memory(agent) < bound(0)
        agent.send(["good:1|c"])
        assert await agent.end(signal.SIGTERM) == 0
        await all_sent(tmp_path, central, lambda: central.total("good") == 2)
        assert central.total("good") == 2


@pytest.fixture(autouse=True)
def descriptors_for_a_thousand_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))


async def test_idle_connections_to_the_local_port_take_no_descriptors(
    tmp_path: Path,
) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        with ExitStack() as stack:
            for number in range(600):
                stack.enter_context(socket.create_connection(("127.0.0.1", agent.http)))
                if number % 20 == 0:
                    agent.send(["hits:1|c"] * 10)
            assert descriptors(agent) < 32 + 32
            assert balance(await agent.status()) == 0
            assert (await agent.get("/health"))[0] == 200
        await agent.received(300)
        assert await agent.end(signal.SIGTERM) == 0
        await all_sent(tmp_path, central, lambda: central.total("hits") == 300)
        assert central.total("hits") == 300

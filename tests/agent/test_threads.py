"""FIESTA_AGENT_THREADS: several sockets share the address, and everything else is as with one."""

import asyncio
import re
import signal
import socket
from collections import defaultdict
from contextlib import ExitStack
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.receive.activation import Passed
from agent.receive.datagrams import open_beside, open_udp
from agent.receive.sockets import count_threads, report_passed
from runtime.start_error import StartError
from tests.agent.fakes import KEY, EventLog, RealCentral
from tests.agent.in_process import settings_for
from tests.agent.process import AgentProcess, an_agent, balance
from tests.agent.receive.test_sockets import socket_settings
from tests.patience import PATIENCE

CLIENTS = 8
ROUNDS = 300
LINES = (
    b"counted:1|c\nsampled:1|c|@0.5\ntimed:3|ms\ntagged:1|c|#client:%(client)d\nof.%(client)d:%(n)d|g\nup:+5|g\n"
    b"members:m%(n)d|s\nbad line"
)


def udp_sockets(number: int) -> list[Passed]:
    return [Passed("UDP", open_udp("127.0.0.1", 0), "") for _ in range(number)]


@pytest.mark.parametrize(
    ("threads", "host", "passed", "counted"),
    [
        (1, "127.0.0.1", 0, 1),
        (1, "localhost", 0, 2),
        (1, "localhost", 3, 3),
        (2, "127.0.0.1", 0, 2),
        (3, "localhost", 0, 6),
        (2, "127.0.0.1", 1, 1),
        (2, "localhost", 5, 5),
    ],
)
def test_a_thread_for_each_udp_socket(threads: int, host: str, passed: int, counted: int) -> None:
    given = udp_sockets(passed)
    try:
        assert count_threads(threads, host, given) == counted
    finally:
        for one in given:
            one.sock.close()


@pytest.mark.parametrize(("passed", "counts"), [(0, []), (1, [1]), (2, []), (3, [])])
def test_fewer_sockets_than_threads_are_logged(passed: int, counts: list[int]) -> None:
    log: list[tuple[str, str]] = []
    given = udp_sockets(passed)
    try:
        report_passed(given, socket_settings()._replace(threads=2), lambda event, text: log.append((event, text)))
    finally:
        for one in given:
            one.sock.close()
    texts = [text for event, text in log if event == "threads_without_sockets"]
    assert [int(text.split()[0]) for text in texts] == counts
    assert all("let it pass a socket for each thread" in text for text in texts)


def test_sockets_share_an_address_that_no_other_program_can_take() -> None:
    with ExitStack() as stack:
        first = stack.enter_context(open_udp("127.0.0.1", 0))
        address = first.getsockname()
        second = stack.enter_context(open_beside(first))
        assert second.getsockname() == address
        with pytest.raises(OSError, match="in use"):
            open_udp(*address)


def test_more_than_one_thread_needs_the_core(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "http://127.0.0.1:1", THREADS="2")
    with pytest.raises(StartError, match="FIESTA_AGENT_THREADS is 2, but this installation has no compiled core"):
        Agent(settings, ApiKey(KEY, None), EventLog(), Outside(core=None))


def send_all(udp: int) -> int:
    """Send from sockets of so many ports that each thread gets some, almost surely. Returns how many datagrams."""
    with ExitStack() as stack:
        senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(CLIENTS)]
        for sender in senders:
            sender.connect(("127.0.0.1", udp))
        for number in range(ROUNDS):
            for client, sender in enumerate(senders):
                sender.send(LINES % {b"n": number, b"client": client})
    return ROUNDS * CLIENTS


async def all_read(agent: AgentProcess, datagrams: int) -> dict[str, Any]:
    """Wait until all lines of so many are counted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status = await agent.status()
            if status["received"] == datagrams * LINES.count(b"\n") + datagrams:
                return status


def handed_on(target: socket.socket) -> int:
    """How many datagrams wait there."""
    return sum(1 for _ in iter(lambda: received(target), b""))


def received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(70_000)
    except BlockingIOError:
        return b""


def stored(central: RealCentral) -> dict[str, float]:
    """What is stored by name: sums, and the value in the last window, which may not be the last one that came."""
    sums: defaultdict[str, float] = defaultdict(float)
    for item in sorted(chain.from_iterable(central.stored.values()), key=itemgetter("recorded_at")):
        sums[item["name"]] += item["value"]
        sums[item["name"] + ", last"] = item["value"]
    return sums


@pytest.mark.parametrize("threads", [1, 2])
async def test_lines_of_every_kind_are_counted_once_and_handed_on(tmp_path: Path, threads: int) -> None:
    """With a mirror, with gauges of another sign, and with names that change meanwhile."""
    config = tmp_path / "agent.toml"
    config.write_text('prefix = "old"\n')
    with open_udp("127.0.0.1", 0) as target:
        mirror, gauges = f"udp://127.0.0.1:{target.getsockname()[1]}", "delta,udp=absolute"
        async with (
            RealCentral().serving() as central,
            an_agent(
                tmp_path / "spool", central, config=config, THREADS=str(threads), MIRROR=mirror, GAUGES=gauges
            ) as agent,
        ):
            datagrams = send_all(agent.udp)
            config.write_text('prefix = "new"\n')
            agent.process.send_signal(signal.SIGHUP)
            await agent.until("reloaded")
            datagrams += send_all(agent.udp)
            status = await all_read(agent, datagrams)
            assert balance(status) == 0
            assert status["received"] == 8 * datagrams
            assert status["dropped"] == {"no_type": datagrams}
            names = [one["name"] for one in status["sockets"]]
            assert names == [f"UDP 127.0.0.1:{agent.udp}", f"UDP 127.0.0.1:{agent.udp} #2"][:threads]
            assert all(one["packets"] and one["kernel_drops"] == 0 for one in status["sockets"])
            metrics = (await agent.get("/metrics"))[1]
            counted = re.findall(
                r'^fiesta_agent_received_packets_total\{socket="UDP [^"]+"\} (\S+)$', metrics, re.MULTILINE
            )
            assert sum(map(float, counted)) == datagrams
            assert (status["mirror"]["sent"], handed_on(target)) == (datagrams, datagrams)
            assert await agent.end(signal.SIGTERM) == 0
            shown = [entry["message"] for entry in agent.log if entry["event"] == "bad_line"]
            assert re.fullmatch(r"no_type: 'bad line' from 127\.0\.0\.1:\d+", shown[0])
    found = stored(central)
    for name, value in {"counted": 1, "sampled": 2, "timed": 3, "tagged": 1}.items():
        assert found[f"old.{name}"] + found[f"new.{name}"] == value * datagrams
    for client in range(CLIENTS):
        assert found[f"new.of.{client}, last"] == ROUNDS - 1, "a sender's lines keep their order"
    assert found["new.up, last"] == 5, "a signed value is no delta here"


async def test_a_stop_reads_what_waits_in_every_socket(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central, THREADS="3") as agent:
        datagrams = send_all(agent.udp)
        assert await agent.end(signal.SIGTERM) == 0
    assert stored(central)["counted"] == datagrams

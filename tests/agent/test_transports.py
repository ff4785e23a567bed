"""Real agents and all their sockets: what any of them took is stored, what a parent's socket keeps is not lost."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import statsd
from datadog.dogstatsd.base import DogStatsd

from tests.agent.fakes import RealCentral
from tests.agent.process import AgentProcess, all_sent, an_agent, balance
from tests.agent.receive.test_streams import send_until_it_ends
from tests.patience import PATIENCE


@pytest.fixture
def held(tmp_path: Path) -> Iterator[dict[str, socket.socket]]:
    """Sockets of a parent, by what they are."""
    with ExitStack() as stack:

        def hold(family: int, kind: int, address: object) -> socket.socket:
            sock = stack.enter_context(socket.socket(family, kind))
            sock.bind(address)  # type: ignore[arg-type]
            if kind == socket.SOCK_STREAM:
                sock.listen(64)
            return sock

        yield {
            "tcp": hold(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "unix": hold(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "held.sock")),
            "udp6": hold(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 0)),
            "udp": hold(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "stream": hold(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "stream.sock")),
        }


def send(to: socket.socket, lines: list[bytes]) -> None:
    """A datagram or a line each."""
    with socket.socket(to.family, to.type) as client:
        client.connect(to.getsockname())
        for line in lines:
            client.sendall(line + b"\n" if to.type == socket.SOCK_STREAM else line)


async def ended_well(agent: AgentProcess) -> None:
    """Look at the ledger, stop with SIGTERM."""
    assert balance(await agent.status()) == 0
    assert await agent.end(signal.SIGTERM) == 0


async def test_500_datagrams_kept_by_a_parents_socket_are_counted(
    tmp_path: Path, held: dict[str, socket.socket]
) -> None:
    udp, spool = held["udp"], tmp_path / "spool"
    async with RealCentral().serving() as central:
        async with an_agent(spool, central, [udp]) as agent:
            send(udp, [b"hits:1|c"])
            await ended_well(agent)
        for round_ in range(2):
            send(udp, [b"hits:1|c"] * 500)
            async with an_agent(spool, central, [udp]) as agent:
                assert agent.udp == udp.getsockname()[1]
                if round_:
                    await central.until(lambda: central.total("hits") == 1001)
                await ended_well(agent)
                waiting = int(agent.log[-1]["message"].rpartition(": ")[2])
                assert central.total("hits") + waiting == 501 + 500 * round_
        assert central.total("hits") == 1001


async def test_500_datagrams_outlive_an_agent_that_was_killed(tmp_path: Path, held: dict[str, socket.socket]) -> None:
    udp, spool = held["udp"], tmp_path / "spool"
    async with RealCentral().serving() as central:
        async with an_agent(spool, central, [udp]) as agent:
            send(udp, [b"first:1|c"])
            await central.until(lambda: central.total("first") == 1)
            await agent.end(signal.SIGKILL)
        send(udp, [b"hits:1|c"] * 500)
        async with an_agent(spool, central, [udp]) as agent:
            await central.until(lambda: central.total("hits") == 500)
            await ended_well(agent)


async def test_every_kind_of_socket_can_be_passed_in_any_order(tmp_path: Path, held: dict[str, socket.socket]) -> None:
    async with RealCentral().serving() as central:
        unwanted = str(tmp_path / "not.sock")
        async with an_agent(
            tmp_path / "spool", central, list(held.values()), UNIX=unwanted, UNIX_STREAM=unwanted, TCP="127.0.0.1:0"
        ) as agent:
            passed = [entry["message"] for entry in agent.log if entry["event"] == "sockets_passed"]
            assert [message.split("; ")[-1] for message in passed] == [
                f"FIESTA_AGENT_{kind} is not used" for kind in ("UDP", "UNIX", "UNIX_STREAM", "TCP")
            ]
            for name, sock in held.items():
                send(sock, [f"{name}:1|c".encode()] * 20)
            await agent.received(20 * len(held))
            await ended_well(agent)
        await all_sent(tmp_path / "spool", central, lambda: all(central.total(name) == 20 for name in held))
        assert {name: central.total(name) for name in held} == dict.fromkeys(held, 20)
        assert not (tmp_path / "not.sock").exists()
        assert (tmp_path / "held.sock").exists()


async def test_a_descriptor_that_cannot_be_used_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unbound,
        pytest.raises(ValueError, match="r 3 is of no us"),
    ):
        async with an_agent(tmp_path, "http://127.0.0.1:1", [unbound]):
            pass


def datadog(path: Path, port: int) -> None:
    client = DogStatsd(socket_path=str(path), disable_buffering=False, disable_telemetry=True)
    for _ in range(300):
        client.increment("hits", 2)
        client.timing("took", 5)
    client.flush_buffered_metrics()
    client.stop()


def pypi_tcp(path: Path, port: int) -> None:
    client = statsd.TCPStatsClient("127.0.0.1", port)
    for _ in range(300):
        client.incr("hits", 2)
    with client.pipeline() as pipeline:
        for _ in range(300):
            pipeline.timing("took", 5)
    client.close()


NODE = Path(__file__).parents[1] / "end_to_end" / "node"
HOT_SHOTS = """
const StatsD = require('hot-shots');
const client = new StatsD({host: '127.0.0.1', port: Number(process.argv[1]), protocol: 'tcp'});
let open = 600;
const sent = (error) => { if (error) throw error; open -= 1; if (open === 0) client.close(); };
for (let i = 0; i < 300; i += 1) { client.increment('hits', 2, sent); client.timing('took', 5, sent); }
"""


def hot_shots_tcp(path: Path, port: int) -> None:
    subprocess.run(["node", "-e", HOT_SHOTS, str(port)], cwd=NODE, check=True, timeout=PATIENCE)


@pytest.mark.parametrize("client", [datadog, pypi_tcp, hot_shots_tcp])
async def test_a_real_client_over_unix_and_over_tcp(tmp_path: Path, client: Callable[[Path, int], None]) -> None:
    path = tmp_path / "a.sock"
    async with RealCentral().serving() as central:
        async with an_agent(tmp_path / "spool", central, UNIX=str(path), TCP="127.0.0.1:0") as agent:
            await asyncio.to_thread(client, path, agent.tcp)
            await agent.received(600)
            await ended_well(agent)
        await all_sent(tmp_path / "spool", central, lambda: central.total("took") == 1500)
        assert (central.total("hits"), central.total("took")) == (600, 1500)
        assert not path.exists(), "the socket is removed at the stop"


async def test_at_a_stop_every_line_that_was_acknowledged_over_tcp_is_counted(tmp_path: Path) -> None:
    line = b"hits:1|c\n"
    async with RealCentral().serving() as central:
        async with an_agent(tmp_path / "spool", central, TCP="127.0.0.1:0") as agent:
            address = ("127.0.0.1", agent.tcp)
            clients = [
                asyncio.create_task(asyncio.to_thread(send_until_it_ends, address, line * lines))
                for lines in (1, 10, 100)
            ]
            async with asyncio.timeout(PATIENCE):
                while central.total("hits") < 10_000:
                    await agent.status()
            assert await agent.end(signal.SIGTERM) == 0
            acknowledged = [acked for acked, _ in await asyncio.gather(*clients)]
        counted = sum(acked // len(line) for acked in acknowledged)
        await all_sent(tmp_path / "spool", central, lambda: central.total("hits") >= counted)
        assert central.total("hits") == counted


async def test_a_dead_agents_socket_file_is_taken_over_a_living_ones_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    async with RealCentral().serving() as central:
        async with an_agent(tmp_path / "one", central, UNIX=path) as agent:
            with pytest.raises(ValueError, match=r"UNIX .*a\.sock cannot be used: somebody listens there"):
                async with an_agent(tmp_path / "two", central, UNIX=path):
                    pass
            await agent.end(signal.SIGKILL)
        async with an_agent(tmp_path / "one", central, UNIX=path) as agent:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(b"hits:1|c", path)
            await ended_well(agent)
        await all_sent(tmp_path / "one", central, lambda: central.total("hits") == 1)
        assert central.total("hits") == 1


async def test_a_bad_line_is_shown_with_its_sender_and_in_the_status(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central, TCP="127.0.0.1:0") as agent:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"good:1|c\nbad\x1b[2J:1|what", ("127.0.0.1", agent.udp))
            sender = f"127.0.0.1:{client.getsockname()[1]}"
            await agent.until("bad_line")
        assert agent.log[-1]["message"] == rf"unknown_type: 'bad\x1b[2J:1|what' from {sender}"
        status = await agent.status()
        assert (status["dropped"], balance(status)) == ({"unknown_type": 1}, 0)
        assert [one["name"] for one in status["sockets"]] == [
            f"UDP 127.0.0.1:{agent.udp}",
            f"TCP 127.0.0.1:{agent.tcp}",
        ]

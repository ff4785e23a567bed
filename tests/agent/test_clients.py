"""agent/clients.py: what clients say of themselves is added up, compared with what arrived, and shown."""

import signal
from pathlib import Path

import pytest
from datadog.dogstatsd.base import DogStatsd

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.clients import MAX_CLIENTS, OTHER, Clients, losses, silent
from agent.ledger import Ledger
from agent.receive.socket_status import SocketStatus
from agent.telemetry.status_text import render
from tests.agent.cores import each_core
from tests.agent.fakes import RealCentral
from tests.agent.process import AgentProcess, an_agent, balance

UDP = SocketStatus("UDP 127.0.0.1:8125", 5_000, packets=100)
UNIX = SocketStatus("unix /run/a.sock", 500, packets=1_559, queue_limit=10)
STREAM = SocketStatus("unix stream /run/b.sock", 0)
PREFIX = b"datadog.dogstatsd.client."


def say(clients: Clients, transport: str = "uds", client: str = "py", **counts: int) -> None:
    """What a client sends every few seconds."""
    for name, count in counts.items():
        tags = f"client:{client},client_version:0.53.0,client_transport:{transport},env:prod"
        clients.take(PREFIX + name.encode(), [f"{count}|c|#{tags}".encode()])


@each_core
def test_the_aggregator_hands_over_what_clients_say_and_nothing_else(core: MaybeCore) -> None:
    taken: list[tuple[bytes, list[bytes]]] = []
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.on_telemetry = lambda name, rests: taken.append((name, rests))
    line = PREFIX + b"metrics:5|c|#client:py"
    for _ in range(2):
        aggregator.feed(b"a:1|c\n" + line + b"\nb:1|ms\n_e{1,1}:a|b")
        aggregator.settle()
    assert taken == [(PREFIX + b"metrics", [b"5|c|#client:py"])] * 2
    assert ledger.dropped == {"client_telemetry": 2, "event": 2}
    aggregator.close(0)
    assert ledger.received == 8


def test_counts_of_all_clients_of_a_transport_are_added_up() -> None:
    clients = Clients()
    say(clients, metrics=5_000, packets_sent=1_559, packets_dropped=3_441, bytes_sent=9, bytes_dropped=8)
    say(clients, client="go", metrics=1, packets_dropped=1)
    say(clients, "udp", metrics=3)
    udp, unix = clients.statuses([UDP, UNIX])
    assert (udp.transport, udp.metrics, udp.packets_sent, udp.arrived, udp.lost) == ("UDP", 3, 0, 100, 0)
    assert unix.clients == ["go 0.53.0", "py 0.53.0"]
    assert (unix.metrics, unix.packets_sent, unix.packets_dropped, unix.arrived) == (5_001, 1_559, 3_442, 1_559)
    assert list(losses([udp, unix], [UDP, UNIX])) == [
        "clients over unix say that they made 5,001 packets with 5,001 metrics, of which 1,559 arrived;"
        " they dropped 3,442 themselves: the unix socket's queue of 10 was full: set net.unix.max_dgram_qlen"
    ]


@pytest.mark.parametrize(
    ("sent", "dropped", "arrived", "missing", "lost"),
    [(100, 0, 100, 0, 0), (100, 0, 120, 0, 0), (100, 0, 90, 10, 10), (100, 5, 90, 10, 15), (100, 5, 500, 0, 5)],
)
def test_what_is_missing_is_what_was_sent_and_did_not_arrive(
    sent: int, dropped: int, arrived: int, missing: int, lost: int
) -> None:
    clients = Clients()
    say(clients, "udp", packets_sent=sent, packets_dropped=dropped)
    (status,) = clients.statuses([SocketStatus("UDP a:1", 1, packets=arrived)])
    assert (status.missing, status.lost) == (missing, lost)


@pytest.mark.parametrize(
    ("word", "transport"),
    [
        ("udp", "UDP"),
        ("uds", "unix"),
        ("UDS", "unix"),
        ("uds-stream", "unix stream"),
        ("tcp", "TCP"),
        ("named_pipe", OTHER),
        ("", OTHER),
    ],
)
def test_the_clients_words_for_a_transport_are_known(word: str, transport: str) -> None:
    clients = Clients()
    say(clients, word, metrics=1)
    (status,) = clients.statuses([UDP, UNIX])
    assert (status.transport, status.arrived is None) == (transport, transport not in {"UDP", "unix"})


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"5",
        b"5|c",
        b"-5|c|#a",
        b"1e9|c|#a",
        b"5|g|#a",
        b"5.5|c|#a",
        b"9999999999999999|c|#a",
        b"\xff|c|#a",
        b"5|c|#a|@0.1",
    ],
)
def test_a_line_that_says_no_count_says_nothing(rest: bytes) -> None:
    clients = Clients()
    clients.take(PREFIX + b"metrics", [rest])
    clients.take(PREFIX + b"aggregated_context", [b"5|c|#a:b"])
    assert clients.statuses([UDP]) == []


def test_strange_clients_neither_fill_the_memory_nor_reach_a_terminal() -> None:
    clients = Clients()
    for number in range(2 * MAX_CLIENTS):
        say(clients, client=f"\x1b[2J{number}", metrics=1)
    (status,) = clients.statuses([])
    assert len(status.clients) == MAX_CLIENTS
    assert all(client.isprintable() for client in status.clients)
    assert status.metrics == 2 * MAX_CLIENTS


def test_sockets_whose_clients_say_nothing_are_named() -> None:
    clients = Clients()
    say(clients, metrics=1)
    statuses = clients.statuses([UDP, UNIX, STREAM])
    assert silent(statuses, [UDP, UNIX, STREAM]) == [UDP.name]
    assert silent((), [UDP, UNIX, STREAM]) == [UDP.name, UNIX.name]


def a_client(port: int = 0, path: str | None = None) -> DogStatsd:
    """Datadog's client. It sends each line at once, and says how much it sent when ``speak`` asks for it."""
    return DogStatsd(
        *("127.0.0.1", port or None),
        socket_path=path,
        disable_buffering=True,
        telemetry_min_flush_interval=3600,
        disable_background_sender=True,
    )


def speak(client: DogStatsd) -> None:
    client._last_flush_time = 0
    client.increment("orders")
    client.close_socket()


async def test_what_a_real_client_dropped_is_shown(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with RealCentral().serving() as central, an_agent(tmp_path / "spool", central, UNIX=path) as agent:
        client = a_client(path=path)
        agent.process.send_signal(signal.SIGSTOP)
        for _ in range(200):
            client.increment("orders")
        agent.process.send_signal(signal.SIGCONT)
        await central.until(lambda: central.total("orders") > 0)
        speak(client)
        await agent.until("clients_lost")
        status = await agent.status()
        (said,) = status["clients"]
        arrived = status["received"] - status["dropped"].get("client_telemetry", 0)
        assert (said["transport"], said["metrics"]) == ("unix", 201)
        assert said["packets_dropped"] > 100
        assert said["packets_sent"] + said["packets_dropped"] == said["metrics"]
        assert said["packets_sent"] == arrived
        assert "set net.unix.max_dgram_qlen" in status["notices"][0]
        assert balance(status) == 0
        text = (await agent.get("/metrics"))[1]
        assert f'fiesta_agent_client_packets_dropped_total{{transport="unix"}} {said["packets_dropped"]}.0' in text


async def test_what_the_kernel_dropped_of_a_real_client_over_udp_is_shown(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        client = a_client(agent.udp)
        agent.process.send_signal(signal.SIGSTOP)
        sent = 0
        while kernel_drops(agent.udp) < 100:
            for _ in range(500):
                client.increment("orders", tags=["filler:" + "x" * 190])
            sent += 500
        agent.process.send_signal(signal.SIGCONT)
        while await waits(agent):
            pass
        speak(client)
        await agent.until("clients_lost")
        status = await agent.status()
        (said,), drops = status["clients"], status["sockets"][0]["kernel_drops"]
        assert (said["transport"], said["metrics"], said["packets_sent"]) == ("UDP", sent + 1, sent + 1)
        # What says it came with its own packet, or in one more.
        assert drops - 1 <= said["packets_sent"] - said["arrived"] <= drops
        assert drops >= 100
        (notice,) = status["notices"]
        assert notice.startswith(
            f"clients over UDP say that they made {sent + 1:,} packets with {sent + 1:,} metrics, "
        )
        assert notice.endswith(": the kernel dropped them: raise net.core.rmem_max, or send less")
        assert f"{said['packets_sent']:,} packets sent, 0 dropped; {said['arrived']:,} arrived" in render(status)
        missing = said["packets_sent"] - said["arrived"]
        text = (await agent.get("/metrics"))[1]
        assert f'fiesta_agent_client_packets_missing_total{{transport="UDP"}} {missing}.0' in text
        assert [entry["message"] for entry in agent.log if entry["event"] == "clients_lost"] == [notice]


def kernel_drops(port: int) -> int:
    """As the kernel counts them for a UDP socket of this host."""
    lines = Path("/proc/net/udp").read_text().splitlines()
    return sum(int(line.split()[-1]) for line in lines if f"0100007F:{port:04X} " in line)


async def waits(agent: AgentProcess) -> bool:
    return bool((await agent.status())["sockets"][0]["buffer_used"])


async def test_what_a_real_client_dropped_over_a_unix_stream_is_shown(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path / "spool", central, UNIX_STREAM=path, UDP="") as agent,
    ):
        client = a_client(path=f"unixstream://{path}")
        client.increment("orders")
        agent.process.send_signal(signal.SIGSTOP)
        for _ in range(20_000):
            client.increment("orders")
            if client.packets_dropped >= 100:
                break
        agent.process.send_signal(signal.SIGCONT)
        client.increment("orders")
        await central.until(lambda: central.total("orders") > 0)
        speak(client)
        await agent.until("clients_lost")
        status = await agent.status()
        (said,) = status["clients"]
        assert (said["transport"], said["arrived"]) == ("unix stream", None)
        assert said["packets_dropped"] >= 100
        assert said["packets_sent"] + said["packets_dropped"] == said["metrics"]
        (notice,) = status["notices"]
        assert f"they dropped {said['packets_dropped']:,} themselves: the agent was away, or the clients" in notice
        assert f"{said['packets_dropped']:,} dropped" in render(status)
        text = (await agent.get("/metrics"))[1]
        assert (
            f'fiesta_agent_client_packets_dropped_total{{transport="unix stream"}} {said["packets_dropped"]}.0' in text
        )
        assert balance(status) == 0


async def test_a_client_that_says_nothing_is_shown_as_such(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        client = DogStatsd(
            "127.0.0.1", agent.udp, disable_telemetry=True, disable_buffering=True, disable_background_sender=True
        )
        client.increment("orders")
        client.close_socket()
        await agent.received(1)
        status = await agent.status()
        assert status["clients"] == []
        assert status["silent_clients"] == [f"UDP 127.0.0.1:{agent.udp}"]
        assert "no client says how much it sent" in render(status)

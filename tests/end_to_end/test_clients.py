"""What real clients sent is what the query says, to the last digit."""

import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
import statsd
from datadog.dogstatsd.base import DogStatsd

from tests.end_to_end.conftest import Agent, Central, early_in_a_window, eventually
from tests.patience import PATIENCE
from tests.ports import free_port

NODE = Path(__file__).parent / "node"


class LocalAgent(Agent):
    """One with unix sockets and a TCP port too."""

    def __init__(self, folder: Path, central: Central) -> None:
        self.path, self.tcp = folder.with_suffix(".sock"), free_port()
        self.stream = folder.with_suffix(".stream")
        super().__init__(
            folder,
            central,
            FIESTA_AGENT_UNIX=str(self.path),
            FIESTA_AGENT_UNIX_STREAM=str(self.stream),
            FIESTA_AGENT_TCP=f"127.0.0.1:{self.tcp}",
        )


class Recorder(statsd.StatsClient):  # type: ignore[misc]  # the client ships no types
    """The PyPI client, noting each line that its sampling let through."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, prefix="py")
        self.lines: list[str] = []

    def _send(self, data: str) -> None:
        self.lines.extend(data.split("\n"))
        super()._send(data)


def test_pypi_statsd(central: Central, agent: Agent) -> None:
    client = Recorder(agent.port)
    early_in_a_window()
    for _ in range(10):
        client.incr("tenths", 0.1)
    for number in range(200):
        client.incr("hits")
        client.timing("latency", number + 0.5)
    client.decr("hits", 20)
    for _ in range(100):
        client.incr("sampled", rate=0.3)
    client.gauge("level", 12.5)
    client.gauge("level", -2.25, delta=True)
    client.gauge("level", 4, delta=True)
    for member in ("a", "b", "a", "c"):
        client.set("users", member)
    with client.pipeline() as pipeline:
        for _ in range(50):
            pipeline.incr("piped", 3)
    client.close()
    agent.settled(len(client.lines))

    assert agent.ledger()["dropped"] == 0
    assert central.ask("py.tenths", "sum") == 1
    assert central.ask("py.hits", "sum") == 180
    assert central.ask("py.hits", "count") == 201
    assert central.ask("py.latency", "sum") == sum(Decimal(number) + Decimal("0.5") for number in range(200))
    assert (central.ask("py.latency", "min"), central.ask("py.latency", "max")) == (Decimal("0.5"), Decimal("199.5"))
    assert central.ask("py.latency", "count") == 200
    assert central.ask("py.level", "max") == Decimal("14.25")
    assert central.ask("py.users", "max") == 3
    assert central.ask("py.piped", "sum") == 150
    sampled = sum(line.startswith("py.sampled:") for line in client.lines)
    # Each window rounds its sum to four decimals once; the windows are a few seconds.
    assert abs(central.ask("py.sampled", "sum") - Decimal(sampled) / Decimal("0.3")) < Decimal("0.001")


def test_pypi_datadog(central: Central, agent: Agent) -> None:
    client = DogStatsd(
        host="127.0.0.1",
        port=agent.port,
        namespace="dog",
        constant_tags=["env:test"],
        disable_buffering=False,
        max_buffer_len=800,
    )
    early_in_a_window()
    for number in range(500):
        client.increment("orders", tags=[f"shop:{number % 3}"])
        client.histogram("size", number, tags=[f"half:{number // 250}"])
        client.distribution("spread", number / 4)
    client.decrement("orders", 100)
    client.gauge("depth", 3.75)
    client.set("visitors", "x")
    client.set("visitors", "y")
    client.timing("took", 17)
    client.event("deploy", "done")
    client.service_check("web", DogStatsd.OK)
    client.flush_buffered_metrics()
    client.stop()
    expected = 500 * 3 + 1 + 1 + 2 + 1

    eventually(
        lambda: agent.ledger().get("acknowledged") == expected, f"{expected} samples are acknowledged: {agent.ledger()}"
    )
    assert agent.ledger()["event"] == 1
    assert agent.ledger()["service_check"] == 1
    assert agent.ledger()["dropped"] == 2 + agent.ledger().get("client_telemetry", 0)
    assert central.ask("dog.orders", "sum") == 400
    assert central.ask("dog.size", "sum") == sum(range(500))
    assert central.ask("dog.spread", "sum") == Decimal(sum(range(500))) / 4
    assert central.ask("dog.depth", "sum") == Decimal("3.75")
    assert central.ask("dog.visitors", "max") == 2
    assert central.ask("dog.took", "sum") == 17
    by_shop = central.groups("dog.orders", "sum", "shop,env")
    assert by_shop == {("0", "test"): 167, ("1", "test"): 167, ("2", "test"): 166, (None, "test"): -100}
    for half, middle in central.groups("dog.size", "p50", "half").items():
        true = 250 * int(half[0] or 0) + 124
        assert abs(middle - true) <= Decimal(true) / 256


def test_npm_hot_shots(central: Central, agent: Agent) -> None:
    early_in_a_window()
    subprocess.run(["node", str(NODE / "send.js"), str(agent.port)], check=True, timeout=PATIENCE)
    expected = 300 + 40 + 1 + 1 + 1 + 30 + 20 + 20 + 250 + 10
    eventually(
        lambda: agent.ledger().get("acknowledged") == expected, f"{expected} samples are acknowledged: {agent.ledger()}"
    )
    ledger = agent.ledger()
    assert ledger["event"] == 1
    assert ledger["dropped"] == 1 + ledger.get("client_telemetry", 0)
    assert central.ask("node.orders", "sum") == 250
    assert central.ask("node.latency", "sum") == Decimal("1.25") * sum(range(40))
    assert central.ask("node.queue", "min") == Decimal("4.5")
    assert central.ask("node.users", "max") == 10
    assert central.ask("node.size", "sum") == Decimal("0.1") * 20 + sum(range(100, 120))
    assert central.ask("node.size", "count") == 40
    assert central.ask("node.buffered", "sum") == 500
    assert central.ask("node.with_telemetry", "sum") == 10


def dog_over_unix(agent: LocalAgent) -> None:
    """Buffered: it does not wait where net.unix.max_dgram_qlen datagrams wait already, and drops."""
    dog(f"unix://{agent.path}")


def dog_over_stream(agent: LocalAgent) -> None:
    dog(f"unixstream://{agent.stream}")


def dog(path: str) -> None:
    client = DogStatsd(socket_path=path, namespace="local", disable_buffering=False, disable_telemetry=True)
    for _ in range(300):
        client.increment("hits", 2)
        client.timing("took", 5)
        client.histogram("size", 0.1, tags=["kind:small"])
    client.flush_buffered_metrics()
    client.stop()


def pypi_over_tcp(agent: LocalAgent) -> None:
    client = statsd.TCPStatsClient("127.0.0.1", agent.tcp, prefix="local")
    for _ in range(300):
        client.incr("hits", 2)
        client.timing("took", 5)
    with client.pipeline() as pipeline:
        for _ in range(300):
            pipeline.timing("size", 0.1)
    client.close()


def node_over(protocol: str) -> Callable[[LocalAgent], None]:
    def send(agent: LocalAgent) -> None:
        where = str({"uds": agent.path, "stream": agent.stream, "tcp": agent.tcp}[protocol])
        subprocess.run(["node", str(NODE / "send_local.js"), protocol, where], check=True, timeout=PATIENCE)

    return send


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(dog_over_unix, id="datadog over unix"),
        pytest.param(dog_over_stream, id="datadog over a unix stream"),
        pytest.param(node_over("uds"), id="hot-shots over unix"),
        pytest.param(node_over("stream"), id="hot-shots over a unix stream"),
        pytest.param(pypi_over_tcp, id="statsd over TCP"),
        pytest.param(node_over("tcp"), id="hot-shots over TCP"),
    ],
)
def test_unix_datagrams_and_tcp(
    tmp_path: Path, central: Central, processes: ExitStack, send: Callable[[LocalAgent], None]
) -> None:
    agent = LocalAgent(tmp_path / "local", central)
    processes.callback(agent.close)
    agent.start()
    send(agent)
    agent.settled(900)
    assert agent.ledger()["dropped"] == 0
    assert central.ask("local.hits", "sum") == 600
    assert central.ask("local.took", "sum") == 1_500
    assert central.ask("local.took", "count") == 300
    assert central.ask("local.size", "sum") == 30
    assert agent.end(signal.SIGTERM) == 0
    assert not agent.path.exists()
    assert not agent.stream.exists()

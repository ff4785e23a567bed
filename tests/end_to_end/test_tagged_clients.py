"""Tags and sampled timings of real clients: totals, groups and percentiles are those of what was on the wire."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Final

import pytest
from datadog.dogstatsd.base import DogStatsd

from tests.end_to_end.conftest import Agent, Central, eventually
from tests.end_to_end.tap import Sent, Tap, by_tags, samples
from tests.end_to_end.test_examples import LANGUAGES
from tests.oracle.brute_force import Sample, percentile_bounds
from tests.patience import PATIENCE

NODE: Final = Path(__file__).parent / "node"
GO: Final = Path(__file__).parent / "go"
GO_PACKAGES: Final = "/usr/share/gocode"
"""Where Debian puts the sources of Go packages."""
PERCENTS: Final = ("0", "1", "25", "50", "90", "99", "100")
DAY: Final = 86_400


@pytest.fixture
def tap() -> Iterator[Tap]:
    tap = Tap()
    yield tap
    tap.close()


def hot_shots(form: str) -> Callable[[int], None]:
    def send(port: int) -> None:
        subprocess.run(["node", str(NODE / "send_tagged.js"), str(port), form], check=True, timeout=PATIENCE)

    return send


def datadog(port: int) -> None:
    client = DogStatsd(
        host="127.0.0.1",
        port=port,
        namespace="node",
        constant_tags=["env:test"],
        disable_telemetry=True,
        disable_buffering=False,
        max_buffer_len=1_200,
    )
    for number in range(400):
        shop = [f"shop:s{number % 3}"]
        client.increment("orders", 2, tags=shop)
        client.increment("seen", tags=shop, sample_rate=0.25)
        client.timing("took", round(number * number * 0.37, 2), tags=shop, sample_rate=0.5)
        client.histogram("size", number * 1.5, tags=[f"half:{number // 200}"], sample_rate=0.25)
    client.flush_buffered_metrics()
    client.stop()


def datadog_go(port: int) -> None:
    """The client is Debian's package, so nothing is downloaded."""
    offline = {"GO111MODULE": "off", "GOPATH": GO_PACKAGES, "GOFLAGS": ""}
    subprocess.run(
        ["go", "run", "send_tagged.go", str(port)], cwd=GO, env=os.environ | offline, check=True, timeout=300
    )


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(hot_shots("dogstatsd"), id="hot-shots"),
        pytest.param(hot_shots("telegraf"), id="hot-shots in Telegraf's form"),
        pytest.param(datadog, id="datadog"),
        *([pytest.param(datadog_go, id="datadog-go")] if "go" in LANGUAGES else []),
    ],
)
def test_groups_and_percentiles_are_those_of_the_wire(
    central: Central, agent: Agent, tap: Tap, send: Callable[[int], None]
) -> None:
    eventually(lambda: time.time() % DAY < DAY - 30, "midnight is over: all is to be in one day")
    send(tap.port)
    packets = tap.packets()
    sent = samples(packets)
    assert len(by_tags(sent, "node.orders", "shop", "env")) == 3
    agent.send(*packets)
    agent.settled(len(sent))
    assert agent.ledger()["dropped"] == 0
    for name, keys in (("node.orders", ("shop", "env")), ("node.seen", ("shop",))):
        groups = by_tags(sent, name, *keys)
        expected = {group: sum(one.value * one.weight for one in of) for group, of in groups.items()}
        assert central.groups(name, "sum", ",".join(keys)) == expected
        assert central.ask(name, "sum") == sum(expected.values())
    for name, keys in (("node.took", ("shop", "env")), ("node.size", ("half",))):
        assert_percentiles(central, name, keys, by_tags(sent, name, *keys))


def assert_percentiles(
    central: Central, name: str, keys: tuple[str, ...], groups: dict[tuple[str | None, ...], list[Sent]]
) -> None:
    counts = {group: sum(one.weight for one in of) for group, of in groups.items()}
    assert central.groups(name, "count", ",".join(keys)) == counts
    for percent in PERCENTS:
        answers = central.groups(name, f"p{percent}", ",".join(keys))
        answers |= {(): central.ask(name, f"p{percent}")}
        for group, of in {**groups, (): [*chain(*groups.values())]}.items():
            bounds = percentile_bounds([_added_up(of)], Decimal(percent))
            assert bounds is not None
            assert bounds[0] <= answers[group] <= bounds[1], (name, group, percent)


def _added_up(sent: list[Sent]) -> Sample:
    values = [one.value for one in sent]
    weight = sum((one.weight for one in sent), Decimal(0))
    return Sample(0, Decimal(0), weight, min(values), max(values), tuple((one.value, one.weight) for one in sent))


LINES: Final = (
    # Telegraf: tags in the name, several values and types on a line, a rate for one of them
    ("users.now,service=payroll,region=us-west:32|g", "users.now", "max", "service,region", ("payroll", "us-west"), 32),
    ("load.time,host=a:200|ms:300|ms", "load.time", "p100", "host", ("a",), 300),
    ("load.time.rate,host=a:320|ms|@0.1", "load.time.rate", "count", "host", ("a",), 10),
    ("deploys,env=:3|c", "deploys", "sum", "env", ("",), 3),
    # OpenTelemetry's receiver: DogStatsD's tags and types, a rate in front of them, a tag without a value
    ("statsd.one:3000|c|#mykey:myvalue", "statsd.one", "sum", "mykey", ("myvalue",), 3_000),
    ("statsd.two:3|c|@0.1|#mykey:my:value,other", "statsd.two", "sum", "mykey,other", ("my:value", ""), 30),
    ("statsd.three:500|ms|@0.2|#mykey:a", "statsd.three", "count", "mykey", ("a",), 5),
    ("statsd.four:-7|g|#mykey:a", "statsd.four", "min", "mykey", ("a",), -7),
    ("statsd.five:2.5|d|#k:v|c:0123", "statsd.five", "p50", "k", ("v",), Decimal("2.5")),
    # Graphite and SignalFx
    ("disk.used;datacenter=dc1;rack=a1:5|c", "disk.used", "sum", "datacenter,rack", ("dc1", "a1"), 5),
    ("requests[method=get,status=200]:4|c", "requests", "sum", "method,status", ("get", "200"), 4),
)


def test_line_forms_of_other_programs_keep_their_tags(central: Central, agent: Agent) -> None:
    agent.send(*(line.encode() for line, *_ in LINES))
    agent.settled(len(LINES) + 1)
    assert agent.ledger()["dropped"] == 0
    for line, name, operation, keys, group, expected in LINES:
        assert central.groups(name, operation, keys) == {group: expected}, line

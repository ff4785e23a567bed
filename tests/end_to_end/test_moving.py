"""The guide "Move in a week without a gap", with npm's statsd behind the mirror and the page's own script."""

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import statsd

from tests.doc_pages import blocks
from tests.end_to_end.conftest import Agent, Central, eventually
from tests.ports import free_port

STATSD = Path(__file__).parent / "node" / "node_modules" / "statsd" / "stats.js"
Points = defaultdict[str, list[tuple[float, int]]]


@contextmanager
def a_client(port: int) -> Iterator[statsd.StatsClient]:
    """The PyPI client."""
    client = statsd.StatsClient("127.0.0.1", port, prefix="shop")
    yield client
    client.close()


class Graphite:
    """What statsd sends to carbon, and Graphite's answers from it."""

    def __init__(self) -> None:
        points: Points = defaultdict(list)
        self.points = points

        class Carbon(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    name, value, moment = line.decode().split()
                    points[name].append((float(value), int(moment)))

        class Render(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                span = range(int(asked["from"]), int(asked["until"]) + 1)
                found = [(value, moment) for value, moment in list(points[asked["target"]]) if moment in span]
                body = json.dumps([{"target": asked["target"], "datapoints": found}] if found else []).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.carbon = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Carbon)
        self.carbon.daemon_threads = True
        self.web = ThreadingHTTPServer(("127.0.0.1", 0), Render)
        for server in (self.carbon, self.web):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def total(self, name: str) -> float:
        return sum(value for value, _ in list(self.points[name]))

    def close(self) -> None:
        for server in (self.carbon, self.web):
            server.shutdown()
            server.server_close()


@pytest.fixture
def graphite(processes: ExitStack) -> Graphite:
    made = Graphite()
    processes.callback(made.close)
    return made


@pytest.fixture
def daemon(tmp_path: Path, graphite: Graphite, processes: ExitStack) -> Iterator[int]:
    """The port of npm's statsd, which flushes each second to Graphite."""
    port, mgmt, config = free_port(), free_port(), tmp_path / "config.js"
    settings = {
        **{"address": "127.0.0.1", "port": port, "mgmt_address": "127.0.0.1", "mgmt_port": mgmt},
        **{"flushInterval": 1_000, "backends": ["./backends/graphite"], "deleteIdleStats": True},
        **{"graphiteHost": "127.0.0.1", "graphitePort": graphite.carbon.server_address[1]},
    }
    config.write_text(json.dumps(settings))
    with subprocess.Popen(["node", str(STATSD), str(config)], cwd=STATSD.parent) as process:
        processes.callback(process.kill)
        eventually(lambda: bool(graphite.points), "statsd has flushed")
        yield port
        process.kill()


def compare(central: Central, graphite: Graphite, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the page."""
    (script,) = (block.text for block in blocks("docs/migrating.md") if block.language == "python")
    now = datetime.now(UTC)
    bounds = [(now + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z") for days in (-1, 2)]
    around = {
        "GRAPHITE_URL": f"http://127.0.0.1:{graphite.web.server_address[1]}",
        **{"METRICS_URL": central.url, "METRICS_KEY": central.key},
    }
    return subprocess.run(
        [sys.executable, "-c", script, *bounds, *names],
        env={**os.environ, **around},
        capture_output=True,
        text=True,
        check=False,
    )


def test_both_sides_of_a_move_have_the_same_numbers(
    central: Central, graphite: Graphite, daemon: int, tmp_path: Path, processes: ExitStack
) -> None:
    agent = Agent(tmp_path / "spool", central, FIESTA_AGENT_MIRROR=f"udp://127.0.0.1:{daemon}")
    processes.callback(agent.close)
    agent.start()
    # Few datagrams, because the buffer of statsd's socket holds some hundred while node has no processor.
    with a_client(agent.port) as sender, sender.pipeline() as client:
        for number in range(200):
            client.incr("orders", 3)
            client.timing("db.time", number)
    agent.settled(400)
    eventually(lambda: graphite.total("stats_counts.shop.orders") == 600, "statsd has flushed all counts")
    eventually(lambda: graphite.total("stats.timers.shop.db.time.count") == 200, "statsd has flushed all timings")

    compared = compare(central, graphite, "shop.orders", "shop.db.time")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    rows = re.findall(r"^(\S+) +([\d,]+) +([\d,]+) +([\d.]+)%$", compared.stdout, re.MULTILINE)
    assert rows == [("shop.orders", "600", "600", "0.000"), ("shop.db.time", "200", "200", "0.000")]

    with a_client(daemon) as client:
        client.incr("orders", 50)  # past the agent
    eventually(lambda: graphite.total("stats_counts.shop.orders") == 650, "statsd has flushed the others")
    compared = compare(central, graphite, "shop.orders")
    assert (compared.returncode, "7.692%" in compared.stdout) == (1, True)

"""The daemons that people move from, each a private instance on free ports, with what the guide's script asks."""

import json
import re
import socketserver
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from loadtest.statsd_daemons import netdata_conf
from tests.end_to_end.conftest import eventually
from tests.ports import free_port
from tests.servers import program

STATSD: Final = Path(__file__).parent / "node" / "node_modules" / "statsd" / "stats.js"


class OldDaemon(NamedTuple):
    """One that runs and flushes each second. ``variables`` tell the guide's script where its numbers are."""

    port: int
    variables: dict[str, str]


def waiting(port: int) -> int | None:
    """Bytes that wait in the socket of a UDP port. None when nobody has it."""
    found = re.search(rf":{port:04X} \S+ \S+ \w+:(\w+)", Path("/proc/net/udp").read_text(encoding="ascii"))
    return int(found[1], 16) if found else None


@contextmanager
def running(command: Sequence[str], log: Path, port: int, folder: Path | None = None) -> Iterator[None]:
    """A process that listens on a UDP port."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=output) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        eventually(lambda: waiting(port) is not None or process.poll() is not None, f"{command[0]} listens")
        assert process.poll() is None, log.read_text()
        yield


@contextmanager
def statsd(folder: Path) -> Iterator[OldDaemon]:
    """npm's statsd, and what it sends its numbers to."""
    port, config = free_port(), folder / "config.js"
    with a_graphite() as (carbon, web):
        settings = {
            **{"address": "127.0.0.1", "port": port, "mgmt_address": "127.0.0.1", "mgmt_port": free_port()},
            **{"flushInterval": 1_000, "backends": ["./backends/graphite"], "deleteIdleStats": True},
            **{"graphiteHost": "127.0.0.1", "graphitePort": carbon},
        }
        config.write_text(json.dumps(settings))
        with running([program("node"), str(STATSD), str(config)], folder / "statsd.log", port, STATSD.parent):
            yield OldDaemon(port, {"GRAPHITE_URL": f"http://127.0.0.1:{web}"})


@contextmanager
def a_graphite() -> Iterator[tuple[int, int]]:
    """The ports of a carbon, and of a Graphite that answers from what the carbon got."""
    points: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)

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

    servers = (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Carbon),
        ThreadingHTTPServer(("127.0.0.1", 0), Render),
    )
    servers[0].daemon_threads = True
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield servers[0].server_address[1], servers[1].server_address[1]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def put(settings: str, **values: str) -> str:
    """The guide's lines for a configuration, with other values. Each name must be there once."""
    for name, value in values.items():
        line = re.compile(rf'^( *{name.replace("_", " ")}(?: = | ")).+?("?)$', re.MULTILINE)
        settings, found = line.subn(rf"\g<1>{value}\g<2>", settings)
        assert found == 1, (name, settings)
    return settings


@contextmanager
def collectd(folder: Path, settings: str) -> Iterator[OldDaemon]:
    """Debian's collectd, with the guide's lines of collectd.conf."""
    port, config = free_port(), folder / "collectd.conf"
    config.write_text(
        f'Hostname "web1"\nFQDNLookup false\nInterval 1\nBaseDir "{folder}"\nPIDFile "{folder}/pid"\n'
        + put(settings, Port=str(port), DataDir=f"{folder}/csv")
    )
    with running([program("collectd"), "-f", "-C", str(config)], folder / "collectd.log", port):
        yield OldDaemon(port, {"COLLECTD_CSV": f"{folder}/csv/web1/statsd"})


@contextmanager
def netdata(folder: Path, settings: str) -> Iterator[OldDaemon]:
    """Debian's netdata, with the guide's lines of netdata.conf. It looks at nothing of this host."""
    port, http, config = free_port(), free_port(), folder / "netdata.conf"
    config.write_text(
        netdata_conf(folder, http) + put(settings, default_port=str(port)) + f"    bind to = udp:127.0.0.1:{port}\n"
    )
    command = [program("netdata"), "-D", "-c", str(config), "-P", f"{folder}/netdata.pid"]
    with running(command, folder / "netdata.log", port):
        yield OldDaemon(port, {"NETDATA_URL": f"http://127.0.0.1:{http}"})

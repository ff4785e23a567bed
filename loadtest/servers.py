"""Processes that a benchmark measures: our central service, and a bare aiohttp handler to compare with."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
START_SECONDS: Final = 30.0


class Server(NamedTuple):
    """A running process: its base URL, its id and, for central, its admin key."""

    url: str
    pid: int
    key: str = ""

    def cpu_seconds(self) -> float:
        """See cpu_seconds."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def central(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A central service whose data is in ``folder``, on the embedded store unless ``environ`` says otherwise.

    Ended by SIGTERM.
    """
    port = free_port()
    environment = {
        name: value for name, value in os.environ.items() if not re.match(r"METRICS_|DB_|REDIS_|QUEUE_", name)
    }
    environment |= {
        "METRICS_LISTEN": f"127.0.0.1:{port}",
        "METRICS_DATA_DIR": str(folder),
        "METRICS_RATE_LIMIT_DEFAULT": "1000000000",
        **(environ or {}),
    }
    with _process([sys.executable, "-m", "central", "serve"], port, environment) as process:
        key = environment.get("METRICS_ADMIN_KEY") or (folder / "admin.key").read_text(encoding="ascii").strip()
        yield Server(f"http://127.0.0.1:{port}", process.pid, key)


@contextmanager
def agent(
    folder: Path, central_url: str, key: str, environ: Mapping[str, str] | None = None
) -> Iterator[tuple[Server, int]]:
    """An agent whose spool is in ``folder``, and its UDP port; ended by SIGTERM, after it has sent what it has."""
    port, udp = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIESTA_AGENT_")} | {
        "FIESTA_AGENT_CENTRAL_URL": central_url,
        "FIESTA_AGENT_API_KEY": key,
        "FIESTA_AGENT_UDP": f"127.0.0.1:{udp}",
        "FIESTA_AGENT_HTTP": f"127.0.0.1:{port}",
        "FIESTA_AGENT_SPOOL_DIR": str(folder),
        **(environ or {}),
    }
    with _process([sys.executable, "-m", "agent", "run"], port, environment) as process:
        yield Server(f"http://127.0.0.1:{port}", process.pid), udp


@contextmanager
def bare() -> Iterator[Server]:
    """A bare aiohttp POST handler under uvloop that reads the body and answers 201 with a small JSON."""
    port = free_port()
    with _process([sys.executable, "-m", "loadtest.bare", str(port)], port, dict(os.environ)) as process:
        yield Server(f"http://127.0.0.1:{port}", process.pid)


@contextmanager
def _process(command: list[str], port: int, environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not answer in {START_SECONDS:g} s")


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_udp_port() -> int:
    """A UDP port of loopback that is free now."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get_json(server: Server, path: str) -> dict[str, object]:
    """A GET with the server's key, decoded."""
    request = urllib.request.Request(server.url + path, headers={"X-API-Key": server.key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        decoded: dict[str, object] = json.load(answer)
        return decoded

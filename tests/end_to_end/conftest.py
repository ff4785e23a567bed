"""Real processes: a central service on the embedded store and an agent, on free ports of loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.patience import PATIENCE
from tests.ports import free_port

_OURS: Final = re.compile(r"METRICS_|FIESTA_|DB_|REDIS_|QUEUE_")


def eventually(fact: Callable[[], bool], what: str) -> None:
    """Wait until ``fact`` holds; fail with ``what`` when it does not within PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > end:
            pytest.fail(f"waited {PATIENCE:g} s for: {what}")
        time.sleep(0.02)


def early_in_a_window() -> None:
    """Wait for the start of a second, the agent's window here: a set or a gauge is counted a window."""
    eventually(lambda: time.time() % 1 < 0.2, "a window starts")


class Process:
    """A child process that can be stopped, killed and started again."""

    def __init__(self, module: str, arguments: list[str], settings: dict[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)} | settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(timeout=PATIENCE)
        self._process = None
        return code

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def close(self) -> None:
        if self._process is not None and not self.has_ended:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


class Central(Process):
    """The central service, with its admin key."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.folder = folder
        super().__init__(
            "central",
            ["serve"],
            {
                "METRICS_LISTEN": self.url.removeprefix("http://"),
                "METRICS_DATA_DIR": str(folder),
                "METRICS_RATE_LIMIT_DEFAULT": "1000000",
            }
            | settings,
            folder.with_suffix(".log"),
        )

    def start(self) -> None:
        super().start()
        eventually(lambda: _answers(f"{self.url}/ready") or self.has_ended, f"central is ready: {self.log}")
        assert not self.has_ended, self.log

    @property
    def key(self) -> str:
        return (self.folder / "admin.key").read_text(encoding="ascii").strip()

    def get(self, path: str) -> Any:
        """A GET with the admin key; floats come as exact Decimals."""
        request = urllib.request.Request(self.url + path, headers={"X-API-Key": self.key})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read(), parse_float=Decimal)

    def ask(self, name: str, operation: str) -> Decimal:
        """One number over all time that tests can touch: the operation over days, which must be at most two."""
        now = datetime.now(UTC)
        start, end = ((now + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z") for days in (-2, 2))
        answer = self.get(f"/api/metrics/aggregate?name={name}&operation={operation}&window=1d&start={start}&end={end}")
        values = [Decimal(bucket["value"]) for bucket in answer["data"]]
        if operation in {"min", "max"}:
            return min(values) if operation == "min" else max(values)
        return sum(values, start=Decimal(0))

    def groups(self, name: str, operation: str, keys: str) -> dict[tuple[str | None, ...], Decimal]:
        """The same for each group of series, by the values of its tags; midnight must not lie in between."""
        now = datetime.now(UTC)
        start, end = ((now + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z") for days in (-2, 2))
        query = f"name={name}&operation={operation}&window=1d&start={start}&end={end}&group_by={keys}"
        data = self.get(f"/api/metrics/aggregate?{query}")["data"]
        return {tuple(group["tags"].values()): Decimal(group["points"][0]["value"]) for group in data}


class Agent(Process):
    """An agent that flushes every second."""

    def __init__(self, folder: Path, central: Central, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.http = f"http://127.0.0.1:{free_port()}"
        super().__init__(
            "agent",
            ["run"],
            {
                "FIESTA_AGENT_CENTRAL_URL": central.url,
                "FIESTA_AGENT_API_KEY": central.key,
                "FIESTA_AGENT_UDP": f"127.0.0.1:{self.port}",
                "FIESTA_AGENT_HTTP": self.http.removeprefix("http://"),
                "FIESTA_AGENT_SPOOL_DIR": str(folder),
                "FIESTA_AGENT_FLUSH_INTERVAL": "1",
            }
            | settings,
            folder.with_suffix(".log"),
        )

    def start(self) -> None:
        super().start()
        eventually(lambda: bool(self.ledger()), f"the agent answers: {self.log}")

    def ledger(self) -> dict[str, int]:
        """The samples of the ledger by their short name, drops summed and by reason; empty when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.http}/metrics", timeout=PATIENCE) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        found: dict[str, int] = {"dropped": 0}
        for name, reason, value in re.findall(
            r'^fiesta_agent_samples_(\w+?)(?:_total)?(?:\{reason="(\w+)"\})? ([\d.e+]+)$', text, re.MULTILINE
        ):
            if reason:
                found[reason] = int(float(value))
                found["dropped"] += int(float(value))
            else:
                found[name] = int(float(value))
        gone = found["acknowledged"] + found["dropped"] + found["in_window"] + found["in_spool"]
        assert found["received"] + found["recovered"] == gone, found
        return found

    def send(self, *packets: bytes) -> None:
        """Send datagrams to the agent."""
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.port))
            for packet in packets:
                sender.send(packet)

    def settled(self, samples: int) -> None:
        """Wait until so many samples, and no more, are acknowledged or dropped since this start."""

        def done() -> bool:
            ledger = self.ledger()
            return bool(ledger) and ledger["acknowledged"] + ledger["dropped"] == samples

        eventually(done, f"{samples} samples are accounted for: {self.ledger()} {self.log[-2000:]}")
        assert self.ledger()["in_window"] + self.ledger()["in_spool"] == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def central(tmp_path: Path, processes: ExitStack) -> Central:
    """A running central service."""
    service = Central(tmp_path / "central")
    processes.callback(service.close)
    service.start()
    return service


@pytest.fixture
def agent(tmp_path: Path, central: Central, processes: ExitStack) -> Agent:
    """A running agent that forwards to ``central``."""
    running = Agent(tmp_path / "spool", central)
    processes.callback(running.close)
    running.start()
    return running

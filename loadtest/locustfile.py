"""The clients of the load test, for locust: writers, batchers, hosts' agents, readers. loadtest.load runs it.

20 clients write: together 11,000 requests per minute where none waits for long; the PRD asks for 10,000. Each request
takes the next of the keys. What was acknowledged is counted by name, so that it can be compared with what is stored.
"""

import gzip
import itertools
import json
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust import constant_throughput, events, task
from locust.contrib.fasthttp import FastHttpUser

BATCH, HOST_NAMES, HOST_SAMPLES = 50, 200, 30
OPERATIONS = ("sum", "count", "avg", "min", "max")
TENTH = 10
"""Times are counted in tenths of a millisecond."""


class Answers:
    """What came back. ``times`` are by kind (write, read) and tenth of a millisecond; ``samples`` by metric name."""

    def __init__(self) -> None:
        self.plan: dict[str, Any] = json.loads(Path(os.environ["LOADTEST_PLAN"]).read_text())
        self.keys: Iterator[str] = itertools.cycle(self.plan["keys"])
        self.numbers = itertools.count()
        self.started = time.monotonic()
        self.times: dict[str, Counter[int]] = {"write": Counter(), "read": Counter()}
        self.errors: dict[str, Counter[str]] = {"write": Counter(), "read": Counter()}
        self.samples: Counter[str] = Counter()

    def add(self, request_type: str, response_time: float, exception: Exception | None, **_: object) -> None:
        """Count one request that has ended."""
        kind = "write" if request_type == "POST" else "read"
        self.times[kind][round(response_time * TENTH)] += 1
        if exception is not None:
            self.errors[kind][str(exception)[:200]] += 1

    def save(self, **_: object) -> None:
        """Write everything to a file for the process that started the run."""
        report = {"seconds": time.monotonic() - self.started, "times": self.times, "errors": self.errors}
        Path(self.plan["out"]).write_text(json.dumps({**report, "samples": self.samples}))


answers = Answers()
events.request.add_listener(answers.add)  # type: ignore[no-untyped-call]
events.test_stop.add_listener(answers.save)  # type: ignore[no-untyped-call]


class Client(FastHttpUser):
    """One client: a connection of its own to one of the processes, as a balancer would give it."""

    abstract = True
    network_timeout = connection_timeout = 30.0

    def __init__(self, environment: Any) -> None:
        self.number = next(answers.numbers)
        self.host = answers.plan["urls"][self.number % len(answers.plan["urls"])]
        super().__init__(environment)

    def post(self, path: str, body: dict[str, Any], samples: dict[str, int], *, packed: bool = False) -> None:
        """Send, and count what was acknowledged. Any answer but a 201 that accepts all is an error."""
        data: Any = json.dumps(body)
        headers = {"X-API-Key": next(answers.keys), "Idempotency-Key": uuid.uuid4().hex}
        if packed:
            data, headers["Content-Encoding"] = gzip.compress(data.encode(), 1), "gzip"
        with self.client.post(path, data=data, headers=headers, name=path, catch_response=True) as answer:
            if answer.status_code != 201 or (answer.json() or {}).get("rejected"):
                answer.failure(f"{answer.status_code} {answer.text or ''}"[:200])
            else:
                answers.samples.update(samples)


class Writer(Client):
    """An application that sends a single POST per event."""

    fixed_count = 14
    wait_time = constant_throughput(11.1)

    @task(4)
    def count(self) -> None:
        """A counter."""
        name = f"load.writer.{self.number}.{random.randrange(10)}"
        self.post("/api/metrics/counter", {"name": name}, {name: 1})

    @task(1)
    def measure(self) -> None:
        """A value."""
        name = f"load.timing.{self.number}"
        self.post("/api/metrics/value", {"name": name, "value": round(random.lognormvariate(3, 1), 3)}, {name: 1})


class Batcher(Client):
    """A service that collects points and sends them in batches."""

    fixed_count = 4
    wait_time = constant_throughput(6.1)

    @task
    def send(self) -> None:
        """BATCH items of as many names."""
        names = [f"load.batch.{self.number}.{place}" for place in range(BATCH)]
        items = [{"name": name, "type": "counter", "value": random.randrange(1, 9)} for name in names]
        self.post("/api/metrics/batch", {"metrics": items}, dict.fromkeys(names, 1))


class Host(Client):
    """Agents: summaries of a window, packed. One client stands for some 25 hosts that flush every 10 seconds."""

    fixed_count = 2
    wait_time = constant_throughput(2.8)

    @task
    def flush(self) -> None:
        """HOST_NAMES summaries of HOST_SAMPLES samples each."""
        names = [f"load.host.{self.number}.{place}" for place in range(HOST_NAMES)]
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 10 * 10 - 10))
        summary = {"value": 451.5, "count": HOST_SAMPLES, "min": 0.5, "max": 99.25, "recorded_at": start}
        items = [{"name": name, "type": "value", **summary} for name in names]
        self.post("/api/metrics/batch", {"metrics": items}, dict.fromkeys(names, HOST_SAMPLES), packed=True)


class Reader(Client):
    """An analyst's dashboard."""

    fixed_count = 4
    wait_time = constant_throughput(4.6)

    def get(self, path: str, query: dict[str, str], name: str) -> None:
        """A query that must be answered."""
        headers = {"X-API-Key": next(answers.keys)}
        text = "&".join(f"{field}={value}" for field, value in query.items())
        self.client.get(f"{path}?{text}", headers=headers, name=name)

    def aggregate(self, names: str, window: str, seconds: int, label: str) -> None:
        """The last ``seconds``."""
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - back)) for back in (seconds, 0))
        operation = random.choice(OPERATIONS)
        query = {"name": names, "operation": operation, "window": window, "start": start, "end": end}
        self.get("/api/metrics/aggregate", query, label)

    @task(5)
    def last_hour(self) -> None:
        """One name by the minute."""
        self.aggregate(f"load.batch.{14 + random.randrange(4)}.{random.randrange(BATCH)}", "1m", 3_600, "last hour")

    @task(2)
    def last_week(self) -> None:
        """One name by the hour."""
        self.aggregate(f"load.writer.{random.randrange(14)}.0", "1h", 7 * 86_400, "last week")

    @task(2)
    def board(self) -> None:
        """Ten names at once."""
        names = ",".join(f"load.host.18.{place}" for place in random.sample(range(HOST_NAMES), 10))
        self.aggregate(names, "5m", 86_400, "ten names, last day")

    @task(1)
    def names(self) -> None:
        """A page of the list."""
        self.get("/api/metrics", {"prefix": "load.", "limit": "100"}, "list")

"""The load test: the PRD's table (5.1) against a whole stack, pass or fail per row, with a report.

``python -m loadtest.load --minutes N`` starts MariaDB, Redis, two central processes and an agent, all private and on
loopback, lets locust's clients (loadtest/locustfile.py) and a sender of StatsD lines at them for so long, and compares
what was acknowledged with what is stored. Then the database stands still for a while under load: what lag that makes.
Hours make a soak: memory and file handles must not grow.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from loadtest import servers
from loadtest.plot import chart, page
from loadtest.report import Line, show
from loadtest.servers import Server, get_json
from loadtest.tier import environ, tier
from loadtest.watch import HANDLES, LAG, MEMORY, WAITING, Watch, scrape
from tests.servers import MariaDB

REPORT: Final = Path("report/loadtest")
KEYS: Final = 100
CLIENTS: Final = 20
ADMIN_KEY: Final = "loadtest-admin-0123456789abcdefghijkl"
WRITES, READS, WRITE_MS, READ_MS, ERROR_SHARE, LAG_SECONDS = 10_000, 1_000, 200, 500, 0.01, 30
LINES_PER_PACKET: Final = 30
PACKETS_PER_SECOND: Final = 50
STILL_SECONDS: Final = 15
STILL_RUN_SECONDS: Final = 60
SOAK_MINUTES: Final = 10
"""From this length on memory and handles are judged."""
GROWTH_MB: Final = 8
GROWTH_HANDLES: Final = 10


class Stack(NamedTuple):
    """The processes that run, and the keys."""

    mariadb: MariaDB
    centrals: Mapping[str, Server]
    agent: Server
    udp: int
    pids: Mapping[str, int]
    keys: list[str]

    @property
    def one(self) -> Server:
        """A central process to ask."""
        return next(iter(self.centrals.values()))


class Result(NamedTuple):
    """What locust's clients saw. ``times`` are by kind and tenth of a millisecond."""

    seconds: float
    times: dict[str, Counter[int]]
    errors: dict[str, Counter[str]]
    samples: Counter[str]

    def rate(self, kind: str) -> float:
        """Requests per minute."""
        return self.times[kind].total() / self.seconds * 60

    def quantile(self, kind: str, share: float) -> float:
        """The milliseconds within which this share of the requests was answered."""
        counts, left = self.times[kind], share * self.times[kind].total()
        for tenth in sorted(counts):
            left -= counts[tenth]
            if left <= 0:
                return tenth / 10
        return 0.0

    def errors_in_all(self) -> int:
        """Requests that failed."""
        return sum(found.total() for found in self.errors.values())


async def run(minutes: float) -> list[Line]:
    """Run the whole load test. Writes the report and returns its table."""
    REPORT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with stack(Path(folder)) as ours:
            centrals = {name: server.url for name, server in ours.centrals.items()}
            watch = Watch(ours.pids, centrals, ours.agent.url)
            async with watch.every(max(1.0, minutes * 60 / 600)), lines_sent(ours.udp) as sent:
                result = await locust(ours, Path(folder), "load", minutes * 60)
            lines = [*table(result, watch), *await agreement(ours, result, sent)]
            if minutes >= SOAK_MINUTES:
                lines += growth(watch)
            still = Watch(ours.pids, centrals, ours.agent.url)
            async with still.every(0.5):
                lines += await standstill(ours, Path(folder), still)
    title = f"Load test, {result.seconds / 60:.1f} minutes, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    show(title, lines)
    (REPORT / "index.html").write_text(page(title, lines, charts(watch, still), _LINKS), encoding="utf-8")
    return lines


@asynccontextmanager
async def stack(folder: Path) -> AsyncIterator[Stack]:
    """Everything started, KEYS keys made and known to each process; all of it ended afterwards."""
    async with tier(folder) as base:
        with ExitStack() as opened:
            given = {**environ(base.mariadb, base.redis), "METRICS_ADMIN_KEY": ADMIN_KEY}
            centrals = {
                name: opened.enter_context(servers.central(folder / name, given)) for name in ("central 1", "central 2")
            }
            one = centrals["central 1"]
            keys = [await asyncio.to_thread(new_key, one, f"service-{number}") for number in range(KEYS)]
            for server in centrals.values():
                for key in keys:  # bcrypt, once for each key and process
                    await asyncio.to_thread(get_json, server._replace(key=key), "/api/metrics?limit=1")
            key = await asyncio.to_thread(new_key, one, "agent")
            agent, udp = opened.enter_context(servers.agent(folder / "spool", one.url, key))
            pids = {name: server.pid for name, server in centrals.items()}
            pids |= {"agent": agent.pid, "mariadbd": base.mariadb.pid, "redis-server": base.redis.pid}
            yield Stack(base.mariadb, centrals, agent, udp, pids, keys)


def new_key(server: Server, name: str) -> str:
    """A key with the usual scopes and the PRD's limit of 1,000 requests per minute."""
    body = json.dumps({"name": name, "rate_limit": 1_000}).encode()
    request = urllib.request.Request(f"{server.url}/api/admin/keys", body, {"X-API-Key": server.key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["data"]["key"])


async def locust(ours: Stack, folder: Path, name: str, seconds: float, *users: str) -> Result:
    """Run locust's clients: the ``users`` of the locustfile, or all of them."""
    plan, out = folder / "plan.json", folder / f"{name}.json"
    urls = [server.url for server in ours.centrals.values()]
    plan.write_text(json.dumps({"urls": urls, "keys": ours.keys, "out": str(out)}))
    command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--only-summary"]
    command += ["--users", "100", "--spawn-rate", "100", "--run-time", f"{seconds:.0f}s", "--stop-timeout", "30"]
    command += ["--exit-code-on-error", "0", "--loglevel", "WARNING", "--html", str(REPORT / f"{name}.html"), *users]
    environment = {**os.environ, "LOADTEST_PLAN": str(plan)}
    log = REPORT / f"{name}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=file, stderr=file)
        code = await process.wait()
    if code or not out.exists():
        raise RuntimeError(f"locust did not end well: see {log}")
    report = json.loads(out.read_text())
    times = {kind: Counter({int(tenth): n for tenth, n in found.items()}) for kind, found in report["times"].items()}
    errors = {kind: Counter(found) for kind, found in report["errors"].items()}
    return Result(report["seconds"], times, errors, Counter(report["samples"]))


@asynccontextmanager
async def lines_sent(port: int) -> AsyncIterator[Counter[str]]:
    """StatsD lines to the agent's port inside the block; how many of each name."""
    sent: Counter[str] = Counter()
    names = [f"load.agent.{number}" for number in range(LINES_PER_PACKET)]
    packet = "\n".join(f"{name}:1|c" for name in names).encode()

    async def send() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            while True:
                sender.sendto(packet, ("127.0.0.1", port))
                sent.update(names)
                due = max(due + 1 / PACKETS_PER_SECOND, loop.time() - 1)
                await asyncio.sleep(max(0.0, due - loop.time()))

    task = asyncio.create_task(send())
    try:
        yield sent
    finally:
        task.cancel()
        await asyncio.wait([task])


# --- what came of it


def table(result: Result, watch: Watch) -> list[Line]:
    """The PRD's rows."""
    asked = sum(times.total() for times in result.times.values())
    share = result.errors_in_all() / max(asked, 1)
    lines: list[Line] = []
    for kind, title, goal, most in (("write", "Write", WRITES, WRITE_MS), ("read", "Read", READS, READ_MS)):
        rate, p95 = result.rate(kind), result.quantile(kind, 0.95)
        rest = f"p50 {result.quantile(kind, 0.5):.1f}, p99 {result.quantile(kind, 0.99):.1f} ms"
        lines += [
            (f"{title} throughput, requests per minute", f"{goal:,}", f"{rate:,.0f}", rate >= goal),
            (f"{title} latency, p95 ({rest})", f"< {most} ms", f"{p95:.1f} ms", p95 < most),
        ]
    what = f"{KEYS} keys, {CLIENTS} writing clients at once, {result.times['write'].total():,} writes: errors"
    return [
        *lines,
        ("Error rate", f"< {ERROR_SHARE:.0%}", f"{share:.3%}", share < ERROR_SHARE),
        ("Queue lag, most", f"< {LAG_SECONDS} s", f"{watch.most(LAG):.1f} s", watch.most(LAG) < LAG_SECONDS),
        (what, "0", _shown(result), not result.errors_in_all()),
    ]


async def agreement(ours: Stack, result: Result, sent: Counter[str]) -> list[Line]:
    """Whether what was acknowledged is what is stored, and what was sent to the agent as well."""
    lines_in_all = sent.total()
    counters = await _settled(ours.agent, lines_in_all)
    expected = result.samples + sent
    stored = await asyncio.to_thread(_stored, ours.one, list(expected))
    agree = {name for name in expected if stored[name] == expected[name]}
    dropped = sum(value for name, value in counters.items() if name.startswith("fiesta_agent_samples_dropped_total"))
    return [
        (
            f"Samples acknowledged and stored, {len(expected):,} names",
            f"{expected.total():,}",
            f"{stored.total():,}",
            len(agree) == len(expected),
        ),
        (
            "Lines sent to the agent, acknowledged",
            f"{lines_in_all:,}",
            f"{counters['fiesta_agent_samples_acknowledged_total']:,.0f}",
            counters["fiesta_agent_samples_acknowledged_total"] == lines_in_all and not dropped,
        ),
    ]


async def standstill(ours: Stack, folder: Path, watch: Watch) -> list[Line]:
    """Stop the database under writes: no client gets an error, and the spill is drained in time."""
    load = asyncio.create_task(locust(ours, folder, "standstill", STILL_RUN_SECONDS, "Writer", "Batcher", "Host"))
    await asyncio.sleep(STILL_RUN_SECONDS / 6)
    with ours.mariadb.paused():
        await asyncio.sleep(STILL_SECONDS)
    result = await load
    await asyncio.to_thread(_drained, ours)
    most, writes = watch.most(LAG), result.times["write"].total()
    what = f"Database stopped for {STILL_SECONDS} s under load: "
    return [
        (f"{what}lag, most", f"< {LAG_SECONDS} s", f"{most:.1f} s", STILL_SECONDS / 2 < most < LAG_SECONDS),
        (f"{what}errors of {writes:,} writes", "0", _shown(result), not result.errors_in_all()),
    ]


def growth(watch: Watch) -> list[Line]:
    """How much more memory and handles our own processes have in the last quarter than in the second."""
    names = ("central 1", "central 2", "agent")
    memory = {name: watch.growth(MEMORY, name) for name in names}
    handles = {name: watch.growth(HANDLES, name) for name in names}
    return [
        ("Memory, growth", f"< {GROWTH_MB} MB", _each(memory, "MB"), max(memory.values()) < GROWTH_MB),
        ("File handles, growth", f"< {GROWTH_HANDLES}", _each(handles, ""), max(handles.values()) < GROWTH_HANDLES),
    ]


def charts(watch: Watch, still: Watch) -> list[str]:
    """The charts of the report."""
    titles = {MEMORY: "Memory, MB", HANDLES: "Open file handles", LAG: "Lag, s", WAITING: "Requests waiting"}
    drawn = [chart(title, watch.points[kind]) for kind, title in titles.items()]
    return [*drawn, chart(f"Lag while the database stands still for {STILL_SECONDS} s, s", still.points[LAG])]


_LINKS: Final = (
    '<p>What locust saw: <a href="load.html">load</a>, <a href="standstill.html">with the database stopped</a>.</p>'
)


def _each(values: Mapping[str, float], unit: str) -> str:
    return ", ".join(f"{name} {value:+.1f} {unit}".rstrip() for name, value in values.items())


def _shown(result: Result) -> str:
    """The number of errors, and the most frequent error."""
    errors: Counter[str] = sum(result.errors.values(), Counter())
    return f"{errors.total()}" + "".join(f" ({text})" for text, _ in errors.most_common(1))


async def _settled(agent: Server, samples: int) -> dict[str, float]:
    """The agent's metrics, once it has delivered so many samples or two minutes are over."""
    for _ in range(1_200):
        counters = await asyncio.to_thread(scrape, agent.url)
        if counters["fiesta_agent_samples_acknowledged_total"] >= samples:
            break
        await asyncio.sleep(0.1)
    return counters


def _drained(ours: Stack) -> None:
    """Return once nothing waits in the spill."""
    while any(scrape(server.url)["fiesta_spill_entries"] for server in ours.centrals.values()):
        time.sleep(0.1)


def _stored(server: Server, names: list[str]) -> Counter[str]:
    """How many samples each name has."""
    found: Counter[str] = Counter()
    now = datetime.now(UTC)
    span = {"start": f"{now - timedelta(days=2):%Y-%m-%d}", "end": f"{now + timedelta(days=1):%Y-%m-%d}"}
    for at in range(0, len(names), 100):
        query = {"name": ",".join(names[at : at + 100]), "operation": "count", "window": "1d", **span}
        answer: Any = get_json(server, f"/api/metrics/aggregate?{urllib.parse.urlencode(query)}")
        by_name = answer["data"] if isinstance(answer["data"], dict) else {answer["metric"]: answer["data"]}
        found.update({name: sum(point["value"] for point in points) for name, points in by_name.items()})
    return found


def main() -> None:
    """``--minutes N``. Exit code 1 where a row fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="how long (5); from 10 on memory and handles count too"
    )
    lines = uvloop.run(run(parser.parse_args().minutes))
    print(f"report: {REPORT.resolve() / 'index.html'}")
    sys.exit(any(holds is False for *_, holds in lines))


if __name__ == "__main__":
    main()

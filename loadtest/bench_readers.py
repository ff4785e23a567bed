"""What dashboards and the page ask, and ingest beside it: ``python -m loadtest.bench_readers duckdb|mysql [...]``.

A thousand names have a point for each minute of the last day, put there past the API. What is over is folded. A real
process of the service is asked over HTTP, one request at a time. Then the panels of a dashboard ask at once, all with
one key, and each third of them with a key of its own: a key has one query at a time. Then single POSTs come at a fixed
rate: alone, and beside a reader that asks the same again as soon as it is answered.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple
from urllib.parse import quote
from urllib.request import Request, urlopen

from central.store.base import Caps, NewName, Row
from central.store.duck.store import DuckStore
from central.store.folding import DELAY_SECONDS, HistogramFold
from central.store.mysql.store import MySQLStore
from loadtest import paced
from loadtest.bench_tags import Store, answer_of, at_once, opened, put
from loadtest.report import Line, show
from loadtest.servers import Server, central, cpu_seconds
from protocol.numbers import UNIT
from protocol.times import format_time
from tests.central.mysql_help import environ_of, server_of
from tests.servers import MariaDB

HOUR, DAY = 3_600, 86_400
NAMES: Final = 1_000
DATABASE: Final = "bench_readers"
TIMES: Final = 40
RATE, SECONDS, CONNECTIONS = 100, 20.0, 16
AT_MOST: Final = 2.0
PANELS: Final = (1, 6, 12, 24, 48)
LOADS: Final = 15
"""How often a dashboard is loaded with one key, and as often, in turns, with three."""


class Question(NamedTuple):
    """A request, the most that its p95 may take in milliseconds, and something that its answer must contain."""

    what: str
    goal: int
    target: str
    content: bytes


def questions(end: int) -> list[Question]:
    """What is asked; ``end`` is the end of the data."""

    def render(target: str) -> str:
        return f"/graphite/render?format=json&target={quote(target)}&from={end - DAY}&until={end}"

    fifty = "shop.h0[0-4]?.orders"
    return [
        Question(
            f"the list of {NAMES:,} names with their last day", 1_000,
            f"/api/metrics?match=shop.*.*&limit={NAMES}&details=true&sparkline=24h", b"shop.h999.orders",
        ),
        Question("find: all leaves of a name", 50, "/graphite/metrics/find?query=shop.h042.orders.*", b"avg"),
        Question("find: 1,000 nodes", 50, "/graphite/metrics/find?query=shop.*", b"h999"),
        Question("render: 50 lines, a day by minute", 150, render(f"{fifty}.avg"), b"shop.h049"),
        Question("render: the sum of 50 lines", 150, render(f"sumSeries({fifty}.avg)"), b"sumSeries"),
        Question("render: 50 lines by tenths", 150, render(f"summarize({fifty}.avg,'10min','avg')"), b"shop.h049"),
    ]  # fmt: skip


async def fill(store: Store, end: int) -> None:
    """Put the data into an empty store."""
    names = [f"shop.h{number:03}.orders" for number in range(NAMES)]
    metrics = await store.names.resolve([NewName(name, "value", 1) for name in names], Caps(1 << 40, 1 << 40), end)
    ids = [metrics[name].id for name in names]
    for hour in range(end - DAY, end, HOUR):
        minutes = range(hour, hour + HOUR, 60)
        rows = (Row(key, at, (at + key) % 977 * UNIT, None, None, None) for at in minutes for key in ids)
        await put(store, rows, end)
    await store.tidy(idle=True)
    # Else the service would fold a day of histograms beside all that is measured.
    await HistogramFold(store.folding, partial(float, end + DELAY_SECONDS), at_once).round()


async def measure(server: Server, database: int | None, asked: list[Question]) -> list[Line]:
    """p50, p95 and CPU of each question; then p99 of ingest beside some, as a ratio to alone."""
    lines = list[Line]()
    host = server.url.removeprefix("http://")
    for what, goal, target, content in asked:
        assert content in await asyncio.to_thread(answer_of, server, target), what
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {server.key}\r\n\r\n".encode()
        before = cost_of(server, database)
        result = await paced.closed_loop(server.url, [request] * TIMES, connections=1)
        cost = (cost_of(server, database) - before) / TIMES * 1_000
        p50, p95 = result.percentile(0.5), result.percentile(0.95)
        right = result.statuses[200] == TIMES
        text = f"{p50:.1f}, {p95:.1f}, {cost:.1f} ms"
        lines.append((f"{what}: p50, p95, CPU", f"{goal} ms", text, right and p95 <= goal))
    lines += await dashboards(server, database, int(asked[3].target.rpartition("=")[2]))
    for question in (asked[0], asked[2], asked[3]):
        alone = await ingest(server)
        with reading(server, question.target):
            beside = await ingest(server)
        ratio = beside.percentile(0.99) / alone.percentile(0.99)
        text = f"{alone.percentile(0.99):.1f} -> {beside.percentile(0.99):.1f} ms ({ratio:.1f})"
        stored = beside.statuses[201] == int(RATE * SECONDS)
        goal_text = f"at most {AT_MOST:g} times"
        lines.append((f"p99 of ingest beside {question.what}", goal_text, text, stored and ratio <= AT_MOST))
    return lines


async def dashboards(server: Server, database: int | None, end: int) -> list[Line]:
    """How long it takes until the last panel of a dashboard is there, and what all cost, by the number of keys."""
    keys = [await asyncio.to_thread(new_key, server) for _ in range(3)]
    lines = list[Line]()
    for panels in PANELS:
        times: dict[int, list[float]] = {1: [], 3: []}
        costs = {1: 0.0, 3: 0.0}
        for turn in range(2 * LOADS):
            several = (1, 3)[turn % 2]
            requests = [panel(server, keys[number % several], number + turn * panels, end) for number in range(panels)]
            before = cost_of(server, database)
            result = await paced.closed_loop(server.url, requests, connections=panels)
            costs[several] += cost_of(server, database) - before
            times[several].append(max(result.latencies) * 1_000)
            assert result.statuses[200] == panels, result.statuses
        for several, what in ((1, "one key"), (3, "three keys")):
            text = f"{median(times[several]):.0f} ms, {costs[several] / LOADS * 1_000:.0f} ms"
            lines.append((f"{panels} panels at once, {what}: until the last one, CPU of all", "", text, None))
    return lines


def new_key(server: Server) -> str:
    """A key for a dashboard."""
    request = Request(
        f"{server.url}/api/admin/keys",
        json.dumps({"name": "dashboard", "scopes": ["query"], "rate_limit": 1_000_000}).encode(),
        {"X-API-Key": server.key},
    )
    with urlopen(request) as answer:
        return str(json.load(answer)["data"]["key"])


def panel(server: Server, key: str, number: int, end: int) -> bytes:
    """The request of a panel: average and maximum of five names over a day, by quarter hours."""
    names = ",".join(f"shop.h{(5 * number + at) % NAMES:03}.orders" for at in range(5))
    span = f"start={format_time(end - DAY)}&end={format_time(end)}"
    target = f"/api/metrics/aggregate?name={names}&operation=avg,max&window=15m&{span}"
    host = server.url.removeprefix("http://")
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\r\n".encode()


def cost_of(server: Server, database: int | None) -> float:
    """Processor time of the service and its database so far. It hardly depends on what else the machine does."""
    return server.cpu_seconds() + (0.0 if database is None else cpu_seconds(database))


async def ingest(server: Server) -> paced.Result:
    """Single POSTs at a fixed rate."""
    request = paced.post(server.url, "/api/metrics/counter", server.key, b'{"name":"a","value":1}')
    return await paced.paced(server.url, request, rate=RATE, seconds=SECONDS, connections=CONNECTIONS)


@contextmanager
def reading(server: Server, target: str) -> Iterator[None]:
    """A reader in a process of its own. Its priority is low, so that its own work does not slow the service."""
    command = ["nice", sys.executable, "-m", "loadtest.bench_readers", "read", server.url, server.key, target]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline(), "the reader was not answered"
        yield
        assert reader.poll() is None, "the reader ended by itself"
    finally:
        reader.kill()
        reader.wait()


def read(url: str, key: str, target: str) -> None:
    """Ask until this process is killed. It writes a line after the first answer."""
    while True:
        answer_of(Server(url, 0, key), target)
        print("answered", flush=True)


@contextmanager
def serving(store: str, folder: Path, end: int) -> Iterator[tuple[Server, int | None]]:
    """The service on a store with the data, and the id of the database's process if it has one."""

    async def make(built: Store) -> None:
        async with opened(built) as made:
            await fill(made, end)

    if store == "duckdb":
        asyncio.run(make(DuckStore(folder)))
        with central(folder) as server:
            yield server, None
        return
    mariadb = MariaDB(folder / "mariadb", "--innodb-buffer-pool-size=1G")
    mariadb.install()
    mariadb.start()
    try:
        mariadb.run(f"CREATE DATABASE {DATABASE}")
        asyncio.run(make(MySQLStore(server_of(mariadb, DATABASE))))
        with central(folder / "data", environ_of(mariadb, DATABASE)) as server:
            yield server, mariadb.pid
    finally:
        mariadb.stop()


def main() -> int:
    """Print a table for each store; 1 where a goal is missed."""
    if sys.argv[1:2] == ["read"]:
        read(*sys.argv[2:])
    good, end = True, int(time.time()) // HOUR * HOUR
    for store in sys.argv[1:] or ("duckdb", "mysql"):
        with tempfile.TemporaryDirectory() as folder, serving(store, Path(folder), end) as (server, database):
            lines = asyncio.run(measure(server, database, questions(end)))
        show(f"{store}: readers over {NAMES:,} names", lines)
        good = good and all(holds is not False for *_, holds in lines)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())

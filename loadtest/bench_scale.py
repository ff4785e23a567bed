"""Queries, ingest and retention beside 100 million points: ``python -m loadtest.bench_scale duckdb|mysql [FOLDER]``.

Loads what is not in the folder yet (some minutes), then measures through HTTP against real processes. Without FOLDER
all is made in a temporary one.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

import uvloop

from loadtest import paced
from loadtest.dataset import CENTS, DAY, Dataset
from loadtest.loader import load_duckdb, load_mariadb, progress
from loadtest.report import Line, show
from loadtest.servers import Server, central, get_json
from loadtest.tier import OPTIONS
from protocol.times import format_time
from tests.servers import MariaDB

DAYS: Final = 10
PER_NAME: Final = 100_000
SETS: Final = {"small": 10, "large": 1_000}
"""Names of each set: 1 million and 100 million points; a name has the same in both."""
TIMES: Final = 40
READERS: Final = 10
INGEST_RATE, INGEST_SECONDS = 200, 8
RETENTION_GOAL: Final = 1_000
_READY: Final = "loaded.json"


class Question(NamedTuple):
    """A query: how many windows of how many names, shifted by seconds off the minute, and its goal in ms at p95."""

    what: str
    names: int
    windows: int
    window: str
    shift: int
    goal: int
    operation: str = "avg"


QUESTIONS: Final = (
    Question("one name, 60 minutes", 1, 60, "1m", 0, 50),
    Question("one name, 1,000 minutes", 1, 1_000, "1m", 0, 50),
    Question("one name, 1,000 minutes, edges within minutes", 1, 1_000, "1m", 17, 50),
    Question("one name, 240 hours", 1, 240, "1h", 0, 50),
    Question("one name, 11,000 minutes", 1, 11_000, "1m", 0, 100),
    Question("one name, 11,000 minutes, p99", 1, 11_000, "1m", 0, 150, "p99"),
    Question("5 names, 10,000 minutes each", 5, 10_000, "1m", 0, 500),
)
_SECONDS: Final = {"1m": 60, "1h": 3600}


def path(question: Question, data: Dataset, turn: int) -> str:
    """The path of a request at the end of the data. Each ``turn`` asks for other names."""
    names = [data.name((turn * question.names + number) % data.names + 1) for number in range(question.names)]
    end = data.end - question.shift
    start = end - question.windows * _SECONDS[question.window] + (60 if question.shift else 0)
    return "/api/metrics/aggregate?" + urlencode(
        {
            "name": ",".join(names),
            "operation": question.operation,
            "window": question.window,
            "start": format_time(start),
            "end": format_time(end),
        }
    )


def get(server: Server, target: str) -> bytes:
    """The bytes of a GET."""
    host = server.url.removeprefix("http://")
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {server.key}\r\n\r\n".encode()


async def ask(server: Server, data: Dataset, question: Question) -> paced.Result:
    """Send the query again and again, one at a time."""
    requests = [get(server, path(question, data, turn)) for turn in range(TIMES + 3)]
    await paced.closed_loop(server.url, requests[:3], connections=1)
    return await paced.closed_loop(server.url, requests[3:], connections=1)


def check(server: Server, data: Dataset) -> None:
    """Check the answers to the last digit. Raises RuntimeError if one is wrong."""
    for number in (1, data.names // 2, data.names):
        for operation, right in zip(("count", "sum"), data.total(number), strict=True):
            text = urlencode(
                {
                    "name": data.name(number),
                    "operation": operation,
                    "window": "1d",
                    "start": format_time(data.start),
                    "end": format_time(data.end),
                }
            )
            answer = get_json(server, f"/api/metrics/aggregate?{text}")["data"]
            assert isinstance(answer, list)
            scale = CENTS if operation == "sum" else 1
            found = sum(round(bucket["value"] * scale) for bucket in answer)
            if found != right:
                raise RuntimeError(f"{operation} of {data.name(number)} is {found}, and {right} is right")


async def ingest(server: Server) -> paced.Result:
    """Durable single POSTs at a steady rate; the PRD asks for 167 per second."""
    request = paced.post(server.url, "/api/metrics/counter", server.key, b'{"name":"bench.ingest","value":1}')
    return await paced.paced(server.url, request, rate=INGEST_RATE, seconds=INGEST_SECONDS, connections=64)


async def read_meanwhile(server: Server, data: Dataset, question: Question, rate: float, stop: asyncio.Event) -> int:
    """Ten readers ask in turn, together ``rate`` times per second, until ``stop``. Returns how many got an answer."""

    async def reader(number: int) -> int:
        answers = 0
        await asyncio.sleep(number / rate)
        while not stop.is_set():
            due = time.perf_counter() + READERS / rate
            targets = [get(server, path(question, data, number + answers * READERS))]
            result = await paced.closed_loop(server.url, targets, connections=1)
            answers += result.statuses[200]
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return answers

    return sum(await asyncio.gather(*(reader(number) for number in range(READERS))))


async def under_readers(server: Server, data: Dataset) -> list[Line]:
    """p99 of ingest alone, and while ten readers ask."""
    alone = (await ingest(server)).percentile(0.99)
    lines: list[Line] = [(f"ingest of {INGEST_RATE}/s alone, p99", "", f"{alone:.1f} ms", None)]
    for question, rate in ((QUESTIONS[1], 17.0), (QUESTIONS[1], 100.0), (QUESTIONS[4], 10.0)):
        stop = asyncio.Event()
        readers = asyncio.create_task(read_meanwhile(server, data, question, rate, stop))
        result = await ingest(server)
        stop.set()
        answers, p99 = await readers, result.percentile(0.99)
        what = f"ten readers, {question.what}: {answers / result.seconds:.0f} answers/s; ingest p99"
        lines.append((what, f"{2 * alone:.1f} ms", f"{p99:.1f} ms", p99 <= 2 * alone))
    return lines


async def questions(servers: dict[str, Server], data: dict[str, Dataset]) -> list[Line]:
    """Latencies of each query over both sets, in turn."""
    lines: list[Line] = []
    for question in QUESTIONS:
        results = {size: await ask(servers[size], data[size], question) for size in SETS}
        bad = sum(number for result in results.values() for status, number in result.statuses.items() if status != 200)
        small, large = (results[size].percentile(0.5) for size in SETS)
        p95, ratio = results["large"].percentile(0.95), large / small
        lines += [
            (question.what + ": p95", f"{question.goal} ms", f"{p95:.1f} ms", p95 < question.goal and not bad),
            ("  p50 of 100 million points, of 1 million", "", f"{large:.1f}, {small:.1f} ms", None),
            ("  ratio of the two", "2", f"{ratio:.2f}", ratio <= 2),
        ]
    return lines


async def retention(server: Server) -> list[Line]:
    """Drop two days of 10 million points with ingest going on; the server keeps eight days without grace."""
    alone = (await ingest(server)).percentile(0.99)
    writes = asyncio.create_task(ingest(server))
    await asyncio.sleep(INGEST_SECONDS / 4)
    started = time.perf_counter()
    request = paced.post(server.url, "/api/admin/retention/run", server.key, b"")
    result = await paced.closed_loop(server.url, [request], connections=1)
    seconds = time.perf_counter() - started
    meanwhile = await writes
    log = get_json(server, "/api/admin/retention")["data"]["log"]  # type: ignore[index]
    entry = next(entry for entry in log if entry["action"] == "drop")
    share = seconds * 1000 / (2 * PER_NAME // DAYS * SETS["large"] / 1e6)
    return [
        (f"drop of {entry['rows']:,} rows, two days, with writes going on", "", f"{seconds * 1e3:.0f} ms", None),
        (
            "  for each million points, with their rollups",
            f"{RETENTION_GOAL:,} ms",
            f"{share:.0f} ms",
            share < RETENTION_GOAL and result.statuses[201] == 1,
        ),
        (
            "  ingest p99 before, p99 and worst meanwhile",
            "",
            f"{alone:.1f}; {meanwhile.percentile(0.99):.1f}, {meanwhile.percentile(1):.1f} ms",
            None,
        ),
    ]


# --- the two stores


@asynccontextmanager
async def serving(
    store: str, folder: Path, size: str, mariadb: MariaDB | None, **settings: str
) -> AsyncIterator[Server]:
    """A central service on a set."""
    if mariadb is not None:
        settings |= {"DB_CONNECTION": "mysql", "DB_PORT": str(mariadb.port), "DB_DATABASE": size}
        settings |= {"DB_USERNAME": mariadb.user}
    with central(folder / f"{store}-{size}", settings) as server:
        yield server


async def load(store: str, folder: Path, mariadb: MariaDB | None) -> dict[str, Dataset]:
    """Load the sets that the folder does not have yet."""
    sets = {}
    for size, names in SETS.items():
        mark = folder / f"{store}-{size}" / _READY
        if mark.exists():
            sets[size] = Dataset(*json.loads(mark.read_text(encoding="ascii")))
            continue
        mark.parent.mkdir()
        data = sets[size] = Dataset(names, PER_NAME, int(time.time()) // DAY * DAY - DAYS * DAY, DAYS)
        with progress() as bar:
            task = bar.add_task(f"{store}: {data.points:,} points", total=data.points)
            if mariadb is None:
                await load_duckdb(mark.parent, data, lambda points, task=task: bar.advance(task, points))  # type: ignore[misc]
            else:
                mariadb.run(f"DROP DATABASE IF EXISTS {size}")
                mariadb.run(f"CREATE DATABASE {size}")
                await load_mariadb(mariadb, size, data, lambda points, task=task: bar.advance(task, points))  # type: ignore[misc]
        mark.write_text(json.dumps(data), encoding="ascii")
    return sets


async def measure(store: str, folder: Path, mariadb: MariaDB | None, sets: dict[str, Dataset]) -> None:
    """Print how long queries take."""
    async with serving(store, folder, "small", mariadb) as small, serving(store, folder, "large", mariadb) as large:
        servers = {"small": small, "large": large}
        for size in SETS:
            check(servers[size], sets[size])
        show(f"{store}: queries through HTTP", await questions(servers, sets))


async def beside(store: str, folder: Path, mariadb: MariaDB | None, sets: dict[str, Dataset]) -> None:
    """Print what readers cost the ingest."""
    async with serving(store, folder, "large", mariadb) as server:
        show(f"{store}: ingest beside readers, 100 million points", await under_readers(server, sets["large"]))


async def drop(store: str, folder: Path, mariadb: MariaDB | None) -> None:
    """Print how long retention takes. It removes a part of the large set."""
    async with serving(store, folder, "large", mariadb) as server:
        await ingest(server)
    settings = {"METRICS_RETENTION_DAYS": "8", "METRICS_RETENTION_GRACE_DAYS": "0"}
    async with serving(store, folder, "large", mariadb, **settings) as server:
        show(f"{store}: retention, 100 million points", await retention(server))
    (folder / f"{store}-large" / _READY).unlink()


async def run(store: str, folder: Path, steps: list[str]) -> None:
    """Run the measurements that the arguments name. All of MySQL run on one server."""
    mariadb = None
    if store == "mysql":
        mariadb = MariaDB(folder / "mariadb", *OPTIONS)
        if not mariadb.folder.exists():
            mariadb.install()
        mariadb.start()
    try:
        sets = await load(store, folder, mariadb)
        if "queries" in steps:
            await measure(store, folder, mariadb, sets)
        if "readers" in steps:
            await beside(store, folder, mariadb, sets)
        if "drop" in steps:
            await drop(store, folder, mariadb)
    finally:
        if mariadb is not None:
            mariadb.stop()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=("duckdb", "mysql"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--steps", default="queries,readers,drop", help="which of these to measure; empty: only load")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        uvloop.run(run(given.store, given.folder or Path(temporary), given.steps.split(",")))


if __name__ == "__main__":
    main()

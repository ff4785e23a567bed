"""Percentiles, groups of tags and Graphite's render: ``python -m loadtest.bench_tags duckdb|mysql [...]``.

The data is made past the API, as it looks after some days: a name with a timing for each of 11,000 minutes, 50 names
over a day, and a name with a million series, of which 100 have a day of timings and 1,000 an hour. What is over is
folded. Then a real process of the service is asked over HTTP, one request at a time.
"""

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from central.store.base import Caps, Group, NewName, Row
from central.store.duck.store import DuckStore
from central.store.folding import DELAY_SECONDS, SPAN, HistogramFold
from central.store.mysql.store import MySQLStore, TimeLimits
from central.store.series import NewSeries, SeriesCaps
from loadtest import paced
from loadtest.report import Line, show
from loadtest.servers import Server, central
from protocol.histogram import bucket_of, encode
from protocol.numbers import UNIT
from protocol.times import format_time
from tests.central.mysql_help import environ_of, server_of
from tests.servers import MariaDB

HOUR, DAY = 3_600, 86_400
MINUTES: Final = 11_000
NAMES: Final = 50
SERIES: Final = 1_000_000
ENDPOINTS: Final = 1_000
"""Series per endpoint: one for each user."""
DATABASE: Final = "bench_tags"
TIMES: Final = 60
BATCHES: Final = 400
"""So many that the embedded store folds its tail a dozen times per turn. With one fold or two, chance would decide."""
HOSTS: Final = 1
TURNS: Final = 5
_ROOM: Final = {"METRICS_MAX_SERIES": str(2 * SERIES)}
_GROUP_ROWS: Final = 10_000
_NO_CAPS: Final = 1 << 40
_PATIENT: Final = TimeLimits(write=120.0)
"""The service itself does not create 10,000 series at once."""
Store = DuckStore | MySQLStore


class Question(NamedTuple):
    """A request, the most that its p95 may take in milliseconds, and something that its answer must contain."""

    what: str
    goal: int
    target: str
    content: bytes


def questions(today: int) -> list[Question]:
    """What is asked; ``today`` is the start of the day after the data."""

    def aggregate(start: int, end: int, **more: str) -> str:
        return "/api/metrics/aggregate?" + urlencode({"start": format_time(start), "end": format_time(end), **more})

    day, hour = (today - DAY, today), (today - HOUR, today)
    minutes = (today - MINUTES * 60, today)
    found = [
        Question(
            "p99 of one name, 11,000 minutes", 150,
            aggregate(*minutes, name="one.ms", operation="p99", window="1m"), b'"p99"',
        ),
        Question(
            "p99 of 100 series, a day by hour", 150,
            aggregate(*day, name="many.ms", operation="p99", window="1h", group_by="user", tags="endpoint:e0"),
            b'"user":"u99000"',
        ),
        *(
            Question(
                f"{operation} of 1,000 of a million series, an hour", 50,
                aggregate(*hour, name="many.ms", operation=operation, window="1h", group_by="user", tags="endpoint:e1"),
                b'"user":"u999001"',
            )
            for operation in ("avg", "p99")
        ),
    ]  # fmt: skip
    for leaf in ("p95", "avg"):
        for target in (f"web.*.ms.{leaf}", f"movingAverage(web.*.ms.{leaf}, 10)"):
            query = f"/graphite/render?format=json&target={quote(target)}&from={day[0]}&until={day[1]}"
            found.append(Question(f"render {target}, a day by minute", 150, query, b"web.h49.ms"))
    return found


def timings(random_of: random.Random, metric_id: int, series_id: int, at: Iterable[int], samples: int) -> Iterator[Row]:
    """A summary with its histogram for each of these times."""
    for second in at:
        values = [int(random_of.lognormvariate(4, 0.6) * UNIT) for _ in range(samples)]
        histogram = Counter(bucket_of(value) for value in values)
        content = encode({bucket: count * UNIT for bucket, count in histogram.items()})
        yield Row(metric_id, second, sum(values), samples * UNIT, min(values), max(values), content, series_id)


async def fill(store: Store, today: int) -> None:
    """Put the data into an empty store and fold it."""
    names = ["one.ms", "many.ms", *(f"web.h{number}.ms" for number in range(NAMES))]
    metrics = await store.names.resolve([NewName(name, "value", 1) for name in names], Caps(_NO_CAPS, _NO_CAPS), today)
    many = metrics["many.ms"].id
    ids: dict[int, int] = {}
    for first in range(0, SERIES, _GROUP_ROWS):
        wanted = {
            number: NewSeries(many, f"endpoint:e{number % ENDPOINTS},user:u{number}")
            for number in range(first, first + _GROUP_ROWS)
        }
        made = await store.series.resolve(list(wanted.values()), SeriesCaps(_NO_CAPS, _NO_CAPS), today)
        ids |= {number: made[new].id for number, new in wanted.items() if number % ENDPOINTS < 2}
    random_of, day, hour = random.Random(1), range(today - DAY, today, 60), range(today - HOUR, today, 60)
    await put(store, timings(random_of, metrics["one.ms"].id, 0, range(today - MINUTES * 60, today, 60), 60), today)
    for name in names[2:]:
        await put(store, timings(random_of, metrics[name].id, 0, day, 20), today)
    for user in range(ENDPOINTS):
        if user < 100:
            await put(store, timings(random_of, many, ids[user * ENDPOINTS], day, 10), today)
        await put(store, timings(random_of, many, ids[user * ENDPOINTS + 1], hour, 5), today)
    await store.tidy(idle=True)
    for end in range(today - MINUTES * 60 + SPAN, today + SPAN, SPAN):
        await HistogramFold(store.folding, partial(float, min(end, today) + DELAY_SECONDS), at_once).round()


async def at_once() -> None:
    """No pause between two steps."""


async def put(store: Store, rows: Iterable[Row], today: int) -> None:
    """Store rows in groups."""
    left = list(rows)
    for first in range(0, len(left), _GROUP_ROWS):
        await store.commit(Group(os.urandom(16), today // DAY, [], left[first : first + _GROUP_ROWS]))
    await store.tidy(idle=False)


def batches(run: str, hosts: int) -> list[bytes]:
    """Bodies of BATCHES batches of the same 1,000 names; with ``hosts``, each is from another one of so many hosts."""
    at = format_time(int(time.time()) - 60)
    made = []
    for number in range(BATCHES):
        tags = {"tags": {"env": "prod", "host": f"web-{number % hosts}"}} if hosts else {}
        item = {"type": "counter", "value": 1, "recorded_at": at, **tags}
        made.append(json.dumps({"metrics": [{"name": f"{run}.n{name}", **item} for name in range(1_000)]}).encode())
    return made


async def ingest(server: Server) -> Line:
    """The rate of batches with tags beside that of batches without, in turns; the first turn makes names and series."""
    of_this_run = os.urandom(4).hex()
    rates: dict[str, list[float]] = {"plain": [], "tagged": []}
    for turn in range(TURNS + 1):
        for run, hosts in (("plain", 0), ("tagged", HOSTS)):
            requests = []
            for number, body in enumerate(batches(run, hosts)):
                key = f"Idempotency-Key: {of_this_run}-{run}-{turn}-{number}\r\n"
                requests.append(paced.post(server.url, "/api/metrics/batch", server.key, body, key))
            result = await paced.closed_loop(server.url, requests, connections=8)
            assert result.statuses == {201: BATCHES}, result.statuses
            rates[run].append(result.rate * 1_000)
    plain, tagged = (statistics.median(of_run[1:]) for of_run in rates.values())
    shares = sorted(one / other for one, other in zip(rates["tagged"][1:], rates["plain"][1:], strict=True))
    share = statistics.median(shares)
    measured = f"{tagged:,.0f} and {plain:,.0f}: {share:.2f} ({shares[0]:.2f} to {shares[-1]:.2f})"
    return "batches of 1,000 names, points per second with a tag and without", "at least 0.7", measured, share >= 0.7


def answer_of(server: Server, target: str) -> bytes:
    """The body of an answer."""
    with urlopen(Request(server.url + target, headers={"X-API-Key": server.key})) as answer:
        return bytes(answer.read())


async def measure(server: Server, asked: Sequence[Question]) -> list[Line]:
    """p50 and p95 of each question."""
    host, lines = server.url.removeprefix("http://"), list[Line]()
    for what, goal, target, content in asked:
        assert content in await asyncio.to_thread(answer_of, server, target), what
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {server.key}\r\n\r\n".encode()
        result = await paced.closed_loop(server.url, [request] * TIMES, connections=1)
        right = result.statuses[200] == TIMES
        p50, p95 = result.percentile(0.5), result.percentile(0.95)
        lines.append((f"{what}: p50, p95", f"{goal} ms", f"{p50:.1f}, {p95:.1f} ms", right and p95 <= goal))
    return lines


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    """The store, open."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def make(build: Callable[[], Store], today: int) -> None:
    """Make and fill a store."""
    async with opened(build()) as store:
        await fill(store, today)


@contextmanager
def serving(store: str, folder: Path, today: int) -> Iterator[Server]:
    """The service on a store with the data."""
    if store == "duckdb":
        asyncio.run(make(lambda: DuckStore(folder), today))
        with central(folder, _ROOM) as server:
            yield server
        return
    mariadb = MariaDB(folder / "mariadb", "--innodb-buffer-pool-size=2G")
    mariadb.install()
    mariadb.start()
    try:
        mariadb.run(f"CREATE DATABASE {DATABASE}")
        asyncio.run(make(lambda: MySQLStore(server_of(mariadb, DATABASE), limits=_PATIENT), today))
        with central(folder / "data", environ_of(mariadb, DATABASE) | _ROOM) as server:
            yield server
    finally:
        mariadb.stop()


def main() -> int:
    """Print a table for each store; 1 where a goal is missed."""
    good, today = True, int(time.time()) // DAY * DAY
    for store in sys.argv[1:] or ("duckdb", "mysql"):
        with tempfile.TemporaryDirectory() as folder, serving(store, Path(folder), today) as server:
            lines = asyncio.run(measure(server, questions(today)))
            lines.append(asyncio.run(ingest(server)))
        show(f"{store}: percentiles, groups and render over {SERIES:,} series", lines)
        good = good and all(holds is not False for *_, holds in lines)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())

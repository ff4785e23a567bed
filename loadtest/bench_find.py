"""Graphite's /metrics/find over a million names: ``python -m loadtest.bench_find duckdb|mysql [...]``.

The names are made past the API. Then a real process of the service is asked over HTTP, one request at a time, for
other nodes each time.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import duckdb

from central.store.duck.store import FILE_NAME, DuckStore
from central.store.mysql.store import MySQLStore
from loadtest import paced
from loadtest.report import Line, show
from loadtest.servers import Server, central
from tests.central.mysql_help import environ_of, server_of
from tests.servers import MariaDB

SITES, SERVICES, HOSTS, METRICS = 10, 100, 100, 10
NAMES: Final = SITES * SERVICES * HOSTS * METRICS
DATABASE: Final = "bench_find"
TIMES: Final = 200
GOAL: Final = 50
QUERIES: Final = {
    "10 nodes: *": "*",
    "100 nodes: site3.*": "site{site}.*",
    "100 nodes: site3.svc42.*": "site{site}.svc{service}.*",
    "10 nodes: site3.svc42.host-17.*": "site{site}.svc{service}.host-{host}.*",
    "11 leaves: site3.svc42.host-17.m5.*": "site{site}.svc{service}.host-{host}.m{metric}.*",
    "10 nodes: *.svc42.host-17.m5": "*.svc{service}.host-{host}.m{metric}",
    "100 nodes: site3.*.host-17.m5": "site{site}.*.host-{host}.m{metric}",
    "1,000 nodes: site3.svc4?.host-1[0-9].*": "site{site}.svc4?.host-1[0-9].*",
    "1,000 nodes: *.*.host-17.m5": "*.*.host-{host}.m{metric}",
    "200 nodes: site3.svc{1,2}.*": "site{site}.svc{{1,2}}.*",
}
_NAME_OF: Final = "concat('site', n {div} 100000, '.svc', n {div} 1000 % 100, '.host-', n {div} 10 % 100, '.m', n % 10)"


def get(server: Server, turn: int, query: str) -> bytes:
    """The bytes of a request. Each ``turn`` asks for other nodes."""
    text = query.format(site=turn % SITES, service=turn * 7 % SERVICES, host=turn * 3 % HOSTS, metric=turn % METRICS)
    host = server.url.removeprefix("http://")
    target = f"/graphite/metrics/find?query={quote(text)}"
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {server.key}\r\n\r\n".encode()


async def measure(server: Server) -> list[Line]:
    """p50 and p95 of each query, and how long the first search takes, which reads all names."""
    before, began = _resident(server), time.perf_counter()
    await paced.closed_loop(server.url, [get(server, 0, "*")], connections=1)
    first, grown = time.perf_counter() - began, _resident(server) - before
    lines: list[Line] = [(f"the first search, over {NAMES:,} names; memory", "", f"{first:.1f} s, {grown} MB", None)]
    for what, query in QUERIES.items():
        result = await paced.closed_loop(server.url, [get(server, turn, query) for turn in range(TIMES)], connections=1)
        right = result.statuses[200] == TIMES
        p50, p95 = result.percentile(0.5), result.percentile(0.95)
        lines.append((f"{what}: p50, p95", f"{GOAL} ms", f"{p50:.1f}, {p95:.1f} ms", right and p95 <= GOAL))
    return lines


async def make_duckdb(folder: Path) -> None:
    """An embedded store with the names."""
    store = DuckStore(folder)
    await store.open()
    await store.close()
    with duckdb.connect(str(folder / FILE_NAME)) as handle:
        handle.execute(
            f"INSERT INTO metrics SELECT n + 1, {_NAME_OF.format(div='//')}, 'value', 1, 0 FROM range({NAMES}) AS t(n)"
        )
        handle.execute(f"UPDATE last_ids SET id = {NAMES} WHERE of_table = 'metrics'")


async def make_mysql(mariadb: MariaDB) -> None:
    """A database with the names."""
    mariadb.run(f"CREATE DATABASE {DATABASE}")
    store = MySQLStore(server_of(mariadb, DATABASE))
    await store.open()
    await store.close()
    with mariadb.connect(DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics (id, name, type, created_by, created_at, updated_at)"
            f" SELECT n + 1, {_NAME_OF.format(div='DIV').replace('%', '%%')}, 'value', 1, NOW(), NOW()"
            f" FROM (SELECT seq AS n FROM seq_0_to_{NAMES - 1}) AS numbers",
            (),
        )
        cursor.execute(f"INSERT INTO name_counts VALUES (1, {NAMES})")
        connection.commit()


@contextmanager
def serving(store: str, folder: Path) -> Iterator[Server]:
    """The service on a store with the names."""
    if store == "duckdb":
        asyncio.run(make_duckdb(folder))
        with central(folder) as server:
            yield server
        return
    mariadb = MariaDB(folder / "mariadb")
    mariadb.install()
    mariadb.start()
    try:
        asyncio.run(make_mysql(mariadb))
        with central(folder / "data", environ_of(mariadb, DATABASE)) as server:
            yield server
    finally:
        mariadb.stop()


def main() -> int:
    """Print a table for each store; 1 where a goal is missed."""
    good = True
    for store in sys.argv[1:] or ("duckdb", "mysql"):
        with tempfile.TemporaryDirectory() as folder, serving(store, Path(folder)) as server:
            lines = asyncio.run(measure(server))
        show(f"{store}: /graphite/metrics/find over {NAMES:,} names", lines)
        good = good and all(holds is not False for *_, holds in lines)
    return int(not good)


def _resident(server: Server) -> int:
    """How many MB of memory the process has."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) >> 10


if __name__ == "__main__":
    sys.exit(main())

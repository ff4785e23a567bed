"""Central on MariaDB and Redis: durable batches beside the fastest bulk insert, durable single POSTs.

``python -m loadtest.bench_mysql`` starts servers of its own. The client shares the machine with all three processes.
"""

import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import uvloop

from loadtest import paced, wrk
from loadtest.report import Line, show
from loadtest.tier import DATABASE, Tier, tier

CLIENTS: Final = 16
BATCHES: Final = 480
NAMES: Final = 1_000
SECONDS: Final = 8
ROUNDS: Final = 3
CONNECTIONS: Final = 64
SINGLE: Final = '{"name":"bench.single","value":1}'
POINTS_GOAL, RATIO_GOAL, SINGLES_GOAL, P99_GOAL = 80_000, 0.25, 8_000, 20


async def batches(ours: Tier, folder: Path) -> list[Line]:
    """Points per second of batches through HTTP, and beside them the bulk insert of the same raw rows."""
    lines: list[Line] = []
    for label, own in (("all of the same 1,000 names", False), ("each client its own 1,000 names", True)):
        prefix, start = f"bench{own:d}", int(time.time()) // 60 * 60 - 3600
        bodies = [_batch(number, prefix, start, own=own) for number in range(BATCHES)]
        await _post(ours, bodies[:CLIENTS])  # names are made once
        before = ours.cpu()
        result = await _post(ours, bodies)
        used = ours.cpu()
        points = NAMES * result.statuses[201]
        rate = points / result.seconds
        bulk = await asyncio.to_thread(_bulk, ours, folder, f"{prefix}.%")
        ratio = rate / max(bulk)
        lines += [
            (f"{CLIENTS} clients, {label}: points/s", f"{POINTS_GOAL:,}", f"{rate:,.0f}", rate >= POINTS_GOAL),
            ("  LOAD DATA of the same raw rows, one session, two: rows/s", "", "{:,.0f}, {:,.0f}".format(*bulk), None),
            ("  ratio to the faster one", f"{RATIO_GOAL}", f"{ratio:.2f}", ratio >= RATIO_GOAL),
            ("  p50, p99 of a batch", "", f"{result.percentile(0.5):.0f}, {result.percentile(0.99):.0f} ms", None),
            ("  CPU a point", "", _costs(before, used, points), None),
            ("  answers other than 201", "0", str(BATCHES - result.statuses[201]), result.statuses[201] == BATCHES),
        ]
    return lines


async def singles(ours: Tier) -> list[Line]:
    """Requests per second, then the latencies at half of the goal's rate."""
    before = ours.cpu()
    rates = [
        await asyncio.to_thread(wrk.posts, ours.central, SINGLE, seconds=SECONDS, connections=CONNECTIONS)
        for _ in range(ROUNDS)
    ]
    used, rate, half = ours.cpu(), sorted(rates)[ROUNDS // 2], SINGLES_GOAL / 2
    request = paced.post(ours.central.url, "/api/metrics/counter", ours.central.key, SINGLE.encode())
    result = await paced.paced(ours.central.url, request, rate=half, seconds=SECONDS, connections=CONNECTIONS)
    p99, bad = result.percentile(0.99), sum(n for status, n in result.statuses.items() if status != 201)
    return [
        (f"{CONNECTIONS} connections: requests/s", f"{SINGLES_GOAL:,}", f"{rate:,.0f}", rate >= SINGLES_GOAL),
        ("  CPU a request", "", _costs(before, used, sum(rates) * SECONDS), None),
        (f"  p50 at {half:,.0f}/s", "", f"{result.percentile(0.5):.1f} ms", None),
        (f"  p99 at {half:,.0f}/s", f"{P99_GOAL} ms", f"{p99:.1f} ms", p99 < P99_GOAL),
        ("  answers other than 201", "0", str(bad), bad == 0),
    ]


def _batch(number: int, prefix: str, start: int, *, own: bool) -> bytes:
    """A window of ten seconds of one client's names: each sends its next window when this one is stored."""
    client, window = number % CLIENTS, number // CLIENTS
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + window * 10))
    host = client if own else 0
    items = [
        {"name": f"{prefix}.app{host}.metric{name}", "type": "value", "value": name + number / 100, "recorded_at": at}
        for name in range(NAMES)
    ]
    return json.dumps({"metrics": items}).encode()


async def _post(ours: Tier, bodies: list[bytes]) -> paced.Result:
    """Send each body as a batch with an Idempotency-Key."""
    run = time.monotonic_ns()
    requests = [
        paced.post(
            ours.central.url, "/api/metrics/batch", ours.central.key, body, f"Idempotency-Key: {run}-{number}\r\n"
        )
        for number, body in enumerate(bodies)
    ]
    return await paced.closed_loop(ours.central.url, requests, connections=CLIENTS)


def _bulk(ours: Tier, folder: Path, like: str) -> list[float]:
    """Rows per second of LOAD DATA into a table like metric_points, in key order, over one session and over two."""
    mariadb, best = ours.mariadb, []
    mariadb.run("CREATE TABLE bulk LIKE metric_points", DATABASE)
    for sessions in (1, 2):
        files = [folder / f"bulk{sessions}{part}" for part in range(sessions)]
        for part, file in enumerate(files):
            mariadb.run(
                "SELECT p.metric_id, p.recorded_at, p.id, p.value FROM metric_points AS p JOIN metrics AS m"
                f" ON m.id = p.metric_id WHERE m.name LIKE '{like}' AND p.metric_id % {sessions} = {part}"
                f" ORDER BY 1, 2, 3 INTO OUTFILE '{file}'",
                DATABASE,
            )
        best.append(max(_load(ours, files) for _ in range(ROUNDS)))
        for file in files:
            file.unlink()
    mariadb.run("DROP TABLE bulk", DATABASE)
    return best


def _load(ours: Tier, files: list[Path]) -> float:
    """Rows per second of one bulk insert; the table is empty afterwards."""

    def load(file: Path) -> None:
        sql = f"LOAD DATA INFILE '{file}' INTO TABLE bulk (metric_id, recorded_at, id, value)"
        ours.mariadb.run(sql, DATABASE)

    threads = [threading.Thread(target=load, args=(file,)) for file in files]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    ((rows,),) = ours.mariadb.run("SELECT COUNT(*) FROM bulk", DATABASE)
    ours.mariadb.run("TRUNCATE bulk", DATABASE)
    return float(rows / seconds)


def _costs(before: dict[str, float], after: dict[str, float], times: float) -> str:
    return ", ".join(f"{name} {(after[name] - before[name]) / times * 1e6:.1f} us" for name in before)


async def _run() -> None:
    with tempfile.TemporaryDirectory() as name:
        async with tier(Path(name)) as ours:
            show("Servers", [(setting, "", text, None) for setting, text in await ours.settings()])
            show("Durable single POSTs, MariaDB and Redis", await singles(ours))
            show("Durable batches of 1,000 distinct names, MariaDB", await batches(ours, Path(name)))


def main() -> None:
    """Print the tables."""
    uvloop.run(_run())


if __name__ == "__main__":
    main()

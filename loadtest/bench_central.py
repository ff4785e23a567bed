"""Central on the embedded store: durable single POSTs beside a bare handler, batches, latency at half load."""

import json
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from loadtest import paced, wrk
from loadtest.servers import Server, bare, central, get_json

CONNECTIONS: Final = 256
SECONDS: Final = 8
ROUNDS: Final = 3
BATCHES: Final = 400
SINGLE: Final = '{"name":"bench.single","value":1}'


def singles() -> list[tuple[str, str]]:
    """Requests per second of both servers in turn, then p99 at half of ours."""
    with tempfile.TemporaryDirectory() as folder, bare() as plain, central(Path(folder)) as ours:
        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(ROUNDS):
            rates["bare"].append(wrk.posts(plain, SINGLE, seconds=SECONDS, connections=CONNECTIONS))
            rates["ours"].append(wrk.posts(ours, SINGLE, seconds=SECONDS, connections=CONNECTIONS))
        ratios = sorted(mine / other for mine, other in zip(rates["ours"], rates["bare"], strict=True))
        half = sorted(rates["ours"])[ROUNDS // 2] / 2
        request = paced.post(ours.url, "/api/metrics/counter", ours.key, SINGLE.encode())
        result = uvloop.run(paced.paced(ours.url, request, rate=half, seconds=SECONDS, connections=CONNECTIONS))
        return [
            ("bare aiohttp POST handler, requests/s", _median(rates["bare"])),
            ("durable single POST, requests/s", _median(rates["ours"])),
            (
                "ratio (at least 0.5)",
                f"{ratios[ROUNDS // 2]:.2f} (of {ROUNDS} rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})",
            ),
            (f"p50 at {half:,.0f} requests/s", f"{result.percentile(0.50):.1f} ms"),
            (f"p99 at {half:,.0f} requests/s (under 15 ms)", f"{result.percentile(0.99):.1f} ms"),
            ("answers other than 201", str(sum(n for status, n in result.statuses.items() if status != 201))),
        ]


def batches() -> list[tuple[str, str]]:
    """Points per second of batches of 1,000 names over HTTP, with keys and rollups."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, central(Path(folder)) as ours:
        for label, summary, tags in (
            ("plain points", False, False),
            ("summaries as the agent sends them", True, False),
            ("tagged summaries, a series for each name", True, True),
        ):
            bodies = [_batch(number, label[:5], summary=summary, tags=tags) for number in range(BATCHES)]
            requests = [
                paced.post(ours.url, "/api/metrics/batch", ours.key, body, f"Idempotency-Key: {label[:5]}-{number}\r\n")
                for number, body in enumerate(bodies)
            ]
            used = ours.cpu_seconds()
            result = uvloop.run(paced.closed_loop(ours.url, requests, connections=16))
            used = ours.cpu_seconds() - used
            points = 1000 * result.statuses[201]
            rows.append((f"{label}, points/s (at least 100,000)", f"{points / result.seconds:,.0f}"))
            rows.append((f"{label}, CPU a point", f"{used / points * 1e6:.1f} us"))
            rows.append((f"{label}, p99 of a batch", f"{result.percentile(0.99):.0f} ms"))
        rows.append(("points stored, by query", _count(ours)))
    return rows


def _batch(number: int, prefix: str, *, summary: bool, tags: bool = False) -> bytes:
    now = int(time.time()) - 3600
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + number * 10 % 3600))
    items = [
        {
            "name": f"{prefix}.app{name % 20}.metric{name}",
            "type": "value",
            "value": name + number / 100,
            "recorded_at": at,
        }
        | ({"count": 3, "min": 0.25, "max": name + 1} if summary else {})
        | ({"tags": {"endpoint": f"/api/v1/r{name % 10}", "env": "prod", "host": f"web-{name}"}} if tags else {})
        for name in range(1000)
    ]
    return json.dumps({"metrics": items}).encode()


def _count(server: Server) -> str:
    """The points of one name of the plain batches, as the query API counts them."""
    start, end = (time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + days * 86_400)) for days in (-1, 1))
    answer = get_json(
        server,
        f"/api/metrics/aggregate?name=plain.app0.metric0&operation=count&window=1d&start={start}&end={end}",
    )
    data = answer["data"]
    assert isinstance(data, list)
    return f"{sum(bucket['value'] for bucket in data)} of {BATCHES} sent for one name"


def _median(rates: list[float]) -> str:
    return f"{sorted(rates)[len(rates) // 2]:,.0f}"


def main() -> None:
    """Print both tables."""
    for title, rows in (("Single durable POSTs", singles()), ("Batches of 1,000", batches())):
        print(f"\n{title}\n" + "\n".join(f"  {label:<62} {value}" for label, value in rows))


if __name__ == "__main__":
    main()

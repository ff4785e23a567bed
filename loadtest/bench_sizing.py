"""What hosts cost the service: ``python -m loadtest.bench_sizing [HOSTS] [NAMES] [ROUNDS]``.

Each host's agent sends one batch per interval, with NAMES items: three quarters counters, a quarter timings with
histograms of ten samples. The same names come from all hosts, in one shape with the host in a tag.
The batches of all hosts are sent over eight connections, as fast as they are answered, and the kernel says what
processor time each process took. Disk is what the data folders have grown by.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from loadtest import paced
from loadtest.report import show_table
from loadtest.servers import Server, central
from loadtest.tier import tier
from protocol.histogram import bucket_of, encode, to_text
from protocol.numbers import UNIT
from protocol.times import format_time

INTERVAL: Final = 10
CONNECTIONS: Final = 8
_SAMPLES: Final = 10
COLUMNS: Final = ("points", "us of service", "us of database", "bytes on disk", "bytes sent", "points/s")


def body(host: int, names: int, at: int, *, tagged: bool) -> bytes:
    """The batch of one host for one interval."""
    chance = random.Random(host * 1_000_003 + at)
    items = [_item(chance, number) for number in range(names)]
    more = {"recorded_at": format_time(at), **({"tags": {"host": f"host-{host}"}} if tagged else {})}
    return json.dumps({"metrics": [item | more for item in items]}, separators=(",", ":")).encode()


def _item(chance: random.Random, number: int) -> dict[str, Any]:
    if number % 4:
        return {"name": f"app.module{number % 17}.counter{number}", "type": "counter", "value": chance.randint(1, 900)}
    samples = [int(chance.lognormvariate(4, 0.6) * UNIT) for _ in range(_SAMPLES)]
    histogram = Counter(map(bucket_of, samples))
    return {
        "name": f"app.module{number % 17}.timing{number}",
        "type": "value",
        "value": sum(samples) / UNIT,
        "count": _SAMPLES,
        "min": min(samples) / UNIT,
        "max": max(samples) / UNIT,
        "histogram": to_text(encode({bucket: count * UNIT for bucket, count in histogram.items()})),
    }


class Fleet(NamedTuple):
    """How many agents there are, how many names each has, and how many intervals are sent."""

    hosts: int
    names: int
    rounds: int


async def measure(
    server: Server, cpu: Callable[[], tuple[float, float]], folder: Path, fleet: Fleet, *, tagged: bool
) -> list[str]:
    """The row of one shape. Its first round, in which names and series are made, is not counted."""
    hosts, names, rounds = fleet
    now = int(time.time()) // 60 * 60 - 86_400
    points = hosts * names * rounds
    before, sent, disk, seconds = cpu(), 0, 0, 0.0
    for number in range(rounds + 1):
        requests = list(_requests(server, hosts, names, now + INTERVAL * number, tagged=tagged))
        if number == 1:
            before, disk = cpu(), _size(folder)
        result = await paced.closed_loop(server.url, requests, connections=CONNECTIONS)
        assert result.statuses[201] == hosts, result.statuses
        if number:
            seconds += result.seconds
            sent += sum(map(len, requests))
    service, database = (after - start for after, start in zip(cpu(), before, strict=True))
    return [
        f"{points:,}", f"{service / points * 1e6:.2f}", f"{database / points * 1e6:.2f}" if database else "-",
        f"{(_size(folder) - disk) / points:.0f}", f"{sent / points:.0f}", f"{points / seconds:,.0f}",
    ]  # fmt: skip


def _requests(server: Server, hosts: int, names: int, at: int, *, tagged: bool) -> Iterator[bytes]:
    for host in range(hosts):
        key = f"Idempotency-Key: {uuid4()}\r\n"
        yield paced.post(server.url, "/api/metrics/batch", server.key, body(host, names, at, tagged=tagged), key)


def _size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


async def embedded(fleet: Fleet, *, tagged: bool) -> list[str]:
    """The row of the embedded store."""
    with tempfile.TemporaryDirectory() as text, central(folder := Path(text)) as server:
        return await measure(server, lambda: (server.cpu_seconds(), 0.0), folder, fleet, tagged=tagged)


async def production(fleet: Fleet, *, tagged: bool) -> list[str]:
    """The row of MariaDB with Redis."""
    with tempfile.TemporaryDirectory() as text:
        async with tier(Path(text)) as ours:

            def cpu() -> tuple[float, float]:
                used = ours.cpu()
                return used["central"], used["mariadbd"]

            return await measure(ours.central, cpu, ours.mariadb.folder, fleet, tagged=tagged)


def main() -> None:
    """Print a table for each store and shape, when it is measured."""
    fleet = Fleet(*map(int, [*sys.argv[1:], *("200", "200", "6")[len(sys.argv) - 1 :]]))
    title = f"{fleet.hosts:,} hosts, {fleet.names} names each, {fleet.rounds} intervals; per point"
    for store, run in {"MariaDB": production, "embedded": embedded}.items():
        for shape, tagged in {"host in a tag": True, "no host": False}.items():
            # A table each, because twelve intervals of 10,000 hosts take many minutes.
            show_table(title, ["", *COLUMNS], [[f"{store}, {shape}", *asyncio.run(run(fleet, tagged=tagged))]])


if __name__ == "__main__":
    main()

"""Every part of a tier restarts under load: ``python -m loadtest.bench_rolling [nginx|haproxy ...]``.

Two processes of the service stand behind a proxy as shipped, three nodes of Galera hold the data, and Redis has a
replica and sentinels. One part after the other restarts in the order of docs/high-availability.md, while single POSTs
come at a fixed rate. A part's turn comes when ``/ready`` of each process says ready.
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from loadtest import paced
from loadtest.report import Line, show
from tests.galera import Cluster, cluster
from tests.proxies import HAProxy, Nginx
from tests.redis_tier import Tier
from tests.servers import MariaDB
from tests.soak.rig import ADMIN_KEY, Node
from tests.soak.tiers import Several, on_galera

RATE, CONNECTIONS, SLICE_SECONDS = 1_000, 64, 30
AT_LEAST: Final = 950
"""Requests per second. If the machine cannot send so many, the run says nothing about the goal."""
LONGEST_MS: Final = 10_000
PROXIES: Final[dict[str, type[Nginx] | type[HAProxy]]] = {"nginx": Nginx, "haproxy": HAProxy}
DATABASE: Final = "rolling"
Restart = Callable[[], Awaitable[object]]


def restarts(several: Several, nodes: Cluster) -> list[Restart]:
    """The parts that restart, in order."""
    tier = several.redis

    async def central(node: Node) -> None:
        await node.end(signal.SIGTERM)
        await node.start()

    def database(node: MariaDB) -> None:
        node.stop()
        nodes.rejoin(node)
        nodes.until_whole()

    return [
        *(partial(central, node) for node in several.rig.nodes),
        partial(restart_replica, tier),
        partial(fail_over, tier),
        partial(restart_replica, tier),
        *(partial(asyncio.to_thread, database, node) for node in reversed(nodes.nodes)),
    ]


async def restart_replica(tier: Tier) -> None:
    """Restart the replica of Redis. Returns once it follows the primary again."""
    await tier.replica.end()
    await tier.replica.start()
    await tier.settle()


async def fail_over(tier: Tier) -> None:
    """Let the primary and the replica of Redis change their roles. Returns once one follows the other."""
    await tier.fail_over()
    await tier.settle()


async def load(proxy: str, over: asyncio.Event) -> paced.Result:
    """Single POSTs at the rate, with connections of their own for each slice, until ``over``."""
    request = paced.post(proxy, "/api/metrics/counter", ADMIN_KEY, b'{"name":"rolling.a","value":1}')
    whole = paced.Result()
    while not over.is_set():
        one = await paced.paced(proxy, request, rate=RATE, seconds=SLICE_SECONDS, connections=CONNECTIONS)
        whole.statuses += one.statuses
        whole.latencies += one.latencies
        whole.seconds += one.seconds
    return whole


async def measure(folder: Path, nodes: Cluster, proxy: Nginx | HAProxy) -> list[Line]:
    """Restart all under load; then compare what was acknowledged with what each node holds."""
    async with on_galera(folder, nodes, DATABASE, proxy) as several:
        rig, over = several.rig, asyncio.Event()
        loading = asyncio.create_task(load(rig.proxy, over))
        try:
            for restart in restarts(several, nodes):
                await rig.ready()
                await restart()
        finally:
            over.set()
        result = await loading
        await rig.ready()
        await asyncio.to_thread(rig.until_applied)
        sums = {stored(node) for node in nodes.nodes}
    good, total = result.statuses[201], result.statuses.total()
    others = {status: count for status, count in result.statuses.items() if status != 201}
    spread = [result.percentile(share) for share in (0.5, 0.99, 1)]
    return [
        ("requests per second", f"{RATE:,}", f"{result.rate:,.0f} for {result.seconds:.0f} s", result.rate > AT_LEAST),
        ("failed, of all", "0", f"{total - good:,} of {total:,} {others or ''}", good == total),
        ("p50, p99, longest", "10 s", "{:.1f}, {:.1f}, {:.0f} ms".format(*spread), spread[-1] < LONGEST_MS),
        ("acknowledged, and stored on each node", "equal", f"{good:,}, {sums}", sums == {good}),
    ]


def stored(node: MariaDB) -> int:
    """The sum of all stored points."""
    sql = (
        "SELECT CAST(SUM(value) AS SIGNED) FROM metric_points JOIN metrics ON metrics.id = metric_id"
        " WHERE name = 'rolling.a'"
    )
    return int(node.run(sql, DATABASE)[0][0])


def main() -> int:
    """Print a table for each proxy; 1 where a goal is missed."""
    good = True
    for name in sys.argv[1:] or PROXIES:
        with tempfile.TemporaryDirectory() as folder, cluster(Path(folder, "galera"), 3, quick=False) as nodes:
            nodes.nodes[0].run(f"CREATE DATABASE {DATABASE}")
            proxy = PROXIES[name](Path(folder, "proxy"))
            lines = asyncio.run(measure(Path(folder), nodes, proxy))
        show(f"{name}: each part restarts", lines)
        good = good and all(holds is not False for *_, holds in lines)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())

"""The service without a single machine: two processes behind HAProxy, several databases, Redis with sentinels."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.central import mysql_help, redis_help
from tests.galera import Cluster
from tests.proxies import HAProxy, Nginx
from tests.redis_cluster import RedisCluster, redis_cluster
from tests.redis_tier import Tier, redis_tier
from tests.replication import Pair
from tests.servers import MariaDB
from tests.soak.rig import Rig, running

USER = "metrics"
"""A user who may not write on a server that is ``read_only``, as the pages demand."""


@dataclass
class Several:
    """A rig whose database is several servers, and what its faults need to know."""

    rig: Rig
    redis: Tier
    writer: Callable[[], MariaDB]
    """Gives a server that takes writes now."""


@asynccontextmanager
async def on_galera(
    folder: Path, cluster: Cluster, database: str, proxy: HAProxy | Nginx | None = None
) -> AsyncIterator[Several]:
    """Two processes that write to two different nodes, behind HAProxy if no other proxy is given."""
    first, *others = cluster.nodes

    def until_applied() -> None:
        for node in cluster.nodes:
            cluster.until_applied(node)

    async with _several(folder, [cluster.nodes, [*others, first]], database, proxy) as made:
        made.rig.until_applied = until_applied
        made.writer = lambda: others[-1]
        yield made


@asynccontextmanager
async def on_replica(folder: Path, pair: Pair, database: str) -> AsyncIterator[Several]:
    """Two processes that write to the primary."""
    async with _several(folder, [pair.servers] * 2, database) as made:
        made.rig.until_applied = pair.until_applied
        made.writer = lambda: pair.primary
        yield made


@asynccontextmanager
async def on_redis_cluster(folder: Path, mariadb: MariaDB, database: str) -> AsyncIterator[tuple[Rig, RedisCluster]]:
    """Two processes over one database and a Redis Cluster. They ask a node of it that does not have their keys."""
    async with redis_cluster(folder / "redis") as cluster:
        environ = {**mysql_help.environ_of(mariadb, database), **redis_help.environ_of(cluster.others[0].port)}
        async with running(folder, [environ] * 2, 1) as rig:
            rig.servers, rig.database, rig.redis = [mariadb], database, [cluster.owner, cluster.replica]
            yield rig, cluster


@asynccontextmanager
async def _several(
    folder: Path, orders: Sequence[Sequence[MariaDB]], database: str, proxy: HAProxy | Nginx | None = None
) -> AsyncIterator[Several]:
    """``orders`` are the servers as each process prefers them."""
    server = orders[0][0]
    server.run(f"CREATE USER IF NOT EXISTS {USER}@'%'")
    server.run(f"GRANT ALL ON {database}.* TO {USER}@'%'")
    server.run(f"GRANT REPLICA MONITOR ON *.* TO {USER}@'%'")
    async with redis_tier(folder, sentinels=3) as tier:
        environs = [
            {
                "DB_CONNECTION": "mysql",
                "DB_HOSTS": ",".join(f"{server.host}:{server.port}" for server in order),
                "DB_READ_HOSTS": f"{order[-1].host}:{order[-1].port}",
                "DB_DATABASE": database,
                "DB_USERNAME": USER,
                **tier.environ,
            }
            for order in orders
        ]
        async with running(folder, environs, 1, proxy or HAProxy(folder / "proxy")) as rig:
            rig.servers, rig.database, rig.redis = orders[0], database, [tier.primary, tier.replica]
            yield Several(rig, tier, lambda: server)

"""The production tier on this machine: a private MariaDB and Redis, both durable, and a central service on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from loadtest.servers import Server, central, cpu_seconds
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.servers import MariaDB

DATABASE: Final = "metrics"
OPTIONS: Final = (
    "--innodb-buffer-pool-size=2G",
    "--innodb-log-file-size=2G",
    "--innodb-log-buffer-size=64M",
    "--innodb-flush-method=O_DIRECT",
    "--character-set-server=utf8mb4",
)
"""deploy/mysql.cnf as MariaDB spells it, but for the binary log, which is off."""


class Tier(NamedTuple):
    """The processes that run."""

    central: Server
    mariadb: MariaDB
    redis: RedisServer

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time that each process has used so far."""
        pids = {"central": self.central.pid, "mariadbd": self.mariadb.pid, "redis-server": self.redis.pid}
        return {name: cpu_seconds(pid) for name, pid in pids.items()}

    async def settings(self) -> list[tuple[str, str]]:
        """The settings of the servers that decide how durable and how fast they are, as the servers report them."""
        wanted = ("innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin", "innodb_buffer_pool_size")
        listed = ", ".join(f"'{name}'" for name in ("version", *wanted))
        rows = self.mariadb.run(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
        kept = await self.redis.client.config_get("append*")
        return [*rows, *((f"redis {name}", kept[name]) for name in ("appendonly", "appendfsync"))]


@asynccontextmanager
async def tier(folder: Path) -> AsyncIterator[Tier]:
    """Run all three in ``folder`` with an empty database until the block ends."""
    mariadb = MariaDB(folder / "mariadb", *OPTIONS)
    mariadb.install()
    mariadb.start()
    try:
        mariadb.run(f"CREATE DATABASE {DATABASE}")
        async with redis_server(folder / "redis") as redis:
            with central(folder / "central", environ(mariadb, redis)) as server:
                yield Tier(server, mariadb, redis)
    finally:
        mariadb.stop()


def environ(mariadb: MariaDB, redis: RedisServer) -> dict[str, str]:
    """The settings of a central service on these servers."""
    return {
        "DB_CONNECTION": "mysql",
        "DB_HOST": mariadb.host,
        "DB_PORT": str(mariadb.port),
        "DB_DATABASE": DATABASE,
        "DB_USERNAME": mariadb.user,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis.port),
        "REDIS_PASSWORD": PASSWORD,
        "QUEUE_CONNECTION": "redis",
    }

"""Real processes under load: central, MariaDB and Redis, hurt one after another. What was acknowledged is what is stored."""

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.central.harness import Central, process
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.servers import MariaDB

CLIENTS = 12
STEP = 150
"""Requests acknowledged before, during and after each fault."""
Fault = Callable[["Load"], Awaitable[None]]


class Load:
    """Clients that send each request until it is acknowledged, always with the same key, to any of the processes."""

    def __init__(self, centrals: list[Central], mariadb: MariaDB, redis: RedisServer) -> None:
        self.centrals = centrals
        self.mariadb = mariadb
        self.redis = redis
        self.acknowledged = 0
        self.sent = 0
        self.answers: Counter[int] = Counter()
        self._numbers: Iterator[int] = itertools.count()
        self._changed = asyncio.Condition()
        self._stopping = False

    async def client(self) -> None:
        while not self._stopping:
            number = next(self._numbers)
            self.sent += number + 1
            for central in itertools.cycle(self.centrals[number % 2 :] + self.centrals[: number % 2]):
                status = await self._try(central, number)
                async with self._changed:
                    self.answers[status] += 1
                    self.acknowledged += status == 201
                    self._changed.notify_all()
                if status == 201:
                    break

    async def _try(self, central: Central, number: int) -> int:
        try:
            name = f"n{number % 7}"
            return (await central.value(name, str(number + 1), headers={"Idempotency-Key": f"k{number}"})).status
        except (aiohttp.ClientError, ConnectionError):
            return 0

    async def more(self, status: int = 201, count: int = STEP) -> None:
        """Return when so many more answers of a status have come."""
        wanted = self.answers[status] + count
        async with self._changed:
            await self._changed.wait_for(lambda: self.answers[status] >= wanted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        clients = [asyncio.create_task(self.client()) for _ in range(CLIENTS)]
        yield
        self._stopping = True
        await asyncio.gather(*clients)

    async def assert_stored_once(self) -> None:
        """Nothing waits any more; sum and count over all names are those of the requests."""
        for central in self.centrals:
            while (ready := (await central.ask("GET", "/ready", key=None)).json)["status"] != "ready":
                pass
            while ready["spill"]["entries"]:
                ready = (await central.ask("GET", "/ready", key=None)).json
            assert (ready["spill"]["bad_entries"], ready["spill"]["rejected_points"]) == (0, 0)
        central = self.centrals[0]
        names = [f"n{number}" for number in range(7)]
        assert sum([await central.total(name, "count") for name in names]) == self.acknowledged
        assert sum([await central.total(name, "sum") for name in names]) == self.sent


@asynccontextmanager
async def load(folder: Path, mariadb: MariaDB, database: str) -> AsyncIterator[Load]:
    """Two central processes on one database and one Redis."""
    async with redis_server(folder / "redis") as redis, AsyncExitStack() as stack:
        environ = {
            "DB_CONNECTION": "mysql",
            "DB_PORT": str(mariadb.port),
            "DB_DATABASE": database,
            "DB_USERNAME": mariadb.user,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(redis.port),
            "REDIS_PASSWORD": PASSWORD,
            "QUEUE_CONNECTION": "redis",
        }
        centrals = []
        for name in ("one", "two"):
            given = {"METRICS_ADMIN_KEY": "given-by-an-operator-0123456789abcdef"}
            _, central = await stack.enter_async_context(process(folder / name, **environ, **given))
            centrals.append(central)
        yield Load(centrals, mariadb, redis)


async def kill_database(load: Load) -> None:
    load.mariadb.kill()
    await load.more()
    await asyncio.to_thread(load.mariadb.start)


async def stop_database(load: Load) -> None:
    await asyncio.to_thread(load.mariadb.stop)
    await load.more()
    await asyncio.to_thread(load.mariadb.start)


async def pause_database(load: Load) -> None:
    with load.mariadb.paused():
        await load.more()


async def kill_redis(load: Load) -> None:
    await load.redis.kill()
    await load.more()
    await load.redis.start()


async def restart_redis(load: Load) -> None:
    await load.redis.end(signal.SIGTERM)
    await load.more()
    await load.redis.start()


async def pause_redis(load: Load) -> None:
    load.redis.pause()
    await load.more()
    load.redis.go_on()


async def slow_redis(load: Load) -> None:
    await load.redis.client.client_pause(2_000)
    await load.more()


async def full_redis(load: Load) -> None:
    await load.redis.set(maxmemory="1mb")
    await load.more()
    await load.redis.set(maxmemory="0")


async def flush_redis(load: Load) -> None:
    await load.redis.client.flushall()
    await load.more()


async def kill_both(load: Load) -> None:
    load.mariadb.kill()
    await load.more()
    await load.redis.kill()
    await load.more(503, 50)
    await load.redis.start()
    await load.more()
    await asyncio.to_thread(load.mariadb.start)


async def kill_redis_with_a_full_spill(load: Load) -> None:
    load.mariadb.kill()
    await load.more()
    await load.redis.kill()
    await asyncio.to_thread(load.mariadb.start)
    await load.more()
    await load.redis.start()


FAULTS: list[Fault] = [
    kill_database,
    stop_database,
    pause_database,
    kill_redis,
    restart_redis,
    pause_redis,
    slow_redis,
    full_redis,
    flush_redis,
    kill_both,
    kill_redis_with_a_full_spill,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_an_outage_loses_nothing_and_doubles_nothing(
    tmp_path: Path, mariadb: MariaDB, database: str, fault: Fault
) -> None:
    async with load(tmp_path, mariadb, database) as made:
        async with made.running():
            await made.more()
            await fault(made)
            await made.more()
        await made.assert_stored_once()

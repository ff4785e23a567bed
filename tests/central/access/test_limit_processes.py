"""One limit for three central processes over one Redis and one MariaDB: the bound of docs/spill.md, at the edge of a
minute, with the edge in mid-flight, and with Redis killed in the middle of a minute."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.central import mysql_help, redis_help
from tests.central.clocked import FileClock
from tests.central.harness import Central, process
from tests.patience import a_moment
from tests.redis_server import RedisServer, redis_server
from tests.servers import MariaDB

Step = Callable[[], Awaitable[object]]
LIMIT = 101
MINUTE = int(time.time() // 60)
AT_ONCE = 34
"""Requests under way, a third of them to each process: the others come after what happens in between."""
ADMIN_KEY = "given-by-an-operator-0123456789abcdef"


@dataclass
class Three:
    """Three processes, their Redis, the clock of all, and a key with LIMIT requests per minute that all have seen."""

    centrals: list[Central]
    redis: RedisServer
    clock: FileClock
    key_id: int
    key: str

    async def fire(self, requests: int, *, after: int = 0, then: Step | None = None) -> list[int]:
        """Send so many requests to each process, and do something ``after`` so many answers; how many got 201 from
        each. The others got 429."""
        passed = [0] * len(self.centrals)
        turn = asyncio.Semaphore(AT_ONCE)
        answers = 0

        async def one(number: int) -> None:
            nonlocal answers
            async with turn:
                reply = await self.centrals[number].counter("a", key=self.key)
            assert reply.status in {201, 429}, reply.text
            passed[number] += reply.status == 201
            answers += 1
            if then is not None and answers == after:
                await then()

        await asyncio.gather(*(one(number) for _ in range(requests) for number in range(len(self.centrals))))
        return passed

    async def counted(self, minute: int) -> int:
        """Requests of a minute that Redis has counted."""
        return int(await self.redis.client.get(f"rl:{{spill}}:{self.key_id}:{minute}") or 0)

    async def shared_again(self) -> None:
        """Every process counts in Redis again; /ready asks it where no request does."""
        for central in self.centrals:
            while (await central.ask("GET", "/ready", key=None)).json["status"] != "ready":
                await a_moment()


@pytest.fixture
async def three(tmp_path: Path, mariadb: MariaDB, database: str) -> AsyncIterator[Three]:
    clock = FileClock(tmp_path / "clock", MINUTE * 60)
    program = ("-m", "tests.central.clocked", str(tmp_path / "clock"))
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(tmp_path / "redis"))
        environ = {
            **mysql_help.environ_of(mariadb, database),
            **redis_help.environ_of(redis.port),
            "METRICS_ADMIN_KEY": ADMIN_KEY,
        }
        started = await asyncio.gather(
            *(stack.enter_async_context(process(tmp_path / f"{number}", program, **environ)) for number in range(3))
        )
        centrals = [central for _, central in started]
        key_id, key = await centrals[0].new_key("ingest", rate_limit=LIMIT)
        made = Three(centrals, redis, clock, key_id, key)
        assert await made.fire(1) == [1, 1, 1]  # each process knows the key and the name now
        yield made


async def test_limit_plus_one_at_the_edge_of_a_minute_is_the_limit_in_each(three: Three) -> None:
    for now in (MINUTE * 60 + 119.999, MINUTE * 60 + 120):
        three.clock.set(now)
        assert sum(await three.fire((LIMIT + 1) // 3)) == LIMIT


async def test_with_the_edge_among_requests_under_way_each_minute_has_its_limit(three: Three) -> None:
    async def turn() -> None:
        three.clock.set(MINUTE * 60 + 120)

    three.clock.set(MINUTE * 60 + 119.999)
    passed = sum(await three.fire(LIMIT, after=LIMIT, then=turn))
    assert LIMIT < passed == sum([min(await three.counted(MINUTE + later), LIMIT) for later in (1, 2)])


async def test_redis_killed_within_a_minute_lets_no_more_than_the_limit_pass(three: Three) -> None:
    three.clock.set(MINUTE * 60 + 60)
    parts = [await three.fire(10), await three.fire(LIMIT, after=30, then=three.redis.kill)]
    await three.redis.start()
    await three.shared_again()
    parts.append(await three.fire(10))
    by_process = [sum(passed) for passed in zip(*parts, strict=True)]
    assert max(by_process) <= LIMIT
    assert sum(by_process) > LIMIT  # they counted alone
    assert parts[-1] == [0, 0, 0]  # and do not start again with a Redis that does
    three.clock.set(MINUTE * 60 + 120)
    assert sum(await three.fire(LIMIT)) == LIMIT

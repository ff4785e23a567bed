"""The service over HTTP while Redis is late, full, emptied or down: limits keep their bound, nobody waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from central.app import Outside
from central.redis_link import PROBE_SECONDS
from tests.central.harness import QUICK_HASH, Central, Clock, running
from tests.central.redis_help import Ticks, environ_of
from tests.patience import a_moment
from tests.redis_server import RedisServer, redis_server
from tests.slow_proxy import SlowProxy, slow_proxy

LIMIT = 20
MINUTE = time.time() // 60 * 60
Step = Callable[[RedisServer, SlowProxy], Awaitable[object]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[SlowProxy]:
    async with slow_proxy(server.port) as proxy:
        yield proxy


@dataclass
class Times:
    """``clock`` says which minute it is, ``ticks`` when a Redis that failed is asked again."""

    clock: Clock = field(default_factory=lambda: Clock(MINUTE))
    ticks: Ticks = field(default_factory=Ticks)


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
async def three(tmp_path: Path, proxy: SlowProxy, times: Times) -> AsyncIterator[list[Central]]:
    """Three processes' worth of the service; their admin keys have the same row, so Redis counts them together."""
    environ = {**environ_of(proxy.port), "METRICS_RATE_LIMIT_DEFAULT": str(LIMIT)}
    outside = Outside(clock=times.clock, ticks=times.ticks, bcrypt_cost=QUICK_HASH)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running(tmp_path / str(number), environ, outside=outside))
            for number in range(3)
        ]


async def passed(centrals: list[Central], requests: int) -> tuple[int, int]:
    """How many of so many requests to each get 200, the others 429; how many were counted in one process alone: on a
    busy machine a round trip to a Redis that is well may take more than its 50 ms."""
    before = await counted(centrals, "fallbacks")
    replies = await asyncio.gather(
        *(central.ask("GET", "/api/admin/retention") for central in centrals for _ in range(requests))
    )
    statuses = [reply.status for reply in replies]
    assert set(statuses) <= {200, 429}
    return statuses.count(200), await counted(centrals, "fallbacks") - before


async def counted(centrals: list[Central], what: str) -> int:
    """A counter of the limiters of all."""
    return int(sum([await central.meter(f"fiesta_limit_{what}_total") for central in centrals]))


async def shared_again(centrals: list[Central]) -> None:
    """Every process counts in Redis again; /ready asks it where no request does."""
    for central in centrals:
        while (await central.ask("GET", "/ready", key=None)).json["dependencies"]["redis"] != "ok":
            await a_moment()


async def late(server: RedisServer, proxy: SlowProxy) -> None:
    proxy.delay = 2.0


async def full(server: RedisServer, proxy: SlowProxy) -> None:
    await server.set(maxmemory="1mb")


async def stopped(server: RedisServer, proxy: SlowProxy) -> None:
    server.pause()


async def well(server: RedisServer, proxy: SlowProxy) -> None:
    proxy.delay = 0.0
    server.go_on()
    await server.set(maxmemory="0")


@pytest.mark.parametrize("fault", [late, full, stopped])
async def test_while_redis_fails_one_request_per_second_waits_for_it(
    three: list[Central], server: RedisServer, proxy: SlowProxy, times: Times, fault: Step
) -> None:
    assert (await passed(three, 2))[0] == 6
    await shared_again(three)
    await fault(server, proxy)
    assert (await passed(three, 1))[0] == 3
    for _ in range(3):
        waits, failures = await counted(three, "waits"), await counted(three, "trips_failed")
        times.clock.now += 60
        assert await passed(three, LIMIT) == (3 * LIMIT, 3 * LIMIT)
        assert (await counted(three, "waits"), await counted(three, "trips_failed")) == (waits, failures)
        times.ticks.now += PROBE_SECONDS
        times.clock.now += 60
        assert await passed(three, LIMIT) == (3 * LIMIT, 3 * LIMIT)
        assert (await counted(three, "waits"), await counted(three, "trips_failed")) == (waits + 3, failures + 3)
    await well(server, proxy)
    await shared_again(three)
    times.clock.now += 60
    allowed, alone = await passed(three, LIMIT)
    assert LIMIT <= allowed <= LIMIT + alone


async def test_when_redis_gets_late_no_process_lets_more_than_the_limit_pass(
    three: list[Central], server: RedisServer, proxy: SlowProxy
) -> None:
    assert (await passed(three, 2))[0] == 6
    await late(server, proxy)
    allowed, alone = await passed(three, LIMIT)
    assert LIMIT - 6 <= allowed <= 3 * LIMIT - 6
    assert alone > 0
    await well(server, proxy)


async def test_flushall_costs_the_minutes_counts_and_no_point(three: list[Central], server: RedisServer) -> None:
    allowed, alone = await passed(three, LIMIT)
    assert LIMIT <= allowed <= LIMIT + alone
    await server.client.flushall()
    assert allowed + (await passed(three, LIMIT))[0] <= 3 * LIMIT
    for central in three:
        assert (await central.ask("GET", "/ready", key=None)).status == 200

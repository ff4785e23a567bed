"""The service over HTTP while Redis is late, full, emptied or away: limits degrade within their bound, nobody waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from central.app import Outside
from tests.central.harness import QUICK_HASH, Central, Clock, running
from tests.central.redis_help import environ_of
from tests.redis_server import RedisServer, redis_server
from tests.slow_proxy import SlowProxy, slow_proxy

LIMIT = 100
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


@pytest.fixture
def clock() -> Clock:
    return Clock(MINUTE)


@pytest.fixture
async def three(tmp_path: Path, proxy: SlowProxy, clock: Clock) -> AsyncIterator[list[Central]]:
    """Three processes' worth of the service; their admin keys have the same row, so Redis counts them together."""
    environ = {**environ_of(proxy.port), "METRICS_RATE_LIMIT_DEFAULT": str(LIMIT)}
    outside = Outside(clock=clock, bcrypt_cost=QUICK_HASH)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running(tmp_path / str(number), environ, outside=outside))
            for number in range(3)
        ]


async def passed(centrals: list[Central], requests: int) -> tuple[int, float, int]:
    """How many of so many requests to each get 201, the others 429; the p99 of their seconds; how many were counted
    in one process alone: on a busy machine a round trip to a Redis that is well may take more than its 50 ms."""

    async def one(central: Central) -> tuple[int, float]:
        begun = time.monotonic()
        reply = await central.counter("a")
        return reply.status, time.monotonic() - begun

    async def fallbacks() -> float:
        return sum([await central.meter("fiesta_limit_fallbacks_total") for central in centrals])

    before = await fallbacks()
    done = await asyncio.gather(*(one(central) for central in centrals for _ in range(requests)))
    statuses = [status for status, _ in done]
    assert set(statuses) <= {201, 429}
    p99 = sorted(seconds for _, seconds in done)[len(done) * 99 // 100]
    return statuses.count(201), p99, int(await fallbacks() - before)


async def shared_again(centrals: list[Central]) -> None:
    """Every process counts in Redis again; /ready asks it where no request does."""
    for central in centrals:
        while (await central.ask("GET", "/ready", key=None)).json["status"] != "ready":
            pass


async def test_limit_plus_one_over_three_processes_at_the_edge_of_a_minute(
    three: list[Central], clock: Clock, server: RedisServer
) -> None:
    for now in (MINUTE + 59.999, MINUTE + 60):
        clock.now = now
        allowed, _, alone = await passed(three, LIMIT // 3 + 1)
        assert LIMIT <= allowed <= LIMIT + alone
    await server.kill()
    clock.now = MINUTE + 120
    assert (await passed(three, LIMIT + 1))[0] == 3 * LIMIT


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
async def test_while_redis_is_no_good_each_process_has_the_limit_and_nobody_waits_long(
    three: list[Central], server: RedisServer, proxy: SlowProxy, clock: Clock, fault: Step
) -> None:
    assert (await passed(three, 10))[0] == 30
    await fault(server, proxy)
    allowed, p99, alone = await passed(three, LIMIT)
    print(f"{fault.__name__}: p99 {p99 * 1000:.0f} ms")
    assert LIMIT - 30 <= allowed <= 3 * LIMIT - 30
    assert alone > 0
    assert p99 < 1.5
    await well(server, proxy)
    await shared_again(three)
    clock.now = MINUTE + 60
    allowed, _, alone = await passed(three, LIMIT)
    assert LIMIT <= allowed <= LIMIT + alone


async def test_flushall_with_an_empty_stream_costs_the_minutes_counts_and_no_point(
    three: list[Central], server: RedisServer
) -> None:
    allowed, _, alone = await passed(three, LIMIT)
    assert LIMIT <= allowed <= LIMIT + alone
    await server.client.flushall()
    assert allowed + (await passed(three, LIMIT))[0] <= 3 * LIMIT
    for central in three:
        assert (await central.ask("GET", "/ready", key=None)).status == 200

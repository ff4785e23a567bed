"""central/access/redis_limit.py: one limit for all processes, with a real Redis, slow, full, stopped or killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from central.access.limit import Decision
from central.access.redis_limit import RedisLimiter
from central.redis_link import PROBE_SECONDS
from tests.central.redis_help import Ticks, address
from tests.redis_server import RedisServer, redis_server

MINUTE = 1_800_000_000
SECONDS = 60.0
"""A limit that no healthy round trip reaches, however busy the machine is."""
SHORT = 0.05


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def limiters(server: RedisServer, ticks: Ticks) -> AsyncIterator[list[RedisLimiter]]:
    """Three central processes' limiters."""
    async with AsyncExitStack() as stack:
        made = [RedisLimiter(address(server), seconds=SECONDS, clock=ticks) for _ in range(3)]
        for limiter in made:
            stack.push_async_callback(limiter.close)
        yield made


async def allowed(limiters: list[RedisLimiter], hits: int, limit: int, now: float = MINUTE) -> int:
    """How many of so many hits a limiter pass, all at once."""
    decisions = await asyncio.gather(*(limiter.hit(1, limit, now) for limiter in limiters for _ in range(hits)))
    return sum(decision.allowed for decision in decisions)


# --- Redis is well


async def test_a_request_is_decided_by_the_count_of_all_processes(limiters: list[RedisLimiter]) -> None:
    one, two, three = limiters
    assert await one.hit(1, 2, MINUTE + 20) == Decision(True, 2, 1, 40)
    assert await two.hit(1, 2, MINUTE + 20) == Decision(True, 2, 0, 40)
    assert await three.hit(1, 2, MINUTE + 20) == Decision(False, 2, 0, 40)
    assert (await three.hit(2, 2, MINUTE + 20)).allowed
    assert (await three.hit(1, 2, MINUTE + 60)).allowed


async def test_limit_plus_one_at_the_edge_of_a_minute_passes_the_limit_in_each(limiters: list[RedisLimiter]) -> None:
    for now in (MINUTE + 59.999, MINUTE + 60):
        assert await allowed(limiters, 34, 101, now) == 101
    assert [limiter.counts.fallbacks for limiter in limiters] == [0, 0, 0]


async def test_requests_that_come_during_a_round_trip_share_the_next(limiters: list[RedisLimiter]) -> None:
    (limiter, *_) = limiters
    first = asyncio.create_task(limiter.hit(1, 1000, MINUTE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    decisions = await asyncio.gather(*(limiter.hit(key, 1000, MINUTE) for key in (1, 2) for _ in range(100)))
    assert (await first).remaining == 999
    assert [decision.remaining for decision in decisions] == [*range(998, 898, -1), *range(999, 899, -1)]
    assert limiter.counts.round_trips == 2


async def test_a_count_leaves_redis_after_its_minute(limiters: list[RedisLimiter], server: RedisServer) -> None:
    await limiters[0].hit(7, 5, MINUTE)
    key = f"rl:{{spill}}:7:{MINUTE // 60}"
    assert await server.client.get(key) == b"1"
    assert 60 <= await server.client.ttl(key) <= 120


async def test_who_is_over_the_limit_costs_no_round_trip(limiters: list[RedisLimiter]) -> None:
    one, two, _ = limiters
    for _ in range(3):
        await one.hit(1, 3, MINUTE)
    assert not (await two.hit(1, 3, MINUTE)).allowed
    assert not any([(await two.hit(1, 3, MINUTE)).allowed for _ in range(50)])
    assert two.counts.round_trips == 1


async def test_a_caller_that_goes_away_leaves_the_others_their_counts(limiters: list[RedisLimiter]) -> None:
    (limiter, *_) = limiters
    tasks = [asyncio.create_task(limiter.hit(1, 10, MINUTE)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    assert [(await task).remaining for task in (tasks[0], tasks[2])] == [9, 7]


# --- Redis is not well


async def test_without_redis_each_process_has_the_limit_and_no_more(
    limiters: list[RedisLimiter], server: RedisServer, ticks: Ticks
) -> None:
    assert await allowed(limiters, 10, 90) == 30
    await server.kill()
    assert await allowed(limiters, 200, 90) <= 3 * 90 - 30
    assert [limiter.alone for limiter in limiters] == [True] * 3
    await server.start()
    ticks.now += PROBE_SECONDS
    assert await allowed(limiters, 10, 90) == 0
    for limiter in limiters:
        assert (await limiter.hit(2, 90, MINUTE)).allowed
    assert await allowed(limiters, 200, 90, MINUTE + 60) == 90
    assert [limiter.alone for limiter in limiters] == [False] * 3


async def test_an_open_breaker_lets_one_request_per_pause_ask(server: RedisServer, ticks: Ticks) -> None:
    limiter = RedisLimiter(address(server), seconds=SHORT, clock=ticks)
    server.pause()
    assert (await limiter.hit(1, 1000, MINUTE)).allowed
    assert (limiter.alone, limiter.counts.failed_trips, limiter.counts.fallbacks) == (True, 1, 1)
    assert await allowed([limiter], 100, 1000) == 100
    assert (limiter.counts.failed_trips, limiter.counts.fallbacks) == (1, 101)
    ticks.now += PROBE_SECONDS
    assert await allowed([limiter], 100, 1000) == 100
    assert (limiter.counts.failed_trips, limiter.counts.fallbacks) == (2, 201)
    server.go_on()
    await limiter.close()


async def test_those_who_wait_behind_a_trip_that_fails_fail_with_it(server: RedisServer, ticks: Ticks) -> None:
    limiter = RedisLimiter(address(server), seconds=SHORT, clock=ticks)
    while not limiter.counts.round_trips:  # a busy machine may not connect in time
        ticks.now += PROBE_SECONDS
        await limiter.hit(3, 10**9, MINUTE)
    failed = limiter.counts.failed_trips
    server.pause()
    first = asyncio.create_task(limiter.hit(1, 1000, MINUTE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    behind = [asyncio.create_task(limiter.hit(2, 1000, MINUTE)) for _ in range(5)]
    assert [(await task).remaining for task in (first, *behind)] == [999, 999, 998, 997, 996, 995]
    assert (limiter.counts.failed_trips, limiter.counts.fallbacks) == (failed + 1, failed + 6)
    server.go_on()
    await limiter.close()


async def test_a_slow_redis_is_left_alone_and_asked_again_when_it_is_quick(server: RedisServer, ticks: Ticks) -> None:
    limiter = RedisLimiter(address(server), seconds=SHORT, clock=ticks)
    await limiter.hit(1, 5, MINUTE)
    await server.client.client_pause(2_000)
    assert [(await limiter.hit(1, 5, MINUTE)).remaining for _ in range(2)] == [3, 2]
    while limiter.counts.round_trips < 2:
        ticks.now += PROBE_SECONDS
        await limiter.hit(2, 10**9, MINUTE)
    assert not limiter.alone
    await limiter.close()


@pytest.mark.parametrize("fault", ["full", "password", "refused"])
async def test_a_redis_that_says_no_is_no_limit_lost(tmp_path: Path, fault: str, ticks: Ticks) -> None:
    async with redis_server(tmp_path / "redis") as server:
        where = address(server, password="wrong" if fault == "password" else None)
        limiter = RedisLimiter(where, seconds=SECONDS, clock=ticks)
        if fault == "full":
            await server.set(maxmemory="1mb")
        if fault == "refused":
            await server.kill()
        assert [(await limiter.hit(1, 2, MINUTE)).allowed for _ in range(3)] == [True, True, False]
        assert (limiter.alone, limiter.counts.failed_trips) == (True, 1)
        await limiter.close()


async def test_flushall_gives_nobody_more_than_the_limit_a_process(
    limiters: list[RedisLimiter], server: RedisServer
) -> None:
    assert await allowed(limiters, 100, 30) == 30
    await server.client.flushall()
    assert await allowed(limiters, 100, 30) <= 2 * 30


async def test_who_has_no_requests_finds_out_by_asking(server: RedisServer, ticks: Ticks) -> None:
    limiter = RedisLimiter(address(server), seconds=SECONDS, clock=ticks)
    await server.kill()
    await limiter.hit(1, 5, MINUTE)
    for back in (False, True):
        if back:
            await server.start()
        await limiter.probe()
        assert limiter.alone is not back
    await limiter.close()


async def test_close_lets_those_who_wait_go_on(server: RedisServer, ticks: Ticks) -> None:
    limiter = RedisLimiter(address(server), seconds=SECONDS, clock=ticks)
    server.pause()
    waiting = asyncio.create_task(limiter.hit(1, 5, MINUTE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await limiter.close()
    assert (await waiting).allowed
    server.go_on()

"""central/redis_link.py: which errors a call to Redis raises, and when the breaker lets a call pass."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from central.redis_link import Breaker, RedisAddress, RedisDown, RedisLink, RedisRefused
from tests.central.redis_help import Ticks

NOWHERE = RedisAddress("127.0.0.1", 1)
"""No call of these tests gets as far as a server."""


@pytest.fixture
async def link() -> AsyncIterator[RedisLink]:
    made = RedisLink(NOWHERE, seconds=60)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("usual", "given", "says"),
    [(0.001, None, "0.001 s"), (60, 0.002, "0.002 s"), (60, 0, "0 s"), (0, None, "0 s")],
)
async def test_a_call_that_takes_too_long_names_the_limit_that_it_had(
    usual: float, given: float | None, says: str
) -> None:
    link = RedisLink(NOWHERE, seconds=usual)
    with pytest.raises(RedisDown, match=f"^no answer within {says}$"):
        await link.run(lambda _: asyncio.Event().wait(), given)
    await link.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis.ConnectionError("gone"), RedisDown),
        (redis.TimeoutError("late"), RedisDown),
        (OSError("no route"), RedisDown),
        (redis.AuthenticationError("wrong password"), RedisRefused),
        (redis.BusyLoadingError("loading"), RedisRefused),
        (redis.ResponseError("OOM"), RedisRefused),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_error_says_whether_the_call_may_have_been_done(
    link: RedisLink, error: Exception, kind: type[Exception]
) -> None:
    async def fail(_: object) -> None:
        raise error

    with pytest.raises(kind, match=str(error)):
        await link.run(fail)


# --- the breaker


def test_a_breaker_opens_with_a_failure_and_closes_with_a_success() -> None:
    """While it is open, one call per pause may try."""
    ticks = Ticks()
    breaker = Breaker(1.0, ticks)
    assert [breaker.try_pass() for _ in range(3)] == [True] * 3
    assert (breaker.bad(), breaker.bad(), breaker.open, breaker.opened) == (True, False, True, 1)
    assert [breaker.try_pass() for _ in range(3)] == [False] * 3
    ticks.now += 1
    assert [breaker.try_pass() for _ in range(3)] == [True, False, False]
    ticks.now += 0.9
    assert not breaker.try_pass()
    ticks.now += 0.1
    assert breaker.try_pass()
    assert (breaker.good(), breaker.good(), breaker.open) == (True, False, False)
    assert [breaker.try_pass() for _ in range(3)] == [True] * 3


def test_a_failure_while_a_breaker_is_open_begins_the_pause_again() -> None:
    ticks = Ticks()
    breaker = Breaker(1.0, ticks)
    breaker.bad()
    ticks.now += 0.9
    breaker.bad()
    ticks.now += 0.9
    assert not breaker.try_pass()
    assert breaker.opened == 1

"""central/redis_link.py: what a call on Redis raises, and what the error says."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from central.redis_link import RedisAddress, RedisDown, RedisLink, RedisRefused

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

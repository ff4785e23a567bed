"""central/access/limit.py: fixed windows of a minute, as a table and as rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.access.limit import Decision, LocalLimiter, decide

MINUTE = 1_800_000_000


@pytest.mark.parametrize(
    ("count", "limit", "second", "decision"),
    [
        (1, 3, 0, (True, 2, 60)),
        (3, 3, 0, (True, 0, 60)),
        (4, 3, 0, (False, 0, 60)),
        (900, 3, 59.9, (False, 0, 1)),
        (1, 1, 30.5, (True, 0, 30)),
        (2, 1, 59, (False, 0, 1)),
    ],
)
def test_a_decision(count: int, limit: int, second: float, decision: tuple[bool, int, int]) -> None:
    allowed, remaining, reset = decision
    assert decide(count, limit, MINUTE + second) == Decision(allowed, limit, remaining, reset)


def test_headers_say_what_is_left_and_a_refusal_when_to_come_back() -> None:
    assert decide(1, 3, MINUTE).headers() == {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "2",
        "RateLimit-Reset": "60",
    }
    assert decide(4, 3, MINUTE + 20).headers()["Retry-After"] == "40"


async def test_the_next_minute_is_free_again_and_keys_do_not_share() -> None:
    limiter = LocalLimiter()
    first = [(await limiter.hit(1, 2, MINUTE + second)).allowed for second in (0, 30, 59.9)]
    assert first == [True, True, False]
    assert (await limiter.hit(2, 2, MINUTE + 59.9)).allowed
    assert (await limiter.hit(1, 2, MINUTE + 60)).allowed


async def test_a_clock_that_steps_back_starts_a_new_window() -> None:
    limiter = LocalLimiter()
    assert not [await limiter.hit(1, 1, MINUTE) for _ in range(2)][-1].allowed
    assert (await limiter.hit(1, 1, MINUTE - 1)).allowed


async def test_a_lower_limit_holds_from_the_next_request_on() -> None:
    limiter = LocalLimiter()
    assert [(await limiter.hit(1, limit, MINUTE)).allowed for limit in (5, 5, 2, 5)] == [True, True, False, True]


async def test_the_requests_of_this_minute_and_the_last_are_told() -> None:
    limiter = LocalLimiter()
    for second in (0, 1, 60, 61, 62):
        await limiter.hit(1, 2, MINUTE + second)
    await limiter.hit(2, 2, MINUTE + 62)
    for now, sent in {MINUTE + 63: (3, 2), MINUTE + 120: (0, 3), MINUTE + 180: (0, 0), MINUTE - 60: (0, 0)}.items():
        assert limiter.used(1, now) == sent
    assert (limiter.used(2, MINUTE + 63), limiter.used(3, MINUTE + 63)) == ((1, 0), (0, 0))
    await limiter.hit(1, 2, MINUTE + 200)
    assert limiter.used(1, MINUTE + 200) == (1, 0)  # nothing came in the minute before


@given(
    requests=st.lists(st.tuples(st.integers(1, 3), st.floats(0, 300)), max_size=60),
    limit=st.integers(1, 5),
)
async def test_no_key_ever_gets_more_than_its_limit_in_a_minute(requests: list[tuple[int, float]], limit: int) -> None:
    limiter = LocalLimiter()
    allowed: dict[tuple[int, int], int] = {}
    asked: dict[tuple[int, int], int] = {}
    for key, now in sorted(requests, key=lambda request: request[1]):
        slot = (key, int(now // 60))
        asked[slot] = asked.get(slot, 0) + 1
        allowed[slot] = allowed.get(slot, 0) + (await limiter.hit(key, limit, now)).allowed
    assert allowed == {slot: min(count, limit) for slot, count in asked.items()}

"""Windows of the wall clock, also when somebody sets it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.window import seconds_left, window_start

INTERVALS = [seconds for seconds in range(1, 61) if 60 % seconds == 0]


@pytest.mark.parametrize(
    ("start", "now", "left"),
    [
        (100, 100, 10),
        (100, 104.5, 5.5),
        (100, 109.999, pytest.approx(0.001)),
        (100, 110, 0),
        (100, 3_700, 0),  # an hour ahead: over
        (100, 99.9, 0),  # back before its start: over
        (100, 101, 9),  # back within it: longer
    ],
)
def test_seconds_left(start: int, now: float, left: float) -> None:
    assert seconds_left(start, 10, now) == left


@given(st.floats(0, 4e9), st.sampled_from(INTERVALS))
def test_a_window_holds_its_moment_and_never_crosses_a_minute(now: float, interval: int) -> None:
    start = window_start(now, interval)
    assert start <= now < start + interval
    assert start % interval == 0
    assert start // 60 == (start + interval - 1) // 60


@given(st.lists(st.floats(-5_000, 5_000), max_size=30), st.sampled_from(INTERVALS))
def test_a_step_back_makes_a_window_longer_by_one_length_at_most(steps: list[float], interval: int) -> None:
    now = 1e9
    start = window_start(now, interval)
    for step in steps:
        now += step
        left = seconds_left(start, interval, now)
        assert 0 <= left <= interval
        if left == 0:
            start = window_start(now, interval)

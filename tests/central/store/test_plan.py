"""central/store/plan.py: each second is read once, from the coarsest table that can answer it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.store.plan import (
    MAX_WINDOWS_PER_ANSWER,
    MAX_WINDOWS_PER_NAME,
    WINDOWS,
    plan,
    window_that_fits,
    windows_touched,
)

H = 3600
UNITS = {"raw": 1, "minute": 60, "hour": 3600}
seconds = st.integers(-10 * H, 10 * H)
windows = st.sampled_from(sorted(WINDOWS.values()))


@pytest.mark.parametrize(
    ("start", "end", "window", "expected"),
    [
        (0, H, 60, [("minute", 0, H)]),
        (0, H, H, [("hour", 0, H)]),
        (0, 3 * H, 900, [("minute", 0, 3 * H)]),
        (1, 59, 60, [("raw", 1, 59)]),
        (1, 119, 60, [("raw", 1, 119)]),
        (1, 121, 60, [("raw", 1, 60), ("minute", 60, 120), ("raw", 120, 121)]),
        (60, 2 * H - 1, H, [("minute", 60, 2 * H - 60), ("raw", 2 * H - 60, 2 * H - 1)]),
        (
            H - 61,
            3 * H + 61,
            H,
            [
                ("raw", H - 61, H - 60),
                ("minute", H - 60, H),
                ("hour", H, 3 * H),
                ("minute", 3 * H, 3 * H + 60),
                ("raw", 3 * H + 60, 3 * H + 61),
            ],
        ),
        (0, 0, 60, []),
        (5, 4, 60, []),
    ],
)
def test_a_plan(start: int, end: int, window: int, expected: list[tuple[str, int, int]]) -> None:
    assert [tuple(segment) for segment in plan(start, end, window)] == expected


@given(seconds, seconds, windows)
def test_every_second_is_covered_once_and_in_order(start: int, end: int, window: int) -> None:
    segments = plan(start, end, window)
    covered = [second for segment in segments for second in (segment.start, segment.end)]
    assert covered == sorted(covered)
    assert all(one.end == two.start for one, two in pairwise(segments))
    if start < end:
        assert (segments[0].start, segments[-1].end) == (start, end)
    else:
        assert segments == []


@given(seconds, seconds, windows)
def test_a_rollup_answers_only_whole_buckets_that_no_window_cuts(start: int, end: int, window: int) -> None:
    for level, first, last in plan(start, end, window):
        assert first % UNITS[level] == last % UNITS[level] == 0
        assert window % UNITS[level] == 0
        assert first < last


@given(seconds, seconds, windows)
def test_raw_points_answer_two_minutes_and_minutes_two_hours_at_most(start: int, end: int, window: int) -> None:
    asked = dict.fromkeys(UNITS, 0)
    for level, first, last in plan(start, end, window):
        asked[level] += last - first
    assert asked["raw"] < 120
    if window >= H:
        assert asked["minute"] < 2 * H


@given(st.integers(-500, 500), st.integers(1, 500), st.integers(1, 60))
def test_windows_touched_are_those_that_hold_a_second_of_the_range(start: int, length: int, window: int) -> None:
    held = {second // window for second in range(start, start + length)}
    assert windows_touched(start, start + length, window) == len(held)


@pytest.mark.parametrize(
    ("windows_per_name", "names", "fits"),
    [
        (MAX_WINDOWS_PER_NAME, 1, "1m"),
        (MAX_WINDOWS_PER_NAME + 1, 1, "5m"),
        (MAX_WINDOWS_PER_NAME, 4, "1m"),
        (MAX_WINDOWS_PER_NAME, 5, "5m"),
        (10_000, MAX_WINDOWS_PER_ANSWER // 10_000, "1m"),
        (MAX_WINDOWS_PER_NAME * 1440, 1, "1d"),
        (MAX_WINDOWS_PER_NAME * 1440 + 1, 1, None),
        (1, MAX_WINDOWS_PER_ANSWER + 1, None),
    ],
)
def test_the_finest_window_that_fits(windows_per_name: int, names: int, fits: str | None) -> None:
    assert window_that_fits(0, windows_per_name * 60, names) == fits

"""central/store/id_days.py: under which day an id is stored, and which days may be dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.store.id_days import days_to_drop, id_day

TODAY = 20_499


@pytest.mark.parametrize(
    ("newest", "day"),
    [
        (0, TODAY),
        (TODAY - 1, TODAY),
        (TODAY, TODAY),
        (TODAY + 1, TODAY + 1),
        (TODAY + 31, TODAY + 31),
        (TODAY + 32, TODAY),  # the newest was the mistake
    ],
)
def test_an_id_is_never_kept_under_a_day_before_the_newest(newest: int, day: int) -> None:
    assert id_day(TODAY, newest) == day


@pytest.mark.parametrize(
    ("days", "dropped"),
    [
        (range(-8, 1), []),
        (range(-9, 1), [-9]),
        (range(-12, 1), [-12, -11, -10, -9]),
        ((-30, -20, 0), []),  # few later days hold ids
        ((*range(-20, -10), 0), [-20, -19]),
        (range(-30, -12), range(-30, -21)),
    ],
)
def test_a_day_goes_when_it_is_old_and_nine_later_days_hold_ids(days: list[int], dropped: list[int]) -> None:
    assert days_to_drop([TODAY + day for day in days], TODAY) == [TODAY + day for day in dropped]


@given(st.integers(-5000, 5000), st.integers(0, 40))
def test_whatever_the_clock_says_the_newest_nine_days_stay(ahead: int, days: int) -> None:
    held = list(range(TODAY - days, TODAY + 1))
    assert not set(days_to_drop(held, TODAY + ahead)) & set(held[-9:])

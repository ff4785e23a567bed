"""Central's clock as its answers tell it."""

import pytest

from agent.clock import CentralClock, WindowClock, parse_http_date
from protocol.limits import MAX_AGE_SECONDS
from tests.agent.fakes import NOW, Time

DATE = "Sun, 15 Feb 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (DATE, NOW),
        ("Sun, 15 Feb 2026 00:00:00 -0000", NOW),
        ("Sunday, 15-Feb-26 00:00:00 GMT", NOW),
        (None, None),
        ("", None),
        ("soon", None),
        ("Sun, 99 Feb 2026 00:00:00 GMT", None),
    ],
)
def test_http_dates(text: str | None, seconds: float | None) -> None:
    assert parse_http_date(text) == seconds


def a_clock(time: Time, ahead: float = 0.0) -> CentralClock:
    return CentralClock(lambda: time.wall + ahead, lambda: time.steady)


def test_before_the_first_answer_the_host_clock_counts() -> None:
    clock = a_clock(Time())
    assert not clock.known
    assert clock.now() == NOW
    assert clock.age() == float("inf")
    assert clock.earliest_start() == float("-inf")


def test_the_time_comes_from_the_services_answers() -> None:
    time = Time()
    clock = a_clock(time, ahead=3_600)
    clock.learn(DATE, ours=True)
    time.pass_by(7)
    assert clock.now() == NOW + 7
    assert clock.ahead() == 3_600
    assert clock.age() == 7
    assert clock.latest_start() == NOW + 7 + 5
    assert clock.earliest_start() == NOW + 7 - MAX_AGE_SECONDS


def test_a_step_of_the_host_clock_does_not_change_the_services_time() -> None:
    time = Time()
    clock = a_clock(time)
    clock.learn(DATE, ours=True)
    time.wall += 86_400
    assert clock.now() == NOW
    assert clock.ahead() == 86_400


def test_another_servers_time_counts_only_until_the_service_answers() -> None:
    clock = a_clock(Time(NOW - 50))
    clock.learn(DATE, ours=False)
    assert clock.now() == NOW
    assert clock.earliest_start() == float("-inf")
    clock.learn("Sun, 15 Feb 2026 01:00:00 GMT", ours=True)
    clock.learn(DATE, ours=False)
    assert clock.now() == NOW + 3_600
    assert clock.sure


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (["0"], 0),
        (["60"], 60),
        (["3600"], 3_600),
        (["60", None], 60),
        (["60", "5"], 5),
        ([None], 5),
        *(([nonsense], 5) for nonsense in ("", "-1", "1e9", "5.5", " 60", "\xb2", "nan", "9" * 5_000)),
        (["60", "soon"], 60),
        (["99999999999"], 3_600),
    ],
)
def test_the_service_says_how_far_ahead_a_window_may_be(said: list[str | None], seconds: int) -> None:
    clock = a_clock(Time())
    for skew in said:
        clock.learn(DATE, ours=True, skew=skew)
    assert clock.latest_start() == NOW + seconds


def test_only_the_service_says_how_far_ahead_a_window_may_be() -> None:
    clock = a_clock(Time())
    clock.learn(DATE, ours=False, skew="600")
    assert clock.latest_start() == NOW + 5


def test_an_answer_without_a_date_changes_nothing() -> None:
    clock = a_clock(Time())
    clock.learn(None, ours=True)
    assert not clock.known


def test_the_host_clock_counts_when_no_answer_has_a_date() -> None:
    time = Time()
    clock = a_clock(time)
    clock.assume()
    assert (clock.known, clock.sure, clock.age(), clock.now()) == (True, False, 0, NOW)


# --- the time that windows go by

HOUR = 3_600
YEAR = 365 * 86_400


@pytest.mark.parametrize("step", [-YEAR, -HOUR, -40, 40, HOUR, YEAR])
def test_windows_go_on_when_a_clock_that_was_right_is_set_wrong(step: float) -> None:
    time = Time()
    clock = a_clock(time)
    windows = WindowClock(clock)
    clock.learn(DATE, ours=True)
    assert windows.now() == NOW
    time.wall += step
    time.pass_by(10)
    assert windows.now() == NOW + 10
    clock.learn("Sun, 15 Feb 2026 00:00:09 GMT", ours=True)  # a second or so of noise moves nothing
    assert windows.now() == NOW + 10
    time.wall -= step
    time.pass_by(10)
    assert windows.now() == NOW + 20


@pytest.mark.parametrize("off", [-YEAR, -HOUR, HOUR, YEAR])
def test_a_clock_wrong_from_the_start_is_left_once_the_time_is_known(off: float) -> None:
    time = Time()
    clock = a_clock(time, off)
    windows = WindowClock(clock)
    assert windows.now() == NOW + off
    clock.learn(DATE, ours=False)
    assert windows.now() == NOW + off, "a stranger's time is none to go by"
    clock.learn(DATE, ours=True)
    time.pass_by(10)
    assert windows.now() == NOW + 10


@pytest.mark.parametrize("off", [-30, -1, 0, 1, 30])
def test_a_clock_that_is_about_right_is_followed_to_the_split_second(off: float) -> None:
    time = Time()
    clock = a_clock(time, off)
    windows = WindowClock(clock)
    clock.learn(DATE, ours=True)
    time.pass_by(0.25)
    assert windows.now() == NOW + off + 0.25


def test_an_hours_difference_is_followed_when_the_service_is_set_right() -> None:
    time = Time()
    clock = a_clock(time)
    windows = WindowClock(clock)
    clock.learn("Sun, 15 Feb 2026 01:00:00 GMT", ours=True)
    assert windows.now() == NOW + HOUR
    clock.learn(DATE, ours=True)
    assert windows.now() == NOW


@pytest.mark.parametrize(
    ("off", "shift"),
    [(0, 0), (30, 0), (-30, 0), (HOUR, -HOUR), (-HOUR, HOUR), (YEAR, -YEAR), (-YEAR, YEAR), (HOUR + 3, -HOUR - 10)],
)
def test_windows_of_a_wrong_clock_move_once_the_time_is_known(off: float, shift: int) -> None:
    time = Time()
    clock = a_clock(time, off)
    windows = WindowClock(clock)
    base = windows.base
    assert windows.shift(base, 10) == 0, "nobody knows yet"
    sure = []
    clock.when_sure = lambda: sure.append(windows.shift(base, 10))
    clock.learn(DATE, ours=False)
    clock.learn(DATE, ours=True)
    clock.learn(DATE, ours=True)
    assert sure == [shift]

"""Which answers other than 201 are excused."""

from math import inf

import pytest

from tests.soak.times import GRACE_SECONDS, NEW_KEY, Attempt, Outage, Times

DATABASE, REDIS = Outage("database", 10, 20), Outage("redis", 15, 25)
LATE = 20 + GRACE_SECONDS


@pytest.mark.parametrize(
    ("outages", "attempt", "excused"),
    [
        ([], Attempt(16, 17, "c", 503, ""), False),
        ([DATABASE], Attempt(16, 17, "c", 503, ""), False),
        ([REDIS], Attempt(16, 17, "c", 503, ""), False),
        ([DATABASE, REDIS], Attempt(16, 17, "c", 503, ""), True),
        ([DATABASE, REDIS], Attempt(9, 14, "c", 503, ""), False),
        ([DATABASE, REDIS], Attempt(LATE - 1, LATE, "c", 503, ""), True),
        ([DATABASE, REDIS], Attempt(LATE + 1, LATE + 2, "c", 503, ""), False),
        ([Outage("c", 10, inf)], Attempt(16, 17, "c", 0, ""), True),
        ([Outage("c", 10, inf)], Attempt(16, 17, "d", 0, ""), False),
        ([Outage("c", 7, 9), DATABASE], Attempt(16, 17, "c", 503, NEW_KEY), True),
        ([Outage("c", 7, 9), DATABASE], Attempt(16, 17, "c", 503, ""), False),
        ([Outage("c", 1, 2), DATABASE], Attempt(16, 17, "c", 503, NEW_KEY), False),
    ],
)
def test_either_of_the_two_up_means_201(outages: list[Outage], attempt: Attempt, excused: bool) -> None:
    times = Times(outages)
    times.note(attempt)
    assert (times.unexcused() == []) is excused


def test_a_stretch_of_503_ends_with_a_201() -> None:
    times = Times()
    for begun, status in ((1, 503), (2, 0), (3, 503), (5, 201), (6, 503)):
        times.note(Attempt(begun, begun + 0.5, "c", status, ""))
    assert times.longest_refusal == 2.5
    assert times.statuses == {503: 3, 0: 1, 201: 1}


def test_percentiles_leave_out_processes_that_were_away() -> None:
    times = Times([Outage("c", 0, 100)])
    for number in range(1, 101):
        times.note(Attempt(0, number / 100, "d", 201, ""))
    times.note(Attempt(0, 50, "c", 201, ""))
    assert [times.percentile(part) for part in (0.5, 0.99, 1.0)] == [0.51, 1.0, 1.0]
    assert Times().percentile(0.5) == 0


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([("503", 1), ("ready", 2), ("503", 3)], [1.0]),
        ([("503", 1), ("ready", 2), ("503", 3), ("503", 5)], [1.0, 3.0]),
        ([("ready", 1), ("503", 2), ("503", 3)], []),
        ([("503", 1), ("ready", 2), ("201", 3), ("503", 4)], []),
        ([("503", 1), ("ready", 2)], []),
        ([("503", 1), ("ready", 2), ("change", 3), ("503", 4), ("steady", 5), ("503", 6)], []),
        ([("503", 1), ("change", 2), ("ready", 3), ("steady", 4), ("503", 5)], []),
        ([("change", 1), ("steady", 2), ("503", 2.1), ("ready", 3), ("503", 4)], []),
        ([("change", 1), ("steady", 2), ("503", 3), ("ready", 4), ("503", 5)], [1.0]),
    ],
)
def test_ready_between_two_503s_is_wrong(events: list[tuple[str, float]], wrong: list[float]) -> None:
    times = Times()
    for what, at in events:
        if what == "ready":
            times.ready("c", at - 0.5, at, "ready")
        elif what == "change":
            times.change()
        elif what == "steady":
            times.steady(at)
        else:
            times.note(Attempt(at - 0.5, at, "c", int(what), ""))
    assert times.wrong_ready == [("c said ready", seconds) for seconds in wrong]


def test_the_longest_time_without_a_write_leaves_out_rests() -> None:
    times = Times()
    for at in (1, 2, 5):
        times.wrote(at)
    times.rest()
    times.wrote(50)
    times.wrote(52)
    assert times.longest_pause == 3

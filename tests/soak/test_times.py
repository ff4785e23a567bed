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

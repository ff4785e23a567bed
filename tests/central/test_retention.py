"""central/retention.py: where the line belongs, what may be removed and when. test_retention_job.py has the job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.retention import (
    LEASE_SECONDS,
    BusyError,
    Policy,
    RestoreError,
    advanced,
    due,
    leased,
    lowest_line,
    restored,
)
from central.store.retention import Move, State
from protocol.times import format_time

DAY = 86_400
TODAY = 20_499
NOW = TODAY * DAY + 4_000
POLICY = Policy(90, 7)


def day(number: int) -> int:
    """The start of the day ``number`` days ago."""
    return (TODAY - number) * DAY


def daily(first: int, last: int) -> tuple[Move, ...]:
    """Moves of a line of 90 days, one a day, ``first`` to ``last`` days ago."""
    return moves(*((ago, ago + 90) for ago in range(first, last - 1, -1)))


def moves(*pairs: tuple[float, int]) -> tuple[Move, ...]:
    """Moves of the line, each (days ago, line so many days ago)."""
    return tuple(Move(int(NOW - ago * DAY), day(line)) for ago, line in pairs)


@pytest.mark.parametrize(
    ("last_run", "expected"),
    [
        (0, True),
        (NOW - 2 * DAY, True),
        (TODAY * DAY - 1, True),
        (TODAY * DAY, False),
        (NOW, False),
        (NOW + 30 * DAY, True),  # written by a clock that was wrong
    ],
)
def test_a_run_is_due_once_a_utc_day(last_run: int, expected: bool) -> None:
    assert due(State(last_run=last_run), NOW) is expected


@pytest.mark.parametrize(
    ("made", "since", "expected"),
    [
        ((), NOW, 0),
        (moves((0, 90)), NOW, day(90)),
        (moves((0, 90)), NOW - 1, 0),
        (moves((8, 98), (1, 91)), NOW - 7 * DAY, day(98)),
        (moves((8, 98), (5, 95), (3, 120), (1, 91)), NOW - 7 * DAY, day(120)),
        (moves((8, 98), (7, 97)), NOW - 7 * DAY, day(97)),
        (moves((20, 80), (10, 95), (9, 95)), NOW - 7 * DAY, day(95)),
    ],
)
def test_the_lowest_line_is_of_all_that_were_in_force(made: tuple[Move, ...], since: int, expected: int) -> None:
    assert lowest_line(made, since) == expected


@pytest.mark.parametrize(
    ("state", "policy", "line", "dropped"),
    [
        pytest.param(State(), POLICY, day(90), 0, id="first run: all that is old is hidden, nothing removed"),
        pytest.param(
            State(line=day(91), moves=moves((2, 92), (1, 91))), POLICY, day(90), 0, id="within the grace time"
        ),
        pytest.param(
            State(line=day(91), dropped=day(99), moves=daily(8, 1)),
            POLICY,
            day(90),
            day(97),
            id="an ordinary day",
        ),
        pytest.param(
            State(line=day(91), dropped=day(98), moves=moves((8, 98), (1, 91))),
            Policy(30, 7),
            day(30),
            day(98),
            id="fewer days: hidden now, removed after the grace time",
        ),
        pytest.param(
            State(line=day(31), dropped=day(97), moves=moves(*((ago, ago + 30) for ago in range(7, 0, -1)))),
            Policy(30, 7),
            day(30),
            day(37),
            id="... which is over now",
        ),
        pytest.param(
            State(line=day(-110), dropped=day(98), moves=(*daily(8, 0), *moves((-200, -110)))),
            POLICY,
            day(90),
            day(97),
            id="a clock was 200 days ahead for one run: what is due is due, and nothing else",
        ),
        pytest.param(
            State(line=day(90), dropped=day(97), moves=daily(7, 0)),
            Policy(180, 7),
            day(97),
            day(97),
            id="more days: what is still there is shown again",
        ),
        pytest.param(State(moves=moves((1, 91)), line=day(91)), Policy(90, 0), day(90), day(90), id="no grace time"),
        pytest.param(State(), Policy(36_500, 7), 0, 0, id="kept for longer than there is time"),
        pytest.param(
            State(line=day(120), held_until=NOW + 1, dropped=day(130), moves=moves((3, 120))),
            POLICY,
            day(120),
            day(130),
            id="held",
        ),
        pytest.param(
            State(line=day(120), held_until=NOW, dropped=day(130), moves=moves((7, 120))),
            POLICY,
            day(90),
            day(130),
            id="the hold is over: hidden again, and nothing is removed before the line has moved for the grace time",
        ),
        pytest.param(
            State(line=day(60), dropped=day(98), moves=moves((8, 98), (-30, 60))),
            POLICY,
            day(90),
            day(98),
            id="a clock was a month ahead for one run: the line comes back",
        ),
        pytest.param(
            State(line=day(90), dropped=day(98), moves=moves((8, 98), (1, 60), (0, 90))),
            POLICY,
            day(90),
            day(98),
            id="... and nothing that was in sight is removed",
        ),
    ],
)
def test_where_the_line_belongs_and_what_may_be_removed(state: State, policy: Policy, line: int, dropped: int) -> None:
    new = advanced(state, policy, NOW, forced=False)
    assert (new.line, new.dropped) == (line, dropped)


def test_a_clock_that_is_not_trusted_removes_nothing_and_may_hide() -> None:
    state = State(line=day(91), dropped=day(99), moves=daily(8, 1))
    new = advanced(state, POLICY, NOW, forced=True, may_remove=False)
    assert (new.line, new.dropped) == (day(90), day(99))


def test_a_start_with_a_clock_far_ahead_removes_one_days_more_at_most() -> None:
    for ahead in (10, 40, 4000):
        now = NOW + ahead * DAY
        state = State(line=day(90), dropped=day(98), moves=daily(20, 0))
        assert advanced(state, POLICY, now, forced=False).dropped == day(96)


def test_a_person_who_runs_it_ends_a_hold() -> None:
    new = advanced(State(line=day(120), held_until=NOW + DAY, moves=moves((3, 120))), POLICY, NOW, forced=True)
    assert (new.line, new.held_until) == (day(90), 0)


@pytest.mark.parametrize(
    ("state", "days", "line"),
    [
        (State(line=day(90), dropped=day(97)), None, day(97)),
        (State(line=day(90), dropped=day(97)), 97, day(97)),
        (State(line=day(90), dropped=day(97)), 91, day(91)),
        (State(line=day(90)), None, 0),
        (State(line=day(90)), 400, day(400)),
        (State(line=day(90)), 36_500, 0),
    ],
)
def test_a_line_moved_back_is_held_for_the_grace_time(state: State, days: int | None, line: int) -> None:
    new = restored(state, POLICY, NOW, days)
    assert (new.line, new.held_until, new.dropped) == (line, NOW + 7 * DAY, state.dropped)
    assert restored(state, Policy(90, 0), NOW, days).held_until == NOW + DAY


@pytest.mark.parametrize(
    ("state", "days", "says"),
    [
        (
            State(line=day(90), dropped=day(97)),
            98,
            f"points before {format_time(day(97))} are removed; ask for at most 97 days",
        ),
        (State(line=day(90), dropped=day(97)), 90, "the last 90 days are shown already; ask for more days"),
        (State(line=day(90), dropped=day(97)), 8, "the last 90 days are shown already; ask for more days"),
        (State(line=day(97), dropped=day(97)), None, "the last 97 days are shown already; ask for more days"),
        (State(), None, "no day is hidden"),
        (State(), 500, "no day is hidden"),
    ],
)
def test_a_line_goes_back_only_and_only_to_where_data_are(state: State, days: int | None, says: str) -> None:
    with pytest.raises(RestoreError, match=says):
        restored(state, POLICY, NOW, days)


@pytest.mark.parametrize(
    ("owner", "until", "free"),
    [
        ("", 0, True),
        ("other", NOW, True),
        ("other", NOW + 1, False),
        ("other", NOW + LEASE_SECONDS, False),
        ("other", NOW + LEASE_SECONDS + 1, True),  # given by a clock that was ahead
        ("me", NOW + 1, True),
    ],
)
def test_a_lease_is_for_one_until_it_ends(owner: str, until: int, free: bool) -> None:
    state = State(lease_owner=owner, lease_until=until)
    if free:
        assert leased(state, "me", NOW)[5:7] == ("me", NOW + LEASE_SECONDS)
    else:
        with pytest.raises(BusyError):
            leased(state, "me", NOW)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * DAY),
            st.sampled_from(["daily", "forced", "restore"]),
            st.integers(8, 40),
            st.integers(0, 9),
            st.none() | st.integers(1, 60),
        ),
        max_size=40,
    )
)
def test_only_what_was_hidden_for_the_grace_time_is_removed(
    steps: list[tuple[int, str, int, int, int | None]],
) -> None:
    """An oracle that knows for each day when it was last in sight."""
    now, state = NOW, State()
    last_seen = dict.fromkeys(range(TODAY - 200, TODAY + 200), NOW)
    for pause, action, days, grace, back in steps:
        now += pause
        for number in last_seen:
            if number * DAY >= state.line:
                last_seen[number] = now
        policy, old = Policy(days, grace), state
        try:
            state = (
                restored(state, policy, now, back)
                if action == "restore"
                else advanced(state, policy, now, forced=action == "forced")
            )
        except RestoreError:
            continue
        if state.line != old.line:
            state = state._replace(moves=(*state.moves, Move(now, state.line)))
        assert old.dropped <= state.dropped <= state.line
        assert state.line % DAY == state.dropped % DAY == 0
        for number, seen in last_seen.items():
            if old.dropped <= number * DAY < state.dropped:
                assert now - seen >= grace * DAY
                assert number < now // DAY - days

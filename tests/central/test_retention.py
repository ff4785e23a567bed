"""central/retention.py: where the line belongs, what may be removed and when, and the job that does it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.retention import (
    CACHE_SECONDS,
    CHECK_SECONDS,
    LEASE_SECONDS,
    BusyError,
    Policy,
    RestoreError,
    Retention,
    advanced,
    due,
    leased,
    lowest_line,
    restored,
)
from central.store.base import StoreError, StoreUnavailable
from central.store.retention import LINE_MOVES, Entry, Move, Piece, State
from protocol.times import format_time
from tests.central.store_help import Clock

DAY = 86_400
TODAY = 20_499
NOW = TODAY * DAY + 4_000
POLICY = Policy(90, 7)


def day(number: int) -> int:
    """The start of the day ``number`` days ago."""
    return (TODAY - number) * DAY


def moves(*pairs: tuple[float, int]) -> tuple[Move, ...]:
    """Moves of the line, each (days ago, line so many days ago)."""
    return tuple(Move(int(NOW - ago * DAY), day(line)) for ago, line in pairs)


# --- decisions


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
            State(line=day(91), dropped=day(99), moves=moves((8, 98), (7, 97), (1, 91))),
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
            State(line=day(30), dropped=day(97), moves=moves((7, 30))),
            Policy(30, 7),
            day(30),
            day(30),
            id="... which is over now",
        ),
        pytest.param(
            State(line=day(90), dropped=day(97), moves=moves((7, 97), (0, 90))),
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
            day(120),
            id="the hold is over: hidden again, and only removed what was hidden all the time",
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
            f"data exist from {format_time(day(97))} on; ask for at most 97 days",
        ),
        (State(line=day(90), dropped=day(97)), 90, "the last 90 days are in sight already; only more"),
        (State(line=day(90), dropped=day(97)), 8, "the last 90 days are in sight already; only more"),
        (State(line=day(97), dropped=day(97)), None, "the last 97 days are in sight already; only more"),
        (State(), None, "nothing is hidden already; only more"),
        (State(), 500, "nothing is hidden already; only more"),
    ],
)
def test_a_line_goes_back_only_and_only_to_where_data_are(state: State, days: int | None, says: str) -> None:
    with pytest.raises(RestoreError, match=says):
        restored(state, POLICY, NOW, days)


@pytest.mark.parametrize(
    ("owner", "until", "free"), [("", 0, True), ("other", NOW, True), ("other", NOW + 1, False), ("me", NOW + 1, True)]
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
def test_whatever_is_done_only_what_was_hidden_for_the_grace_time_is_removed(
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


# --- the job


@dataclass
class Shelf:
    """A RetentionStore in memory. ``before_replace`` is what another process does in between, ``faults`` what fails."""

    row: State = field(default_factory=State)
    entries: list[Entry] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    reads: int = 0
    before_replace: list[Callable[[], None]] = field(default_factory=list)
    drops: list[Callable[[], None]] = field(default_factory=list)
    fault: Exception | None = None

    async def line(self) -> int:
        self.reads += 1
        return (await self.state()).line

    async def state(self) -> State:
        if self.fault is not None:
            raise self.fault
        found = tuple(Move(entry.at, entry.line) for entry in self.entries if entry.action in LINE_MOVES)
        return self.row._replace(moves=found)

    async def replace(self, old: State, new: State, entries: Sequence[Entry] = ()) -> bool:
        if self.before_replace:
            self.before_replace.pop(0)()
        if old.version != self.row.version:
            return False
        self.row = new._replace(version=old.version + 1)
        self.entries += entries
        return True

    async def log(self, limit: int) -> list[Entry]:
        return self.entries[::-1][:limit]

    async def drop(self, before: int) -> Piece | None:
        if self.drops:
            self.drops.pop(0)()
        if not self.pieces:
            return None
        self.dropped.append(before)
        return self.pieces.pop()

    def change(self, **fields: int | str) -> None:
        """What another process writes."""
        self.row = self.row._replace(version=self.row.version + 1, **fields)  # type: ignore[arg-type]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def job(shelf: Shelf, clock: Clock) -> Retention:
    return Retention(shelf, POLICY, clock=clock, ticks=clock)


async def test_a_run_moves_the_line_and_after_the_grace_time_removes(
    job: Retention, shelf: Shelf, clock: Clock
) -> None:
    shelf.pieces = [Piece(10, "a"), Piece(20, "b")]
    await job.run("one")
    assert (shelf.row.line, shelf.dropped, shelf.row.last_run) == (day(90), [], NOW)
    clock.now += 7 * DAY
    await job.run("two")
    assert (shelf.row.line, shelf.row.dropped, shelf.dropped) == (day(83), day(90), [day(90)] * 2)
    assert shelf.entries == [
        Entry(NOW, "hide", day(90), "one"),
        Entry(NOW + 7 * DAY, "hide", day(83), "two"),
        Entry(NOW + 7 * DAY, "drop", day(90), "two", 30, 2),
    ]
    assert (job.counts.runs, job.counts.rows, job.counts.parts) == (2, 30, 2)
    assert (job.counts.line, job.counts.dropped, shelf.row.lease_owner) == (day(83), day(90), "")


async def test_a_second_run_of_a_day_changes_nothing(job: Retention, shelf: Shelf) -> None:
    await job.run("one")
    before = list(shelf.entries)
    await job.run("two")
    assert shelf.entries == before


async def test_a_restored_line_is_held_against_the_daily_run_and_not_against_a_person(
    job: Retention, shelf: Shelf, clock: Clock
) -> None:
    await job.run("daily", forced=False)
    await job.restore("key 1", 120)
    assert await job.visible_from() == day(120)
    for _ in range(6):
        clock.now += DAY
        await job.run("daily", forced=False)
        assert shelf.row.line == day(120)
    await job.run("key 1")
    assert shelf.row.line == day(84)
    assert [(entry.action, entry.line) for entry in shelf.entries] == [
        ("hide", day(90)),
        ("restore", day(120)),
        ("hide", day(84)),
    ]


async def test_after_its_hold_a_restored_line_moves_on_and_the_grace_time_begins_anew(
    job: Retention, shelf: Shelf, clock: Clock
) -> None:
    await job.run("daily", forced=False)
    await job.restore("key 1", 120)
    clock.now += 7 * DAY
    await job.run("daily", forced=False)
    assert (shelf.row.line, shelf.row.dropped) == (day(83), day(120))
    clock.now += 7 * DAY
    await job.run("daily", forced=False)
    assert (shelf.row.line, shelf.row.dropped) == (day(76), day(83))


async def test_a_restore_that_cannot_be_changes_nothing(job: Retention, shelf: Shelf) -> None:
    with pytest.raises(RestoreError):
        await job.restore("key 1", 10)
    assert (shelf.row, shelf.entries) == (State(), [])


async def test_while_another_process_is_at_it_nothing_is_done(job: Retention, shelf: Shelf, clock: Clock) -> None:
    shelf.change(lease_owner="other", lease_until=NOW + 5)
    with pytest.raises(BusyError):
        await job.run("daily")
    assert (shelf.row.line, shelf.row.lease_owner) == (0, "other")
    clock.now += 5  # it died: its lease has run out
    await job.run("daily")
    assert shelf.row.line == day(90)


async def test_a_change_that_another_process_made_in_between_is_kept(job: Retention, shelf: Shelf) -> None:
    shelf.change(line=day(90))
    shelf.before_replace = [lambda: shelf.change(dropped=day(100))]
    with pytest.raises(RestoreError, match="at most 100 days"):
        await job.restore("key 1", 120)
    await job.restore("key 1", 99)
    assert (shelf.row.line, shelf.row.dropped) == (day(99), day(100))


async def test_a_run_that_breaks_off_is_logged_as_far_as_it_came_and_goes_on_next_time(
    job: Retention, shelf: Shelf, clock: Clock
) -> None:
    def fail() -> None:
        raise StoreError("no space left on device")

    shelf.row = State(line=day(97), dropped=day(97))
    shelf.pieces = [Piece(1, "a"), Piece(2, "b"), Piece(4, "c")]
    shelf.drops = [lambda: None, fail]
    with pytest.raises(StoreError, match="no space"):
        await job.run("daily")
    assert (shelf.entries[-1].action, shelf.entries[-1].rows, shelf.row.last_run) == ("drop", 4, 0)
    assert shelf.row.lease_owner == ""
    await job.run("daily")
    assert (shelf.entries[-1].rows, shelf.pieces, shelf.row.last_run) == (3, [], NOW)


async def test_a_long_run_keeps_its_lease(job: Retention, shelf: Shelf, clock: Clock) -> None:
    seen: list[int] = []

    def take_long() -> None:
        seen.append(shelf.row.lease_until - int(clock.now))
        clock.now += LEASE_SECONDS // 2

    shelf.row = State(line=day(97), dropped=day(97))
    shelf.pieces = [Piece(1, "a")] * 5
    shelf.drops = [take_long] * 5
    await job.run("daily")
    assert seen == [LEASE_SECONDS] * 5


async def test_a_run_whose_lease_was_taken_stops(job: Retention, shelf: Shelf, clock: Clock) -> None:
    def stalled() -> None:
        clock.now += LEASE_SECONDS + 1
        shelf.change(lease_owner="other", lease_until=int(clock.now) + LEASE_SECONDS)

    shelf.row = State(line=day(97), dropped=day(97))
    shelf.pieces = [Piece(1, "a")] * 5
    shelf.drops = [stalled]
    with pytest.raises(BusyError):
        await job.run("daily")
    assert (len(shelf.pieces), shelf.row.lease_owner) == (4, "other")


async def test_runs_of_one_process_come_one_after_the_other(job: Retention, shelf: Shelf) -> None:
    await asyncio.gather(*(job.run(f"key {number}") for number in range(5)))
    assert job.counts.runs == 5
    assert len(shelf.entries) == 1


async def test_the_line_is_read_again_after_some_seconds(job: Retention, shelf: Shelf, clock: Clock) -> None:
    assert await job.visible_from() == 0
    shelf.change(line=day(90))
    assert await job.visible_from() == 0
    clock.now += CACHE_SECONDS
    assert await job.visible_from() == day(90)
    assert await job.visible_from() == day(90)
    assert shelf.reads == 2


async def test_a_line_that_this_process_moved_is_seen_at_once(job: Retention, shelf: Shelf) -> None:
    assert await job.visible_from() == 0
    await job.run("key 1")
    assert await job.visible_from() == day(90)


async def test_a_line_that_cannot_be_read_is_told_and_not_guessed(job: Retention, shelf: Shelf, clock: Clock) -> None:
    await job.visible_from()
    clock.now += CACHE_SECONDS
    shelf.fault = StoreUnavailable("down")
    with pytest.raises(StoreUnavailable):
        await job.visible_from()


async def test_what_is_shown(job: Retention, shelf: Shelf, clock: Clock) -> None:
    assert await job.show() == {
        "retention_days": 90,
        "grace_days": 7,
        "line": None,
        "drop_line": None,
        "held_until": None,
        "last_run": None,
        "log": [],
    }
    await job.run("daily")
    await job.restore("key 7", 95)
    shown = await job.show()
    assert (shown["line"], shown["held_until"]) == (format_time(day(95)), format_time(NOW + 7 * DAY))
    assert shown["last_run"] == format_time(NOW)
    assert [entry["action"] for entry in shown["log"]] == ["restore", "hide"]
    assert shown["log"][0] == {
        "at": format_time(NOW),
        "action": "restore",
        "line": format_time(day(95)),
        "actor": "key 7",
        "rows": 0,
        "parts": 0,
    }
    clock.now += 8 * DAY
    assert (await job.show())["held_until"] is None


class Turns:
    """In the place of sleep: remembers, does what comes next in its script, and at its end stops the loop."""

    def __init__(self, *script: Callable[[], None]) -> None:
        self.script = list(script)
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self.script:
            raise asyncio.CancelledError
        self.script.pop(0)()


async def daily(shelf: Shelf, clock: Clock, *script: Callable[[], None]) -> Retention:
    """The loop, with ``script`` between its turns."""
    turns = Turns(*script)
    job = Retention(shelf, POLICY, clock=clock, ticks=clock, sleep=turns)
    with pytest.raises(asyncio.CancelledError):
        await job.run_daily()
    assert turns.slept == [CHECK_SECONDS] * (len(script) + 1)
    return job


async def test_the_loop_runs_at_start_and_then_once_a_day(shelf: Shelf, clock: Clock) -> None:
    def later(seconds: int) -> Callable[[], None]:
        return lambda: setattr(clock, "now", clock.now + seconds)

    job = await daily(shelf, clock, later(60), later(60), later(DAY), later(60))
    assert job.counts.runs == 2
    assert {entry.actor for entry in shelf.entries} == {"daily"}


async def test_the_loop_leaves_it_to_the_process_that_was_first(shelf: Shelf, clock: Clock) -> None:
    shelf.change(last_run=NOW - 10)
    assert (await daily(shelf, clock)).counts.runs == 0
    shelf.change(last_run=0, lease_owner="other", lease_until=NOW + 9)
    job = await daily(shelf, clock, lambda: shelf.change(lease_owner="", last_run=NOW))
    assert (job.counts.runs, job.counts.failures) == (0, 0)


@pytest.mark.parametrize("fault", [StoreUnavailable("down"), StoreError("full"), RuntimeError("a fault of ours")])
async def test_the_loop_goes_on_after_a_failure_and_counts_it(shelf: Shelf, clock: Clock, fault: Exception) -> None:
    shelf.fault = fault
    job = await daily(shelf, clock, lambda: None, lambda: setattr(shelf, "fault", None))
    assert (job.counts.failures, job.counts.runs, shelf.row.line) == (2, 1, day(90))

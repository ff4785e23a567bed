"""central/retention.py: the job that moves the line and removes, on a store in memory and a clock of the test's."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from central.retention import (
    CACHE_SECONDS,
    CHECK_SECONDS,
    LEASE_SECONDS,
    BusyError,
    RestoreError,
    Retention,
)
from central.store.base import StoreError, StoreUnavailable
from central.store.retention import LINE_MOVES, LogEntry, Move, Piece, State
from protocol.times import format_time
from tests.central.store_help import Clock
from tests.central.test_retention import DAY, NOW, POLICY, day


@dataclass
class Shelf:
    """A RetentionStore in memory. ``before_replace`` is what another process does in between, ``faults`` what fails."""

    row: State = field(default_factory=State)
    entries: list[LogEntry] = field(default_factory=list)
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

    async def replace(self, old: State, new: State, entries: Sequence[LogEntry] = ()) -> bool:
        if self.before_replace:
            self.before_replace.pop(0)()
        if old.version != self.row.version:
            return False
        self.row = new._replace(version=old.version + 1)
        self.entries += entries
        return True

    async def log(self, limit: int) -> list[LogEntry]:
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
    for _ in range(7):
        assert shelf.dropped == []
        clock.now += DAY
        await job.run("two")
    assert (shelf.row.line, shelf.row.dropped, shelf.dropped) == (day(83), day(90), [day(90)] * 2)
    assert shelf.entries == [
        LogEntry(NOW, "hide", day(90), "one"),
        *(LogEntry(NOW + number * DAY, "hide", day(90 - number), "two") for number in range(1, 8)),
        LogEntry(NOW + 7 * DAY, "drop", day(90), "two", 30, 2),
    ]
    assert (job.counts.runs, job.counts.rows, job.counts.parts) == (8, 30, 2)
    assert (job.counts.line, job.counts.dropped, shelf.row.lease_owner) == (day(83), day(90), "")


async def test_a_second_run_of_a_day_changes_nothing(job: Retention, shelf: Shelf) -> None:
    await job.run("one")
    before = list(shelf.entries)
    await job.run("two")
    assert shelf.entries == before


async def test_a_restored_line_is_held_against_the_daily_run_only(job: Retention, shelf: Shelf, clock: Clock) -> None:
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


async def test_after_its_hold_a_restored_line_moves_on_with_a_new_grace_time(
    job: Retention, shelf: Shelf, clock: Clock
) -> None:
    await job.run("daily", forced=False)
    await job.restore("key 1", 120)
    clock.now += 7 * DAY
    await job.run("daily", forced=False)
    assert (shelf.row.line, shelf.row.dropped) == (day(83), 0)
    for _ in range(7):
        clock.now += DAY
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


async def test_a_run_that_breaks_off_is_logged_and_goes_on_next_time(
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


async def test_while_the_clock_is_not_trusted_the_loop_waits(shelf: Shelf, clock: Clock) -> None:
    turns = Turns(*[lambda: None] * 3)
    job = Retention(shelf, POLICY, clock=clock, ticks=clock, sleep=turns)
    trusted = iter([False, False, True, True, True])
    job.may_remove = lambda: next(trusted)
    with pytest.raises(asyncio.CancelledError):
        await job.run_daily()
    assert (job.counts.runs, shelf.row.line) == (1, day(90))


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

"""What store.retention promises, as tests. A store's own test file subclasses RetentionContract beside its fixtures."""

import asyncio
from typing import Final

import pytest

from central.retention import Policy, Retention
from central.store.base import Metric, Row, Store
from central.store.plan import Level, Segment
from central.store.retention import LogEntry, Move, State
from tests.central.store_help import (
    DAY,
    NOW,
    Clock,
    OpenStore,
    ask,
    ask_segments,
    assert_levels_agree,
    brute_force,
    group,
    name,
    plain,
)

LINE: Final = NOW - 6 * DAY
"""A day start, as each line is; nearer than in earnest, so that the days before it have partitions of their own."""
FULL: Final = (LINE - 2 * DAY, NOW + DAY)


async def filled(store: Store) -> tuple[Metric, list[Row]]:
    """A metric with points on both sides of LINE, at its very edge too; folded where the store folds."""
    metric = await name(store, "a", "counter")  # its histograms are not merged in the background
    times = (LINE - DAY, LINE - 3600, LINE - 60, LINE - 1, LINE, LINE + 1, LINE + 3600, NOW - 1)
    rows = [plain(metric, 7 * turn, at) for turn, at in enumerate(times, 1)]
    await store.commit(group(rows))
    await store.tidy(idle=True)
    return metric, rows


async def swept(store: Store, before: int) -> tuple[int, int]:
    """Drop until nothing is left; rows and pieces."""
    rows = pieces = 0
    while piece := await store.retention.drop(before):
        rows, pieces = rows + piece.rows, pieces + 1
    return rows, pieces


class RetentionContract:
    """The row, the log and the pieces."""

    async def test_it_starts_with_nothing_hidden(self, open_store: OpenStore) -> None:
        retention = (await open_store()).retention
        assert (await retention.state(), await retention.line(), await retention.log(9)) == (State(), 0, [])

    async def test_what_is_written_is_read_after_a_restart(self, open_store: OpenStore) -> None:
        store = await open_store()
        new = State(0, LINE, LINE - DAY, NOW + 9, NOW, "me", NOW + 60)
        hidden, dropped = LogEntry(NOW, "hide", LINE, "daily"), LogEntry(NOW, "drop", LINE - DAY, "key 7", 1 << 40, 3)
        assert await store.retention.replace(State(), new, [hidden, dropped])
        await store.close()
        retention = (await open_store()).retention
        assert await retention.state() == new._replace(version=1, moves=(Move(NOW, LINE),))
        assert await retention.line() == LINE
        assert await retention.log(9) == [dropped, hidden]
        assert await retention.log(1) == [dropped]

    async def test_the_moves_of_the_line_are_in_the_order_they_were_made(self, open_store: OpenStore) -> None:
        retention = (await open_store()).retention
        entries = [LogEntry(NOW + 5, "hide", 3, "x"), LogEntry(NOW, "restore", 1, "x"), LogEntry(NOW, "drop", 9, "x")]
        assert await retention.replace(State(), State(), [*entries, LogEntry(NOW - 5, "hide", 2, "x")])
        assert (await retention.state()).moves == (Move(NOW + 5, 3), Move(NOW, 1), Move(NOW - 5, 2))

    async def test_who_comes_second_writes_nothing(self, open_store: OpenStore) -> None:
        retention = (await open_store()).retention
        old = await retention.state()
        assert await retention.replace(old, old._replace(line=LINE), [LogEntry(NOW, "hide", LINE, "first")])
        assert not await retention.replace(old, old._replace(line=7), [LogEntry(NOW, "hide", 7, "second")])
        assert await retention.line() == LINE
        assert [entry.actor for entry in await retention.log(9)] == ["first"]

    async def test_of_many_at_once_one_writes(self, open_store: OpenStore) -> None:
        retention = (await open_store()).retention
        old = await retention.state()
        wrote = await asyncio.gather(
            *(retention.replace(old, old, [LogEntry(NOW, "hide", LINE, f"number {turn}")]) for turn in range(8))
        )
        assert sorted(wrote) == [False] * 7 + [True]
        assert len(await retention.log(9)) == 1
        assert (await retention.state()).version == 1

    @pytest.mark.parametrize("level", ["raw", "minute", "hour"])
    async def test_a_drop_removes_all_before_the_line_and_nothing_after(
        self, open_store: OpenStore, level: Level
    ) -> None:
        store = await open_store()
        metric, rows = await filled(store)
        kept = [row for row in rows if row.recorded_at >= LINE]
        assert (await swept(store, LINE))[1] >= 3
        found = await ask_segments(store, [metric.id], 60, [Segment(level, *FULL)])
        assert sum(bucket.total for bucket in found) == sum(row.value for row in kept)
        assert await ask(store, [metric.id], *FULL, 3600) == brute_force(kept, *FULL, 3600)
        assert await swept(store, LINE) == (0, 0)

    async def test_what_was_dropped_is_gone_after_a_restart_and_the_rest_is_there(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric, rows = await filled(store)
        await swept(store, LINE)
        await store.close()
        store = await open_store()
        await assert_levels_agree(store, [metric.id], [row for row in rows if row.recorded_at >= LINE])

    async def test_a_drop_with_nothing_to_drop_is_none(self, open_store: OpenStore) -> None:
        store = await open_store()
        await filled(store)
        assert await store.retention.drop(LINE - 3 * DAY) is None

    async def test_commits_go_on_while_days_are_dropped(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric, rows = await filled(store)
        fresh: list[Row] = []
        done = asyncio.Event()

        async def write() -> None:
            while not done.is_set() or not fresh:
                fresh.append(plain(metric, 3, NOW))
                await store.commit(group(fresh[-1:]))

        writing = asyncio.create_task(write())
        await swept(store, LINE)
        done.set()
        await writing
        await store.tidy(idle=True)
        await assert_levels_agree(store, [metric.id], [*(row for row in rows if row.recorded_at >= LINE), *fresh])

    async def test_two_processes_that_drop_at_once_harm_nothing(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric, rows = await filled(store)
        await asyncio.gather(swept(store, LINE), swept(store, LINE))
        await assert_levels_agree(store, [metric.id], [row for row in rows if row.recorded_at >= LINE])

    async def test_the_job_hides_and_after_the_grace_time_removes(self, open_store: OpenStore) -> None:
        store, clock = await open_store(), Clock(NOW + 60)
        metric, rows = await filled(store)
        job = Retention(store.retention, Policy(6, 1), clock=clock, ticks=clock)
        await job.run("test")
        assert await job.visible_from() == LINE
        await assert_levels_agree(store, [metric.id], rows)
        clock.now += DAY
        await job.run("test")
        kept = [row for row in rows if row.recorded_at >= LINE]
        await assert_levels_agree(store, [metric.id], kept)
        state = await store.retention.state()
        assert (state.line, state.dropped, state.lease_owner) == (LINE + DAY, LINE, "")
        assert [(entry.action, entry.line) for entry in await store.retention.log(9)] == [
            ("drop", LINE),
            ("hide", LINE + DAY),
            ("hide", LINE),
        ]

"""Rollups of the embedded store: narrow and wide rows, several per minute, and rows of older versions."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.store.base import Row
from central.store.duck.pack import CHECK_SECONDS, PAUSE_SECONDS, pack
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.migrations import load
from central.store.plan import Segment
from protocol.numbers import UNIT
from tests.central.store_help import (
    DAY,
    FAR,
    NOW,
    Clock,
    ask,
    ask_segments,
    assert_levels_agree,
    brute_force,
    group,
    name,
    plain,
)
from tests.examples import examples

NARROW = 10**14 * UNIT
LAST = 10**20 - 1
"""The largest number of the API, in units."""
MINUTES = ("rollup_minute", "rollup_minute_packed", "rollup_minute_wide")
TABLES = ("rollup_minute", "rollup_minute_wide", "rollup_hour")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, clock=Clock(), tail_rows=1)
    await store.open()
    await store.tidy(idle=False)  # nothing to pack: it looks again in an hour, so from now on this only folds
    yield store
    await store.close()


async def rows_of(store: DuckStore, *tables: str) -> list[int]:
    """How many rows each table holds."""
    sql = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables or TABLES)
    return list((await store.engine.read(lambda cursor: cursor.execute(sql).fetchall()))[0])


def summary(value: int, weight: int, low: int, high: int) -> Row:
    return Row(1, NOW, value, weight, low, high)


@pytest.mark.parametrize(
    ("rows", "wide"),
    [
        ([plain(1, NARROW - 1)], 0),
        ([plain(1, NARROW)], 1),
        ([plain(1, 1 - NARROW)], 0),
        ([plain(1, -NARROW)], 1),
        ([plain(1, NARROW - 1), plain(1, 1)], 1),
        ([plain(1, NARROW), plain(1, -NARROW)], 1),
        ([summary(0, NARROW - 1, 0, 0)], 0),
        ([summary(0, NARROW, 0, 0)], 1),
        ([summary(0, UNIT, -NARROW, 0)], 1),
        ([summary(0, UNIT, 0, NARROW)], 1),
        ([plain(1, LAST), plain(1, LAST)], 1),
        ([plain(1, -LAST), plain(1, -LAST)], 1),
    ],
)
async def test_a_minute_is_wide_where_one_of_its_numbers_is(store: DuckStore, rows: Sequence[Row], wide: int) -> None:
    await name(store, "a")
    await store.commit(group(rows))
    await store.tidy(idle=False)
    assert await rows_of(store) == [1 - wide, wide, 1]
    await assert_levels_agree(store, [1], rows)


async def test_each_fold_adds_a_row_a_minute_and_an_answer_is_their_sum(store: DuckStore) -> None:
    await name(store, "a")
    rows = [plain(1, value) for value in (7, -3, NARROW, 5, -LAST)]
    for row in rows:
        await store.commit(group([row]))
        await store.tidy(idle=False)
    assert await rows_of(store) == [3, 2, 1]
    await assert_levels_agree(store, [1], rows)


async def test_a_tail_that_is_not_full_stays_however_long_nobody_writes(tmp_path: Path) -> None:
    store = DuckStore(tmp_path, clock=Clock(), tail_rows=3)
    await store.open()
    await name(store, "a")
    for turn, folded in enumerate((0, 0, 1, 1)):
        await store.commit(group([plain(1, 1)]))
        await store.tidy(idle=True)
        assert await rows_of(store) == [folded, 0, folded], turn
    await assert_levels_agree(store, [1], [plain(1, 1)] * 4)
    await store.close()


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-LAST, LAST) | st.integers(-(2**51), 2**51), min_size=1, max_size=6))
async def test_answers_are_exact_at_any_size(store: DuckStore, values: list[int]) -> None:
    metric = await name(store, "a")
    await store.names.delete("a")
    metric = await name(store, "a")
    rows = [plain(metric, value, NOW + number) for number, value in enumerate(values)]
    await store.commit(group(rows))
    for window in (60, 86_400):
        assert await ask(store, [metric.id], window=window) == brute_force(rows, *FAR, window)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 123).flatmap(lambda bits: st.lists(st.integers(-(2**bits), 2**bits), min_size=1, max_size=6)))
async def test_sums_of_any_size_are_read_exactly(store: DuckStore, totals: list[int]) -> None:
    numbers = [f"{'-' if units < 0 else ''}{abs(units) // UNIT}.{abs(units) % UNIT:04d}" for units in totals]
    rows = ", ".join(f"(1, {NOW + 3600 * at}, 1, {number}, 0, 0)" for at, number in enumerate(numbers))
    put = f"INSERT INTO rollup_hour VALUES {rows}"
    await store.engine.write(lambda handle: handle.execute(f"DELETE FROM rollup_hour; {put}"))
    found = await ask_segments(store, [1], 3600, [Segment("hour", *FAR)])
    assert [bucket.total for bucket in found] == totals


def days_ago(days: int, metric: int = 1, value: int = 1, second: int = 0) -> Row:
    return plain(metric, value, NOW - days * DAY + second)


async def packed(store: DuckStore, before: int = NOW) -> int:
    """Pack all; how many slices there were."""
    slices = 0
    while await store.engine.change(pack, before):
        slices += 1
    return slices


async def test_packing_closed_days_changes_no_answer(store: DuckStore) -> None:
    await name(store, "a")
    await name(store, "b")
    rows: list[Row] = []
    for turn in range(3):
        rows += (fresh := [days_ago(day, metric, 5 - turn, 60 * day) for day in (0, 1, 2) for metric in (1, 2)])
        await store.commit(group(fresh))
        await store.tidy(idle=False)
    before = [await rows_of(store, *MINUTES)]
    assert (before, await packed(store)) == ([[18, 0, 0]], 2)
    assert await rows_of(store, *MINUTES) == [6, 4, 0]
    await assert_levels_agree(store, [1, 2], rows)
    rows.append(late := days_ago(2))
    await store.commit(group([late]))
    await store.tidy(idle=False)
    assert await packed(store) == 1
    assert await rows_of(store, *MINUTES) == [6, 5, 0]
    await assert_levels_agree(store, [1, 2], rows)


async def test_a_day_of_many_names_is_packed_in_slices_by_name(store: DuckStore) -> None:
    await name(store, "a")
    rows = [days_ago(1, metric, metric, 60 * minute) for metric in (1, 2, 3) for minute in range(700)]
    await store.commit(group(rows))
    await store.tidy(idle=False)
    slices = []
    while await store.engine.change(pack, NOW, 1_000):
        slices.append(await rows_of(store, *MINUTES))
    assert slices == [[700, 1_400, 0], [0, 2_100, 0]]
    await assert_levels_agree(store, [1, 2, 3], rows)


async def test_a_packed_minute_whose_sum_is_too_large_is_wide(store: DuckStore) -> None:
    await name(store, "a")
    rows = [days_ago(1, value=NARROW - 1), days_ago(1, value=NARROW - 1)]
    for row in rows:
        await store.commit(group([row]))
        await store.tidy(idle=False)
    assert await packed(store) == 1
    assert await rows_of(store, *MINUTES) == [0, 0, 1]
    await assert_levels_agree(store, [1], rows)


async def test_upkeep_packs_a_slice_at_a_time_and_looks_again_later(tmp_path: Path) -> None:
    clock = Clock()
    store = DuckStore(tmp_path, clock=clock, tail_rows=1)
    await store.open()
    await name(store, "a")
    await store.commit(group([days_ago(1), days_ago(2)]))
    for wait, left in ((0, 1), (0, 1), (PAUSE_SECONDS, 0), (PAUSE_SECONDS, 0)):
        clock.now += wait
        await store.tidy(idle=False)
        assert (await rows_of(store, *MINUTES))[0] == left
    await store.commit(group([days_ago(1)]))
    for wait, left in ((0, 1), (CHECK_SECONDS, 0)):
        clock.now += wait
        await store.tidy(idle=False)
        assert (await rows_of(store, *MINUTES))[0] == left
    await store.close()


async def test_a_file_of_an_older_version_keeps_all_its_points(tmp_path: Path) -> None:
    rows = [plain(1, 5, NOW - 3600), plain(1, LAST, NOW), plain(2, -7, NOW), plain(2, NARROW, NOW + 61)]
    with duckdb.connect(str(tmp_path / FILE_NAME)) as old:
        old.execute("CREATE TABLE migrations (name VARCHAR, checksum VARCHAR, applied_at BIGINT)")
        for migration in load("duckdb")[:3]:
            old.execute(migration.sql)
            old.execute("INSERT INTO migrations VALUES (?, ?, ?)", [migration.name, migration.checksum, NOW])
        old.execute("INSERT INTO metrics VALUES (1, 'a', 'value', 1, 0), (2, 'b', 'value', 1, 0)")
        for row in rows[:3]:
            text = f"{row.value // UNIT}.{row.value % UNIT:04d}" if row.value > 0 else f"-0.{-row.value:04d}"
            old.execute(
                f"INSERT INTO metric_points VALUES ({row.metric_id}, {row.recorded_at}, {text}, NULL, NULL, NULL)"
            )
            for level, seconds in (("minute", 60), ("hour", 3600)):
                bucket = row.recorded_at // seconds * seconds
                old.execute(f"INSERT INTO rollup_{level} VALUES ({row.metric_id}, {bucket}, 1, {text}, {text}, {text})")
        old.execute(f"INSERT INTO tail_points VALUES (2, {NOW + 61}, 100000000000000, NULL, NULL, NULL)")
    store = DuckStore(tmp_path, clock=Clock(), tail_rows=1)
    await store.open()
    assert await rows_of(store) == [2, 1, 3]
    await assert_levels_agree(store, [1, 2], rows)
    await store.tidy(idle=False)
    assert await rows_of(store) == [1, 2, 3]
    await assert_levels_agree(store, [1, 2], rows)
    await store.close()

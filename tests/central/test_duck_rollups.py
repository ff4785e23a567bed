"""Rollups of the embedded store: narrow rows beside wide ones, several a minute, and those of older versions."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.store.base import Row
from central.store.duck import FILE_NAME, DuckStore
from central.store.migrations import load
from protocol.numbers import UNIT
from tests.central.store_help import FAR, NOW, Clock, ask, assert_levels_agree, brute_force, group, name, plain

NARROW = 10**14 * UNIT
LAST = 10**20 - 1
"""The largest number of the API, in units."""
TABLES = ("rollup_minute", "rollup_minute_wide", "rollup_hour")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, clock=Clock(), tail_rows=1)
    await store.open()
    yield store
    await store.close()


async def rows_of(store: DuckStore) -> list[int]:
    """How many rows each table holds."""
    sql = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)
    return list((await store._engine.read(lambda cursor: cursor.execute(sql).fetchall()))[0])


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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-LAST, LAST) | st.integers(-(2**51), 2**51), min_size=1, max_size=6))
async def test_answers_are_exact_at_any_size(store: DuckStore, values: list[int]) -> None:
    metric = await name(store, "a")
    await store.delete_metric("a")
    metric = await name(store, "a")
    rows = [plain(metric, value, NOW + number) for number, value in enumerate(values)]
    await store.commit(group(rows))
    for window in (60, 86_400):
        assert await ask(store, [metric.id], window=window) == brute_force(rows, *FAR, window)


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
    assert await rows_of(store) == [2, 2, 3]
    await assert_levels_agree(store, [1, 2], rows)
    await store.close()

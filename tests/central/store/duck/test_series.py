"""central/store/duck: what only the embedded store has to show of samples with tags."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.store.base import IdGroup
from central.store.duck.store import FILE_NAME, DuckStore
from tests.central.store_contract_tags import assert_groups, assert_spread, series
from tests.central.store_help import DAY, NOW, Clock, group, name, plain, whole


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, clock=Clock(), tail_rows=3)
    await store.open()
    yield store
    await store.close()


async def test_a_backup_holds_series_and_their_samples(store: DuckStore, tmp_path: Path) -> None:
    metric = await name(store, "a")
    red, blue = await series(store, metric, "c:red", "c:blue")
    rows = [plain(metric, value, NOW + value)._replace(series_id=key) for value, key in enumerate((red, 0, blue, red))]
    for row in rows:  # the last one stays in the tail
        await store.commit(group([row]))
        await store.tidy(idle=True)
    folder = tmp_path / "restored"
    folder.mkdir()
    await store.backup(folder / FILE_NAME)
    copy = DuckStore(folder, clock=Clock())
    await copy.open()
    assert await series(copy, metric, "c:blue", "c:red") == [blue, red]
    groups = [IdGroup(1, metric.id, (red,)), IdGroup(2, metric.id, (0, blue)), *whole([metric.id])]
    await assert_groups(copy, groups, rows)
    await assert_spread(copy, groups, rows)
    await copy.close()


async def test_minutes_of_series_are_packed_with_those_of_names(store: DuckStore) -> None:
    metric = await name(store, "a")
    ids = await series(store, metric, *[f"n:{number}" for number in range(9)])
    rows = [
        plain(metric, at, NOW - 2 * DAY + 37 * at)._replace(series_id=key) for at, key in enumerate((*ids, 0, *ids) * 5)
    ]
    groups = [IdGroup(key + 1, metric.id, (key,)) for key in (0, *ids)]
    for seen in (rows[:40], rows):  # the others come late
        await store.commit(group(seen if len(seen) == 40 else rows[40:]))
        await store.tidy(idle=True)
        await assert_groups(store, groups, seen)

"""central/store/duck: what only the embedded store has to show of samples with tags."""

from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest

from central.store.base import IdGroup
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.migrations import load
from central.store.series import FoundSeries, NewSeries, Series, SeriesCaps, TagFilter, TagKey
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


SAME_HASH = ("host:web-284", "host:web-62667")
"""The low 32 bits of their MD5 are equal."""


async def test_tags_with_the_same_hash_are_told_apart(store: DuckStore) -> None:
    metric = await name(store, "a")
    ids = await series(store, metric, *SAME_HASH)
    for tags, key in zip(SAME_HASH, ids, strict=True):
        one = TagFilter("host", tags.removeprefix("host:"))
        assert await store.series.select(metric.id, [one], 0, 9) == [Series(key, tags)]
        assert await store.series.search(None, [one], 1) == [FoundSeries("a", Series(key, tags))]
        others = await store.series.select(metric.id, [one._replace(negated=True)], 0, 9)
        assert [other.id for other in others] == [other for other in ids if other != key]


async def test_tags_of_the_version_before_hashes_are_found(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / FILE_NAME)) as before:
        before.execute("CREATE TABLE migrations (name VARCHAR, checksum VARCHAR, applied_at BIGINT)")
        for migration in load("duckdb"):
            if migration.name >= "0017":
                break
            before.execute(migration.sql)
            before.execute("INSERT INTO migrations VALUES (?, ?, 0)", [migration.name, migration.checksum])
        before.execute("INSERT INTO metrics VALUES (1, 'a', 'value', 0, 0)")
        before.execute("INSERT INTO series VALUES (1073741824, 1, 'env:prod,host:日本', 0)")
        before.execute("INSERT INTO series_tags VALUES (1, 'env', 'prod', 1073741824), (1, 'host', '日本', 1073741824)")
        before.execute("UPDATE last_ids SET id = 1073741825 WHERE of_table = 'series'")
    store = DuckStore(tmp_path, clock=Clock())
    await store.open()
    made = await store.series.resolve([NewSeries(1, "host:new")], SeriesCaps(9, 9), NOW)
    for filters, expected in (
        ([TagFilter("host", "日本")], "env:prod,host:日本"),
        ([TagFilter("env", "prod"), TagFilter("host", "日*")], "env:prod,host:日本"),
        ([TagFilter("host", "new")], "host:new"),
    ):
        found = await store.series.select(1, filters, 0, 9)
        assert [one.tags for one in found] == [expected]
    assert [one.id for one in made.values()] == [1073741825]
    assert await store.series.keys(1) == [TagKey("env", 1), TagKey("host", 2)]
    await store.close()

"""central/store/duck/histograms.py: what only the embedded store has to show of histograms."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.store.duck.histograms import DuckFolding
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.folding import FoldedRow, HistogramFold
from central.store.plan import Level, Segment
from tests.central.store_contract_histograms import assert_spread, at_once, spread, spread_of, summary
from tests.central.store_help import DAY, FAR, NOW, Clock, group, name, plain


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, clock=clock, tail_rows=1)
    await store.open()
    yield store
    await store.close()


async def test_a_backup_holds_histograms(store: DuckStore, tmp_path: Path) -> None:
    metric = await name(store, "a")
    rows = [summary(metric.id, [5, 700]), plain(metric, 9)]
    await store.commit(group(rows))
    folder = tmp_path / "restored"
    folder.mkdir()
    await store.backup(folder / FILE_NAME)
    copy = DuckStore(folder, clock=Clock())
    await copy.open()
    assert await spread(copy, [metric.id]) == spread_of(rows, *FAR, DAY)
    await copy.close()


async def test_queries_read_folded_histograms_and_no_raw_points(store: DuckStore, clock: Clock) -> None:
    metric = await name(store, "a")
    rows = [summary(metric.id, [5, 700], NOW - 3600 + second) for second in (0, 61, 3599)]
    await store.commit(group(rows))
    await store.tidy(idle=True)
    clock.now = NOW + 3600
    await HistogramFold(store.folding, clock, at_once).round()
    await store.engine.write(lambda handle: handle.execute("DELETE FROM metric_points"))
    levels: tuple[Level, ...] = ("minute", "hour")
    for level in levels:
        assert await spread(store, [metric.id], [Segment(level, *FAR)]) == spread_of(rows, *FAR, DAY)


async def test_a_fold_that_a_late_point_overtakes_is_not_used(store: DuckStore, clock: Clock) -> None:
    metric = await name(store, "a")
    rows = [summary(metric.id, [5, 700], NOW - 3600)]
    await store.commit(group(rows))
    await store.tidy(idle=True)
    read, late = asyncio.Event(), asyncio.Event()

    class Overtaken(DuckFolding):
        """Lets a point come in after the step has read the others, and before it writes."""

        async def write(self, hour: int, minutes: list[FoldedRow], hours: list[FoldedRow]) -> None:
            read.set()
            await late.wait()
            await super().write(hour, minutes, hours)

    clock.now = NOW + 3600
    folding = asyncio.create_task(HistogramFold(Overtaken(store.engine), clock, at_once).round())
    await read.wait()
    rows.append(summary(metric.id, [9], NOW - 3590))
    await store.commit(group(rows[1:]))
    await store.tidy(idle=True)
    late.set()
    await folding
    await assert_spread(store, [metric.id], rows)
    await HistogramFold(store.folding, clock, at_once).round()
    assert await store.folding.stale_hours(NOW - DAY, NOW) == []
    await assert_spread(store, [metric.id], rows)


async def test_retention_drops_folded_histograms(store: DuckStore, clock: Clock) -> None:
    metric = await name(store, "a")
    await store.commit(group([summary(metric.id, [5, 700], NOW - 3600), summary(metric.id, [5], NOW + 9 * DAY)]))
    await store.tidy(idle=True)
    clock.now = NOW + 3600
    await HistogramFold(store.folding, clock, at_once).round()
    dropped = []
    while piece := await store.retention.drop(NOW + DAY):
        dropped.append((piece.what, piece.rows))
    assert ("histograms", 2) in dropped, "a minute and an hour"
    assert await spread(store, [metric.id]) == spread_of([summary(metric.id, [5], NOW + 9 * DAY)], *FAR, DAY)

"""central/store/duck/retention.py: the contract, and the faults that only the embedded store has."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.store.base import Store, StoreUnavailable
from central.store.duck.engine import run_commit
from central.store.duck.retention import SLICE_ROWS
from central.store.duck.store import DuckStore
from central.store.plan import Segment
from central.store.retention import LogEntry, State
from tests.central.retention_contract import FULL, LINE, RetentionContract, filled, swept
from tests.central.store.duck.test_store import FAULTS, Fault, Script, fatal_kept, kept
from tests.central.store_help import (
    DAY,
    NOW,
    Clock,
    OpenStore,
    ask_segments,
    assert_levels_agree,
    group,
    migrate_quickly,
    name,
    plain,
)


class TestDuckRetention(RetentionContract):
    @pytest.fixture
    async def open_store(self, tmp_path: Path) -> AsyncIterator[OpenStore]:
        opened: list[DuckStore] = []

        async def open_() -> Store:
            migrate_quickly(tmp_path)
            opened.append(DuckStore(tmp_path, clock=Clock(), tail_rows=1))
            await opened[-1].open()
            return opened[-1]

        yield open_
        for store in opened:
            await store.close()


@pytest.fixture
def commits() -> Script:
    return Script(run_commit)


@pytest.fixture
async def store(tmp_path: Path, commits: Script) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, commit=commits, clock=Clock(), tail_rows=1)
    await store.open()
    yield store
    await store.close()


async def test_few_points_and_minutes_go_at_once_and_hours_in_slices(store: DuckStore) -> None:
    metric = await name(store, "a", "counter")  # its histograms are not merged in the background
    hours = 2 * SLICE_ROWS + 1
    rows = [plain(metric, value, LINE - 3600 * hour) for hour in range(1, hours + 1) for value in (1, 10**18)]
    await store.commit(group(rows))
    await store.tidy(idle=True)
    pieces = [await store.retention.drop(LINE) for _ in range(6)]
    assert pieces == [
        (2 * hours, "metric_points"),
        (hours, "rollup_minute"),
        (SLICE_ROWS, "rollup_hour"),
        (SLICE_ROWS, "rollup_hour"),
        (1, "rollup_hour"),
        None,
    ]


@pytest.mark.parametrize("piece", [1, 3, 7, 1_000])
async def test_a_drop_takes_the_oldest_part_and_all_are_gone_in_the_end(
    store: DuckStore, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("central.store.duck.retention.PIECE_ROWS", piece)
    metric = await name(store, "a")
    old = [plain(metric, value, LINE - seconds) for value, seconds in enumerate((1, 1, 1, 2, 60, 3600, 7 * DAY), 1)]
    kept_rows = [plain(metric, 1, LINE), plain(metric, 2, LINE + 1)]
    await store.commit(group([*old, *kept_rows]))
    await store.tidy(idle=True)
    removed = 0
    while (gone := await store.retention.drop(LINE)) is not None and gone.what == "metric_points":
        removed += gone.rows
    assert removed == len(old)
    await swept(store, LINE)
    await assert_levels_agree(store, [metric.id], kept_rows)


async def test_points_that_were_not_folded_yet_go_too(store: DuckStore) -> None:
    metric = await name(store, "a")
    await store.commit(group([plain(metric, 1, LINE - 1), plain(metric, 2, LINE)]))
    assert await swept(store, LINE) == (1, 1)
    found = await ask_segments(store, [metric.id], DAY, [Segment("minute", *FULL)])
    assert [(bucket.start, bucket.total) for bucket in found] == [(LINE, 2)]
    await store.tidy(idle=True)
    await assert_levels_agree(store, [metric.id], [plain(metric, 2, LINE)])


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_drop_whose_commit_fails_is_done_again(store: DuckStore, commits: Script, fault: Fault) -> None:
    metric, rows = await filled(store)
    for _ in range(3):
        commits.coming = [fault]
        with pytest.raises(StoreUnavailable, match="not known"):
            await store.retention.drop(LINE)
    await swept(store, LINE)
    await assert_levels_agree(store, [metric.id], [row for row in rows if row.recorded_at >= LINE])


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_change_whose_commit_fails_is_whole_or_not_there(
    store: DuckStore, commits: Script, fault: Fault
) -> None:
    commits.coming = [fault]
    with pytest.raises(StoreUnavailable, match="not known"):
        await store.retention.replace(State(), State(line=LINE), [LogEntry(NOW, "hide", LINE, "x")])
    is_in = fault in {kept, fatal_kept}
    assert await store.retention.line() == (LINE if is_in else 0)
    assert len(await store.retention.log(9)) == is_in

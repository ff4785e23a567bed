"""central/store/duck/histograms.py: what only the embedded store has to show of histograms."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.store.duck.store import FILE_NAME, DuckStore
from tests.central.store_contract_histograms import spread, spread_of, summary
from tests.central.store_help import DAY, FAR, Clock, group, name, plain


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

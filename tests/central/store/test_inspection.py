"""central/store/inspection.py: what the doctor reads of series and histograms, in both stores."""

import time
from pathlib import Path

import duckdb
import pytest

from central.store.base import Store
from central.store.duck.inspect import inspect_file
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.folding import HOUR, HistogramFold
from central.store.mysql.inspect import inspect_servers
from central.store.mysql.store import MySQLStore
from tests.central.mysql_help import opened, server_of
from tests.central.store_contract_histograms import at_once
from tests.central.store_contract_tags import series
from tests.central.store_help import Clock, group, name, plain
from tests.servers import MariaDB


async def fill(store: Store, clock: Clock) -> int:
    """Samples with tags and without, of the hour before and of this one, and folded. Returns the id of the name."""
    metric = await name(store, "a")
    red, blue = await series(store, metric, "c:red", "c:blue")
    begin = int(clock.now) // HOUR * HOUR - HOUR
    await store.commit(
        group(
            [
                plain(metric, 5, begin + 90 * step)._replace(series_id=key)
                for step in range(60)
                for key in (0, red, blue)
            ]
        )
    )
    await store.tidy(idle=True)
    assert isinstance(store, DuckStore | MySQLStore)
    await HistogramFold(store.folding, lambda: clock.now + 2 * HOUR, at_once).round()
    return metric.id


CHANGES = {
    "an hour": ("UPDATE rollup_hour SET samples = 1 WHERE metric_id = {id} AND bucket = {hour}", 1, 0),
    "an hour that is gone": ("DELETE FROM rollup_hour WHERE metric_id = {id} AND bucket = {hour}", 1, 0),
    "a minute": ("UPDATE rollup_minute SET samples = 1 WHERE metric_id = {id} AND bucket = {hour}", 1, 0),
    "a histogram of an hour": ("UPDATE histogram_hour SET samples = 1 WHERE metric_id = {id}", 0, 2),
    "a histogram of a minute": (
        "UPDATE histogram_minute SET samples = 1 WHERE metric_id = {id} AND bucket = {hour}",
        0,
        1,
    ),
    "histograms of minutes that say nothing": ("UPDATE histogram_minute SET histogram = 'x'", 0, 180),
}
"""What somebody does to the tables, and how many faults of series and of histograms are seen then."""
CHANGES_PACKED = CHANGES | {
    "a histogram of a minute": ("UPDATE histogram_minute_packed SET samples = 1 WHERE metric_id = {id}", 0, 2),
    "histograms of minutes that say nothing": ("UPDATE histogram_minute_packed SET histograms = 'x'", 0, 6),
}
"""The same where the minutes of an hour are one row."""


@pytest.mark.parametrize("change", CHANGES)
async def test_the_embedded_store_is_compared_with_itself(tmp_path: Path, change: str) -> None:
    clock, (statement, bad_series, bad_histograms) = Clock(int(time.time())), CHANGES[change]
    store = DuckStore(tmp_path, clock=clock, tail_rows=1)
    await store.open()
    metric_id = await fill(store, clock)
    await store.close()
    state = inspect_file(tmp_path / FILE_NAME)
    assert (state.bad_series, state.bad_histograms) == (0, 0)
    with duckdb.connect(str(tmp_path / FILE_NAME)) as handle:
        handle.execute(statement.format(id=metric_id, hour=int(clock.now) // HOUR * HOUR - HOUR))
    state = inspect_file(tmp_path / FILE_NAME)
    assert (state.bad_series, state.bad_histograms) == (bad_series, bad_histograms)


@pytest.mark.parametrize("change", CHANGES_PACKED)
async def test_mysql_is_compared_with_itself(mariadb: MariaDB, database: str, change: str) -> None:
    clock, (statement, bad_series, bad_histograms) = Clock(int(time.time())), CHANGES_PACKED[change]
    async with opened(mariadb, database, clock=clock) as store:
        metric_id = await fill(store, clock)
        state = await inspect_servers([server_of(mariadb, database)])
        assert (state.bad_series, state.bad_histograms) == (0, 0)
        hour = f"FROM_UNIXTIME({int(clock.now) // HOUR * HOUR - HOUR})"
        mariadb.run(f"SET STATEMENT time_zone = '+00:00' FOR {statement.format(id=metric_id, hour=hour)}", database)
        state = await inspect_servers([server_of(mariadb, database)])
        assert (state.bad_series, state.bad_histograms) == (bad_series, bad_histograms)

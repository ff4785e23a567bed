"""Stores of version 0.1.0 with their data: they open, answer as before, take histograms, and fold their last days.

tests/data/stores has an embedded store after migration 0006 and a dump of a MySQL database after 0002. Both hold ROWS
and a request id; the embedded one has the last two rows in its tail.
"""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from central.store.base import IdGroup, RejectedPoint, Remembered, Row, Store
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.folding import HistogramFold
from central.store.mysql.store import MySQLStore
from protocol.numbers import UNIT
from tests.central.mysql_help import opened
from tests.central.store_contract_histograms import assert_spread, at_once, summary
from tests.central.store_contract_tags import assert_groups, series
from tests.central.store_help import DAY, FAR, NOW, Clock, ask, assert_levels_agree, brute_force, group, plain
from tests.servers import MariaDB, program

STORES = Path(__file__).parents[2] / "data" / "stores"
VALUE, COUNTER = 2, 1
ROWS = [
    Row(VALUE, NOW - 3 * DAY, 5 * UNIT, None, None, None),
    Row(VALUE, NOW - 3 * DAY + 61, 7 * UNIT, None, None, None),
    Row(VALUE, NOW - 3 * DAY + 62, -3 * UNIT, None, None, None),
    Row(VALUE, NOW - 3600, 60 * UNIT, 3 * UNIT, 10 * UNIT, 30 * UNIT),
    Row(COUNTER, NOW - 3600, 12 * UNIT, None, None, None),
    Row(VALUE, NOW - 60, 9 * UNIT, None, None, None),
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def duck(tmp_path: Path, clock: Clock) -> AsyncIterator[DuckStore]:
    content = zstandard.decompress((STORES / "duckdb-6.zst").read_bytes())
    (tmp_path / FILE_NAME).write_bytes(content)
    store = DuckStore(tmp_path, clock=clock, tail_rows=1)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def mysql(mariadb: MariaDB, database: str, clock: Clock) -> AsyncIterator[MySQLStore]:
    where = [f"--host={mariadb.host}", f"--port={mariadb.port}", f"--user={mariadb.user}"]
    with (STORES / "mysql-2.sql").open("rb") as file:
        subprocess.run([program("mysql"), "--no-defaults", *where, database], stdin=file, check=True)  # noqa: ASYNC221
    async with opened(mariadb, database, clock=clock) as store:
        yield store


async def answers_and_goes_on(store: DuckStore | MySQLStore, clock: Clock) -> None:
    """What both stores must do after the upgrade."""
    found = await store.names.find(["old.value", "old.counter"])
    assert {name: (metric.id, metric.kind) for name, metric in found.items()} == {
        "old.value": (VALUE, "value"),
        "old.counter": (COUNTER, "counter"),
    }
    assert await store.find_requests([b"i" * 16]) == {b"i" * 16: Remembered(b"f" * 16, None)}
    rows = list(ROWS)
    await assert_same(store, rows)
    rows += [summary(VALUE, [5, 700], NOW - 3601), summary(VALUE, [9 * UNIT], NOW - 60)]
    await store.commit(group(rows[-2:]))
    await assert_same(store, rows)
    await store.tidy(idle=True)
    clock.now += 3600
    await HistogramFold(store.folding, clock, at_once).round()
    assert await store.folding.stale_hours(NOW - 6 * DAY, NOW) == [], "the days before the upgrade are folded too"
    await assert_same(store, rows)
    old = found["old.value"]
    (red,) = await series(store, old, "c:red")
    rows.append(plain(old, 4 * UNIT, NOW - 3 * DAY)._replace(series_id=red))
    await store.commit(group(rows[-1:]))
    await assert_groups(store, [IdGroup(1, VALUE, (0,)), IdGroup(2, VALUE, (red,))], rows)
    await assert_same(store, rows)
    aside = group()
    aside.rejected = [RejectedPoint("old.value", "counter", NOW, UNIT, UNIT, 1, 1, "X", "c:red", rows[-2].histogram)]
    await store.commit(aside)
    assert await store.count_rejected() == 1


async def assert_same(store: Store, rows: list[Row]) -> None:
    """Sums and percentiles are those of the rows."""
    await assert_levels_agree(store, [VALUE, COUNTER], rows)
    await assert_spread(store, [VALUE], [row for row in rows if row.metric_id == VALUE])
    assert await ask(store, [VALUE, COUNTER]) == brute_force(rows, *FAR, DAY)


async def test_an_embedded_store_of_before_goes_on(duck: DuckStore, clock: Clock) -> None:
    assert "0010_histograms" in duck.applied
    await answers_and_goes_on(duck, clock)


async def test_a_mysql_database_of_before_goes_on(mysql: MySQLStore, clock: Clock) -> None:
    assert "0006_histograms" in mysql.applied
    await answers_and_goes_on(mysql, clock)

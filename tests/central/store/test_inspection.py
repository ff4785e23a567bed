"""central/store/inspection.py: what the doctor reads of samples with tags, in both stores."""

from pathlib import Path

import duckdb

from central.store.base import Store
from central.store.duck.inspect import inspect_file
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.mysql.inspect import inspect_server
from tests.central.mysql_help import opened, server_of
from tests.central.store_contract_tags import series
from tests.central.store_help import NOW, Clock, group, name, plain
from tests.servers import MariaDB


async def fill(store: Store) -> int:
    """Samples with tags and without, of two hours. Returns the id of the name."""
    metric = await name(store, "a")
    red, blue = await series(store, metric, "c:red", "c:blue")
    await store.commit(
        group(
            [plain(metric, 5, NOW + 60 * step)._replace(series_id=key) for step in range(60) for key in (0, red, blue)]
        )
    )
    await store.tidy(idle=True)
    return metric.id


async def test_series_of_the_embedded_store_are_compared_with_their_name(tmp_path: Path) -> None:
    store = DuckStore(tmp_path, clock=Clock(), tail_rows=1)
    await store.open()
    metric_id = await fill(store)
    await store.close()
    assert inspect_file(tmp_path / FILE_NAME).bad_series == 0
    with duckdb.connect(str(tmp_path / FILE_NAME)) as handle:
        handle.execute(f"UPDATE rollup_hour SET samples = 1 WHERE metric_id = {metric_id} AND bucket >= {NOW}")
    assert inspect_file(tmp_path / FILE_NAME).bad_series == 1


async def test_series_in_mysql_are_compared_with_their_name(mariadb: MariaDB, database: str) -> None:
    async with opened(mariadb, database) as store:
        metric_id = await fill(store)
        assert (await inspect_server(server_of(mariadb, database))).bad_series == 0
        mariadb.run(f"DELETE FROM rollup_hour WHERE metric_id = {metric_id} LIMIT 1", database)
        assert (await inspect_server(server_of(mariadb, database))).bad_series == 1

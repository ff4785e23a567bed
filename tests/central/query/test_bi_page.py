"""docs/bi.md: its queries run in the stores that they are for, and give the numbers of the API."""

import asyncio
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.central.harness import Central, now_text, running
from tests.central.mysql_help import environ_of
from tests.doc_pages import blocks, pages
from tests.servers import MariaDB

BY_DAY, GRANTS, SLOWEST, BY_HOUR_OF_DAY, BY_ENDPOINT, LARGEST, AS_CSV = (
    block.text for block in blocks("docs/bi.md") if block.language == "sql"
)


async def send(central: Central) -> None:
    at = now_text(-60)
    sent: dict[str, list[float]] = {
        "api.requests": [3, 5],
        "api.duration": [7],
        "shop.orders": [1, 1],
        "shop.revenue": [19.99],
    }
    cart = {"tags": {"endpoint": "/cart", "env": "prod"}}
    items = [
        {"name": name, "type": "counter", "value": value, "recorded_at": at} | (cart if name == "shop.orders" else {})
        for name, values in sent.items()
        for value in values
    ]
    reply = await central.batch(*items)
    assert reply.json["rejected"] == 0, reply.text


async def test_the_queries_for_mysql_run_and_so_do_the_grants(mariadb: MariaDB, database: str, tmp_path: Path) -> None:
    async with running(tmp_path, environ_of(mariadb, database)) as central:
        await send(central)
    rows = mariadb.run(BY_DAY, database)
    assert [(row[0], row[2], row[3], row[4]) for row in rows] == [("api.duration", 1, 7, 7), ("api.requests", 2, 4, 5)]
    assert not list(mariadb.run(SLOWEST, database)), "the hour is not over"
    ((_, orders, revenue),) = mariadb.run(BY_HOUR_OF_DAY, database)
    assert (orders, revenue) == (2, Decimal("19.99"))
    assert [(endpoint, orders) for endpoint, _, orders in mariadb.run(BY_ENDPOINT, database)] == [("/cart", 2)]
    statements = GRANTS.replace("'bi'@", f"'{database}'@").replace("ON metrics.", f"ON {database}.").split(";")
    try:
        for statement in filter(str.strip, statements):
            mariadb.run(statement)
        assert mariadb.run(f"SHOW GRANTS FOR '{database}'@'%'")
    finally:
        mariadb.run(f"DROP USER '{database}'@'%'")


async def backup_of(central: Central, file: Path) -> None:
    async with central.http.get(f"{central.url}/api/admin/backup", headers={"X-API-Key": central.key}) as answer:
        assert answer.status == 200
        await asyncio.to_thread(file.write_bytes, await answer.read())


async def test_the_queries_for_a_backup_run_and_see_what_is_not_folded_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "metrics.duckdb"
    async with running(tmp_path / "data") as central:
        await send(central)
        await backup_of(central, file)
    with duckdb.connect(str(file), read_only=True) as backup:
        totals = {name: total for name, _, total in backup.sql(LARGEST).fetchall()}
        backup.execute(AS_CSV)
        ((samples,),) = backup.sql("SELECT count FROM metrics_by_minute WHERE name = 'api.requests'").fetchall()
    assert totals == {"api.requests": 8, "api.duration": 7, "shop.orders": 2, "shop.revenue": Decimal("19.99")}
    assert samples == 2
    header, *lines = (tmp_path / "minutes.csv").read_text().splitlines()
    assert (header, len(lines)) == ("name,minute,count,sum", 4)


async def test_the_views_of_a_backup_add_rollups_and_tail(tmp_path: Path) -> None:
    file = tmp_path / "metrics.duckdb"
    at = now_text(-60)
    async with running(tmp_path / "data") as central:
        await central.batch({"name": "a", "type": "value", "value": -1, "recorded_at": at})
        await central.value("wide", "9999999999999999.9999")
    async with running(tmp_path / "data") as central:  # a stop folds the tail
        await central.value("wide", "9999999999999999.9999")
        summary = {"value": 10.5, "count": 3, "min": 2, "max": 4.25}
        await central.batch({"name": "a", "type": "value", "recorded_at": at, **summary})
        await backup_of(central, file)
    with duckdb.connect(str(file), read_only=True) as backup:
        for view, column, start in (("metrics_by_hour", "hour", at[:13]), ("metrics_by_minute", "minute", at[:16])):
            ((name, kind, moment, *numbers),) = backup.sql(f"SELECT * FROM {view} WHERE name = 'a'").fetchall()
            assert (name, kind, moment.isoformat()[: len(start)]) == ("a", "value", start), column
            assert numbers == [Decimal(4), Decimal("9.5"), Decimal(-1), Decimal("4.25")]
            ((total,),) = backup.sql(f"SELECT sum(sum) FROM {view} WHERE name = 'wide'").fetchall()
            assert total == 2 * Decimal("9999999999999999.9999")


TAGS = {"b": "x", "a": "é"}


async def test_the_views_of_series_say_what_the_api_says(mariadb: MariaDB, database: str, tmp_path: Path) -> None:
    at = now_text(-60)
    item = {"name": "a", "type": "value", "recorded_at": at}
    expected = [("a", "value", "a:é,b:x", Decimal(2), Decimal(2), Decimal(-3), Decimal(5))]
    columns = "name, type, tags, count, sum, min, max"
    async with running(tmp_path / "mysql", environ_of(mariadb, database)) as central:
        await central.batch(*({**item, "value": value, "tags": TAGS} for value in (5, -3)), {**item, "value": 9})
    file = tmp_path / "metrics.duckdb"
    async with running(tmp_path / "duck") as central:
        await central.batch({**item, "value": 5, "tags": TAGS}, {**item, "value": 9})
    async with running(tmp_path / "duck") as central:  # a stop folds the tail
        await central.batch({**item, "value": -3, "tags": TAGS})
        await backup_of(central, file)
    with duckdb.connect(str(file), read_only=True) as backup:
        for view, start in (("series_by_hour", "hour"), ("series_by_minute", "minute")):
            assert list(mariadb.run(f"SELECT {columns} FROM {view}", database)) == expected
            assert backup.sql(f"SELECT {columns} FROM {view}").fetchall() == expected
            ((moment,),) = backup.sql(f"SELECT {start} FROM {view}").fetchall()
            assert moment.isoformat()[:13] == at[:13]


def test_no_other_page_has_sql_that_nobody_runs() -> None:
    """test_mysql_api.py runs what operations.md grants; test_restore.py and replication.py what the other page does."""
    assert {page for page in pages() for block in blocks(page) if block.language == "sql"} == {
        "docs/bi.md",
        "docs/high-availability.md",
        "docs/operations.md",
    }

"""Large groups in MySQL: LOAD DATA LOCAL stores what INSERT would, or the group is not stored at all."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from central.store.base import Group, Refused, Row
from central.store.mysql.connection import LEFT_OUT, ServerError, Session, connect
from central.store.mysql.partitions import TABLES, partition_name
from central.store.mysql.store import MySQLStore
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.mysql_help import opened, server_of
from tests.central.store_help import DAY, NOW, TODAY, assert_levels_agree, group, name, plain
from tests.servers import MariaDB

STORED = (
    "SELECT metric_id, recorded_at, id, value, samples, min_value, max_value, created_at IS NULL FROM metric_points",
    "SELECT * FROM rollup_minute",
    "SELECT * FROM rollup_hour",
)


@pytest.fixture
async def store(mariadb: MariaDB, database: str) -> AsyncIterator[MySQLStore]:
    async with opened(mariadb, database) as made:
        yield made


@contextmanager
def without_load(mariadb: MariaDB) -> Iterator[None]:
    """The server as MySQL 8 comes: it takes no LOAD DATA LOCAL."""
    mariadb.run("SET GLOBAL local_infile = OFF")
    try:
        yield
    finally:
        mariadb.run("SET GLOBAL local_infile = ON")


def samples(first: int, *more: int) -> list[Row]:
    """Many samples of a few names, over some minutes and two hours, with the widest numbers among them."""
    values = itertools.cycle([0, 1, -1, 15_000, -120_000, MAX_UNITS, -MAX_UNITS])
    ids = (first, *more)
    return [plain(ids[number % len(ids)], next(values), NOW + 3540 + number) for number in range(700)]


def summaries(first: int, *more: int) -> list[Row]:
    """The same, every third a summary."""
    return [
        row._replace(weight=33_333, low=min(row.value, -5), high=max(row.value, UNIT)) if number % 3 == 0 else row
        for number, row in enumerate(samples(first, *more))
    ]


def one_bucket(first: int, *more: int) -> list[Row]:
    """All in one minute."""
    return [plain(first, number) for number in range(900)]


@pytest.mark.parametrize("rows_of", [samples, summaries, one_bucket])
async def test_loaded_and_inserted_the_same_is_stored(
    mariadb: MariaDB, database: str, store: MySQLStore, rows_of: Callable[..., list[Row]]
) -> None:
    metrics = [await name(store, text) for text in ("a", "b", "c")]
    rows = rows_of(*(metric.id for metric in metrics))
    await store.commit(group(rows))
    wanted = Group(b"\x01" * 16, TODAY, [], rows)
    await store.commit(wanted)
    await assert_levels_agree(store, [metric.id for metric in metrics], rows * 2)
    loaded = [sorted(mariadb.run(sql, database)) for sql in STORED]
    for table in ("metric_points", "rollup_minute", "rollup_hour", "request_ids"):
        mariadb.run(f"DELETE FROM {table}", database)
    with without_load(mariadb):
        async with opened(mariadb, database) as plain_store:
            await plain_store.commit(group(rows))
            await plain_store.commit(wanted)
    inserted = [sorted(mariadb.run(sql, database)) for sql in STORED]
    assert inserted[1:] == loaded[1:]
    ours = wanted.id[0] << 56 >> 1
    assert [row for row in inserted[0] if row[2] >> 55 == ours >> 55] == [
        row for row in loaded[0] if row[2] >> 55 == ours >> 55
    ]


async def test_a_point_whose_key_is_taken_stores_nothing_of_its_group(
    mariadb: MariaDB, database: str, store: MySQLStore
) -> None:
    metric = await name(store, "a")
    rows = samples(metric.id)
    wanted = group(rows)
    taken = int.from_bytes(wanted.id[:8], "big") >> 21 << 20
    mariadb.run(
        f"INSERT INTO metric_points (metric_id, recorded_at, id, value) VALUES"
        f" ({metric.id}, CONVERT_TZ(FROM_UNIXTIME({rows[5].recorded_at}), @@time_zone, @@time_zone), {taken + 5}, 1)",
        database,
    )
    with pytest.raises(Refused, match="Duplicate entry"):
        await store.commit(wanted)
    assert mariadb.run("SELECT COUNT(*) FROM metric_points", database) == ((1,),)
    assert mariadb.run("SELECT COUNT(*) FROM rollup_hour", database) == ((0,),)
    assert mariadb.run("SELECT COUNT(*) FROM request_ids", database) == ((0,),)


@pytest.mark.parametrize("table", TABLES)
async def test_a_missing_partition_heals_and_a_large_group_goes_in_once(
    mariadb: MariaDB, database: str, store: MySQLStore, table: str
) -> None:
    metric = await name(store, "a")
    gone = ", ".join(partition_name(day) for day in range(TODAY - 1, TODAY + 8))
    mariadb.run(f"ALTER TABLE {table} DROP PARTITION {gone}", database)
    rows = [*samples(metric.id), plain(metric, 5, NOW - DAY)]
    await store.commit(group(rows))
    await assert_levels_agree(store, [metric.id], rows)


async def test_a_server_that_takes_no_load_any_more_gets_inserts(
    mariadb: MariaDB, database: str, store: MySQLStore
) -> None:
    metric = await name(store, "a")
    rows = samples(metric.id)
    await store.commit(group(rows))
    with without_load(mariadb):
        await store.commit(group(rows))
    await store.commit(group(rows))
    await assert_levels_agree(store, [metric.id], rows * 3)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (b"1,5\n2,6\n", ((1, 5), (2, 6))),
        (b"1,5\n1,6\n", None),
        (b"1,x\n", None),
        (b"1\n", None),
        (b"1,5,7\n", None),
        (b"1,300\n", None),
        (b"1,5\n\n", None),
    ],
)
async def test_a_value_that_the_server_would_change_is_an_error(
    mariadb: MariaDB, database: str, text: bytes, stored: tuple[tuple[int, int], ...] | None
) -> None:
    mariadb.run("CREATE TABLE small (id INT PRIMARY KEY, value TINYINT NOT NULL)", database)
    connection = await connect(server_of(mariadb, database), Session())
    sql = "LOAD DATA LOCAL INFILE 'small' INTO TABLE small FIELDS TERMINATED BY ','"
    try:
        await connection.run("BEGIN")
        if stored is None:
            with pytest.raises(ServerError) as caught:
                await connection.run_all([sql], [text])
            assert caught.value.code == LEFT_OUT
        else:
            await connection.run_all([sql], [text])
            await connection.run("COMMIT")
            assert mariadb.run("SELECT * FROM small", database) == stored
        assert list(await connection.rows("SELECT 7")) == [(7,)]
    finally:
        connection.close()


async def test_a_file_that_the_server_asks_for_is_never_sent(mariadb: MariaDB, database: str) -> None:
    mariadb.run("CREATE TABLE stolen (line TEXT)", database)
    connection = await connect(server_of(mariadb, database), Session())
    try:
        await connection.run(f"LOAD DATA LOCAL INFILE '{__file__}' INTO TABLE stolen")
        assert mariadb.run("SELECT COUNT(*) FROM stolen", database) == ((0,),)
    finally:
        connection.close()

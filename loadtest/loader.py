"""Loads 100 million points in minutes: past the API, into the schema that central makes, as central would store them.

The embedded store gets its points through central's own tail, folds and packing, so that they lie in the file as they
would after days of ingest. MariaDB gets them in key order, a day's partition at a time, over two sessions.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import duckdb
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from central.store.base import Caps, NewName, Store
from central.store.duck import sql as duck_sql
from central.store.duck.pack import pack
from central.store.duck.store import FILE_NAME, TAIL_ROWS, DuckStore
from central.store.mysql.connection import Server
from central.store.mysql.store import MySQLStore
from loadtest.dataset import DAY, Dataset, value
from protocol.limits import ID_DAYS
from tests.servers import MariaDB

_CAPS: Final = Caps(2_000_000_000, 2_000_000_000)
_BLOCK: Final = 1_000_000
_FOLDS_PER_CHECKPOINT: Final = 50
_ROLLUPS: Final = tuple(
    f"INSERT INTO rollup_{level} (metric_id, bucket, samples, total, min_value, max_value)"
    f" SELECT metric_id, FROM_UNIXTIME(UNIX_TIMESTAMP({at}) DIV {seconds} * {seconds}) AS start, {numbers}"
    f" FROM {source} WHERE metric_id >= {{0}} AND metric_id < {{1}}"
    f" AND {at} >= FROM_UNIXTIME({{2}}) AND {at} < FROM_UNIXTIME({{3}}) GROUP BY metric_id, start"
    for level, seconds, source, at, numbers in (
        ("minute", 60, "metric_points", "recorded_at", "COUNT(*), SUM(value), MIN(value), MAX(value)"),
        ("hour", 3600, "rollup_minute", "bucket", "SUM(samples), SUM(total), MIN(min_value), MAX(max_value)"),
    )
)
"""What sums a block up; to be filled with its names and times, first and end of each."""
Done = Callable[[int], None]
"""A function that the loader calls with the number of points loaded so far."""


def progress() -> Progress:
    """A bar of points with the time that is left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


async def load_duckdb(folder: Path, data: Dataset, done: Done) -> None:
    """Make the embedded store in ``folder``."""
    store = DuckStore(folder)
    await store.open()
    await _make_names(store, data)
    await store.close()
    with duckdb.connect(str(folder / FILE_NAME), config={"threads": 1}) as handle:
        handle.execute("SET checkpoint_threshold = '1TB'")
        at_once = max(TAIL_ROWS // data.names, 1)
        for turn, first in enumerate(range(0, data.per_name, at_once)):
            last = min(first + at_once, data.per_name)
            handle.execute(
                f"INSERT INTO tail_points SELECT n, {data.at('i')},"
                f" {value('i', 'n')}::DECIMAL(14, 0) * 0.01::DECIMAL(2, 2), NULL, NULL, NULL"
                f" FROM range({first}, {last}) AS points(i), range(1, {data.names + 1}) AS names(n)"
            )
            handle.execute(duck_sql.FOLD)
            handle.execute("COMMIT")
            if turn % _FOLDS_PER_CHECKPOINT == 0:
                handle.execute("CHECKPOINT")
            done((last - first) * data.names)
        packs = True
        while packs:
            handle.execute("BEGIN")
            packs = pack(handle, data.end)
            handle.execute("COMMIT")


async def load_mariadb(mariadb: MariaDB, database: str, data: Dataset, done: Done) -> None:
    """Make the tables in ``database``, which must exist. Needs MariaDB's sequence engine."""
    server = Server(mariadb.host, mariadb.port, database, mariadb.user)
    store = MySQLStore(server, clock=lambda: float(data.start + ID_DAYS * DAY))  # so that its partitions begin there
    try:
        await store.open()
        await _make_names(store, data)
    finally:
        await store.close()
    names_at_once = max(_BLOCK * data.days // data.per_name, 1)
    blocks = [
        (day, name, min(name + names_at_once, data.names + 1))
        for day in range(data.days)
        for name in range(1, data.names + 1, names_at_once)
    ]

    def load(block: tuple[int, int, int]) -> None:
        day, first, end = block
        with mariadb.connect(database) as connection, connection.cursor() as cursor:
            for sql in _block_sql(data, day, first, end):
                cursor.execute(sql)
        done((data.first(day + 1) - data.first(day)) * (end - first))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(load, blocks))


def _block_sql(data: Dataset, day: int, first: int, end: int) -> list[str]:
    """Points and rollups of some names over a day."""
    points = f"seq_{data.first(day)}_to_{data.first(day + 1) - 1}"
    seconds = data.at("i.seq").replace("//", "DIV")
    return [
        "SET time_zone = '+00:00', unique_checks = 0",
        "INSERT INTO metric_points (metric_id, recorded_at, id, value)"
        f" SELECT n.seq, FROM_UNIXTIME({seconds}), i.seq, {value('i.seq', 'n.seq')} * 0.01"
        f" FROM seq_{first}_to_{end - 1} AS n STRAIGHT_JOIN {points} AS i",
        *(sql.format(first, end, data.start + day * DAY, data.start + (day + 1) * DAY) for sql in _ROLLUPS),
    ]


async def _make_names(store: Store, data: Dataset) -> None:
    """The names, whose ids are then 1, 2, 3 ..."""
    for first in range(1, data.names + 1, 1_000):
        numbers = range(first, min(first + 1_000, data.names + 1))
        wanted = [NewName(data.name(number), "value", 1) for number in numbers]
        found = await store.names.resolve(wanted, _CAPS, data.start)
        wrong = [new.name for number, new in zip(numbers, wanted, strict=True) if found[new.name].id != number]
        if wrong:
            raise RuntimeError(f"the store is not empty: {wrong[0]} has an id already")

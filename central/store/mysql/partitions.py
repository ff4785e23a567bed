"""Daily partitions: pYYYYMMDD holds the rows of that UTC day. The next days' partitions are made in advance.

Partitions are added only at the end of a table. If somebody drops one in the middle, nothing needs repair: its day's
rows go to the next partition and are removed with it.
"""

import asyncio
import datetime
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from central.store.base import StoreError
from central.store.mysql.connection import AGAIN, Connection, ServerError
from protocol.limits import ID_DAYS

BEFORE: Final = ID_DAYS
AHEAD: Final = 7
"""How many days before and after today have partitions."""
FARTHEST: Final = 31
"""No partition is made for a day further ahead than this: a wrong clock must not make thousands."""
POINTS: Final = "metric_points"
IDS: Final = "request_ids"
SUMS: Final = ("histogram_minute_packed", "rollup_minute", "rollup_hour", "histogram_minute", "histogram_hour")
"""What is made of points. Rows are removed in this order: packed histograms are compared only with the sums of their
hour, so they must go before the sums of its minutes."""
TABLES: Final = (POINTS, *SUMS, IDS)
_DAY: Final = 86_400
_EPOCH: Final = datetime.date(1970, 1, 1)
_EXISTS: Final = frozenset({1493, 1517})
_NO_SUCH: Final = frozenset({1507, 1508})
_TRIES: Final = 20
_PAUSE: Final = 0.5
_log = structlog.get_logger(__name__)


def day_text(day: int) -> str:
    """A day, in days since the epoch, as YYYY-MM-DD."""
    return (_EPOCH + datetime.timedelta(days=day)).isoformat()


def partition_name(day: int) -> str:
    """The name of a day's partition."""
    return "p" + day_text(day).replace("-", "")


def partition_day(name: str) -> int:
    """The day of a partition's name."""
    return (datetime.date.fromisoformat(name.removeprefix("p")) - _EPOCH).days


def add_sql(table: str, days: Iterable[int]) -> str:
    """ALTER TABLE that adds the partitions of these days. They must be in order and after all existing ones."""
    added = (f"PARTITION {partition_name(day)} VALUES LESS THAN ({_bound(table, day + 1)})" for day in days)
    return f"ALTER TABLE {table} ADD PARTITION ({', '.join(added)})"


def drop_sql(table: str, days: Iterable[int]) -> str:
    """ALTER TABLE that drops the partitions of these days with their rows."""
    return f"ALTER TABLE {table} DROP PARTITION {', '.join(map(partition_name, days))}"


def _bound(table: str, day: int) -> str:
    """The start of a day as the table's partitions define it."""
    return str(day * _DAY) if table == POINTS else f"'{day_text(day)}'"


async def existing(connection: Connection, table: str) -> list[int]:
    """The days that have a partition, in order."""
    rows = await connection.rows(
        "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
        " AND PARTITION_NAME IS NOT NULL",
        (table,),
    )
    return sorted(partition_day(name) for (name,) in rows)


async def in_use(connection: Connection, table: str) -> list[int]:
    """The days of the partitions that have rows, in order."""
    selects = [
        f"(SELECT {day} FROM {table} PARTITION ({partition_name(day)}) LIMIT 1)"
        for day in await existing(connection, table)
    ]
    return sorted(day for (day,) in await connection.rows(" UNION ALL ".join(selects)))


async def ensure(connection: Connection, today: int, last: int) -> list[str]:
    """Make the partitions up to the day ``last``. Returns ``table.partition`` for each new one.

    ``connection`` must wait at most a second for a locked table. Raises StoreError if every attempt was too short.
    """
    made = []
    for table in TABLES:
        made += [f"{table}.{partition_name(day)}" for day in await _ensure_table(connection, table, today, last)]
    return made


async def _ensure_table(connection: Connection, table: str, today: int, last: int) -> list[int]:
    async def alter() -> list[int]:
        first = max([today - BEFORE, *(day + 1 for day in await existing(connection, table))])
        days = list(range(first, last + 1))
        if days:
            await _change(connection, table, add_sql(table, days))
        return days

    return await patiently(alter, _EXISTS)


async def drop_before(connection: Connection, table: str, day: int) -> list[int]:
    """Drop the partitions of days before ``day``, but never the last one. Returns their days. Raises StoreError."""

    async def alter() -> list[int]:
        days = [old for old in (await existing(connection, table))[:-1] if old < day]
        if days:
            await _change(connection, table, drop_sql(table, days))
        return days

    return await patiently(alter, _NO_SUCH)


async def _change(connection: Connection, table: str, sql: str) -> None:
    """Run ALTER TABLE under a table lock. Without it, ALTER waits for readers twice, and blocks writers both times.

    A Galera cluster runs ALTER on all nodes at the same point and ends the transactions in its way. There the lock
    would stop the whole cluster: it waits for a node that waits for the lock.
    """
    if connection.in_cluster:
        await connection.run(sql)
        return
    await connection.run(f"LOCK TABLES {table} WRITE")
    try:
        await connection.run(sql)
    except ServerError:
        await connection.run("UNLOCK TABLES")
        raise
    await connection.run("UNLOCK TABLES")


async def patiently(alter: Callable[[], Awaitable[list[int]]], raced: frozenset[int]) -> list[int]:
    """Run ``alter`` again until it gets the table's lock. The errors ``raced`` mean that another process did the work.

    ALTER TABLE waits for open transactions on the table, and later transactions wait behind it. So it waits at most a
    second, lets them through, and tries again.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return await alter()
        except ServerError as error:
            if error.code not in AGAIN | raced or attempt == _TRIES:
                raise
            _log.info("partitions_wait", error=str(error), attempt=attempt)
        await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311
    raise StoreError("the last attempt returns or raises")

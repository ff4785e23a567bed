"""Daily partitions: pYYYYMMDD holds that UTC day, none is without an end, and the next days have theirs already.

A partition is made at the end of its table only. One that somebody dropped in the middle needs no mending: its day
falls into the next one and goes with it.
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
"""Days before and after today that have partitions."""
FARTHEST: Final = 31
"""No partition is made for a day farther ahead: a wrong clock must not make thousands."""
POINTS: Final = "metric_points"
IDS: Final = "request_ids"
TABLES: Final = (POINTS, "rollup_minute", "rollup_hour", IDS)
_DAY: Final = 86_400
_EPOCH: Final = datetime.date(1970, 1, 1)
_EXISTS: Final = frozenset({1493, 1517})
_NO_SUCH: Final = frozenset({1507, 1508})
_TRIES: Final = 20
_PAUSE: Final = 0.5
_log = structlog.get_logger(__name__)


def day_text(day: int) -> str:
    """Day number since the epoch as YYYY-MM-DD."""
    return (_EPOCH + datetime.timedelta(days=day)).isoformat()


def partition_name(day: int) -> str:
    """The partition of a day."""
    return "p" + day_text(day).replace("-", "")


def partition_day(name: str) -> int:
    """The day of a partition."""
    return (datetime.date.fromisoformat(name.removeprefix("p")) - _EPOCH).days


def add_sql(table: str, days: Iterable[int]) -> str:
    """ALTER TABLE that adds the partitions of these days, which rise and lie after all that exist."""
    added = (f"PARTITION {partition_name(day)} VALUES LESS THAN ({_bound(table, day + 1)})" for day in days)
    return f"ALTER TABLE {table} ADD PARTITION ({', '.join(added)})"


def drop_sql(table: str, days: Iterable[int]) -> str:
    """ALTER TABLE that drops the partitions of these days with all that is in them."""
    return f"ALTER TABLE {table} DROP PARTITION {', '.join(map(partition_name, days))}"


def _bound(table: str, day: int) -> str:
    """The start of a day as the table's partitions give it."""
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
    """The days of the partitions that hold something, in order."""
    selects = [
        f"(SELECT {day} FROM {table} PARTITION ({partition_name(day)}) LIMIT 1)"
        for day in await existing(connection, table)
    ]
    return sorted(day for (day,) in await connection.rows(" UNION ALL ".join(selects)))


async def ensure(connection: Connection, today: int, last: int) -> list[str]:
    """Make the partitions up to day ``last``; returns ``table.partition`` of each one made.

    ``connection`` waits at most a second for a table in use. Raises StoreError where that never was enough.
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
    """Drop the partitions of days before ``day``, but never the last one; returns their days. Raises StoreError."""

    async def alter() -> list[int]:
        days = [old for old in (await existing(connection, table))[:-1] if old < day]
        if days:
            await _change(connection, table, drop_sql(table, days))
        return days

    return await patiently(alter, _NO_SUCH)


async def _change(connection: Connection, table: str, sql: str) -> None:
    """Run ALTER under a lock taken before: by itself it waits for readers twice, and all writers with it."""
    await connection.run(f"LOCK TABLES {table} WRITE")
    try:
        await connection.run(sql)
    except ServerError:
        await connection.run("UNLOCK TABLES")
        raise
    await connection.run("UNLOCK TABLES")


async def patiently(alter: Callable[[], Awaitable[list[int]]], raced: frozenset[int]) -> list[int]:
    """Run ``alter`` until the table was free for it, or another process (errors ``raced``) has done the work.

    A change of a table waits for the transactions in it, and all later ones wait behind the change: so it waits a
    second at most, lets them through, and tries again.
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

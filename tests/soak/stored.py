"""What is stored, by name, asked for in every way there is: by REST over an odd span, and each table by SQL."""

import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
import duckdb

from central.store.duck.sql import ROLLUPS
from protocol.numbers import UNIT
from protocol.times import format_time
from tests.servers import MariaDB
from tests.soak.oracle import Sums

_DAY: Final = 86_400
_OPERATIONS: Final = ("count", "sum", "min", "max")
_LEVELS: Final = {
    "raw": "SELECT metric_id, COALESCE(samples, 1) AS samples, value AS total, COALESCE(min_value, value) AS low,"
    " COALESCE(max_value, value) AS high FROM {points}",
    "minute": "SELECT metric_id, samples, total, min_value AS low, max_value AS high FROM {minute}",
    "hour": "SELECT metric_id, samples, total, min_value AS low, max_value AS high FROM {hour}",
}
_ROLLUP: Final = "SELECT metric_id, samples, total, min_value, max_value FROM "
_TAIL: Final = (
    " UNION ALL SELECT metric_id, COALESCE(samples, 1), value, COALESCE(min_value, value),"
    " COALESCE(max_value, value) FROM tail_points"
)


async def by_rest(http: aiohttp.ClientSession, url: str, key: str, names: Iterable[str]) -> dict[str, Sums]:
    """What one process answers over hours of a span whose edges are in no bucket's middle by chance."""
    found: dict[str, Sums] = {}
    now = int(time.time())
    span = {"start": format_time(now - 7 * _DAY + 37), "end": format_time(now + 3_607), "window": "1h"}
    for name in names:
        numbers: dict[str, list[int]] = {}
        for operation in _OPERATIONS:
            query = {"name": name, "operation": operation, **span}
            async with http.get(f"{url}/api/metrics/aggregate", params=query, headers={"X-API-Key": key}) as answer:
                text = await answer.text()
            assert answer.status == 200, text
            assert '"complete"' not in text, text
            numbers[operation] = [_units(part.split("}")[0]) for part in text.split('"value":')[1:]]
        if numbers["count"]:
            count, total, low, high = (numbers[operation] for operation in _OPERATIONS)
            found[name] = Sums(sum(count), sum(total), min(low), max(high))
    return found


def in_mariadb(mariadb: MariaDB, database: str) -> dict[str, dict[str, Sums]]:
    """What each table holds, by level."""
    tables = {"points": "metric_points", "minute": "rollup_minute", "hour": "rollup_hour"}
    return {level: _sums(mariadb.run(_query(level, tables), database)) for level in _LEVELS}


def in_duckdb(path: Path) -> dict[str, dict[str, Sums]]:
    """What each table and the tail hold, by level; the service must not run."""
    tables = {
        "points": "(SELECT * FROM metric_points UNION ALL SELECT * FROM tail_points)",
        **{level: f"({' UNION ALL '.join(_ROLLUP + table for table in ROLLUPS[level])}{_TAIL})" for level in ROLLUPS},
    }
    with duckdb.connect(str(path)) as connection:
        return {level: _sums(connection.execute(_query(level, tables)).fetchall()) for level in _LEVELS}


def _query(level: str, tables: dict[str, str]) -> str:
    points = _LEVELS[level].format(**tables)
    return (
        f"SELECT name, SUM(samples), SUM(total), MIN(low), MAX(high) FROM ({points}) AS points"
        " INNER JOIN metrics ON metrics.id = metric_id GROUP BY name"
    )


def _sums(rows: Iterable[Any]) -> dict[str, Sums]:
    return {name: Sums(*(_units(number) for number in numbers)) for name, *numbers in rows}


def _units(number: object) -> int:
    return int(Decimal(str(number).strip()) * UNIT)

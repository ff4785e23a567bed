"""What is stored, by name and by series, asked for in every way there is: by REST, and each table by SQL."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import duckdb

from central.store.duck.sql import ROLLUPS
from protocol.numbers import UNIT
from protocol.times import format_time, parse_time
from tests.servers import MariaDB
from tests.soak.oracle import Sums, series_of
from tests.soak.spread import MERGED, PACKED, PERCENTS, Ask, Percentiles
from tests.soak.tagged import KEYS, canonical

_DAY: Final = 86_400
_ATTEMPTS: Final = 10
_OPERATIONS: Final = ("count", "sum", "min", "max")
_NAMES: Final = (
    "SELECT id, name FROM metrics UNION ALL SELECT series.id, CONCAT(name, '|', CAST(tags AS CHAR)) FROM series"
    " INNER JOIN metrics ON metrics.id = metric_id"
)
_REJECTED: Final = {"points were acknowledged and then rejected": "rejected_points"}
_TWICE: Final = {"ids are stored twice": "(SELECT id FROM request_ids GROUP BY id HAVING COUNT(*) > 1) AS twice"}
_LEVELS: Final = {
    "raw": " UNION ALL ".join(
        f"SELECT {member} AS metric_id, COALESCE(samples, 1) AS samples, value AS total,"
        f" COALESCE(min_value, value) AS low, COALESCE(max_value, value) AS high FROM {{points}} AS {member}s"
        for member in ("metric_id", "series_id")
    ),
    "minute": "SELECT metric_id, samples, total, min_value AS low, max_value AS high FROM {minute}",
    "hour": "SELECT metric_id, samples, total, min_value AS low, max_value AS high FROM {hour}",
}
_ROLLUP: Final = "SELECT metric_id, samples, total, min_value, max_value FROM "
_TAIL: Final = "".join(
    f" UNION ALL SELECT {member}, COALESCE(samples, 1), value, COALESCE(min_value, value),"
    " COALESCE(max_value, value) FROM tail_points"
    for member in ("metric_id", "series_id")
)


async def by_rest(http: aiohttp.ClientSession, url: str, key: str, names: Iterable[str]) -> dict[str, Sums]:
    """What one process answers over hours of a span whose edges are in no bucket's middle by chance."""
    now = int(time.time())
    span = {"start": format_time(now - 7 * _DAY + 37), "end": format_time(now + 3_607), "window": "1h"}
    found: dict[str, Sums] = {}
    for name in names:
        points = await _ask(http, url, key, {"name": name, "operation": ",".join(_OPERATIONS), **span})
        if points:
            found[name] = _added_up(points)
    return found


async def series_by_rest(http: aiohttp.ClientSession, url: str, key: str, names: Iterable[str]) -> dict[str, Sums]:
    """The same of each series of these names. The samples without tags stand under the name and a ``|``."""
    now = int(time.time())
    span = {"start": format_time(now - 7 * _DAY + 37), "end": format_time(now + 3_607), "window": "1h"}
    query = {"operation": ",".join(_OPERATIONS), "group_by": ",".join(KEYS), **span}
    return {
        series: _added_up(points)
        for name in names
        for series, points in _groups(name, await _ask(http, url, key, {"name": name, **query}))
    }


async def percentiles_by_rest(
    http: aiohttp.ClientSession, url: str, key: str, names: Iterable[str]
) -> list[Percentiles]:
    """The percentiles of each day, of these names and of each of their series."""
    today = int(time.time()) // _DAY * _DAY
    span = {"start": format_time(today - 8 * _DAY), "end": format_time(today + 2 * _DAY), "window": "1d"}
    query = {"operation": ",".join(f"p{percent}" for percent in PERCENTS), **span}
    percentiles = []
    for name in names:
        of_name = await _ask(http, url, key, {"name": name, **query})
        of_series = await _ask(http, url, key, {"name": name, "group_by": ",".join(KEYS), **query})
        for series, points in ((name, of_name), *_groups(name, of_series)):
            percentiles += [
                Percentiles(
                    series,
                    parse_time(point["timestamp"]) // _DAY,
                    [_units(point[f"p{percent}"]) for percent in PERCENTS],
                )
                for point in points
                if not series.endswith("|")
            ]
    return percentiles


async def _ask(http: aiohttp.ClientSession, url: str, key: str, query: dict[str, str]) -> list[dict[str, Any]]:
    """Asks again after a 503 or ``"complete": false``: on a busy machine the database or Redis may be late."""
    for _ in range(_ATTEMPTS):
        async with http.get(f"{url}/api/metrics/aggregate", params=query, headers={"X-API-Key": key}) as answer:
            text = await answer.text()
        if answer.status != 503 and '"complete"' not in text:
            break
    assert answer.status == 200, text
    assert '"complete"' not in text, text
    data: list[dict[str, Any]] = json.loads(text, parse_float=Decimal)["data"]
    return data


def _groups(name: str, data: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The series of each group, and its points."""
    for group in data:
        tags = {key: value for key, value in group["tags"].items() if value is not None}
        yield series_of(name, canonical(tags)), group["points"]


def _added_up(points: list[dict[str, Any]]) -> Sums:
    columns = {name: [_units(point[name]) for point in points] for name in _OPERATIONS}
    return Sums(sum(columns["count"]), sum(columns["sum"]), min(columns["min"]), max(columns["max"]))


class Tables(NamedTuple):
    """A database, and its tables or what stands for them: raw points and rollups by minute and by hour.

    ``none_of`` are tables that must be empty, by what their rows are. ``merged`` are those of merged histograms, with
    their columns.
    """

    ask: Ask
    points: str
    minute: str
    hour: str
    none_of: dict[str, str]
    merged: Mapping[str, str]

    def levels(self) -> dict[str, dict[str, Sums]]:
        """What each table holds, by level."""
        tables = self._asdict()
        return {level: _sums(self.ask(_query(level, tables))) for level in _LEVELS}


def in_mariadb(mariadb: MariaDB, database: str) -> Tables:
    """The tables of a database."""
    points, minute, hour, none_of = "metric_points", "rollup_minute", "rollup_hour", _REJECTED | _TWICE
    return Tables(lambda sql: mariadb.run(sql, database), points, minute, hour, none_of, MERGED | PACKED)


@contextmanager
def in_duckdb(path: Path) -> Iterator[Tables]:
    """The tables of the embedded store, its tail included. The service must not run."""
    points = "(SELECT * FROM metric_points UNION ALL SELECT * FROM tail_points)"
    minute, hour = (
        f"({' UNION ALL '.join(_ROLLUP + table for table in ROLLUPS[level])}{_TAIL})" for level in ("minute", "hour")
    )
    with duckdb.connect(str(path)) as connection:
        yield Tables(lambda sql: connection.execute(sql).fetchall(), points, minute, hour, _REJECTED, MERGED)


def _query(level: str, tables: dict[str, Any]) -> str:
    points = _LEVELS[level].format(**tables)
    return (
        f"SELECT name, SUM(samples), SUM(total), MIN(low), MAX(high) FROM ({points}) AS points"
        f" INNER JOIN ({_NAMES}) AS known ON known.id = metric_id GROUP BY name"
    )


def _sums(rows: Iterable[Any]) -> dict[str, Sums]:
    return {name: Sums(*(_units(number) for number in numbers)) for name, *numbers in rows}


def _units(number: object) -> int:
    return int(Decimal(str(number).strip()) * UNIT)

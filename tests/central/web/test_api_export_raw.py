"""GET /api/metrics/export?window=raw on both stores: every point once, with its tags; and the bounds of an export."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from central.app import Outside
from central.web.export import ExportBounds
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, running
from tests.central.mysql_help import environ_of
from tests.servers import MariaDB

PATH = "/api/metrics/export"
AT = 1_700_000_000 // 60 * 60
LARGEST = "9999999999999999.9999"
SUMMARY = {"type": "value", "count": 3, "value": "LARGEST", "min": -1, "max": "LARGEST"}
SMALL = ExportBounds(rows=40, seconds=60, at_once=4)
"""So small that ten points are read in pieces."""


@pytest.fixture(params=["duckdb", "mysql"])
def environ(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of a service on either store."""
    if request.param == "duckdb":
        yield {}
    else:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        yield environ_of(mariadb, request.getfixturevalue("database"))


@pytest.fixture
async def small(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Central]:
    """A service with SMALL bounds, an hour after AT."""
    outside = Outside(bcrypt_cost=QUICK_HASH, export=SMALL, clock=lambda: AT + 3_600)
    async with running(tmp_path / "data", environ, outside=outside) as made:
        yield made


def item(name: str, value: Any, second: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "value", "value": value, "recorded_at": format_time(AT + second), **more}


async def export(central: Central, file: Path, **parameters: str) -> str:
    """Where the export is."""
    given = {"match": "shop.*", "start": "-1d", "end": "now", "window": "raw", **parameters}
    async with central.http.get(central.url + PATH, params=given, headers={"X-API-Key": central.key}) as answer:
        assert answer.status == 200, await answer.text()
        await asyncio.to_thread(file.write_bytes, await answer.read())
    return f"FROM read_parquet('{file}')"


async def test_every_point_is_in_the_file_once(small: Central, tmp_path: Path) -> None:
    items = [
        *(item("shop.a", number + 0.0001, number // 3, tags={"host": f"h{number % 2}"}) for number in range(9)),
        {**SUMMARY, "name": "shop.b", "recorded_at": format_time(AT + 5)},
        item("other", 1),
    ]
    body = json.dumps({"metrics": items}).replace('"LARGEST"', LARGEST)
    assert (await small.post("/api/metrics/batch", body)).json["accepted"] == len(items)
    read = await export(small, tmp_path / "a.parquet")
    rows = duckdb.execute(f"SELECT name, type, epoch(timestamp)::INT, tags, count, sum, min, max {read}").fetchall()
    assert [(str(n), k, t - AT, tags, str(c), str(s), str(a), str(b)) for n, k, t, tags, c, s, a, b in rows] == [
        *(
            ("shop.a", "value", number // 3, f"host:h{number % 2}", "1.0000", *[f"{number}.0001"] * 3)
            for number in sorted(range(9), key=lambda number: (number // 3, number % 2, number))
        ),
        ("shop.b", "value", 5, "", "3.0000", LARGEST, "-1.0000", LARGEST),
    ]


async def test_raw_points_and_windows_have_equal_sums(small: Central, tmp_path: Path) -> None:
    items = [item(f"shop.{number % 3}", number, 7 * number, tags={"n": str(number)}) for number in range(30)]
    assert (await small.batch(*items)).status == 201
    sums = "SELECT name, sum(count), sum(sum), min(min), max(max)"
    raw, hours = [
        duckdb.execute(
            f"{sums} {await export(small, tmp_path / window, window=window)} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        for window in ("raw", "1h")
    ]
    assert raw == hours
    assert [(name, int(count)) for name, count, *_ in raw] == [("shop.0", 10), ("shop.1", 10), ("shop.2", 10)]


EMPTY: list[dict[str, str]] = [{"end": "-2h"}, {"match": "none.*"}, {"match": "none.*", "name": "gone"}]


async def test_an_export_of_nothing_is_a_file_without_rows(small: Central, tmp_path: Path) -> None:
    await small.batch(item("shop.a", 1))
    for parameters, window in itertools.product(EMPTY, ("raw", "5m")):
        read = await export(small, tmp_path / window, window=window, **parameters)
        assert duckdb.execute(f"SELECT count(*) {read}").fetchall() == [(0,)]
        columns = [name for name, *_ in duckdb.execute(f"DESCRIBE {read}").fetchall()]
        assert columns == ["name", "type", "timestamp", *["tags"] * (window == "raw"), "count", "sum", "min", "max"]


TOO_MUCH = [
    ("a", "raw", [item("a.x", 1, at) for at in range(41)], "more than 40 rows; ask for a shorter range"),
    ("b", "1m", [item(f"b.{at}", 1) for at in range(41)], "more than 40 rows; ask for a shorter range"),
    ("c", "raw", [item("c.x", 1)] * 5, "c.x has more than 4 points in the second 2023-11-14T22:13:00Z, too many to"),
]


async def test_too_much_is_refused_with_advice(small: Central) -> None:
    for prefix, window, items, message in TOO_MUCH:
        assert (await small.batch(*items)).status == 201
        reply = await small.ask("GET", f"{PATH}?match={prefix}.*&start=-65m&end=-55m&window={window}")
        assert (reply.error, message in reply.message) == ((400, "RANGE_TOO_LARGE", "window"), True), reply.text
    assert not list(small.folder.glob("export-*"))


async def test_what_takes_too_long_is_refused(tmp_path: Path) -> None:
    outside = Outside(bcrypt_cost=QUICK_HASH, export=ExportBounds(seconds=0))
    async with running(tmp_path, outside=outside) as central:
        reply = await central.ask("GET", f"{PATH}?name=a&start=-1d&end=now&window=raw")
    assert reply.error == (400, "RANGE_TOO_LARGE", "window")
    assert "longer than 0 s; ask for a shorter range" in reply.message

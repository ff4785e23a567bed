"""GET /api/metrics/export through real HTTP, and the command: exact, bounded, and gone with its client."""

import asyncio
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import duckdb
import pytest

from central.app import Outside
from tests.central.harness import QUICK_HASH, Central, Overlay, now_text, running

PATH = "/api/metrics/export"
LARGEST = "9999999999999999.9999"


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob("**/export-*"))


async def rows_of(central: Central, file: Path, **parameters: str) -> list[tuple[Any, ...]]:
    given = {"start": "-1d", "end": "now", **parameters}
    headers = {"X-API-Key": central.key}
    async with central.http.get(central.url + PATH, params=given, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
        body = await answer.read()
    await asyncio.to_thread(file.write_bytes, body)
    return duckdb.execute(f"SELECT * FROM '{file}'").fetchall()


async def test_a_file_has_every_window_with_every_digit(central: Central, tmp_path: Path) -> None:
    at = now_text(-600)
    minute = datetime.fromisoformat(at).replace(second=0, tzinfo=None)
    text = ",".join(
        f'{{"name":"{name}","type":"{kind}","value":{value},"recorded_at":"{at}"}}'
        for name, kind, value in (
            ("shop.b", "value", LARGEST),
            ("shop.b", "value", LARGEST),
            ("shop.a", "counter", "0.0001"),
            ("other", "counter", "1"),
        )
    )
    assert (await central.post("/api/metrics/batch", f'{{"metrics":[{text}]}}')).json["accepted"] == 4
    large = Decimal(LARGEST)
    expected = [
        ("shop.a", "counter", minute, Decimal(1), *[Decimal("0.0001")] * 3),
        ("shop.b", "value", minute, Decimal(2), 2 * large, large, large),
    ]
    found = await rows_of(central, tmp_path / "a.parquet", match="shop.*")
    assert found == expected
    (other,) = await rows_of(central, tmp_path / "b.parquet", match="x*", name="other", window="1h")
    assert other[0] == "other"
    assert await rows_of(central, tmp_path / "c.parquet", name="none") == []


async def test_what_does_not_exist_is_named_beside_the_file(central: Central, tmp_path: Path) -> None:
    await central.counter("shop.a")
    reply = await central.ask("GET", f"{PATH}?name=shop.a,shop.b&match=none.*&start=-1d&end=now")
    assert (reply.status, reply.headers["Metrics-Unknown"]) == (200, "shop.b,none.*")
    assert "Metrics-Unknown" not in (await central.ask("GET", f"{PATH}?match=shop.*&start=-1d&end=now")).headers
    command = ("-m", "central", "export", "shop.b,none.*", "--start", "-1d", "-o", str(tmp_path / "a.parquet"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        env={"METRICS_URL": central.url, "METRICS_KEY": central.key},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert said.decode().splitlines()[-2:] == ["there is no metric shop.b", "there is no metric none.*"]


async def test_a_file_is_gone_from_the_service_once_it_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as central:
        await central.counter("a")
        assert len(await rows_of(central, tmp_path / "a.parquet", name="a")) == 1
    assert not left_in(tmp_path)


@pytest.mark.parametrize("window", ["1d", "raw"])
async def test_the_command_writes_a_file(central: Central, tmp_path: Path, window: str) -> None:
    await central.counter("shop.a")
    file = tmp_path / "shop.parquet"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "central", "export", "shop.*", "--start", "-1d", "--window", window, "-o", str(file)),
        env={"METRICS_URL": central.url, "METRICS_KEY": (await central.new_key("query"))[1]},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert (process.returncode, f"bytes written to {file}" in said.decode()) == (0, True), said
    assert duckdb.execute(f"SELECT name, sum FROM '{file}'").fetchall() == [("shop.a", 1)]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("start=-1d&end=now", 400, "name"),
        ("name=a&end=now", 400, "start"),
        ("name=a&start=now&end=-1d", 400, "end"),
        ("name=a&start=-1d&end=now&window=2m", 400, "window"),
        ("match=a[&start=-1d&end=now", 400, "match"),
        ("name=a&start=-1d&end=now&format=csv", 400, "format"),
    ],
)
async def test_a_fault_is_named(central: Central, query: str, status: int, field: str) -> None:
    reply = await central.ask("GET", f"{PATH}?{query}")
    assert (reply.error[0], reply.error[2]) == (status, field)


async def test_it_needs_the_scope_query(central: Central) -> None:
    _, key = await central.new_key("ingest")
    assert (await central.ask("GET", f"{PATH}?name=a&start=-1d&end=now", key=key)).status == 403


@pytest.mark.parametrize("window", ["1m", "raw"])
async def test_nothing_goes_on_when_the_client_leaves(tmp_path: Path, window: str) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def wrap(real: Any) -> Overlay:
        return Overlay(real, aggregate=slow, points=Overlay(real.points, read=slow))

    async with running(tmp_path, outside=Outside(bcrypt_cost=QUICK_HASH, wrap_store=wrap)) as central:
        await central.counter("a")
        path = f"{PATH}?name=a&start=-1d&end=now&window={window}"
        request = asyncio.create_task(central.ask("GET", path, timeout=aiohttp.ClientTimeout(None)))
        await asked.wait()
        request.cancel()
        await ended.wait()
    assert not left_in(tmp_path)

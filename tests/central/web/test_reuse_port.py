"""Several processes on one port: only if the setting allows it, and no point is lost while they change."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.central.harness import Process, launch
from tests.central.mysql_help import environ_of
from tests.patience import PATIENCE
from tests.servers import MariaDB

KEY = "given-by-an-operator-0123456789abcdef"


@pytest.fixture
def environ(mariadb: MariaDB, database: str) -> dict[str, str]:
    return {**environ_of(mariadb, database), "METRICS_ADMIN_KEY": KEY, "METRICS_REUSE_PORT": "true"}


@pytest.fixture
async def start(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Callable[..., Awaitable[Process]]]:
    """Starts a process with these settings over the common ones; what still runs at the end is killed."""
    started = []

    async def begin(**settings: str) -> Process:
        started.append(await launch(tmp_path, **environ | settings))
        return started[-1]

    yield begin
    for process in started:
        await process.end(signal.SIGKILL)


async def served_by(port: int) -> str:
    """Which process answers a new connection, by what its /metrics say of its start."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    return next(line for line in text.splitlines() if line.startswith("process_start_time_seconds "))


async def write(port: int, number: int) -> bool:
    """One count over a connection of its own; whether it was acknowledged."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
            http.post(
                f"http://127.0.0.1:{port}/api/metrics/counter",
                json={"name": "a"},
                headers={"X-API-Key": KEY, "Idempotency-Key": f"number {number}"},
            ) as answer,
        ):
            return answer.status == 201
    except (aiohttp.ClientError, OSError):
        return False


async def until_written(port: int, number: int) -> None:
    """As a client should: again, under the same key, until it is acknowledged."""
    async with asyncio.timeout(PATIENCE):
        while not await write(port, number):
            pass


async def test_two_that_share_a_port_restart_in_turn_and_store_each_count_once(
    start: Callable[..., Awaitable[Process]], mariadb: MariaDB, database: str
) -> None:
    one = await start()
    address = {"METRICS_LISTEN": f"127.0.0.1:{one.port}"}
    two = await start(**address)
    async with asyncio.timeout(PATIENCE):
        seen = {await served_by(one.port)}
        while len(seen) < 2:
            seen.add(await served_by(one.port))
    writing = [asyncio.create_task(until_written(one.port, number)) for number in range(100)]
    assert await one.end() == 0
    writing += [asyncio.create_task(until_written(one.port, number)) for number in range(100, 200)]
    again = await start(**address)
    assert await two.end() == 0
    writing += [asyncio.create_task(until_written(one.port, number)) for number in range(200, 300)]
    await asyncio.gather(*writing)
    assert await again.end() == 0
    ((stored,),) = mariadb.run("SELECT SUM(value) FROM metric_points", database)
    assert stored == 300


@pytest.mark.parametrize("second", ["true", "false"])
async def test_a_port_that_is_not_meant_to_be_shared_is_not(
    start: Callable[..., Awaitable[Process]], second: str
) -> None:
    """One of two does not say so: by hand beside the service, or a service that was not set up for it."""
    first = "false" if second == "true" else "true"
    one = await start(METRICS_REUSE_PORT=first)
    address = {"METRICS_LISTEN": f"127.0.0.1:{one.port}", "METRICS_REUSE_PORT": second}
    two = await start(**address)
    assert await two.wait() == 1
    assert "is in use by another program" in two.log[-1]
    assert await one.end() == 0

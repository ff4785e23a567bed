"""The disk of the embedded store is full, for the whole service: 201 or 503, and afterwards exact sums.

Full for one process, whose files may not grow beyond a size: DuckDB sees a write that fails, as on a real disk.
"""

import resource
import signal
from pathlib import Path

import pytest

from tests.central.harness import Central, process

ROOM = 100_000
"""Bytes that the log may still grow by, a few batches."""
ROWS = 1_000


async def send(central: Central, number: int) -> int:
    """The status of a batch under the key of its number."""
    items = [{"name": f"n{name}", "type": "counter", "value": 3} for name in range(ROWS)]
    return (await central.batch(*items, headers={"Idempotency-Key": f"{number}"})).status


def largest(folder: Path) -> int:
    """Bytes of the largest file."""
    return max(file.stat().st_size for file in folder.iterdir())


def limit_files(pid: int, size: int) -> None:
    """No file of the process grows beyond ``size`` any more."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("killed", [False, True])
async def test_a_full_disk_is_503_and_sums_are_exact_afterwards(tmp_path: Path, killed: bool) -> None:
    async with process(tmp_path) as (made, central):
        statuses = {number: await send(central, number) for number in range(3)}
        limit_files(made.pid, largest(tmp_path) + ROOM)
        while (
            503 not in statuses.values()
        ):  # the log begins anew when nobody writes for a while, and has more room then
            statuses[len(statuses)] = await send(central, len(statuses))
        statuses |= {number: await send(central, number) for number in range(len(statuses), len(statuses) + 3)}
        assert set(statuses.values()) == {201, 503}
        stored = list(statuses.values()).count(201)
        assert [await central.total(f"n{name}") for name in (0, ROWS - 1)] == [stored * 3] * 2
        assert (await central.ask("GET", "/health", key=None)).status == 200
        limit_files(made.pid, 1)
        full = await central.ask("GET", "/ready", key=None)
        assert (full.status, full.json["status"]) == (503, "not ready")
        assert full.json["dependencies"]["store"].startswith("nothing can be written: ")
        limit_files(made.pid, resource.RLIM_INFINITY)
        assert (await central.ask("GET", "/ready", key=None)).status == 200
        if not killed:
            assert [await send(central, number) for number in statuses] == [201] * len(statuses)
        await made.end(signal.SIGKILL if killed else signal.SIGTERM)
    async with process(tmp_path) as (_, central):
        assert [await send(central, number) for number in statuses] == [201] * len(statuses)
        for name in (0, ROWS - 1):
            assert await central.total(f"n{name}") == len(statuses) * 3
            assert await central.total(f"n{name}", "count") == len(statuses)

"""The database's disk is full, for the whole service: 201 from the spill or 503, and afterwards exact sums.

The disk is a small file system in memory where we may mount one; else, and that is printed, the server's data file has
a bound, which it meets with the same error (1114).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pymysql
import pytest

from protocol.numbers import UNIT
from tests.central import mysql_help, redis_help
from tests.central.harness import Central, running
from tests.patience import a_moment
from tests.redis_server import redis_server
from tests.servers import MariaDB
from tests.small_disk import SmallDisk
from tests.soak.oracle import Sums
from tests.soak.stored import in_mariadb

SMALL = ("--innodb-file-per-table=0", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M")
BOUND = "--innodb-data-file-path=ibdata1:12M:autoextend:max:40M"
STEP = "--innodb-autoextend-increment=1"
ROWS = 500


class Disk(SmallDisk):
    """What a server stores on, and how it is filled and freed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "170m")
        options = (*SMALL, STEP) if self.is_real else (*SMALL, STEP, BOUND)
        self.server = MariaDB(folder / "data", *options)

    def fill(self) -> None:
        """Until nothing fits: the file system, then what the server had in reserve."""
        super().fill()
        with (
            self.server.connect("full") as connection,
            connection.cursor() as cursor,
            pytest.raises(pymysql.err.OperationalError, match="1114"),
        ):
            while True:
                cursor.execute("INSERT INTO filler VALUES (REPEAT('x', 8000))")

    def free(self) -> None:
        """There is room again."""
        super().free()
        self.server.run("DROP TABLE filler", "full")

    def close(self) -> None:
        """End the server, and the file system."""
        self.server.stop()
        super().close()


@pytest.fixture
def disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    if not disk.is_real:
        with capsys.disabled():
            print("\nno right to mount a small file system: the database's data file has a bound instead")
    try:
        disk.server.install()
        disk.server.start()
        disk.server.run("CREATE DATABASE full")
        disk.server.run("CREATE TABLE filler (x VARBINARY(8000)) ENGINE = InnoDB", "full")
        yield disk
    finally:
        disk.close()


@pytest.fixture(params=["with a spill", "without"])
async def central(request: pytest.FixtureRequest, tmp_path: Path, disk: Disk) -> AsyncIterator[tuple[Central, bool]]:
    async with redis_server(tmp_path / "redis") as redis:
        with_spill = request.param == "with a spill"
        spill = redis_help.environ_of(redis.port) if with_spill else {}
        async with running(tmp_path / "one", {**mysql_help.environ_of(disk.server, "full"), **spill}) as made:
            yield made, with_spill


async def send(central: Central, number: int) -> int:
    """The status of a batch under the key of its number."""
    items = [{"name": f"n{name}", "type": "counter", "value": 3} for name in range(5)] * (ROWS // 5)
    return (await central.batch(*items, headers={"Idempotency-Key": f"{number}"})).status


async def test_a_full_disk_is_201_from_the_spill_or_503_and_sums_stay_exact(
    disk: Disk, central: tuple[Central, bool]
) -> None:
    service, with_spill = central
    statuses = {number: await send(service, number) for number in range(5)}
    await asyncio.to_thread(disk.fill)
    statuses |= {number: await send(service, number) for number in range(5, 40)}
    assert set(statuses.values()) == ({201} if with_spill else {201, 503})
    if with_spill:
        assert await service.meter("fiesta_spilled_points_total") > 0
    await asyncio.to_thread(disk.free)
    while (ready := (await service.ask("GET", "/ready", key=None)).json)["status"] != "ready" or (
        with_spill and ready["spill"]["entries"]
    ):
        pass
    for number in statuses:  # those with 201 are replays
        while await send(service, number) != 201:
            await a_moment()
    each = len(statuses) * ROWS // 5 * UNIT
    wanted = {f"n{name}": Sums(each, each * 3, 3 * UNIT, 3 * UNIT) for name in range(5)}
    stored = await asyncio.to_thread(in_mariadb(disk.server, "full").levels)
    assert stored == dict.fromkeys(("raw", "minute", "hour"), wanted)
    assert [await service.total(f"n{name}") for name in range(5)] == [each * 3 // UNIT] * 5

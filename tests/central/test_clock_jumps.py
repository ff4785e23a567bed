"""Whole services with a clock that is wrong for a while: no id is dropped, no replay counts twice."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from protocol.times import format_time
from runtime.plausible_clock import DOUBT_SECONDS, GRACE_SECONDS
from tests.central.harness import QUICK_HASH, Central, Clock, running
from tests.central.mysql_help import environ_of
from tests.servers import MariaDB

DAY = 86_400
BATCH = "/api/metrics/batch"


class Service:
    """What a service needs to be started again and again, and what the test does with it."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder, self.environ = folder, environ
        self.clock = Clock()
        self.stores: list[Any] = []

    def run(self) -> Any:
        return running(
            self.folder,
            self.environ,
            outside=Outside(
                clock=self.clock, ticks=self.clock.ticks, bcrypt_cost=QUICK_HASH, wrap_store=self._remembered
            ),
        )

    def _remembered(self, store: Any) -> Any:
        self.stores.append(store)
        return store

    async def send(self, central: Central, key: str, at: float) -> bool:
        """Send one batch, and let the store tidy up; whether the batch was known already."""
        item = {"name": "a", "type": "counter", "value": 1, "recorded_at": format_time(int(at))}
        reply = await central.post(BATCH, json.dumps({"metrics": [item]}), headers={"Idempotency-Key": key})
        assert reply.status == 201, reply.text
        for _ in range(2):
            await self.stores[-1].tidy(idle=True)
        return reply.headers.get("Idempotency-Replayed") == "true"

    async def refused(self, central: Central) -> None:
        """Nobody knows the time now: the service takes nothing, whatever its time, and no answer has a time."""
        at = format_time(int(self.clock()))
        for reply in (
            await central.counter("a"),
            await central.value("b", "1"),
            await central.batch({"name": "a", "type": "counter", "value": 1}),
            await central.batch({"name": "a", "type": "counter", "value": 1, "recorded_at": at}),
        ):
            assert reply.error == (503, "SERVICE_UNAVAILABLE", None)
            assert "clock" in reply.message
            assert "Date" not in reply.headers
        assert "Date" not in (await central.ask("GET", "/health", key=None)).headers
        ready = await central.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json["status"]) == (503, "not ready")
        assert ready.json["dependencies"]["clock"].startswith("this host's clock has jumped by ")

    async def live(self, central: Central, seconds: float) -> None:
        """Let time pass, with a look at both clocks every ten minutes."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 600)
            await central.meter("fiesta_removal_wait_seconds")
            await self.stores[-1].tidy(idle=True)


@pytest.fixture(params=["duckdb", "mysql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Service:
    if request.param == "duckdb":
        return Service(tmp_path, {})
    mariadb: MariaDB = request.getfixturevalue("mariadb")
    return Service(tmp_path, environ_of(mariadb, request.getfixturevalue("database")))


@pytest.mark.parametrize("ahead", [10, 60, -10, -3])
async def test_after_a_jump_of_some_seconds_a_stored_batch_is_a_replay(service: Service, ahead: int) -> None:
    async with service.run() as central:
        sent_at = service.clock.now
        await service.live(central, GRACE_SECONDS)
        assert not await service.send(central, "before", sent_at)
        service.clock.ahead = ahead * DAY
        await service.refused(central)
        service.clock.now += DOUBT_SECONDS
        assert await service.send(central, "before", sent_at)
        assert not await service.send(central, "during", service.clock())
        service.clock.now += 3
        assert await service.send(central, "during", service.clock() - 3)
        service.clock.ahead = 0
        await service.live(central, 2 * GRACE_SECONDS)
        assert await service.send(central, "before", sent_at)
        assert await central.meter("fiesta_clock_jumps_total") == 2


@pytest.mark.parametrize("ahead", [10, 60, -10])
async def test_a_process_that_starts_with_a_wrong_clock_forgets_no_batch(service: Service, ahead: int) -> None:
    sent_at = service.clock.now
    async with service.run() as central:
        assert not await service.send(central, "before", sent_at)
    service.clock.ahead = ahead * DAY
    async with service.run() as central:
        await service.live(central, 2 * GRACE_SECONDS)
        assert await service.send(central, "before", sent_at)
        assert not await service.send(central, "wrong", service.clock())
        wrong_at = service.clock()
    service.clock.ahead = 0
    async with service.run() as central:
        await service.live(central, 2 * GRACE_SECONDS)
        assert await service.send(central, "before", sent_at)
        assert await service.send(central, "wrong", wrong_at)


@pytest.mark.parametrize("ahead", [10 * DAY, 3_600, -3_600, -10 * DAY])
async def test_nothing_is_stored_while_the_clock_jumps_for_3_seconds(service: Service, ahead: int) -> None:
    async with service.run() as central:
        assert (await central.counter("a")).status == 201
        service.clock.ahead = ahead
        for _ in range(3):
            await service.refused(central)
            service.clock.now += 1
        service.clock.ahead = 0
        assert (await central.counter("a")).status == 201
        ready = await central.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json["dependencies"]["clock"]) == (200, "ok")
        assert "Date" in ready.headers
        assert await central.total("a") == 2


async def test_a_jump_that_lasts_is_the_time_after_half_a_minute(service: Service) -> None:
    async with service.run() as central:
        service.clock.ahead = 3_600
        await service.refused(central)
        service.clock.now += DOUBT_SECONDS
        assert (await central.counter("a")).status == 201
        ready = await central.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json["status"]) == (200, "degraded")
        assert "jumped by +3600 s; nothing is removed for 3570 s" in ready.json["dependencies"]["clock"]
        await service.live(central, GRACE_SECONDS)
        assert (await central.ask("GET", "/ready", key=None)).json["dependencies"]["clock"] == "ok"

"""The service with a real Redis over HTTP: the database or Redis goes down and comes back, keys are revoked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from central.store.duck.store import DuckStore
from tests.central.harness import QUICK_HASH, Central, running
from tests.central.spill_help import Line
from tests.patience import a_moment
from tests.redis_server import PASSWORD, RedisServer, redis_server


class Host:
    """A central service, and its line to the database."""

    def __init__(self, central: Central, line: Line) -> None:
        self.central = central
        self.line = line

    async def drained(self) -> None:
        """The database is back, and nothing waits any more."""
        self.line.cut = False
        while (ready := (await self.central.ask("GET", "/ready", key=None)).json)["status"] != "ready":
            await a_moment()
        while ready["spill"]["entries"]:
            await a_moment()
            ready = (await self.central.ask("GET", "/ready", key=None)).json


@asynccontextmanager
async def host(folder: Path, server: RedisServer, **environ: str) -> AsyncIterator[Host]:
    lines: list[Line] = []

    def wrap(store: DuckStore) -> Any:
        lines.append(Line(store))
        return lines[0]

    redis = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port), "REDIS_PASSWORD": PASSWORD}
    outside = Outside(bcrypt_cost=QUICK_HASH, wrap_store=wrap)
    async with AsyncExitStack() as stack:
        given = {**redis, "QUEUE_CONNECTION": "redis", "METRICS_RATE_LIMIT_DEFAULT": "1000000000", **environ}
        central = await stack.enter_async_context(running(folder, given, outside=outside))
        stack.callback(lines[0].go.set)  # what is asked while it stops is answered
        yield Host(central, lines[0])
    await lines[0].real.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def one(tmp_path: Path, server: RedisServer) -> AsyncIterator[Host]:
    async with host(tmp_path / "data", server) as made:
        yield made


async def test_while_the_database_is_away_writes_go_on_and_are_there_later(one: Host) -> None:
    central = one.central
    assert (await central.counter("a")).status == 201
    one.line.cut = True
    for number in range(3):
        reply = await central.counter("a", headers={"Idempotency-Key": f"k{number}"})
        assert (reply.status, reply.headers.get("Idempotency-Replayed")) == (201, None)
    again = await central.counter("a", headers={"Idempotency-Key": "k0"})
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    query = await central.query("a", "sum")
    assert (query.error[:2], query.headers["Retry-After"]) == ((503, "SERVICE_UNAVAILABLE"), "2")
    ready = await central.ask("GET", "/ready", key=None)
    assert (ready.status, ready.json["status"], ready.json["success"]) == (200, "degraded", True)
    assert ready.json["spill"] | {"bytes": 0, "lag_seconds": 0} == {
        "entries": 3,
        "bytes": 0,
        "lag_seconds": 0,
        "bad_entries": 0,
        "rejected_points": None,
    }
    await one.drained()
    assert await central.total("a") == 4
    assert await central.meter("fiesta_spilled_points_total") == 3
    assert await central.meter("fiesta_drained_points_total") == 3


async def test_a_probe_waits_only_once_for_a_silent_database(one: Host) -> None:
    one.line.cut = True
    one.line.asked.clear()
    ready = await one.central.ask("GET", "/ready", key=None)
    assert (ready.status, ready.json["status"], ready.json["spill"]["rejected_points"]) == (200, "degraded", None)
    assert "ping" in one.line.asked
    assert "count_rejected" not in one.line.asked


ALSO_MARKED = (
    "/api/metrics?details=true",
    "/api/metrics?sparkline=24h",
    "/api/metrics/export?name=a&start=-1h&end=now&window=1m",
    "/graphite/render?target=a.sum&from=-1h&format=json",
    "/graphite/render?target=a.sum&from=-1h&format=csv",
)


async def test_until_the_spill_is_empty_answers_say_that_they_are_not_complete(one: Host, server: RedisServer) -> None:
    central = one.central
    await central.counter("a")
    await one.drained()
    assert "complete" not in (await central.query("a", "sum")).json
    await server.client.set("fiesta:{spill}:lease", "somebody else")
    one.line.cut = True
    await central.counter("a")
    one.line.cut = False
    while (await central.query("a", "sum")).status == 503:
        await a_moment()
    reply = await central.query("a", "sum")
    assert (reply.json["complete"], reply.json["data"][0]["value"]) == (False, 1)
    assert (await central.query("a", "sum", format="csv")).headers["Metrics-Complete"] == "false"
    for path in ALSO_MARKED:
        assert (await central.ask("GET", path)).headers.get("Metrics-Complete") == "false", path
    await server.client.delete("fiesta:{spill}:lease")
    while "complete" in (reply := await central.query("a", "sum")).json:
        await a_moment()
    assert reply.json["data"][0]["value"] == 2
    for path in ALSO_MARKED:
        assert "Metrics-Complete" not in (await central.ask("GET", path)).headers, path


async def test_redis_away_writes_go_on_and_ready_says_so(one: Host, server: RedisServer) -> None:
    central = one.central
    await server.kill()
    for _ in range(3):
        assert (await central.counter("a")).status == 201
    ready = await central.ask("GET", "/ready", key=None)
    assert (ready.status, ready.json["status"], ready.json["dependencies"]["store"]) == (200, "degraded", "ok")
    one.line.cut = True
    reply = await central.counter("a")
    assert (reply.error[:2], reply.headers["Retry-After"]) == ((503, "SERVICE_UNAVAILABLE"), "2")
    while (ready := await central.ask("GET", "/ready", key=None)).status == 200:
        await a_moment()
    assert (ready.json["status"], ready.json["success"]) == ("not ready", False)
    await server.start()
    await one.drained()
    assert await central.total("a") == 3


async def test_what_nobody_can_look_into_may_hold_something_and_answers_say_so(one: Host, server: RedisServer) -> None:
    await one.central.counter("a")
    await one.drained()
    assert "complete" not in (await one.central.query("a", "sum")).json
    server.pause()
    while (reply := await one.central.query("a", "sum")).json.get("complete", True):
        assert reply.status == 200
        await a_moment()
    server.go_on()
    while "complete" in (await one.central.query("a", "sum")).json:
        await a_moment()


async def test_a_redis_that_may_forget_leaves_the_service_without_a_spill(one: Host, server: RedisServer) -> None:
    assert (await one.central.counter("a")).status == 201
    await server.set(appendonly="no")
    one.line.cut = True
    assert (await one.central.counter("a")).status == 503
    ready = await one.central.ask("GET", "/ready", key=None)
    assert "set appendonly yes" in ready.json["dependencies"]["redis"]


@pytest.mark.parametrize(
    ("of", "reason"), [("spill", "the spill is full: METRICS_SPILL_MAX_BYTES is 1048576"), ("Redis", "Redis is full: ")]
)
async def test_a_spill_that_is_full_is_told_of_by_ready_until_there_is_room(
    tmp_path: Path, server: RedisServer, of: str, reason: str
) -> None:
    async with host(tmp_path / "data", server, METRICS_SPILL_MAX_BYTES="1048576") as one:
        central = one.central
        assert (await central.counter("a")).status == 201
        one.line.cut = True
        taken = 0
        if of == "Redis":
            await server.set(maxmemory="1mb")
        names = [f"{number}".ljust(200, "n") for number in range(1_000)]
        items = [{"name": name, "type": "counter", "value": 1} for name in names]
        while (await central.batch(*items)).status == 201:
            taken += 1
        ready = await central.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json["status"]) == (503, "not ready")
        assert ready.json["dependencies"]["redis"].startswith(reason)
        assert await central.meter("fiesta_spill_closed") == 1
        await server.set(maxmemory="0")
        await one.drained()
        assert await central.total(names[0]) == taken
        one.line.cut = True
        assert (await central.counter("a")).status == 201
        assert (await central.ask("GET", "/ready", key=None)).status == 200


async def test_without_the_database_used_keys_go_on_and_others_get_503(one: Host) -> None:
    central = one.central
    _, used = await central.new_key("ingest")
    _, unused = await central.new_key("ingest")
    assert (await central.counter("a", key=used)).status == 201
    one.line.cut = True
    for _ in range(3):
        assert (await central.counter("a", key=used)).status == 201
    assert (await central.counter("a", key=unused)).status == 503
    assert (await central.ask("POST", "/api/admin/keys", json={"name": "x"})).status == 503


@pytest.mark.parametrize("change", ["revoke", "rotate"])
async def test_a_revoked_or_rotated_key_is_dead_in_every_process_at_once(
    tmp_path: Path, server: RedisServer, change: str
) -> None:
    async with host(tmp_path / "one", server) as one, host(tmp_path / "two", server) as two:
        # The embedded store is one process's: the second reads the keys of the first.
        real = two.line.real
        two.line.real = one.line.real
        key_id, text = await one.central.new_key("ingest")
        assert (await two.central.counter("a", key=text)).status == 201
        if change == "revoke":
            reply = await one.central.ask("DELETE", f"/api/admin/keys/{key_id}")
        else:
            reply = await one.central.ask("POST", f"/api/admin/keys/{key_id}/rotate")
        assert reply.status in {200, 201}
        while not await two.central.meter("fiesta_key_changes_heard_total"):
            await a_moment()
        assert (await two.central.counter("a", key=text)).status == 401
        two.line.real = real


async def test_two_processes_share_one_limit(tmp_path: Path, server: RedisServer) -> None:
    async with host(tmp_path / "one", server) as one, host(tmp_path / "two", server) as two:
        real = two.line.real
        two.line.real = one.line.real
        _, text = await one.central.new_key("ingest", rate_limit=20)
        replies = await asyncio.gather(*(made.central.counter("a", key=text) for made in (one, two) for _ in range(40)))
        allowed = [reply.status for reply in replies].count(201)
        assert 20 <= allowed <= 40  # 40 only over the edge of a minute
        assert {reply.status for reply in replies} == {201, 429}
        two.line.real = real


async def test_a_stop_with_the_database_away_leaves_all_in_the_spill(tmp_path: Path, server: RedisServer) -> None:
    async with host(tmp_path / "data", server) as one:
        assert (await one.central.counter("a")).status == 201
        one.line.cut = True
        for _ in range(5):
            assert (await one.central.counter("a")).status == 201
    async with host(tmp_path / "data", server) as one:
        await one.drained()
        assert await one.central.total("a") == 6

"""Rate limits, floods of bad keys and a store that is down, through real HTTP: PRD 3.2 with DESIGN's decisions."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from central.access.auth import new_key
from central.app import Outside
from central.store.base import KeyRow, StoreUnavailable
from protocol.limits import MAX_BODY_BYTES
from tests.central.harness import QUICK_HASH, Clock, Overlay, faulty, running

KEYS = "/api/admin/keys"


# --- rate limits


async def test_beyond_its_limit_a_key_gets_429_until_the_next_minute(tmp_path: Path) -> None:
    clock = Clock(1_800_000_015.0)
    async with running(tmp_path, outside=Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)) as central:
        _, key = await central.new_key("ingest", "query", rate_limit=3)
        items = [{"name": "a", "type": "counter", "value": 1}] * 10
        replies = [
            await central.counter("a", key=key),
            await central.batch(*items, key=key),
            await central.ask("GET", "/api/metrics", key=key),
            await central.counter("a", key=key),
            await central.ask("GET", "/api/metrics", key=key),
        ]
        assert [reply.status for reply in replies] == [201, 201, 200, 429, 429]
        assert [reply.headers["RateLimit-Remaining"] for reply in replies] == ["2", "1", "0", "0", "0"]
        assert {reply.headers["RateLimit-Limit"] for reply in replies} == {"3"}
        assert {reply.headers["RateLimit-Reset"] for reply in replies} == {"45"}
        assert replies[3].error == (429, "RATE_LIMITED", None)
        assert replies[3].headers["Retry-After"] == "45"
        assert "3 requests per minute; try again in 45 s" in replies[3].message
        assert (await central.counter("a")).status == 201  # another key
        clock.now += 45
        assert (await central.counter("a", key=key)).status == 201
        assert await central.meter("fiesta_points_stored_total") == 13


async def test_refused_requests_count_too_and_say_what_is_left(tmp_path: Path) -> None:
    outside = Outside(clock=Clock(1_800_000_000.0), bcrypt_cost=QUICK_HASH)
    async with running(tmp_path, outside=outside) as central:
        _, key = await central.new_key("ingest", rate_limit=10)
        assert (await central.ask("GET", "/api/metrics", key=key)).headers["RateLimit-Remaining"] == "9"  # 403
        bodies = ("{", '{"name":"a b"}', b" " * (MAX_BODY_BYTES + 1), '{"name":"a"}')
        replies = [await central.post("/api/metrics/counter", body, key=key) for body in bodies]
        assert [reply.status for reply in replies] == [400, 400, 413, 201]
        assert [reply.headers["RateLimit-Remaining"] for reply in replies] == ["8", "7", "6", "5"]


async def test_the_default_limit_is_a_setting(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_RATE_LIMIT_DEFAULT": "5"}) as central:
        made = (await central.post(KEYS, {"name": "n"})).json["data"]
        assert made["rate_limit"] == 5


# --- floods and a store that is down


async def test_floods_of_bad_keys_do_not_block_good_ones(tmp_path: Path) -> None:
    gate = asyncio.Event()
    arrived = asyncio.Event()

    class SlowToFind(Overlay):
        """Asked for an unknown id, it does not answer until the gate opens."""

        async def find(self, public_ids: Sequence[str]) -> dict[str, KeyRow]:
            rows: dict[str, KeyRow] = await self.real.find(public_ids)
            if len(rows) < len(public_ids):
                arrived.set()
                await gate.wait()
            return rows

    async with running(tmp_path, outside=faulty(lambda real: Overlay(real, keys=SlowToFind(real.keys)))) as central:
        _, good = await central.new_key("ingest")
        _, attacked = await central.new_key("ingest")
        assert (await central.counter("a", key=good)).status == 201
        before = await central.meter("fiesta_key_verifications_total")
        unknown = [asyncio.create_task(central.counter("a", key=new_key().text)) for _ in range(200)]
        guessed = [asyncio.create_task(central.counter("a", key=f"{attacked[:16]}{i:043}")) for i in range(100)]
        await arrived.wait()
        replies = await asyncio.gather(*(central.counter("a", key=good) for _ in range(50)))
        assert {reply.status for reply in replies} == {201}
        assert not any(task.done() for task in unknown)
        gate.set()
        assert {reply.status for reply in await asyncio.gather(*unknown)} == {401}
        assert {reply.status for reply in await asyncio.gather(*guessed)} == {401}
        compared = await central.meter("fiesta_key_verifications_total") - before
        assert compared == 0, "the fast hash beside bcrypt's judges a guess"
        assert (await central.counter("a", key=attacked)).status == 201
        assert await central.total("a") == 52


async def test_while_the_store_is_down_known_keys_are_good_and_answers_are_503(tmp_path: Path) -> None:
    class Breakable(Overlay):
        down = False

        def __getattr__(self, name: str) -> Any:
            if not Breakable.down or name in ("tidy", "close"):
                return getattr(self.real, name)

            async def fail(*_: Any, **__: Any) -> Any:
                raise StoreUnavailable("the disk is gone")

            return fail

    clock = Clock()
    outside = replace(
        faulty(lambda real: Breakable(real, names=Breakable(real.names), keys=Breakable(real.keys))),
        clock=clock,
        ticks=clock.ticks,
    )
    async with running(tmp_path, outside=outside) as central:
        _, key = await central.new_key("ingest", "query", "admin")
        _, unseen = await central.new_key("ingest")
        assert (await central.counter("a", key=key)).status == 201
        Breakable.down = True
        clock.now += 3600
        asked = [
            await central.counter("a", key=key),
            await central.batch({"name": "b", "type": "counter", "value": 1}, key=key),
            await central.query("a", "sum", key=key),
            await central.ask("GET", "/api/metrics", key=key),
            await central.ask("GET", KEYS, key=key),
            await central.post(KEYS, {"name": "n"}, key=key),
            await central.ask("DELETE", f"{KEYS}/1", key=key),
            await central.ask("POST", f"{KEYS}/1/rotate", key=key),
            await central.ask("DELETE", "/api/admin/metrics/a", key=key),
            await central.ask("GET", "/api/admin/backup", key=key),
            await central.counter("a", key=unseen),
        ]
        assert [reply.error for reply in asked] == [(503, "SERVICE_UNAVAILABLE", None)] * len(asked)
        assert all(int(reply.headers["Retry-After"]) > 0 for reply in asked)
        ready = await central.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json["success"], ready.json["dependencies"]) == (
            503,
            False,
            {"store": "the disk is gone", "clock": "ok"},
        )
        assert int(ready.headers["Retry-After"]) > 0
        assert (await central.ask("GET", "/health", key=None)).status == 200
        Breakable.down = False
        assert (await central.counter("a", key=key)).status == 201
        assert (await central.ask("GET", "/ready", key=None)).status == 200
        assert await central.total("a") == 2


async def test_a_fault_of_ours_is_a_500_that_shows_no_traceback(tmp_path: Path) -> None:
    class Broken(Overlay):
        async def aggregate(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("secret detail")

        async def commit(self, *_: Any, **__: Any) -> None:
            raise ZeroDivisionError("secret detail")

    async with running(tmp_path, outside=faulty(Broken)) as central:
        stored = await central.counter("a")
        assert stored.error == (500, "INTERNAL_ERROR", None)
        asked = await central.query("a", "sum")
        assert asked.error == (500, "INTERNAL_ERROR", None)
        assert "secret" not in stored.text + asked.text
        assert await central.meter('fiesta_requests_total{route="/api/metrics/aggregate",status="500"}') == 1

"""central/spill/spill.py over a real Redis: it keeps what it takes, and takes nothing that it cannot keep."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from central.redis_link import PROBE_SECONDS, Breaker, RedisLink
from central.spill.record import SpilledGroup, SpilledRequest, decode, encode
from central.spill.spill import Spill, SpillInDoubt, SpillRefused
from central.store.base import Remembered
from protocol.item import Item
from protocol.numbers import UNIT
from tests.central.redis_help import Ticks, address
from tests.central.store_help import NOW, TODAY
from tests.patience import PATIENCE, a_moment
from tests.redis_server import DURABLE, RedisServer, redis_server

T = TypeVar("T")

MAX_BYTES = 1 << 20


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as server:
        yield server


@asynccontextmanager
async def spilling(server: RedisServer, *, max_bytes: int = MAX_BYTES, seconds: float = 5) -> AsyncIterator[Spill]:
    async with linked(RedisLink(address(server), seconds=seconds), max_bytes) as made:
        yield made


@asynccontextmanager
async def linked(link: RedisLink, max_bytes: int = MAX_BYTES) -> AsyncIterator[Spill]:
    """A spill over a link that a test made."""
    made = Spill(link, max_bytes=max_bytes)
    yield made
    await made.close()


@pytest.fixture
async def spill(server: RedisServer) -> AsyncIterator[Spill]:
    async with spilling(server) as made:
        yield made


def group(*keys: bytes, answer: bytes | None = None) -> SpilledGroup:
    points = [Item("a", "value", UNIT, NOW)]
    requests = [SpilledRequest(1, points, key * 16, b"f" * 16, answer) for key in keys] or [SpilledRequest(1, points)]
    return SpilledGroup(os.urandom(16), TODAY, requests)


async def held(spill: Spill) -> list[SpilledGroup]:
    return [decode(entry.content) for entry in await spill.read(b"")]


# --- what an earlier version left


async def test_entries_under_the_old_names_of_the_keys_are_taken_over(spill: Spill, server: RedisServer) -> None:
    groups = [group(b"x"), group()]
    for made in groups:
        content = encode(made)
        await server.client.xadd("fiesta:spill:groups", {"group": content, "size": len(content)})
        await server.client.incrby("fiesta:spill:bytes", len(content))
    await server.client.xadd("fiesta:spill:groups:bad", {"group": "x", "reason": "why"})
    state = await spill.refresh()
    assert (state.entries, state.bytes, state.bad) == (2, sum(len(encode(made)) for made in groups), 1)
    assert await held(spill) == groups
    ((_, aside),) = await server.client.xrange("fiesta:{spill}:groups:bad")
    assert aside == {b"group": b"x", b"reason": b"why"}
    assert await server.client.keys("fiesta:spill:*") == []


# --- taking and giving


async def test_groups_come_out_oldest_first_and_leave_no_trace(spill: Spill, server: RedisServer) -> None:
    groups = [group(b"x", b"y"), group(), group(b"z")]
    for made in groups:
        await spill.put(made)
    assert await held(spill) == groups
    entries = await spill.read(b"")
    assert await spill.read(entries[0].id) == entries[1:]
    assert await spill.read(entries[-1].id) == []
    state = await spill.refresh()
    assert (state.entries, state.bytes) == (3, sum(entry.size for entry in entries))
    assert state.bytes > sum(len(entry.content) for entry in entries)
    for _ in range(2):  # asked twice it is done once
        await spill.remove(entries, [key * 16 for key in (b"x", b"y", b"z")])
    assert (spill.holds, (await spill.refresh()).bytes) == (False, 0)
    assert sorted(await server.client.keys("fiesta:{spill}:*")) == [b"fiesta:{spill}:bytes", b"fiesta:{spill}:groups"]


async def test_another_process_and_a_restart_know_the_requests(spill: Spill, server: RedisServer) -> None:
    await spill.put(group(b"x"))
    await spill.put(group(b"y", answer=b"partly"))
    await server.kill()
    await server.start()
    async with spilling(server) as other:
        assert await other.find_requests([b"x" * 16, b"y" * 16, b"z" * 16]) == {
            b"x" * 16: Remembered(b"f" * 16, None),
            b"y" * 16: Remembered(b"f" * 16, b"partly"),
        }
        assert (await other.refresh()).entries == 2
    assert 8 * 86_400 < await server.client.ttl(f"fiesta:{{spill}}:id:{(b'x' * 16).hex()}") <= 9 * 86_400


async def test_nothing_is_asked_for_no_ids(spill: Spill, server: RedisServer) -> None:
    await server.kill()
    assert await spill.find_requests([]) == {}


async def test_the_lag_is_the_age_of_the_oldest_by_the_servers_clock(spill: Spill, server: RedisServer) -> None:
    seconds, _ = await server.client.time()
    await server.client.xadd("fiesta:{spill}:groups", {"group": "x", "size": 1}, id=f"{(seconds - 100) * 1000}-0")
    assert 99 < (await spill.refresh()).lag_seconds < 160
    await spill.remove(await spill.read(b""), [])
    assert (await spill.refresh()).lag_seconds == 0


async def test_large_entries_are_read_a_few_at_a_time(server: RedisServer) -> None:
    async with spilling(server, max_bytes=1 << 30) as spill:
        for _ in range(20):
            await server.client.xadd("fiesta:{spill}:groups", {"group": bytes(1 << 20), "size": 1 << 20})
            await server.client.incrby("fiesta:{spill}:bytes", 1 << 20)
        await spill.refresh()
        assert len(await spill.read(b"")) == 3


async def test_an_entry_that_is_set_aside_goes_in_one_step(spill: Spill, server: RedisServer) -> None:
    await spill.put(group())
    (entry,) = await spill.read(b"")
    for _ in range(2):
        await spill.set_aside(entry, "why")
    state = await spill.refresh()
    assert (state.entries, state.bytes, state.bad) == (0, 0, 1)
    ((_, aside),) = await server.client.xrange("fiesta:{spill}:groups:bad")
    assert aside == {b"group": entry.content, b"reason": b"why"}


async def test_the_lease_has_one_owner(spill: Spill) -> None:
    assert [await spill.try_lease(token, 60) for token in "aba"] == [True, False, True]
    await spill.release("b")
    assert not await spill.try_lease("b", 60)
    await spill.release("a")
    assert await spill.try_lease("b", 60)


# --- what is not taken


async def test_the_bound_is_on_bytes_and_holds_for_all_processes(server: RedisServer) -> None:
    groups = [group() for _ in range(6)]
    size = max(len(encode(one)) for one in groups)  # their ids are random, and so, by a byte, are their sizes
    async with spilling(server, max_bytes=3 * size + size // 2) as one, spilling(server, max_bytes=3 * size) as two:
        for spill in (one, two, one):
            await spill.put(groups.pop())
        for spill in (one, two):
            with pytest.raises(SpillRefused, match="METRICS_SPILL_MAX_BYTES"):
                await spill.put(groups.pop())
        await one.remove((await one.read(b""))[:1], [])
        await two.put(groups.pop())
        assert (one.counts.put, one.counts.refused, two.counts.put, two.counts.refused) == (2, 1, 2, 1)


@pytest.mark.parametrize(
    "config", [{"appendonly": "no"}, {"appendfsync": "everysec"}, {"maxmemory_policy": "allkeys-lru"}]
)
async def test_a_redis_that_may_forget_is_refused_whenever_it_is_set_so(tmp_path: Path, config: dict[str, str]) -> None:
    (name,) = config
    async with redis_server(tmp_path / "redis", **config) as server, spilling(server) as spill:
        for _ in range(2):
            with pytest.raises(SpillRefused, match=f"set {name.replace('_', '-')} "):
                await spill.put(group())
            assert not await spill.read(b"")
            await server.set(**{name: DURABLE[name.replace("_", "-")]})
            while (await server.client.info("persistence"))["aof_rewrite_in_progress"]:
                await a_moment()
            await spill.put(group())
            await spill.remove(await spill.read(b""), [])
            await server.set(**config)
        assert "set " in ((await spill.refresh()).fault or "")


async def test_a_full_memory_refuses_and_leaves_nothing_behind(server: RedisServer) -> None:
    ticks = Ticks()
    async with linked(RedisLink(address(server), seconds=5, breaker=Breaker(PROBE_SECONDS, ticks))) as spill:
        await spill.put(group())
        await server.set(maxmemory="1mb")
        with pytest.raises(SpillRefused, match="maxmemory"):
            await spill.put(group(b"x"))
        await server.set(maxmemory="0")
        assert (await spill.refresh()).entries == 1
        ticks.now += PROBE_SECONDS
        assert await spill.find_requests([b"x" * 16]) == {}


async def test_without_rights_to_ask_how_durable_it_is_nothing_is_taken(tmp_path: Path) -> None:
    async with redis_server(tmp_path / "redis", rename_command='CONFIG" "') as server, spilling(server) as spill:
        with pytest.raises(SpillRefused, match="does not say whether it is durable"):
            await spill.put(group())


# --- Redis goes away


async def test_what_was_taken_outlives_a_kill(spill: Spill, server: RedisServer) -> None:
    groups = [group(b"%d" % number) for number in range(5)]
    for made in groups:
        await spill.put(made)
    await server.kill()
    with pytest.raises(SpillRefused):
        await spill.put(group())
    await server.start()
    assert (await spill.refresh()).fault is None
    assert await held(spill) == groups


async def test_a_spill_that_cannot_be_searched_says_so_until_it_can(server: RedisServer) -> None:
    async with spilling(server, seconds=0.1) as spill:
        while (await spill.refresh()).fault is not None:
            pass  # a busy machine may not connect in time
        server.pause()
        for reason in ("Redis cannot be asked", "Redis does not answer"):
            with pytest.raises(SpillRefused, match=reason):
                await spill.find_requests([b"x" * 16])
            assert reason in str(spill.fault)
        server.go_on()
        while spill.fault is not None:
            await spill.refresh()


async def test_a_silent_redis_is_asked_once_per_second(server: RedisServer) -> None:
    async with spilling(server, seconds=0.1) as spill:
        server.pause()
        with pytest.raises(SpillRefused, match="durable"):
            await spill.put(group())
        for _ in range(3):
            with pytest.raises(SpillRefused, match="does not answer"):
                await spill.put(group())
            with pytest.raises(SpillRefused, match="does not answer"):
                await spill.find_requests([b"x" * 16])
        server.go_on()


class StoppingLink(RedisLink):
    """A link whose server stops right after its first answer, in which it says how durable it is."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(address(server), seconds=0.2)
        self.server = server
        self.stopped = False

    async def run(self, work: Callable[[Any], Awaitable[T]], seconds: float | None = None) -> T:
        answer = await super().run(work, seconds if self.stopped else PATIENCE)
        if not self.stopped:
            self.server.pause()
            self.stopped = True
        return answer


async def test_an_answer_that_does_not_come_leaves_a_doubt(server: RedisServer) -> None:
    made = group(b"x")
    link = StoppingLink(server)
    async with linked(link) as hasty, spilling(server) as patient:
        with pytest.raises(SpillInDoubt):
            await hasty.put(made)
        assert (link.stopped, hasty.counts.in_doubt) == (True, 1)
        server.go_on()
        await patient.put(made)
        assert {read.id for read in await held(patient)} == {made.id}


async def test_flushall_of_an_empty_spill_is_harmless(spill: Spill, server: RedisServer) -> None:
    await spill.put(group())
    await spill.remove(await spill.read(b""), [])
    await server.client.flushall()
    await spill.put(group())
    assert ((await spill.refresh()).entries, len(await held(spill))) == (1, 1)


class NewerLink(RedisLink):
    """A link whose server says that it is 7.2."""

    async def run(self, work: Callable[[Any], Awaitable[T]], seconds: float | None = None) -> T:
        answer = await super().run(work, seconds)
        if isinstance(answer, list) and isinstance(answer[0], dict) and "redis_version" in answer[0]:
            answer[0]["redis_version"] = "7.2.0"
        return answer


@pytest.mark.parametrize("synced", [True, False])
async def test_where_the_server_can_be_asked_it_must_have_synced(tmp_path: Path, synced: bool) -> None:
    """WAITAOF came with 7.2. An older server's SMISMEMBER under its name takes and answers numbers likewise."""
    async with redis_server(tmp_path / "redis", rename_command='SMISMEMBER" "WAITAOF') as server:
        if synced:
            await server.client.sadd("1", "0")
        async with linked(NewerLink(address(server), seconds=5)) as spill:
            if synced:
                await spill.put(group())
            else:
                with pytest.raises(SpillInDoubt, match="sync"):
                    await spill.put(group())

"""central/web/query.py and admin.py: no client delays another one, and work ends when its client goes away."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from central.store.duck.engine import Connection, Lane
from central.store.duck.store import DuckStore
from central.web import query
from tests.central.harness import Central, Overlay, faulty, running

LIST = "/api/metrics"


class Slow(Overlay):
    """Queries and backups have no end, but that of their callers."""

    def __init__(self, real: DuckStore) -> None:
        super().__init__(real)
        self.begun = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)

    async def aggregate(self, *_: Any, **__: Any) -> Any:
        self.begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.release()

    backup = aggregate


class Stores:
    """Wraps the store of a service, and keeps it for the test."""

    made: Slow

    def __call__(self, real: DuckStore) -> Slow:
        self.made = Slow(real)
        return self.made


async def end(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("path", ["aggregate", "backup"])
async def test_work_stops_when_its_client_has_gone(tmp_path: Path, path: str) -> None:
    stores = Stores()
    async with running(tmp_path, outside=faulty(stores)) as central:
        assert (await central.counter("a")).status == 201
        asking = (
            asyncio.create_task(central.query("a", "sum"))
            if path == "aggregate"
            else asyncio.create_task(central.ask("GET", "/api/admin/backup"))
        )
        await stores.made.begun.acquire()
        await end([asking])
        await stores.made.ended.acquire()


async def test_queries_of_one_key_keep_no_other_key_waiting(tmp_path: Path) -> None:
    stores = Stores()
    async with running(tmp_path, outside=faulty(stores)) as central:
        assert (await central.counter("a")).status == 201
        _, other = await central.new_key("query")
        most = query.SLOTS.of_one_key + query.SLOTS.waiting_of_one_key
        asking = [asyncio.create_task(central.query("a", "sum")) for _ in range(most + 1)]
        done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = (task.result() for task in done)
        assert refused.error == (503, "SERVICE_UNAVAILABLE", None)
        assert refused.headers["Retry-After"]
        assert await central.meter('fiesta_busy_total{kind="queries"}') == 1
        assert (await central.ask("GET", LIST, key=other)).status == 200, "there is a place for another key"
        assert (await central.counter("a")).status == 201
        assert (await central.ask("GET", "/ready", key=None)).status == 200
        await end([*waiting])


async def test_all_panels_of_a_large_dashboard_are_answered_with_one_key(tmp_path: Path) -> None:
    """A reader's proxy asks for all of them at once, and shows a fault where an answer is 503."""
    async with running(tmp_path) as central:
        assert (await central.counter("a")).status == 201
        _, key = await central.new_key("query")
        replies = await asyncio.gather(*(central.query("a", "sum", key=key) for _ in range(60)))
        assert [reply.status for reply in replies] == [200] * 60


class HeldPool(ThreadPoolExecutor):
    """Threads that draw nothing before ``free`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Semaphore(0)
        self.free = threading.Event()

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        self.asked.release()

        def later() -> Any:
            self.free.wait()
            return work(*args, **options)

        return super().submit(later)


class Counting(Overlay):
    """Counts the queries that reach the store."""

    begun = 0

    async def aggregate(self, *args: Any, **options: Any) -> Any:
        self.begun += 1
        return await self.real.aggregate(*args, **options)


@pytest.mark.parametrize(
    ("name", "asked", "begun"),
    [
        ("a", {"window": "1m", "fill": "zero"}, 1),
        ("a", {"tz": "Europe/Berlin"}, 0),
        ("ab", {}, 0),
    ],
    ids=["the answer is written", "local days are found", "similar names are searched"],
)
async def test_a_query_has_its_slot_for_all_that_it_costs(
    tmp_path: Path, name: str, asked: dict[str, str], begun: int
) -> None:
    made: list[Counting] = []

    def counting(real: DuckStore) -> Counting:
        made.append(Counting(real))
        return made[0]

    async with running(tmp_path, outside=faulty(counting)) as central:
        assert (await central.counter("a")).status == 201
        _, other = await central.new_key("query")
        pool = HeldPool()
        asyncio.get_running_loop().set_default_executor(pool)
        asking = [asyncio.create_task(central.query(name, "sum", **asked)) for _ in range(3)]
        await pool.asked.acquire()
        reply = await central.query("a", "sum", key=other)
        state = (reply.status, made[0].begun, pool.asked.locked())
        pool.free.set()
        assert state == (200, begun + 1, True), "the second of the first key has not begun"
        assert {reply.status for reply in await asyncio.gather(*asking)} == {200}


async def test_one_backup_at_a_time(tmp_path: Path) -> None:
    stores = Stores()
    async with running(tmp_path, outside=faulty(stores)) as central:
        asking = [asyncio.create_task(central.ask("GET", "/api/admin/backup")) for _ in range(3)]
        done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status for task in done] == [503]
        await stores.made.begun.acquire()
        assert stores.made.begun.locked(), "the second has not begun"
        await end([*waiting])


def endless(cursor: Connection) -> None:
    cursor.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b").fetchall()


async def test_look_ups_wait_for_no_query_of_the_embedded_store(tmp_path: Path) -> None:
    kept: list[DuckStore] = []

    def keep(real: DuckStore) -> DuckStore:
        kept.append(real)
        return real

    async with running(tmp_path, outside=faulty(keep)) as central:
        await ask_all(central, kept[0])


async def ask_all(central: Central, store: DuckStore) -> None:
    endlessly = [
        asyncio.create_task(store.engine.read(endless, lane=lane)) for lane in (Lane.QUERY, Lane.COPY) for _ in range(9)
    ]
    _, key = await central.new_key("ingest", "query")
    assert (await central.counter("a", key=key, headers={"Idempotency-Key": "1"})).status == 201
    assert (await central.counter("a", key=key, headers={"Idempotency-Key": "1"})).status == 201
    assert (await central.ask("GET", "/ready", key=None)).status == 200
    assert (await central.ask("GET", "/api/admin/retention")).status == 200
    await end(endlessly)

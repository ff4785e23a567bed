"""MariaDB is stopped (SIGSTOP) in the middle of a COMMIT, seen through HTTP: a client gives up and asks again, at the
same process and at another one, before the server goes on. What it sent under a key is stored once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from protocol.numbers import UNIT
from tests.central import mysql_help, redis_help
from tests.central.harness import Central, process
from tests.patience import PATIENCE, a_moment
from tests.redis_server import redis_server
from tests.servers import MariaDB
from tests.slow_proxy import SlowProxy, slow_proxy
from tests.soak.oracle import Sums
from tests.soak.stored import in_mariadb

COMMIT = b"\x07\x00\x00\x00\x03COMMIT"
"""As it goes over the line: its length, its number in the exchange, the command for a query, the query."""
POINTS = b"INSERT INTO metric_points"
ADMIN_KEY = "given-by-an-operator-0123456789abcdef"


@dataclass
class StopAtCommit:
    """Holds the line to the server, and stops the server at the next COMMIT of points: before that is read, or, where
    it ``is_answered``, when it is done and the answer, which then never comes, is on its way."""

    mariadb: MariaDB
    is_answered: bool
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    gone_on: asyncio.Event = field(default_factory=asyncio.Event)
    _has_points: bool = False
    _begun: bool = False

    async def __call__(self, piece: bytes, is_answer: bool) -> None:
        self._has_points |= POINTS in piece
        self._begun |= self._has_points and piece == COMMIT
        if self._begun and is_answer == self.is_answered and not self.stopped.is_set():
            self.mariadb.pause()
            self.stopped.set()
            if is_answer:
                await asyncio.Event().wait()

    def go_on(self) -> None:
        self.mariadb.resume()
        self.gone_on.set()


@dataclass
class Pair:
    """Two central processes over one database; ``line`` is between the first and the database."""

    one: Central
    two: Central
    line: SlowProxy

    async def settle(self) -> None:
        """Return when both have all they need, and nothing waits in the spill."""
        async with asyncio.timeout(PATIENCE):
            await self._settle()

    async def _settle(self) -> None:
        for central in (self.one, self.two):
            while not _at_rest((await central.ask("GET", "/ready", key=None)).json):
                await a_moment()


def _at_rest(ready: Any) -> bool:
    return bool(ready["status"] == "ready" and not ready.get("spill", {"entries": 0})["entries"])


@pytest.fixture(params=["with Redis", "without"])
async def redis_environ(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    async with AsyncExitStack() as stack:
        if request.param == "without":
            yield {}
        else:
            server = await stack.enter_async_context(redis_server(tmp_path / "redis"))
            yield redis_help.environ_of(server.port)


@pytest.fixture
async def pair(tmp_path: Path, mariadb: MariaDB, database: str, redis_environ: dict[str, str]) -> AsyncIterator[Pair]:
    environ = {**mysql_help.environ_of(mariadb, database), **redis_environ, "METRICS_ADMIN_KEY": ADMIN_KEY}
    async with slow_proxy(mariadb.port) as line:
        near = {**environ, "DB_PORT": str(line.port)}
        async with process(tmp_path / "one", **near) as (_, one), process(tmp_path / "two", **environ) as (_, two):
            yield Pair(one, two, line)


async def until_stored(central: Central, name: str, headers: dict[str, str], gone_on: asyncio.Event) -> int:
    """Send until there is a 201, as a client should; how often there was none."""
    failed = 0
    while (reply := await central.counter(name, headers=headers)).status != 201:
        assert reply.error[:2] == (503, "SERVICE_UNAVAILABLE")
        failed += 1
        await gone_on.wait()
    return failed


async def given_up_and_sent_again(
    pair: Pair, stop: StopAtCommit, name: str, headers: dict[str, str], *, with_spill: bool
) -> int:
    """A client gives up on a request in whose COMMIT the server is stopped, and sends it again to both processes
    before the server goes on; how often these two got something else than 201."""
    before = await pair.one.meter("fiesta_late_commits_total")
    pair.line.hold = stop
    first = asyncio.create_task(pair.one.counter(name, headers=headers))
    try:
        async with asyncio.timeout(PATIENCE):
            await stop.stopped.wait()
            first.cancel()
            both = (pair.one, pair.two)
            again = [asyncio.create_task(until_stored(one, name, headers, stop.gone_on)) for one in both]
            while await pair.one.meter("fiesta_late_commits_total") == before:
                await a_moment()
        if with_spill:
            await asyncio.wait(again)
    finally:
        stop.go_on()
    return sum(await asyncio.gather(*again))


@pytest.mark.parametrize("is_answered", [False, True], ids=["COMMIT not read yet", "COMMIT done, its answer lost"])
async def test_a_server_stopped_in_commit_stores_a_retry_once(
    pair: Pair, mariadb: MariaDB, database: str, redis_environ: dict[str, str], is_answered: bool
) -> None:
    for name in ("keyed", "plain"):
        assert {(await central.counter(name)).status for central in (pair.one, pair.two)} == {201}
    await pair.settle()
    keyed = {"Idempotency-Key": "the same"}
    failed = {}
    for name, headers in (("keyed", keyed), ("plain", {})):
        stop = StopAtCommit(mariadb, is_answered)
        failed[name] = await given_up_and_sent_again(pair, stop, name, headers, with_spill=bool(redis_environ))
        await pair.settle()
    if redis_environ:
        assert failed == {"keyed": 0, "plain": 0}  # 201 from the spill, while the server was stopped
    for central in (pair.one, pair.two):
        reply = await central.counter("keyed", headers=keyed)
        assert (reply.status, reply.headers.get("Idempotency-Replayed")) == (201, "true")
    raw, *rollups = (await asyncio.to_thread(in_mariadb(mariadb, database).levels)).values()
    assert rollups == [raw, raw]
    assert raw["keyed"] == counted(2 + 1)
    # Each of three sendings without a key may count, and does where it got its 201.
    assert raw["plain"] in [counted(2 + 3 + doubt) for doubt in range(failed["plain"] + 1)]


def counted(times: int) -> Sums:
    return Sums(times * UNIT, times * UNIT, UNIT, UNIT)

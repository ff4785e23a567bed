"""Central processes without HTTP: one real store, one real Redis, and lines to the store that a test cuts or holds."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from central.ingest.answers import Answer
from central.ingest.names import Names
from central.ingest.submission import Submission
from central.redis_link import PROBE_SECONDS, Breaker, RedisLink
from central.spill.drain import Drain
from central.spill.spill import Spill
from central.store.base import Caps, StoreUnavailable
from central.store.duck.store import DuckStore
from central.store.outage_guard import OutageGuard
from central.store.series import SeriesCaps
from central.write.group_commit import GroupCommit
from tests.central.redis_help import Ticks, address
from tests.central.store_help import CAPS, SERIES_CAPS, Clock, migrate_quickly
from tests.redis_server import RedisServer, redis_server

MAX_BYTES = 10 << 20
LATE_SECONDS = 5.0
"""How long the store of a process may take for an answer; a test skips it, see tests.loop_time."""


class Line:
    """One process's line to a store. Cut, nothing arrives; held, what was asked arrives when it goes on.

    ``script`` is for commits: an exception to raise before the commit, or after it where it is paired with True.
    """

    def __init__(self, real: DuckStore) -> None:
        self.real = real
        self.cut = False
        self.go = asyncio.Event()
        self.go.set()
        self.asked: set[str] = set()
        self.entered = asyncio.Event()
        self.script: list[tuple[Exception, bool]] = []
        self.version: int | None = None
        self.names: Any = LineToNames(self, "names")
        self.series: Any = LineTo(self, "series")
        self.keys: Any = LineTo(self, "keys")
        self.agents: Any = LineTo(self, "agents")
        self.retention: Any = LineTo(self, "retention")

    def __getattr__(self, name: str) -> Any:
        return self.to(name)

    def to(self, name: str, face: str | None = None) -> Any:
        """A method of the store or of one of its faces, over the line, to whatever is real when it is called."""

        def method() -> Any:
            return getattr(self.real if face is None else getattr(self.real, face), name)

        if not inspect.iscoroutinefunction(method()) or name == "close":
            return method()

        async def call(*arguments: Any, **options: Any) -> Any:
            self.asked.add(name)
            if self.cut:
                raise StoreUnavailable("the line is cut")
            self.entered.set()
            await self.go.wait()
            return await method()(*arguments, **options)

        return call

    async def commit(self, *arguments: Any, **options: Any) -> None:
        error, after = self.script.pop(0) if self.script else (None, True)
        if after:
            await self.__getattr__("commit")(*arguments, **options)
        if error is not None:
            raise error

    async def close(self) -> None:
        """The real store is the test's."""


class LineTo:
    """A face of the store over the line."""

    def __init__(self, line: Line, face: str) -> None:
        self.over = line
        self.face = face

    def __getattr__(self, name: str) -> Any:
        return self.over.to(name, self.face)


class LineToNames(LineTo):
    async def version(self) -> int | None:
        """What a test says, as if other processes could delete names."""
        await self.over.to("version", self.face)()
        return self.over.version


class Process:
    """What one central process has of it all."""

    def __init__(
        self, store: DuckStore, server: RedisServer, *, max_bytes: int = MAX_BYTES, caps: Caps, series_caps: SeriesCaps
    ) -> None:
        clock = Clock()
        self.line = Line(store)
        self.store = OutageGuard(self.line, late_seconds=LATE_SECONDS, probe_seconds=0.01)
        self.names = Names(self.store, caps, series_caps)
        self.ticks = Ticks()
        link = RedisLink(address(server), seconds=5, breaker=Breaker(PROBE_SECONDS, self.ticks))
        self.spill = Spill(link, max_bytes=max_bytes)
        self.commits = GroupCommit(self.store, self.names, spill=self.spill, clock=clock)
        self.drain = Drain(self.spill, self.store, self.names, self.commits.in_slot, clock=clock)

    async def send(self, *submissions: Submission) -> list[Answer]:
        """Submit all at once."""
        return await asyncio.gather(*(self.commits.submit(submission) for submission in submissions))

    async def up(self) -> None:
        """The line is whole again, and the process has seen it."""
        self.line.cut = False
        self.line.go.set()
        await self.store.up.wait()

    async def close(self) -> None:
        self.line.go.set()
        await self.commits.close()
        await self.drain.close()
        await self.store.close()
        await self.spill.close()


class World:
    """The store, the Redis, and as many processes as a test wants."""

    def __init__(self, store: DuckStore, server: RedisServer, stack: AsyncExitStack) -> None:
        self.store = store
        self.server = server
        self._stack = stack

    def process(
        self, *, max_bytes: int = MAX_BYTES, caps: Caps = CAPS, series_caps: SeriesCaps = SERIES_CAPS
    ) -> Process:
        """Another process, which commits and does not drain by itself."""
        made = Process(self.store, self.server, max_bytes=max_bytes, caps=caps, series_caps=series_caps)
        made.commits.start()
        self._stack.push_async_callback(made.close)
        return made


@asynccontextmanager
async def world(folder: Path, **config: str) -> AsyncIterator[World]:
    """A store and a Redis, both empty."""
    async with redis_server(folder / "redis", **config) as server, AsyncExitStack() as stack:
        migrate_quickly(folder)
        store = DuckStore(folder, clock=Clock())
        await store.open()
        stack.push_async_callback(store.close)
        yield World(store, server, stack)

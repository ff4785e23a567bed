"""What agent tests share: a time that stands still, a scripted central, a real one on port 0, a disk that fails."""

import asyncio
import errno
import json
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web

from agent.aggregate.window import Window, WindowItem
from agent.clock import CentralClock
from agent.forward.forwarder import Forwarder, Pace
from agent.forward.outcome import Reply
from agent.forward.send import UnreachableError
from agent.ledger import Ledger
from agent.spool.batch import Batch, batches
from agent.spool.disk import Disk
from agent.spool.folder import AsideLimits, SpoolFolder
from agent.spool.spool import Spool, SpoolLimits
from protocol.item import Item
from protocol.limits import ACCEPTS_HEADER
from tests.patience import PATIENCE

NOW = 1_771_113_600
"""2026-02-15T00:00:00Z."""
KEY = "gf_abcdefghijkl_0123456789012345678901234567890123456789012"


class IdleError(Exception):
    """There is nothing left to wait for."""


class Time:
    """Clocks that move only when a test moves them; ``pauses`` are the waits that were asked for, which pass at once.

    To wait for ever raises IdleError.
    """

    def __init__(self, now: float = NOW) -> None:
        self.wall = now
        self.steady = 1_000.0
        self.pauses: list[float] = []

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    async def pause(self, seconds: float | None, wake: asyncio.Event) -> None:
        if seconds is None:
            raise IdleError
        self.pauses.append(seconds)
        self.pass_by(seconds)


def a_batch(number: int = 0, items: int = 3, start: int = NOW - 10) -> Batch:
    """A batch of ``items`` counters, each standing for two samples, with an id made of ``number``."""
    window = Window(start, [WindowItem(Item(f"n{i}", "counter", 20_000, start), 2, "counter") for i in range(items)])
    return next(iter(batches(window, lambda: f"{number:032x}")))


async def run_here(call: Callable[..., Any], *args: Any) -> Any:
    """In place of asyncio.to_thread."""
    return call(*args)


def a_spool(
    path: Path,
    disk: Disk | None = None,
    limits: SpoolLimits | None = None,
    run: Callable[..., Awaitable[Any]] = run_here,
) -> tuple[Spool, Ledger]:
    """A spool that has not been opened, and its ledger."""
    ledger = Ledger()
    folder = SpoolFolder(path, disk or Disk(), AsideLimits())
    return Spool(folder, ledger, limits or SpoolLimits(), run), ledger


async def put(spool: Spool, ledger: Ledger, *given: Batch) -> None:
    """Batches as they come from a window."""
    ledger.received += sum(batch.total for batch in given)
    spool.add(given)
    await spool.persist()


def stored(items: int, rejected: Sequence[tuple[int, str]] = (), date: float | None = NOW) -> Reply:
    """Central's 201."""
    body = {
        "success": True,
        "accepted": items - len(rejected),
        "rejected": len(rejected),
        "errors": [{"index": index, "name": "n", "code": code, "message": "no"} for index, code in rejected],
    }
    return ours(201, body, date)


def ours(status: int, body: dict[str, Any], date: float | None = NOW, retry_after: str | None = None) -> Reply:
    date_header = None if date is None else formatdate(date, usegmt=True)
    return Reply(status, "application/json; charset=utf-8", json.dumps(body).encode(), retry_after, date_header)


def refused(status: int, code: str, date: float | None = NOW, retry_after: str | None = None) -> Reply:
    """Central's error shape."""
    return ours(status, {"success": False, "error": {"code": code, "message": "no"}}, date, retry_after)


def page(status: int, date: float | None = None) -> Reply:
    """Somebody else's HTML."""
    date_header = None if date is None else formatdate(date, usegmt=True)
    return Reply(status, "text/html", b"<html>log in</html>", None, date_header)


class ScriptedCentral:
    """A service with the true time that answers as a test says. ``stored`` has what it acknowledged, once per id."""

    def __init__(self, time: Time, offset: float = 0.0) -> None:
        self.time = time
        self.offset = offset
        """Its clock minus the agent's."""
        self.answers: list[Reply | Callable[[str, bytes], Reply] | Exception] = []
        """The next answers to batches; when there are none left, batches are stored."""
        self.asked: list[str] = []
        """Ids of batches, and "health"."""
        self.stored: dict[str, bytes] = {}
        self.new_keys = 0
        self.health_answer: Callable[[], Reply] | None = None

    def now(self) -> float:
        return self.time.steady - 1_000.0 + NOW + self.offset

    async def post(self, batch_id: str, body: bytes, types: str = "") -> Reply:
        self.asked.append(batch_id)
        answer = self.answers.pop(0) if self.answers else self.store
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else answer(batch_id, body)

    def store(self, batch_id: str, body: bytes) -> Reply:
        known = self.stored.setdefault(batch_id, body)
        assert known == body, "a retry must send the same bytes"
        return stored(len(json.loads(body)["metrics"]), date=self.now())

    async def health(self) -> Reply:
        self.asked.append("health")
        if self.health_answer is not None:
            return self.health_answer()
        return ours(200, {"success": True, "data": {}}, self.now())

    def try_new_key(self) -> bool:
        if self.new_keys:
            self.new_keys -= 1
            return True
        return False

    def samples(self) -> Counter[str]:
        """Counter values stored, by name."""
        total: Counter[str] = Counter()
        for body in self.stored.values():
            for item in json.loads(body)["metrics"]:
                total[item["name"]] += item["value"]
        return total


class EventLog(list[str]):
    """A ``tell`` that remembers the events."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def __call__(self, event: str, message: str) -> None:
        self.append(event)
        self._news.set()
        assert KEY not in message

    async def until(self, event: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while event not in self:
                self._news.clear()
                await self._news.wait()


def a_forwarder(
    spool: Spool,
    time: Time,
    central: ScriptedCentral,
    wall_ahead: float = 0.0,
    interval_and_share: tuple[float, float] = (0.0, 0.0),
) -> tuple[Forwarder, CentralClock, EventLog]:
    """A forwarder whose jitter is always the longest; without an interval it keeps no pace."""
    clock = CentralClock(lambda: time.wall + wall_ahead, lambda: time.steady)
    events = EventLog()
    pace = Pace(time.pause, lambda low, high: high, *interval_and_share)
    return Forwarder(spool, central, clock, pace, events), clock, events


NETWORK = UnreachableError("no way there")


class Crash(BaseException):
    """The process dies here."""


class FailingDisk:
    """A Disk whose calls fail while ``fault`` is set, or from call number ``crash_at`` on, counted from 0.

    A crash in a call leaves it undone; with ``after`` it is done first.
    """

    def __init__(self, crash_at: int | None = None, after: bool = False) -> None:
        self.calls = 0
        self.fault: OSError | None = None
        self.fail_only: str | None = None
        self.disk = Disk(
            write=self._wrap("write", os.write),
            fsync=self._wrap("fsync", os.fsync),
            rename=self._wrap("rename", os.replace),
            unlink=self._wrap("unlink", os.unlink),
        )
        self.crash_at = crash_at
        self.after = after

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            if self.fault is not None and self.fail_only in {None, name}:
                raise self.fault
            number = self.calls
            self.calls += 1
            if self.crash_at is None or number < self.crash_at:
                return call(*args)
            if self.after and number == self.crash_at:
                call(*args)
            raise Crash

        return wrapped


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class RealCentral:
    """A small central over real HTTP: deduplicates by Idempotency-Key, records, and answers as ``answer`` says."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: Counter[str] = Counter()
        """Requests by id."""
        self.stored: dict[str, list[dict[str, Any]]] = {}
        """Items by the id of their batch. A batch that is here never changes."""
        self._totals: defaultdict[str, float] = defaultdict(float)
        self._times: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[web.Request], web.StreamResponse | None] = lambda request: None
        """An answer instead of storing."""
        self.accepts = ""
        """What each answer says of the fields that it takes, when that is not empty."""
        self.changed = asyncio.Condition()

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if request.headers.get("X-API-Key") != KEY:
            return self._error(401, "UNAUTHORIZED")
        metrics = json.loads(await request.read())["metrics"]
        if not metrics:
            return self._error(400, "VALIDATION_ERROR")
        key = request.headers["Idempotency-Key"]
        self.requests[key] += 1
        other = self.answer(request)
        if other is not None:
            return other
        replayed = key in self.stored
        assert self.stored.setdefault(key, metrics) == metrics
        if not replayed:
            for item in metrics:
                self._totals[item["name"]] += item.get("value", 0)
                self._times[item["name"]] += 1
        async with self.changed:
            self.changed.notify_all()
        answer = {"success": True, "accepted": len(metrics), "rejected": 0, "errors": []}
        headers = {"Idempotency-Replayed": "true"} if replayed else {}
        return web.json_response(answer, status=201, headers=headers)

    def _error(self, status: int, code: str) -> web.Response:
        limits = {"RateLimit-Limit": "1000", "RateLimit-Remaining": "999", "RateLimit-Reset": "7"}
        error = {"code": code, "message": "no"}
        return web.json_response(
            {"success": False, "error": error}, status=status, headers=limits if status == 400 else {}
        )

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"success": True, "data": {"status": "ok"}})

    async def _say_what_it_takes(self, request: web.Request, response: web.StreamResponse) -> None:
        if self.accepts:
            response.headers[ACCEPTS_HEADER] = self.accepts

    def total(self, name: str) -> float:
        """The sum of what was stored under ``name``."""
        return self._totals.get(name, 0.0)

    def times_stored(self) -> Counter[str]:
        """How often each name was stored."""
        return self._times.copy()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(reached)

    @asynccontextmanager
    async def serving(self, **site: Any) -> AsyncIterator["RealCentral"]:
        app = web.Application()
        app.on_response_prepare.append(self._say_what_it_takes)
        app.add_routes(
            [
                web.post("/api/metrics/batch", self._batch),
                web.get("/health", self._health),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, **site).start()
        scheme = "https" if site else "http"
        self.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

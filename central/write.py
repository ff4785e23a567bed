"""Group commit: requests join the open group, which commits when the previous commit returns.

Each request waits for its own result. A group that certainly failed is run again one by one, so
that only the offender fails. One whose outcome is unknown is never answered from: it is run again under its
id until the store tells, while its requests wait, or leave with 503 and may ask again.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from central.answer import Answer, recorded, refused
from central.errors import ApiError, unavailable
from central.ingest import RequestKey, Submission
from central.names import Names
from central.store.base import (
    Group,
    OutcomeUnknown,
    Remembered,
    RequestId,
    Row,
    Store,
    StoreError,
    StoreUnavailable,
)

T = TypeVar("T")

MAX_REQUESTS: Final = 256
MAX_ROWS: Final = 10_000
MAX_WAITING_ROWS: Final = 200_000
MAX_WAITING_REQUESTS: Final = 20_000
WAIT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 1.0
_RETRY_FIRST: Final = 0.05
_RETRY_MOST: Final = 2.0
_DAY: Final = 86_400
_row: Final = tuple.__new__  # Row without its Python-level constructor: 140 ns and not 310
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class WriteCounts:
    """Facts of the group commit since the start; plain ints, read at scrape."""

    groups: int = 0
    requests: int = 0
    points: int = 0
    replays: int = 0
    failed_groups: int = 0
    unknown_outcomes: int = 0
    turned_away: int = 0
    commit_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A submission on its way. The first of the waiters sent it; the others came with the same key."""

    submission: Submission
    waiters: list[asyncio.Future[Answer]]
    answered: bool = False

    def finish(self, answer: Answer) -> int:
        """Give every waiter its answer; returns how many got it as a replay."""
        self.answered = True
        first, *others = self.waiters
        if not first.done():
            first.set_result(answer)
        if others and answer.status == 201:
            answer = recorded(answer.body, replayed=True)
        for waiter in others:
            if not waiter.done():
                waiter.set_result(answer)
        return len(others) if answer.status == 201 else 0


class GroupCommit:
    """The only writer of points. Owns the queue and the requests in flight."""

    def __init__(
        self,
        store: Store,
        names: Names,
        *,
        clock: Callable[[], float] = time.time,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._queue: deque[_Waiting] = deque()
        self._queued_rows = 0
        self._in_flight: dict[bytes, _Waiting] = {}
        self._deadlines: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self.counts = WriteCounts()

    def start(self) -> None:
        """Begin to commit."""
        self._tasks = [
            asyncio.create_task(self._run(), name="group-commit"),
            asyncio.create_task(self._release_late(), name="group-commit-deadlines"),
        ]

    async def close(self) -> None:
        """Commit what waits, then end. Nothing may be submitted any more."""
        self._closing = True
        self._wake.set()
        if self._tasks:
            run, deadlines = self._tasks
            await run
            deadlines.cancel()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    async def submit(self, submission: Submission) -> Answer:
        """Store a submission and answer once it is durable. Raises ApiError 503 when too many wait.

        A request whose key is in flight waits for the first and gets its answer as a replay.
        """
        request = submission.request
        if request is not None and (first := self._in_flight.get(request.id)) is not None:
            return await self._join(request, first)
        if not submission.items and request is None:
            return submission.answer()
        rows = len(submission.items)
        if len(self._queue) >= MAX_WAITING_REQUESTS or self._queued_rows + rows > MAX_WAITING_ROWS or self._closing:
            self.counts.turned_away += 1
            raise unavailable("too many requests are waiting to be stored; nothing was stored, try again")
        waiting = _Waiting(submission, [])
        if request is not None:
            self._in_flight[request.id] = waiting
        self._queue.append(waiting)
        self._queued_rows += rows
        self._wake.set()
        return await self._wait(waiting)

    async def replay(self, request: RequestKey, submission_body: Callable[[], bytes]) -> Answer | None:
        """The first answer to a request that is stored or in flight; None for a new one.

        ``submission_body`` gives the plain body. Raises ApiError for a key that came with another body.
        """
        if (first := self._in_flight.get(request.id)) is not None:
            return await self._join(request, first)
        try:
            known = await self._store.recall([request.id])
        except StoreError as error:
            raise unavailable(f"the store cannot be asked: {error}") from error
        found = known.get(request.id)
        return None if found is None else _replayed(request, found, submission_body)

    async def exclusive(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` between two groups: for changes that no open group may straddle."""
        async with self._turn:
            return await work()

    async def _join(self, request: RequestKey, first: _Waiting) -> Answer:
        if first.submission.request is None or first.submission.request.fingerprint != request.fingerprint:
            raise _reused()
        return await self._wait(first)

    def _wait(self, waiting: _Waiting) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        waiting.waiters.append(waiter)
        self._deadlines.append((loop.time() + self._wait_seconds, waiter))
        return waiter

    async def _release_late(self) -> None:
        """Send those away who waited too long; what they sent goes on and its key stays in flight.

        One look a second over a queue in order of time: a timer for each request would cost more than its commit.
        """
        late = refused(unavailable("storing takes too long; send it again with the same Idempotency-Key"))
        while True:
            now = asyncio.get_running_loop().time()
            while self._deadlines and (self._deadlines[0][1].done() or self._deadlines[0][0] <= now):
                _, waiter = self._deadlines.popleft()
                if not waiter.done():
                    self.counts.turned_away += 1
                    waiter.set_result(late)
            await asyncio.sleep(min(1.0, self._wait_seconds))

    # --- the loop

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                await self._rest()
                continue
            async with self._turn:
                await self._run_group(self._take())
                await self._store.tidy(idle=False)

    async def _rest(self) -> None:
        """Wait for a request; when none comes for a while, let the store tidy up once."""
        self._wake.clear()
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            async with self._turn:
                await self._store.tidy(idle=True)
            await self._wake.wait()

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        rows = 0
        while self._queue and len(taken) < MAX_REQUESTS:
            more = len(self._queue[0].submission.items)
            if taken and rows + more > MAX_ROWS:
                break
            taken.append(self._queue.popleft())
            rows += more
        self._queued_rows -= rows
        return taken

    async def _run_group(self, members: list[_Waiting]) -> None:
        """Store the members; every one is answered afterwards."""
        try:
            await self._store_group(members)
        except StoreError as error:
            self.counts.failed_groups += 1
            if len(members) == 1 or isinstance(error, StoreUnavailable):
                _log.error("group_not_stored", error=str(error), requests=len(members))
                answer = refused(unavailable("the store did not take it; nothing was stored, try again"))
                self._finish(members, answer)
                return
            _log.warning("group_failed_run_one_by_one", error=str(error), requests=len(members))
            for member in members:
                if not member.answered:
                    await self._run_group([member])
        except Exception:
            _log.exception("group_crashed", requests=len(members))
            self._finish(members, refused(ApiError(500, "INTERNAL_ERROR", "something broke here; it is logged")))

    async def _store_group(self, members: list[_Waiting]) -> None:
        fresh = await self._answer_known(members)
        now = self._clock()
        await self._names.settle((member.submission for member in fresh), int(now))
        group = Group(os.urandom(16), int(now // _DAY))
        for member in fresh:
            self._add(group, member.submission)
        if group.rows or group.ids:
            started = time.perf_counter()
            await self._commit(group)
            self.counts.commit_seconds += time.perf_counter() - started
            self.counts.groups += 1
            self.counts.points += len(group.rows)
        self.counts.requests += len(fresh)
        for member in fresh:
            self._finish([member], member.submission.answer())

    async def _answer_known(self, members: list[_Waiting]) -> list[_Waiting]:
        """Answer those whose key is stored already; return the others."""
        ids = [member.submission.request.id for member in members if member.submission.request is not None]
        known = await self._store.recall(ids) if ids else {}
        if not known:
            return members
        fresh = []
        for member in members:
            request = member.submission.request
            found = None if request is None else known.get(request.id)
            if request is None or found is None:
                fresh.append(member)
                continue
            try:
                answer = _replayed(request, found, member.submission.plain_body)
                self.counts.replays += 1
            except ApiError as error:
                answer = refused(error)
            self._finish([member], answer)
        return fresh

    def _finish(self, members: list[_Waiting], answer: Answer) -> None:
        for member in members:
            if not member.answered:
                self.counts.replays += member.finish(answer)
                if member.submission.request is not None:
                    self._in_flight.pop(member.submission.request.id, None)

    def _add(self, group: Group, submission: Submission) -> None:
        of = self._names.of
        group.rows.extend(
            [
                _row(Row, (of(name).id, recorded_at, value, weight, low, high))
                for name, _, value, recorded_at, weight, low, high in submission.items
            ]
        )
        if submission.request is not None and submission.remembers():
            answer = submission.body() if submission.rejected else None
            group.ids.append(RequestId(submission.request.id, submission.request.fingerprint, answer))

    async def _commit(self, group: Group) -> None:
        """Commit until the outcome is known. Raises StoreError when it is certain that nothing is stored."""
        again = False
        pause = _RETRY_FIRST
        while True:
            try:
                await self._store.commit(group, again=again)
                return
            except OutcomeUnknown as error:
                again = True
                self.counts.unknown_outcomes += 1
                _log.error("commit_in_doubt_asking_again", error=str(error), group=group.id.hex())
            except StoreError as error:
                if not again:
                    raise
                _log.error("commit_still_in_doubt", error=str(error), group=group.id.hex(), next_try_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_MOST)


def _replayed(request: RequestKey, found: Remembered, plain_body: Callable[[], bytes]) -> Answer:
    if found.fingerprint != request.fingerprint:
        raise _reused()
    return recorded(plain_body() if found.answer is None else found.answer, replayed=True)


def _reused() -> ApiError:
    return ApiError(
        400,
        "IDEMPOTENCY_KEY_REUSED",
        "this Idempotency-Key came before with another path or body; make a new key for each new request",
        details={"field": "Idempotency-Key"},
    )

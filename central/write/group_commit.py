"""Group commit: requests wait in a queue, and a writer commits many of them as one group.

Each request waits for its own result. If a group certainly failed, each of its requests is run alone, so that only the
request at fault fails. If the outcome of a group is unknown, no request is answered: the group is run again under its
id until the store knows the outcome. Its requests wait meanwhile, or get 503 and may be sent again.

With a spill, a group that the store does not take in time goes to the spill and is acknowledged.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from central.errors import ApiError, unavailable
from central.ingest.answers import Answer, refused
from central.ingest.group import add, request_ids, try_until_taken
from central.ingest.names import Names
from central.ingest.submission import RequestKey, Submission
from central.spill.record import SpilledGroup, spilled
from central.spill.spill import Spill, SpillInDoubt, SpillRefused
from central.store.base import (
    Group,
    Remembered,
    Store,
    StoreError,
    StoreUnavailable,
)
from central.write.slots import WriteSlots
from central.write.store_or_spill import StoreOrSpill, WriteCounts
from central.write.waiting import Waiting, replayed, reused

T = TypeVar("T")

MAX_REQUESTS: Final = 256
MAX_ROWS: Final = 10_000
MAX_WAITING_ROWS: Final = 200_000
MAX_WAITING_REQUESTS: Final = 20_000
WAIT_SECONDS: Final = 10.0
SLOT_SECONDS: Final = 2.0
"""How long a group waits for a write slot if there is a spill to take it instead."""
GROUP_INTERVAL_SECONDS: Final = 0.005
"""Under load, a writer takes its next group at least this long after the one before. So it needs fewer commits."""
LARGE_ROWS: Final = 500
ENOUGH_ROWS: Final = MAX_ROWS // 2
"""After a group of LARGE_ROWS, one of several writers waits that long again if fewer rows than these are in the queue.
Clients that got an answer send their next batch meanwhile. So groups are larger, and rollups change fewer times."""
IDLE_SECONDS: Final = 1.0
TIDY_SECONDS: Final = 60.0
"""How often all writers stop for the store's upkeep, if there are several."""
_DAY: Final = 86_400
_log = structlog.get_logger(__name__)


class GroupCommit:
    """The only writer of points. Owns the queue and the requests in flight."""

    def __init__(
        self,
        store: Store,
        names: Names,
        *,
        spill: Spill | None = None,
        clock: Callable[[], float] = time.time,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.counts = WriteCounts()
        self._store = store
        self._names = names
        self._store_or_spill = StoreOrSpill(store, spill, self.counts)
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._queue: deque[Waiting] = deque()
        self._queued_rows = 0
        self._in_flight: dict[bytes, Waiting] = {}
        self._deadlines: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        self._slots = WriteSlots(store.writers)
        self._tidied = 0.0
        self._wake = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to commit."""
        self._tasks = [
            asyncio.create_task(self._release_late(), name="group-commit-deadlines"),
            *(asyncio.create_task(self._run(writer), name="group-commit") for writer in range(self._store.writers)),
        ]

    async def close(self) -> None:
        """Commit the queue, then end. Call it only after the last ``submit``.

        If a writer failed, this raises its error after all loops have ended. Cancelling the caller cancels the writers.
        """
        self._closing = True
        self._wake.set()
        if self._tasks:
            deadlines, *writers = self._tasks
            try:
                await asyncio.gather(*writers, return_exceptions=True)
            finally:
                deadlines.cancel()
                await asyncio.wait([deadlines])
            for writer in writers:
                writer.result()

    @property
    def running(self) -> bool:
        """Whether all loops run. If one ended, requests could wait for ever."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    async def submit(self, submission: Submission) -> Answer:
        """Store a submission and return its answer once it is durable. Raises ApiError 503 if too many wait.

        If a request with the same key is in flight, this waits for it and returns its answer as a replay.
        """
        request = submission.request
        if request is not None and (first := self._first_of(request)) is not None:
            return await self._join(request, first, submission.plain_body)
        if not submission.items and request is None:
            return submission.answer()
        rows = len(submission.items)
        if len(self._queue) >= MAX_WAITING_REQUESTS or self._queued_rows + rows > MAX_WAITING_ROWS or self._closing:
            self.counts.turned_away += 1
            raise unavailable("too many requests wait to be stored; nothing was stored; try again")
        waiting = Waiting(submission, [])
        if request is not None:
            self._in_flight.update(dict.fromkeys(request.ids, waiting))
        self._queue.append(waiting)
        self._queued_rows += rows
        self._wake.set()
        return await self._wait(waiting)

    async def replay(self, request: RequestKey, submission_body: Callable[[], bytes]) -> Answer | None:
        """The first answer to a request that is stored or in flight; None for a new request.

        ``submission_body`` returns the plain body. Raises ApiError if the key came with another body before.
        """
        if (first := self._first_of(request)) is not None:
            return await self._join(request, first, submission_body)
        return await self._replay_stored(request, submission_body)

    async def exclusive(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while no group is being committed."""
        async with self._slots.all():
            return await work()

    async def in_slot(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` when a write slot is free. Groups and ``work`` get slots in the order of their calls."""
        async with self._slots.one():
            return await work()

    def _first_of(self, request: RequestKey) -> Waiting | None:
        """The request in flight that has one of these ids: the same request, or another one with its key."""
        return next((self._in_flight[given] for given in request.ids if given in self._in_flight), None)

    async def _join(self, request: RequestKey, first: Waiting, plain_body: Callable[[], bytes]) -> Answer:
        if first.submission.request is not None and first.submission.request.fingerprint == request.fingerprint:
            return await self._wait(first)
        # The one in flight has another body. It is the one to be refused if this body is stored already.
        stored = await self._replay_stored(request, plain_body)
        if stored is None:
            raise reused()
        return stored

    async def _replay_stored(self, request: RequestKey, plain_body: Callable[[], bytes]) -> Answer | None:
        try:
            known = await self._store_or_spill.find_requests(request.ids)
        except StoreError as error:
            raise unavailable(f"the store cannot be asked: {error}") from error
        found = next((known[given] for given in request.ids if given in known), None)
        return None if found is None else replayed(request, found, plain_body)

    def _wait(self, waiting: Waiting) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        waiting.waiters.append(waiter)
        self._deadlines.append((loop.time() + self._wait_seconds, waiter))
        return waiter

    async def _release_late(self) -> None:
        """Answer 503 to requests that waited too long. Their points may still be stored, and their keys stay in flight.

        This checks a queue in the order of time once per second. A timer per request would cost more than its commit.
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

    async def _run(self, writer: int) -> None:
        while True:
            if self._queue:
                opened = time.monotonic()
                members = self._take()
                await self._run_group(members)
                await self._tidy(writer)
                if len(members) > 1:
                    rows = sum(len(member.submission.items) for member in members)
                    took = time.monotonic() - opened
                    await asyncio.sleep(pause_seconds(rows, took, self._store.writers, self._queued_rows))
            elif self._closing:
                return
            else:
                await self._rest(writer)

    async def _tidy(self, writer: int) -> None:
        """Do the store's upkeep: after each group of a single writer, or every TIDY_SECONDS if there are several."""
        now = time.monotonic()
        if self._store.writers == 1 or (writer == 0 and now - self._tidied > TIDY_SECONDS):
            self._tidied = now
            async with self._slots.all():
                await self._store.tidy(idle=False)

    async def _rest(self, writer: int) -> None:
        """Wait for a request. If none comes within IDLE_SECONDS, let the store tidy up once."""
        self._wake.clear()
        try:
            async with asyncio.timeout(IDLE_SECONDS if writer == 0 else None):
                await self._wake.wait()
        except TimeoutError:
            async with self._slots.all():
                await self._store.tidy(idle=True)
            if not self._queue and not self._closing:
                await self._wake.wait()

    def _take(self) -> list[Waiting]:
        taken: list[Waiting] = []
        rows = 0
        while self._queue and len(taken) < MAX_REQUESTS:
            more = len(self._queue[0].submission.items)
            if taken and rows + more > MAX_ROWS:
                break
            taken.append(self._queue.popleft())
            rows += more
        self._queued_rows -= rows
        return taken

    async def _run_group(self, members: list[Waiting]) -> None:
        """Store or spill the members. Afterwards, every member has an answer."""
        try:
            await self._store_group(members)
        except StoreUnavailable as error:
            self.counts.failed_groups += 1
            await self._spill_group(_open(members), error)
        except StoreError as error:
            # Nothing is stored, but the store is up: it refused one of the requests. Run each alone, so that only
            # that request fails.
            self.counts.failed_groups += 1
            if len(members) == 1:
                self._turn_away(members, f"the store did not take it: {error}")
                return
            _log.warning("group_failed_run_one_by_one", error=str(error), requests=len(members))
            for member in _open(members):
                await self._run_group([member])
        except Exception:
            _log.exception("group_crashed", requests=len(members))
            self._finish_all(members, refused(ApiError(500, "INTERNAL_ERROR", "the service failed; its log says why")))

    async def _store_group(self, members: list[Waiting]) -> None:
        """Store the members. Raises StoreError if certainly nothing is stored of those without an answer."""
        group_id = os.urandom(16)
        async with contextlib.AsyncExitStack() as stack:
            try:
                patience = SLOT_SECONDS if self._store_or_spill.has_spill else None
                await stack.enter_async_context(self._slots.one(patience))
            except TimeoutError:
                raise StoreUnavailable("earlier groups are still being committed") from None
            await try_until_taken(lambda: self._try_group(group_id, _open(members)), self._names)

    async def _try_group(self, group_id: bytes, members: list[Waiting]) -> None:
        # After an outage, most requests in a group are stored already. One search answers them all.
        fresh = self._answer_known(members, await self._store_or_spill.find_requests(_ids(members)))
        now = self._clock()
        known = await self._names.settle((member.submission for member in fresh), int(now))
        group = Group(group_id, int(now // _DAY), names_version=known.version)
        for member in fresh:
            add(group, member.submission, known, request_ids(member.submission))
        if group.rows or group.ids:
            started = time.perf_counter()
            stored = await self._store_or_spill.commit(group, lambda: _record(group.id, group.day, fresh))
            self.counts.commit_seconds.observe(time.perf_counter() - started)
            if stored:
                self._count(fresh, len(group.rows))
                self.counts.overflow_points += known.series.overflowing(group.rows)
        # The group is durable from here on, in the store or in the spill. Only now are these members answered.
        for member in fresh:
            self._finish(member, member.submission.answer())

    def _count(self, members: list[Waiting], rows: int) -> None:
        counts = self.counts
        counts.group_requests.observe(len(members))
        counts.group_points.observe(rows)
        counts.points += rows
        counts.counters += sum([item[1] for item in member.submission.items].count("counter") for member in members)

    async def _spill_group(self, members: list[Waiting], reason: StoreError) -> None:
        """Put the members in the spill as a new group. Afterwards, every member has an answer."""
        try:
            fresh = self._answer_known(members, await self._store_or_spill.find_spilled_requests(_ids(members)))
            self._names.settle_known(member.submission for member in fresh)
            # Use a new id. The store has certainly not stored the group under the old one, and some members may have
            # an answer already.
            await self._store_or_spill.spill(_record(os.urandom(16), int(self._clock() // _DAY), fresh))
        except SpillRefused as error:
            self._turn_away(members, f"neither the store nor the spill took it: {reason}; {error}")
        except SpillInDoubt as error:
            _log.error("group_in_doubt", error=str(error), requests=len(members))
            text = "it is not known whether it was stored; send it again with the same Idempotency-Key"
            self._finish_all(members, refused(unavailable(text)))
        else:
            for member in fresh:
                self._finish(member, member.submission.answer())

    # --- answers

    def _answer_known(self, members: list[Waiting], known: dict[bytes, Remembered]) -> list[Waiting]:
        """Answer the members whose ids are known. Return the others."""
        if not known:
            return members
        fresh = []
        for member in members:
            answer = member.known_answer(known)
            if answer is None:
                fresh.append(member)
                continue
            self.counts.replays += answer.status == 201
            self._finish(member, answer)
        return fresh

    def _turn_away(self, members: list[Waiting], reason: str) -> None:
        _log.error("group_not_stored", error=reason, requests=len(members))
        self._finish_all(members, refused(unavailable("the store did not take it; nothing was stored; try again")))

    def _finish_all(self, members: list[Waiting], answer: Answer) -> None:
        for member in members:
            self._finish(member, answer)

    def _finish(self, member: Waiting, answer: Answer) -> None:
        if member.answered:
            return
        self.counts.replays += member.finish(answer)
        if member.submission.request is not None:
            for given in member.submission.request.ids:
                self._in_flight.pop(given, None)


def pause_seconds(rows: int, took: float, writers: int, waiting_rows: int) -> float:
    """How long a writer waits after a group of several requests. The group had so many rows, and ``took`` seconds."""
    if writers > 1 and rows >= LARGE_ROWS and waiting_rows < ENOUGH_ROWS:
        return GROUP_INTERVAL_SECONDS
    return max(0.0, GROUP_INTERVAL_SECONDS - took)


def _open(members: list[Waiting]) -> list[Waiting]:
    """The members that have no answer yet."""
    return [member for member in members if not member.answered]


def _ids(members: list[Waiting]) -> list[bytes]:
    requests = (member.submission.request for member in members)
    return [given for request in requests if request is not None for given in request.ids]


def _record(group_id: bytes, day: int, members: list[Waiting]) -> SpilledGroup:
    submissions = (member.submission for member in members)
    return spilled(group_id, day, [given for given in submissions if given.items or given.remembers()])

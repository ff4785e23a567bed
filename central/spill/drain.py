"""Moves entries from the spill into the store: each exactly once, oldest first, in one process at a time.

The drain looks up an entry's group id in the store first, and stores it with the points in one transaction. So an entry
is stored once even if it comes twice, if two processes drain it, or if its removal from the spill failed. A request
that is already in the store, because its client sent it again, is left out. An entry that cannot be read is set
aside. An entry that the store refuses stays in the spill; the drain goes on with the next one.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from central.ingest.group import add, try_until_taken
from central.ingest.names import Names
from central.ingest.submission import Submission
from central.redis_link import RedisDown, RedisRefused
from central.spill.record import BadRecord, SpilledGroup, SpilledRequest, decode, submission_of
from central.spill.spill import Spill, SpillEntry
from central.store.base import (
    Group,
    OutcomeUnknown,
    RejectedPoint,
    Remembered,
    RequestId,
    Store,
    StoreError,
    StoreUnavailable,
)
from protocol.limits import ID_DAYS

PAUSE_SECONDS: Final = 1.0
LEASE_SECONDS: Final = 15.0
MAX_ROWS: Final = 10_000
_DAY: Final = 86_400
_NO_FINGERPRINT: Final = bytes(16)
_log = structlog.get_logger(__name__)


class Read(NamedTuple):
    """An entry and its decoded group."""

    entry: SpillEntry
    group: SpilledGroup


@dataclass(slots=True)
class DrainCounts:
    """Counts since the start; plain ints, read at scrape."""

    entries: int = 0
    points: int = 0
    overflow_points: int = 0
    """How many of the points are in an overflow series because their metric is full."""
    left_out: int = 0
    """Requests that were already in the store."""
    rejected: int = 0
    """Points whose name has another type or is over a cap. They are in the table ``rejected_points``."""
    bad: int = 0
    """Entries that could not be read. They are in the stream of bad entries."""
    postponed: int = 0
    """How often the store refused an entry, which then stayed in the spill."""


class Drain:
    """Drains the spill every PAUSE_SECONDS. ``in_slot`` runs a commit when a write slot is free."""

    def __init__(
        self,
        spill: Spill,
        store: Store,
        names: Names,
        in_slot: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spill = spill
        self._store = store
        self._names = names
        self._in_slot = in_slot
        self._clock = clock
        self._token = os.urandom(16).hex()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.counts = DrainCounts()

    def start(self) -> None:
        """Begin to drain."""
        self._task = asyncio.create_task(self._run(), name="drain")

    async def close(self) -> None:
        """Wait for the running commit, then release the lease so that another process can continue at once."""
        self._closing.set()
        if self._task is not None:
            await self._task
        with contextlib.suppress(RedisDown, RedisRefused):
            await self._spill.release(self._token)

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                await self.round()
            except Exception:  # whatever failed, the next round may succeed
                _log.exception("drain_crashed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._closing.wait()

    async def round(self) -> None:
        """Store entries until the spill is empty, or until Redis or the store fails."""
        state = await self._spill.refresh()
        if not state.entries:
            return
        try:
            await self._store.ping()
            await self._drain_all()
        except (RedisDown, RedisRefused, StoreUnavailable) as error:
            _log.warning("drain_interrupted", reason=str(error), entries=state.entries)
        await self._spill.refresh()

    async def _drain_all(self) -> None:
        after = b""
        while entries := await self._spill.read(after):
            after = entries[-1].id
            for bunch in bunches([read for entry in entries if (read := await self._read(entry)) is not None]):
                if self._closing.is_set() or not await self._spill.try_lease(self._token, LEASE_SECONDS):
                    return
                await self._store_bunch(bunch)

    async def _read(self, entry: SpillEntry) -> Read | None:
        try:
            return Read(entry, decode(entry.content))
        except BadRecord as error:
            _log.error("spill_entry_set_aside", id=entry.id.decode(), reason=str(error))
            await self._spill.set_aside(entry, str(error))
            self.counts.bad += 1
            return None

    async def _store_bunch(self, bunch: list[Read]) -> None:
        """Store entries in one transaction, or one by one if the store refuses that. Then remove them from Redis."""
        try:
            await self._in_slot(lambda: self._commit([read.group for read in bunch]))
        except StoreUnavailable:
            raise
        except StoreError as error:
            if len(bunch) == 1:
                self.counts.postponed += 1
                _log.error("spill_entry_refused_it_stays", id=bunch[0].entry.id.decode(), error=str(error))
                return
            for read in bunch:
                await self._store_bunch([read])
            return
        self.counts.entries += len(bunch)
        ids = (entry.id for read in bunch for request in read.group.requests for entry in request.remembered)
        await self._spill.remove([read.entry for read in bunch], ids)

    async def _commit(self, groups: list[SpilledGroup]) -> None:
        """Return when all groups are in the store. Raises StoreError."""
        try:
            await try_until_taken(lambda: self._try_commit(groups), self._names)
        except OutcomeUnknown as error:  # the next round finds out by the ids
            raise StoreUnavailable(f"it is not known whether a group of the spill was stored: {error}") from error

    async def _try_commit(self, groups: list[SpilledGroup]) -> None:
        ids = [group.id for group in groups]
        ids += [entry.id for group in groups for request in group.requests for entry in request.remembered]
        known = await self._store.find_requests(ids)
        new, requests = still_missing(groups, known)
        if not new:
            self.counts.left_out += sum(len(group.requests) for group in groups)
            return
        now = int(self._clock())
        submissions = [submission_of(request) for request in requests]
        settled = await self._names.settle(submissions, now)
        day = max(groups[0].day, now // _DAY - ID_DAYS)
        made = Group(os.urandom(16), day, names_version=settled.version)
        made.ids += [RequestId(group_id, _NO_FINGERPRINT, None) for group_id in new]
        for request, submission in zip(requests, submissions, strict=True):
            add(made, submission, settled, request.remembered)
            made.rejected += _rejected(request, submission)
        await self._store.commit(made)
        self.counts.points += len(made.rows)
        self.counts.overflow_points += settled.series.overflowing(made.rows)
        self.counts.left_out += sum(len(group.requests) for group in groups) - len(requests)
        if made.rejected:
            self.counts.rejected += len(made.rejected)
            example = made.rejected[0]._replace(histogram=None)._asdict()  # its bytes say nothing in a log
            _log.error("spilled_points_rejected", points=len(made.rejected), example=example)


def bunches(reads: Iterable[Read]) -> Iterator[list[Read]]:
    """Cut the entries into bunches for one transaction each: of one day, and of at most MAX_ROWS points.

    An entry with more points is a bunch of its own.
    """
    bunch: list[Read] = []
    rows = 0
    for read in reads:
        if bunch and (rows + read.group.rows > MAX_ROWS or read.group.day != bunch[0].group.day):
            yield bunch
            bunch, rows = [], 0
        bunch.append(read)
        rows += read.group.rows
    if bunch:
        yield bunch


def still_missing(
    groups: Iterable[SpilledGroup], known: dict[bytes, Remembered]
) -> tuple[list[bytes], list[SpilledRequest]]:
    """The ids of the groups that are not stored yet, and the requests in them that are not stored yet.

    A request may have the Idempotency-Key of a stored request with another body. It was acknowledged, so its points
    are stored too, but without its ids: they belong to the stored request.
    """
    fingerprints = {key: found.fingerprint for key, found in known.items()}
    new: list[bytes] = []
    requests: list[SpilledRequest] = []
    for group in groups:
        if group.id in fingerprints:
            continue
        fingerprints[group.id] = _NO_FINGERPRINT
        new.append(group.id)
        for request in group.requests:
            ids = request.remembered
            if not any(entry.id in fingerprints for entry in ids):
                fingerprints |= {entry.id: entry.fingerprint for entry in ids}
                requests.append(request)
            elif not any(fingerprints.get(entry.id) == entry.fingerprint for entry in ids):
                requests.append(SpilledRequest(request.key, request.points, sent_as=request.sent_as))
    return new, requests


def _rejected(request: SpilledRequest, submission: Submission) -> Iterator[RejectedPoint]:
    """The request's points that no name can take. They were acknowledged, so the store keeps them for an operator."""
    for entry in submission.rejected:
        name, kind, value, recorded_at, weight, low, high, histogram, tags = request.points[entry.place]
        yield RejectedPoint(name, kind, recorded_at, value, weight, low, high, entry.fault.code, tags, histogram)

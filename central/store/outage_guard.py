"""A store that may go away: nobody waits for it long, and nobody waits at all while it is known to be down.

It is held to be down from a failure or a late answer on, until a ping in the background has been answered and no
commit hangs any more. A commit is never cancelled: whether it happens is the store's to say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from pathlib import Path
from typing import Final, TypeVar

import structlog

from central.store.base import (
    Caps,
    Group,
    KeyRow,
    Metric,
    NewKey,
    NewName,
    OutcomeUnknown,
    Remembered,
    Store,
    StoreUnavailable,
)
from central.store.buckets import Buckets
from central.store.plan import Segment
from central.store.retention import RetentionStore
from protocol.item import Kind

T = TypeVar("T")

LATE_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 5.0
_log = structlog.get_logger(__name__)


class _Line:
    """A RetentionStore whose line, which every query needs, is guarded too."""

    def __init__(self, retention: RetentionStore, in_time: Callable[[Awaitable[int]], Awaitable[int]]) -> None:
        self._retention = retention
        self._in_time = in_time
        self.state = retention.state
        self.replace = retention.replace
        self.log = retention.log
        self.drop = retention.drop

    async def line(self) -> int:
        return await self._in_time(self._retention.line())


class Guarded:
    """base.Store before another one. Owns it: ``close`` closes both."""

    def __init__(
        self, store: Store, *, late_seconds: float = LATE_SECONDS, probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._store = store
        self._late_seconds = late_seconds
        self._probe_seconds = probe_seconds
        self._running: set[asyncio.Task[None]] = set()
        self._hanging: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None
        self.up = asyncio.Event()
        self.up.set()
        self.writers = store.writers
        self.retention: RetentionStore = _Line(store.retention, self._in_time)
        self.outages = 0
        """How often it went down."""
        self.late_commits = 0

    @property
    def down(self) -> bool:
        """Whether the store is held to be down."""
        return not self.up.is_set()

    async def close(self) -> None:
        """Wait a little for commits that hang, then close the store."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)
        await self._store.close()

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """See Store. Raises OutcomeUnknown when it takes too long; it goes on meanwhile."""
        self._refuse_while_down()
        task = asyncio.create_task(self._store.commit(group, again=again))
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait([task], timeout=self._late_seconds)
        if not done:
            self.late_commits += 1
            self._hanging.add(task)
            self._went_down(f"a commit took longer than {self._late_seconds:g} s")
            raise OutcomeUnknown(f"the commit takes longer than {self._late_seconds:g} s")
        try:
            task.result()
        except StoreUnavailable as error:
            self._went_down(str(error))
            raise

    async def ping(self) -> None:
        """See Store. Returns when the store itself answers, in time, and no commit hangs: then it is up."""
        try:
            async with asyncio.timeout(self._late_seconds):
                await self._store.ping()
        except TimeoutError:
            raise StoreUnavailable(f"the store did not answer within {self._late_seconds:g} s") from None
        if self._hanging:
            raise StoreUnavailable("the store answers, but a commit hangs")
        if self.down:
            self.up.set()
            _log.info("store_up")

    async def tidy(self, *, idle: bool) -> None:
        """See Store. Waits for better times."""
        if not self.down:
            await self._store.tidy(idle=idle)

    # --- what every request needs: an answer in time, or none

    async def recall(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """See Store."""
        return await self._in_time(self._store.recall(ids))

    async def resolve(self, wanted: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        """See Store."""
        return await self._in_time(self._store.resolve(wanted, caps, now))

    async def names_version(self) -> int | None:
        """See Store."""
        return await self._in_time(self._store.names_version())

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        """See Store."""
        return await self._in_time(self._store.find(names))

    async def find_key(self, public_id: str) -> KeyRow | None:
        """See Store."""
        return await self._in_time(self._store.find_key(public_id))

    async def count_rejected(self) -> int:
        """See Store."""
        return await self._in_time(self._store.count_rejected())

    # --- what may take its time: only not while the store is down

    async def list_metrics(self, prefix: str, after: str, limit: int) -> list[tuple[str, Kind]]:
        """See Store."""
        self._refuse_while_down()
        return await self._store.list_metrics(prefix, after, limit)

    async def aggregate(self, metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> Buckets:
        """See Store."""
        self._refuse_while_down()
        return await self._store.aggregate(metric_ids, window, segments)

    async def delete_metric(self, name: str) -> bool:
        """See Store."""
        self._refuse_while_down()
        return await self._store.delete_metric(name)

    async def sweep(self) -> None:
        """See Store."""
        self._refuse_while_down()
        await self._store.sweep()

    async def list_keys(self) -> list[KeyRow]:
        """See Store."""
        self._refuse_while_down()
        return await self._store.list_keys()

    async def create_key(self, key: NewKey, now: int) -> KeyRow:
        """See Store."""
        self._refuse_while_down()
        return await self._store.create_key(key, now)

    async def revoke_key(self, key_id: int, now: int) -> KeyRow | None:
        """See Store."""
        self._refuse_while_down()
        return await self._store.revoke_key(key_id, now)

    async def rotate_key(self, key_id: int, hashed: str, now: int) -> KeyRow | None:
        """See Store."""
        self._refuse_while_down()
        return await self._store.rotate_key(key_id, hashed, now)

    async def alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """See Store."""
        self._refuse_while_down()
        return await self._store.alone(work)

    async def backup(self, target: Path) -> None:
        """See Store."""
        self._refuse_while_down()
        await self._store.backup(target)

    # ---

    def _refuse_while_down(self) -> None:
        if self.down:
            raise StoreUnavailable("the store is down")

    async def _in_time(self, answer: Awaitable[T]) -> T:
        if self.down:
            if asyncio.iscoroutine(answer):
                answer.close()
            raise StoreUnavailable("the store is down")
        try:
            async with asyncio.timeout(self._late_seconds):
                return await answer
        except TimeoutError:
            self._went_down(f"no answer within {self._late_seconds:g} s")
            raise StoreUnavailable(f"the store did not answer within {self._late_seconds:g} s") from None
        except StoreUnavailable as error:
            self._went_down(str(error))
            raise

    def _went_down(self, reason: str) -> None:
        if not self.down:
            self.up.clear()
            self.outages += 1
            _log.error("store_down", reason=reason)
            if self._probe is None or self._probe.done():
                self._probe = asyncio.create_task(self._probe_until_up(), name="store-probe", context=Context())

    async def _probe_until_up(self) -> None:
        while self.down:
            try:
                await self.ping()
            except Exception as error:  # whatever it says, it does not answer; only an answer ends this
                _log.info("store_still_down", reason=str(error))
                await asyncio.sleep(self._probe_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if task in self._hanging:
            self._hanging.discard(task)
            _log.warning("late_commit_ended", error=None if error is None else str(error))

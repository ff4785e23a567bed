"""Wraps a store that may be down: no call waits long for it, and none waits while it is known to be down.

After a failure or a late answer, the guard considers the store down. It considers the store up again when it answers a
ping in the background and no commit hangs. A commit is never cancelled: only the store knows whether it happened.

Every other call goes through one of two methods. A call that every request needs goes through ``in_time``: if it is
not answered soon, the store is considered down. Any other call goes through ``while_up``: it may take long, and its
failure says nothing about the store. OutageGuard and its parts have one line per call that chooses the method. Why the
guard is not part of the stores: docs/decisions/0013-the-guard-stands-before-the-store.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Final, ParamSpec, TypeVar

import structlog

from central.store.agents import AgentStore
from central.store.base import Group, KeyStore, NameStore, OutcomeUnknown, Store, StoreUnavailable
from central.store.points import PointStore
from central.store.retention import RetentionStore
from central.store.series import SeriesStore

P = ParamSpec("P")
T = TypeVar("T")

LATE_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 5.0
_log = structlog.get_logger(__name__)


class _Names:
    """NameStore behind the guard."""

    def __init__(self, names: NameStore, guard: "OutageGuard") -> None:
        self.resolve = guard.in_time(names.resolve)
        self.find = guard.in_time(names.find)
        self.version = guard.in_time(names.version)
        self.page = guard.while_up(names.page)
        self.describe = guard.while_up(names.describe)
        self.created_after = guard.while_up(names.created_after)
        self.delete = guard.while_up(names.delete)
        self.purge = guard.while_up(names.purge)


class _Series:
    """SeriesStore behind the guard."""

    def __init__(self, series: SeriesStore, guard: "OutageGuard") -> None:
        self.resolve = guard.in_time(series.resolve)
        self.find = guard.in_time(series.find)
        self.count = guard.in_time(series.count)
        self.select = guard.while_up(series.select)
        self.search = guard.while_up(series.search)
        self.all_keys = guard.while_up(series.all_keys)
        self.all_values = guard.while_up(series.all_values)
        self.keys = guard.while_up(series.keys)
        self.values = guard.while_up(series.values)
        self.delete = guard.while_up(series.delete)


class _Keys:
    """KeyStore behind the guard."""

    def __init__(self, keys: KeyStore, guard: "OutageGuard") -> None:
        self.find = guard.in_time(keys.find)
        self.list_all = guard.while_up(keys.list_all)
        self.create = guard.while_up(keys.create)
        self.change = guard.while_up(keys.change)
        self.note_uses = guard.while_up(keys.note_uses)
        self.revoke = guard.while_up(keys.revoke)
        self.rotate = guard.while_up(keys.rotate)
        self.keep_fast_hash = guard.while_up(keys.keep_fast_hash)


class _Agents:
    """AgentStore behind the guard."""

    def __init__(self, agents: AgentStore, guard: "OutageGuard") -> None:
        self.note = guard.while_up(agents.note)
        self.seen_since = guard.while_up(agents.seen_since)


class _Retention:
    """RetentionStore behind the guard. Every query needs ``line``."""

    def __init__(self, retention: RetentionStore, guard: "OutageGuard") -> None:
        self.line = guard.in_time(retention.line)
        self.state = guard.while_up(retention.state)
        self.replace = guard.while_up(retention.replace)
        self.log = guard.while_up(retention.log)
        self.drop = guard.while_up(retention.drop)


class _Points:
    """PointStore behind the guard."""

    def __init__(self, points: PointStore, guard: "OutageGuard") -> None:
        self.read = guard.while_up(points.read)
        self.tags = guard.while_up(points.tags)


class OutageGuard:
    """A base.Store in front of another one, which it owns: ``close`` closes both."""

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
        """Set while the store is considered up."""
        self.up.set()
        self.outages = 0
        """How often the store was considered down."""
        self.late_commits = 0
        self.writers = store.writers
        self.names: NameStore = _Names(store.names, self)
        self.series: SeriesStore = _Series(store.series, self)
        self.keys: KeyStore = _Keys(store.keys, self)
        self.agents: AgentStore = _Agents(store.agents, self)
        self.retention: RetentionStore = _Retention(store.retention, self)
        self.points: PointStore = _Points(store.points, self)
        self.find_requests = self.in_time(store.find_requests)
        self.count_rejected = self.in_time(store.count_rejected)
        self.aggregate = self.while_up(store.aggregate)
        self.distribute = self.while_up(store.distribute)
        self.backup = self.while_up(store.backup)

    @property
    def down(self) -> bool:
        """Whether the store is considered down."""
        return not self.up.is_set()

    def in_time(self, call: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Guard a call that every request needs: if it is not answered in time, the store is considered down."""

        async def pass_in_time(*args: P.args, **kwargs: P.kwargs) -> T:
            self._refuse_while_down()
            try:
                async with asyncio.timeout(self._late_seconds):
                    return await call(*args, **kwargs)
            except TimeoutError:
                self._went_down(f"no answer within {self._late_seconds:g} s")
                raise StoreUnavailable(f"the store did not answer within {self._late_seconds:g} s") from None
            except StoreUnavailable as error:
                self._went_down(str(error))
                raise

        return pass_in_time

    def while_up(self, call: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Guard a call that may take long: it is only refused while the store is down."""

        async def pass_while_up(*args: P.args, **kwargs: P.kwargs) -> T:
            self._refuse_while_down()
            return await call(*args, **kwargs)

        return pass_while_up

    async def commit(self, group: Group, *, again: bool = False) -> None:
        """See Store. Raises OutcomeUnknown if it takes too long; the commit then goes on in the background."""
        self._refuse_while_down()
        # A separate task, so that neither a cancelled caller nor our time limit cancels the commit. Once it is sent,
        # the store may complete it anyway. Only its answer, or a second commit of the same group, shows the outcome.
        task = asyncio.create_task(self._store.commit(group, again=again))
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait([task], timeout=self._late_seconds)
        if not done:
            # The store counts as down until this commit ends, even if it answers pings: the next group could hang too.
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
        """See Store. If the store answers in time and no commit hangs, it is considered up."""
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

    async def under_lock(self, work: Callable[[], Awaitable[T]]) -> T:
        """See Store."""
        self._refuse_while_down()
        return await self._store.under_lock(work)

    async def tidy(self, *, idle: bool) -> None:
        """See Store. Skipped while the store is down."""
        if not self.down:
            await self._store.tidy(idle=idle)

    async def close(self) -> None:
        """Wait a few seconds for commits that hang, then close the store."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)
        await self._store.close()

    def _refuse_while_down(self) -> None:
        if self.down:
            raise StoreUnavailable("the store is down")

    def _went_down(self, reason: str) -> None:
        if not self.down:
            self.up.clear()
            self.outages += 1
            _log.error("store_down", reason=reason)
            if self._probe is None or self._probe.done():
                # An empty context: the probe runs longer than this request and must not log the request's id.
                self._probe = asyncio.create_task(self._probe_until_up(), name="store-probe", context=Context())

    async def _probe_until_up(self) -> None:
        while self.down:
            try:
                await self.ping()
            except Exception as error:  # any error means no answer; only an answer ends this loop
                _log.info("store_still_down", reason=str(error))
                await asyncio.sleep(self._probe_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if task in self._hanging:
            self._hanging.discard(task)
            _log.warning("late_commit_ended", error=None if error is None else str(error))

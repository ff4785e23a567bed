"""Retention: a line in time that moves forward each day. Points before it are hidden, and removed after a grace time.

The decisions are pure functions of the state, the policy and the time. One rule makes them safe: a point is removed
only if it has been before the line for the whole grace time, without a break. So nothing is removed that a query could
see during the grace time: not if METRICS_RETENTION_DAYS is lowered, nor if the line is moved back, nor if the clock was
wrong for one run.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

from central.store.base import StoreError
from central.store.retention import LogEntry, Move, RetentionStore, State
from protocol.times import format_time

DAY: Final = 86_400
CACHE_SECONDS: Final = 5.0
"""For how many seconds a process may use its cached line for queries."""
LEASE_SECONDS: Final = 120
CHECK_SECONDS: Final = 60.0
"""Seconds between two checks whether today's run is due."""
LOG_SHOWN: Final = 50
_log = structlog.get_logger(__name__)


class Policy(NamedTuple):
    """How many days points stay visible, and how many more days until they are removed."""

    days: int
    grace: int


class BusyError(Exception):
    """Another process runs retention now."""


class RestoreError(Exception):
    """The line cannot be moved to the requested day. The message says what would be right."""


@dataclass(slots=True)
class RetentionCounts:
    """Counts since the start; plain ints, read at scrape. ``line`` and ``dropped`` are the last known times."""

    runs: int = 0
    failures: int = 0
    rows: int = 0
    parts: int = 0
    line: int = 0
    dropped: int = 0


# --- decisions


def due(state: State, now: int) -> bool:
    """Whether the run of this UTC day is still to be done."""
    return state.last_run // DAY != now // DAY


def advanced(state: State, policy: Policy, now: int, *, forced: bool, may_remove: bool = True) -> State:
    """The state with the line where it belongs today, and with what may be removed.

    Without ``may_remove``, nothing more may be removed. ``forced`` ends a hold.
    """
    held = 0 if forced or state.held_until <= now else state.held_until
    target = max(0, (now // DAY - policy.days) * DAY)
    line = state.line if held else max(target, state.dropped)
    moves = (*state.moves, Move(now, line))
    removable = min(lowest_line(moves, grace_begin(moves, policy.grace, now)), target) if may_remove else 0
    return state._replace(line=line, held_until=held, dropped=max(state.dropped, removable))


def grace_begin(moves: Sequence[Move], days: int, now: int) -> int:
    """When the grace time of ``days`` that ends now began.

    It is counted in two ways, and the earlier one counts: by the clock, and by the days on which the line moved, which
    it does each day. If a service starts with a clock that is far ahead, the clock counts many days, but the line has
    moved on only one.
    """
    lived = sorted({move.at // DAY for move in moves}, reverse=True)[:days]
    return min([now - days * DAY, *(day * DAY - 1 for day in lived)])


def lowest_line(moves: Sequence[Move], since: int) -> int:
    """The earliest position of the line at any time from ``since`` on."""
    before = [move.line for move in moves if move.at <= since]
    after = [move.line for move in moves if move.at > since]
    return min([*before[-1:], *after] if before else [0, *after])


def restored(state: State, policy: Policy, now: int, days: int | None) -> State:
    """The state with the line held ``days`` ago, or where the data begins. Raises RestoreError."""
    line = state.dropped if days is None else max(0, (now // DAY - days) * DAY)
    if line >= state.line:
        shown = now // DAY - state.line // DAY
        if not state.line:
            raise RestoreError("no day is hidden, so there is nothing to restore")
        raise RestoreError(f"the last {shown} days are shown already; ask for more days than that")
    if line < state.dropped:
        most = now // DAY - state.dropped // DAY
        raise RestoreError(f"points before {format_time(state.dropped)} are removed; ask for at most {most} days")
    return state._replace(line=line, held_until=now + max(policy.grace, 1) * DAY)


def leased(state: State, owner: str, now: int) -> State:
    """The state with ``owner``'s lease renewed. Raises BusyError while another owner's lease is valid.

    A lease that ends later than any new lease could comes from a clock that was ahead, and is not valid.
    """
    if state.lease_owner not in ("", owner) and now < state.lease_until <= now + LEASE_SECONDS:
        raise BusyError
    return state._replace(lease_owner=owner, lease_until=now + LEASE_SECONDS)


# --- the job


class Retention:
    """Moves the line, removes what is due, and tells queries where the line is. One process at a time does this.

    While the clock cannot be trusted for deletions (``may_remove`` returns False), the daily run waits. If a person
    starts a run then, it moves the line, which can be undone, and removes only what was due before.
    """

    def __init__(
        self,
        store: RetentionStore,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.policy = policy
        self._store = store
        self.may_remove: Callable[[], bool] = lambda: True
        """Whether the clock can be trusted for deletions. central.app replaces this function."""
        self._clock = clock
        self._ticks = ticks
        self._sleep = sleep
        self._owner = os.urandom(8).hex()
        self._turn = asyncio.Lock()
        self._fresh_until = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self.counts = RetentionCounts()

    def start(self) -> None:
        """Begin to run daily."""
        self._task = asyncio.create_task(self.run_daily(), name="retention")

    async def close(self) -> None:
        """Stop the current run; the next run continues it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def visible_from(self) -> int:
        """The line. If another process moved it, this may be CACHE_SECONDS late. Raises StoreError."""
        if self._ticks() >= self._fresh_until:
            self._see(line=await self._store.line())
        return self.counts.line

    async def show(self) -> dict[str, Any]:
        """The policy, the state and the newest log entries as JSON values. Raises StoreError."""
        state = await self._store.state()
        log = await self._store.log(LOG_SHOWN)
        return {
            "retention_days": self.policy.days,
            "grace_days": self.policy.grace,
            "line": _shown(state.line),
            "drop_line": _shown(state.dropped),
            "held_until": _shown(state.held_until if state.held_until > self._clock() else 0),
            "last_run": _shown(state.last_run),
            "log": [{**entry._asdict(), "at": format_time(entry.at), "line": format_time(entry.line)} for entry in log],
        }

    async def run(self, actor: str, *, forced: bool = True) -> None:
        """Move the line to where it belongs and remove what is due.

        Raises BusyError if another process is running it, and StoreError. The next run continues this one.
        """
        async with self._turn:
            await self._change(lambda state: (leased(state, self._owner, self._now()), []))
            try:
                state = await self._change(lambda state: self._advance(state, actor, forced=forced))
                await self._sweep(state.dropped, actor)
                await self._change(lambda state: (state._replace(last_run=self._now()), []))
                self.counts.runs += 1
            finally:
                await self._change(self._release)

    async def restore(self, actor: str, days: int | None) -> None:
        """Move the line back to ``days`` ago; None for the oldest points. Raises RestoreError and StoreError."""

        def decide(state: State) -> tuple[State, list[LogEntry]]:
            now = self._now()
            new = restored(state, self.policy, now, days)
            return new, [LogEntry(now, "restore", new.line, actor)]

        state = await self._change(decide)
        _log.info("retention_line_restored", line=format_time(state.line), by=actor)

    async def run_daily(self) -> None:
        """Run once per UTC day, and soon after a start if today's run is due. Raises only when cancelled."""
        while True:
            try:
                if self.may_remove() and due(await self._store.state(), self._now()):
                    await self.run("daily", forced=False)
            except BusyError:
                _log.debug("retention_runs_elsewhere")
            except StoreError as error:
                self.counts.failures += 1
                _log.warning("retention_failed_will_go_on", error=str(error))
            except Exception:
                self.counts.failures += 1
                _log.exception("retention_crashed_will_go_on")
            await self._sleep(CHECK_SECONDS)

    # --- steps

    def _advance(self, state: State, actor: str, *, forced: bool) -> tuple[State, list[LogEntry]]:
        now = self._now()
        new = advanced(state, self.policy, now, forced=forced, may_remove=self.may_remove())
        if new.line == state.line:
            return new, []
        _log.info("retention_line_moved", line=format_time(new.line), was=format_time(state.line), by=actor)
        return new, [LogEntry(now, "hide" if new.line > state.line else "restore", new.line, actor)]

    async def _sweep(self, before: int, actor: str) -> None:
        """Remove piece by piece. Even if this is interrupted, the log says what was removed."""
        rows = parts = 0
        renew = self._now() + LEASE_SECONDS // 2
        try:
            while before and (piece := await self._store.drop(before)) is not None:
                rows, parts = rows + piece.rows, parts + 1
                self.counts.rows += piece.rows
                self.counts.parts += 1
                if self._now() >= renew:
                    await self._change(lambda state: (leased(state, self._owner, self._now()), []))
                    renew = self._now() + LEASE_SECONDS // 2
        finally:
            if parts:
                _log.info("retention_dropped", before=format_time(before), rows=rows, parts=parts, by=actor)
                done = LogEntry(self._now(), "drop", before, actor, rows, parts)
                await self._change(lambda state: (state, [done]))

    def _release(self, state: State) -> tuple[State, list[LogEntry]]:
        mine = state.lease_owner == self._owner
        return (state._replace(lease_owner="", lease_until=0) if mine else state), []

    async def _change(self, decide: Callable[[State], tuple[State, list[LogEntry]]]) -> State:
        """Write the state that ``decide`` returns. Decide again if another process has written meanwhile."""
        while True:
            old = await self._store.state()
            new, entries = decide(old)
            if (new == old and not entries) or await self._store.replace(old, new, entries):
                self._see(line=new.line)
                self.counts.dropped = new.dropped
                return new

    def _see(self, *, line: int) -> None:
        self.counts.line = line
        self._fresh_until = self._ticks() + CACHE_SECONDS

    def _now(self) -> int:
        return int(self._clock())


def _shown(moment: int) -> str | None:
    return format_time(moment) if moment else None

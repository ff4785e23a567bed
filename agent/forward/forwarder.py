"""From the spool to central: which batch is next, what its answer means, and how long to wait.

One request is in flight. agent.forward.schedule chooses the batch and says how fast a backlog goes. All state is in
memory and may be lost: a retry after a restart has the same id and the same bytes.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import uniform
from typing import Final, NamedTuple, Protocol

from agent.attempts import Attempts, Tell
from agent.clock import CentralClock, parse_http_date
from agent.forward.answered import Answered
from agent.forward.backoff import Uniform, backoff, retry_after
from agent.forward.clashes import Clashes
from agent.forward.optional_fields import OptionalFields
from agent.forward.outcome import KEY_REUSED, Action, Outcome, Reply, allowance, our_body, outcome
from agent.forward.schedule import Schedule
from agent.forward.send import UnreachableError
from agent.spool.batch import Batch
from agent.spool.index import IndexEntry, Rest
from agent.spool.spool import Spool

FAULT_PAUSE_SECONDS: Final = 10.0
"""The wait after an attempt that failed because of a bug in the agent."""
KEY_REFUSED_SECONDS: Final = 60.0
CLOCK_SECONDS: Final = 600.0
"""After so long without an answer, the agent asks central for the time before it sends a batch."""
HELD_CLOCK_SECONDS: Final = 60.0
"""The same while the clock holds batches back."""

ALONE_LONGEST: Final = 5.0
"""The longest that other batches wait when one batch may have a fault of its own."""
STUCK_FAILURES: Final = 3
"""A batch that failed so often while others went through is reported as stuck."""

MAX_ANSWERS: Final = 100
"""How many kinds of answers are counted separately."""

_AT_ONCE: Final = 0.0


class Central(Protocol):
    """What the forwarder needs of agent.forward.send. post and health raise UnreachableError."""

    async def post(self, batch_id: str, body: bytes, types: str = "") -> Reply: ...
    async def health(self) -> Reply: ...
    def try_new_key(self) -> bool: ...


async def pause(seconds: float | None, wake: asyncio.Event) -> None:
    """Wait ``seconds``, or until ``wake`` is set. None waits for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


@dataclass(frozen=True, slots=True)
class Pace:
    """Waiting and chance, passed in so that no test waits, and this host's place among the hosts of its fleet.

    ``interval`` is the length of a window in seconds; with 0 there is no pace. For ``share`` see
    agent.forward.schedule.
    """

    pause: Callable[[float | None, asyncio.Event], Awaitable[None]] = pause
    uniform: Uniform = uniform
    interval: float = 0.0
    share: float = 0.0


class Trouble(NamedTuple):
    """Why nothing goes through, a sentence that says what to do, and since when on the steady clock."""

    action: Action
    reason: str
    message: str
    since: float


@dataclass(slots=True)
class ForwardCounts:
    """Counts since the start. The telemetry reads them."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Attempts by (action, reason)."""
    retries: int = 0
    gone: int = 0
    """Batches that the service has stored or refused for good."""
    last_success: float | None = None
    """On the steady clock, in seconds."""


class Forwarder:
    """Calls ``tell`` for changes of state, not for retries. ``run`` must be the only task that sends."""

    def __init__(self, spool: Spool, central: Central, clock: CentralClock, pace: Pace, tell: Tell) -> None:
        self.counts: Final = ForwardCounts()
        self.trouble: Trouble | None = None
        self.clashes: Final = Clashes(tell)
        self.answered: Final = Answered()
        self._spool = spool
        self._central = central
        self._clock = clock
        self._pace = pace
        self._tell = tell
        self._schedule = Schedule(pace.interval, pace.share, pace.uniform)
        self._optional = OptionalFields()
        self._failures = 0
        self._was_held = False
        self._fresh_next = True
        self._new_work = asyncio.Event()

    def window_closed(self, start: int) -> None:
        """Say that a window has closed, before its batches are in the spool. They are due at this host's own time."""
        self._schedule.closed(start, self._clock.steady())

    def wake(self) -> None:
        """Say that there is something new in the spool. This ends an idle wait but not a back-off."""
        self._new_work.set()

    async def run(self, attempts: Attempts) -> None:
        """Send for ever. A fault ends one attempt only; the next comes after FAULT_PAUSE_SECONDS."""
        self._schedule.started(self._clock.steady())
        while True:
            self._new_work.clear()
            delay: float | None = FAULT_PAUSE_SECONDS
            with attempts.guard("forward"):
                delay = await self.step()
            if delay is None:
                await self._pace.pause(self.idle_seconds(), self._new_work)
            elif delay:
                await self._pace.pause(delay, asyncio.Event())

    async def finish(self) -> None:
        """Send as fast as possible what can be sent. Ends at the first attempt that fails."""
        self._schedule.hurry()
        self._spool.index.wake(float("inf"))
        while await self.step() == _AT_ONCE:
            pass

    async def step(self) -> float | None:
        """Make one attempt. Returns the seconds to wait before the next; None when there is nothing to send now."""
        self._spool.index.wake(self._clock.steady())
        seem_old = self._expire()
        held = self.held()
        entry = self._choose()
        doubtful = held or seem_old
        if (entry or doubtful) and self._clock.age() > (HELD_CLOCK_SECONDS if doubtful else CLOCK_SECONDS):
            return await self._ask_the_time()
        self._note_held()
        if entry is None:
            return None
        self._schedule.took(entry, self._clock.steady())
        self._fresh_next = not self._fresh_next
        try:
            return await self._attempt(entry)
        except Exception as error:
            # No batch may end the agent or hold up the others. The fault is reported, and the batch is tried later.
            fault = f"a bug in the agent at {entry.name}: {type(error).__name__}: {error}"
            return self._failed(Outcome(Action.SHOUT, "fault", fault, alone=True), None, entry)
        finally:
            self._spool.unpin()

    def _expire(self) -> bool:
        """Drop what central would call too old. After a jump of the clock, batches that seem too old wait instead.

        Returns True when any batch waits for that reason.
        """
        before = self._clock.earliest_start()
        if self._clock.plausible():
            self._spool.expire(before)
            return False
        index, until = self._spool.index, self._clock.steady() + HELD_CLOCK_SECONDS
        for order in (index.fresh, index.failed):
            for entry in order.before(before):
                known = index.rested(entry) or Rest(0, 0.0, "it seems too old, by a clock that may be wrong")
                index.rest(entry, known._replace(until=until))
        return bool(index.all.before(before))

    def _choose(self) -> IndexEntry | None:
        """The next batch. Batches that have failed get every second turn, so they never block the others."""
        index, latest, now = self._spool.index, self._latest(), self._clock.steady()
        orders = (index.fresh, index.failed) if self._fresh_next else (index.failed, index.fresh)
        chosen = (self._schedule.choose(order, latest, now) for order in orders)
        return next((entry for entry in chosen if entry is not None), None)

    async def _attempt(self, entry: IndexEntry) -> float:
        batch = self._spool.take(entry)
        if batch is None and self._spool.waits(entry):
            return _AT_ONCE
        if batch is None:
            self._tell("batch_corrupt", f"{entry.name} had gone bad in the spool and was moved to corrupt/")
            return _AT_ONCE
        if self._spool.must_split(entry):
            return self._split(entry, batch)
        return await self._send(entry, batch)

    @property
    def reaches(self) -> bool:
        """Whether the service knows this run, and took what was sent last."""
        return self.trouble is None and self.counts.last_success is not None

    def held(self) -> int:
        """How many batches central would call future, because this host's clock is or was ahead."""
        batches = self._spool.index.all
        return len(batches) - batches.count(self._clock.latest_start()) if self._clock.known else 0

    def stuck(self) -> tuple[int, str]:
        """How many batches fail while others go through, and the cause of one of them."""
        gone = self.counts.gone
        stuck = [
            rest for rest in self._spool.index.rests() if rest.failures >= STUCK_FAILURES and rest.first_gone < gone
        ]
        return (len(stuck), stuck[-1].cause) if stuck else (0, "")

    def _latest(self) -> float:
        """The latest window start that can be sent now. Infinite while central's time is unknown."""
        return self._clock.latest_start() if self._clock.known else float("inf")

    async def _ask_the_time(self) -> float:
        """Learn central's time, so that no batch is refused for a wrong clock."""
        try:
            answer = await self._central.health()
        except UnreachableError as error:
            return self._failed(Outcome(Action.WAIT, "network", str(error)), None)
        ours = our_body(answer)
        if ours is not None and answer.status == 404:
            message = "the service knows no /health under FIESTA_AGENT_CENTRAL_URL: is there a path in it?"
            return self._failed(Outcome(Action.SHOUT, "http_404", message), answer)
        self._clock.learn(answer.date, ours is not None, answer.clock_skew)
        if ours is not None:
            self._optional.learn(answer.accepts)
        if self._clock.age():
            self._clock.assume()  # there was no Date, or not central's
        return _AT_ONCE

    async def _send(self, entry: IndexEntry, batch: Batch) -> float:
        try:
            answer, result = await self._post(batch)
        except UnreachableError as error:
            return self._failed(Outcome(Action.WAIT, "network", str(error)), None, entry)
        if result.action is Action.ACK:
            self.clashes.note(answer.renamed)
            self.answered.note(answer.process, len(batch.items) - len(result.rejected))
            self._spool.acknowledge(entry, _samples_by_code(batch, result))
            return self._succeeded(result)
        if result.action is Action.SPLIT and len(batch.items) > 1:
            self._count(result)
            return self._split(entry, batch)
        if result.action in {Action.SPLIT, Action.DEAD}:
            self._spool.bury(entry, batch, result.reason)
            self._tell("dead_letter", f"the service refused {entry.name} for good: {result.reason}: {result.message}")
            return self._succeeded(result)
        return self._failed(result, answer, entry)

    async def _post(self, batch: Batch) -> tuple[Reply, Outcome]:
        """Send a batch in the form that the service takes, and in another one where the service has its id already."""
        for form in self._optional.forms(batch):
            answer = await self._central.post(form.id, form.body(), form.types)
            result = outcome(answer, len(form.items))
            if our_body(answer) is not None:
                self._optional.learn(answer.accepts)
                self._clock.learn(answer.date, ours=True, skew=answer.clock_skew)
                allowed = allowance(answer)
                if allowed is not None:
                    self._schedule.allowed(allowed, self._clock.steady())
            if result.reason != KEY_REUSED:
                break
        return answer, result

    def _split(self, entry: IndexEntry, batch: Batch) -> float:
        if self._spool.try_split(entry, batch):
            self._failures = 0
            return _AT_ONCE
        return self._failed(
            Outcome(Action.WAIT, "split_failed", "a batch cannot be split: the disk fails"), None, entry
        )

    def _succeeded(self, result: Outcome) -> float:
        self._count(result)
        self._failures = 0
        self.counts.gone += 1
        self.counts.last_success = self._clock.steady()
        if self.trouble is not None:
            self._tell("forwarding_again", f"the service takes batches again; {len(self._spool.index)} wait")
            self.trouble = None
        return _AT_ONCE

    def _failed(self, result: Outcome, answer: Reply | None, entry: IndexEntry | None = None) -> float:
        """Note the trouble and return how long to wait. The batch stays in the spool and rests for at least as long."""
        self._count(result)
        self.counts.retries += 1
        self._schedule.failed()
        index, gone = self._spool.index, self.counts.gone
        before = None if entry is None else index.rested(entry)
        only_this = before is not None and before.gone < gone  # others went through since its last failure
        if not only_this:
            self._failures += 1
        if before is None or before.first_gone == gone:
            self._note_trouble(result)
        if result.action is Action.HOLD:
            return _AT_ONCE if self._central.try_new_key() else KEY_REFUSED_SECONDS
        failures = 1 if before is None else before.failures + 1
        asked = self._asked(answer)
        rest = backoff(failures, self._pace.uniform) if asked is None else asked
        if only_this:
            delay = _AT_ONCE
        elif result.alone:
            delay = backoff(self._failures, self._pace.uniform, ALONE_LONGEST)
        elif asked is None:
            delay = backoff(self._failures, self._pace.uniform)
        else:
            # Central asked other agents for the same wait, so this one adds some chance.
            delay = asked + self._pace.uniform(0.0, min(asked, self._pace.interval))
        if entry is not None:
            first = gone if before is None else before.first_gone
            until = self._clock.steady() + max(rest, delay)
            index.rest(entry, Rest(failures, until, result.message, gone, first))
        return delay

    def _asked(self, answer: Reply | None) -> float | None:
        """The wait in seconds that a Retry-After asks for, within bounds. None without one."""
        if answer is None:
            return None
        sent_at = parse_http_date(answer.date)
        return retry_after(answer.retry_after, self._clock.now() if sent_at is None else sent_at)

    def _note_trouble(self, result: Outcome) -> None:
        known = self.trouble
        if known is None or (known.action, known.reason) != (result.action, result.reason):
            since = known.since if known is not None else self._clock.steady()
            self.trouble = Trouble(result.action, result.reason, result.message, since)
            self._tell(str(result.action), result.message)

    def _count(self, result: Outcome) -> None:
        answers, key = self.counts.answers, (str(result.action), result.reason)
        known = key in answers or len(answers) < MAX_ANSWERS  # answers of other servers must not grow this table
        answers[key if known else (key[0], "other")] += 1

    def _note_held(self) -> None:
        held = self.held()
        if held and not self._was_held:
            self._tell("held_for_clock", held_message(held, self._clock.ahead()))
        elif self._was_held and not held:
            self._tell("held_no_more", "no batch is in the future of the service any more")
        self._was_held = bool(held)

    def idle_seconds(self) -> float | None:
        """How long to wait when there is nothing to send now. None waits until ``wake``.

        Ends when a batch may be due, or when the agent should ask central for the time.
        """
        index, latest, now = self._spool.index, self._latest(), self._clock.steady()
        waits = [self._schedule.wait(order, latest, now) for order in (index.fresh, index.failed)]
        wakes = index.next_wake()
        if wakes is not None:
            waits.append(max(0.0, wakes - now))
        first_held = index.all.after(latest) if self.held() else None
        if first_held is not None:
            waits.append(max(1.0, min(first_held.start - latest, HELD_CLOCK_SECONDS)))
        return min((wait for wait in waits if wait is not None), default=None)


def held_message(held: int, ahead: float) -> str:
    """The message for people about batches that wait for the clock."""
    return (
        f"{held} batches wait because the service would call them future: "
        f"this host's clock is {ahead:.0f} s ahead of the service's; set it right, nothing is lost"
    )


def _samples_by_code(batch: Batch, result: Outcome) -> Counter[str]:
    rejected: Counter[str] = Counter()
    for index, code in result.rejected:
        rejected[code] += batch.samples[index]
    return rejected

"""The latest report of each agent, and how many of its points this process acknowledged. All of it is in memory.

An agent is one request at a time. When its report comes with a request, it has heard every earlier answer that it ever
will hear. So what it says that this process acknowledged is never more than this process knows of: more means that
somebody else answered in this process's name. It may be less while an answer was lost; the retry brings it again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from central.ingest.answers import Answer, accepted_in, is_replay
from central.store.agents import AgentRow
from protocol.report import PROCESS, PROCESS_HEADER, AgentReport, read_report

MAX_AGENTS: Final = 20_000
"""When there are more, the one is forgotten that was not heard for longest, of the key that has the most."""
SILENT_SECONDS: Final = 300
"""An agent that has not been heard for longer, and did not say that it stops, is silent."""
FORGET_SECONDS: Final = 30 * 86_400
"""After so long without a word, an agent is forgotten."""
MAX_UNHEARD: Final = 64
RETURNS: Final = 2
"""An agent's run that goes back to the one before so often is two agents with one id. Once may be a late request."""
State = Literal["live", "silent", "stopped"]


@dataclass(slots=True)
class _Count:
    """The points of one run that this process acknowledged. ``base`` is what the agent said when it was first heard.

    ``unheard`` has the batches whose answers the agent may not have heard. A replay of one of them counts nothing.
    """

    run: str
    base: int
    answered: int = 0
    unheard: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Agent:
    row: AgentRow
    stopping: bool = False
    count: _Count | None = None
    said: int = 0
    """What the agent said last that this process acknowledged."""
    run_before: str = ""
    returns: int = 0


class ListedAgent(NamedTuple):
    """One agent as the list has it. ``acknowledged`` and ``answered`` are points of this run and of this process.

    They are None if this process did not hear this run. ``missing`` is how many more points the agent says than any
    process of the service knows of. ``shared``: two agents have this id.
    """

    report: AgentReport
    row: AgentRow
    state: State
    acknowledged: int | None
    answered: int | None
    shared: bool


class Agents:
    """``process`` is 16 hex digits of this process. ``clock`` is UTC seconds."""

    def __init__(self, process: str, clock: Callable[[], float], most: int = MAX_AGENTS) -> None:
        self.most: Final = most
        if not PROCESS.fullmatch(process):
            raise ValueError("a process is 16 hex digits")
        self.unreadable = 0
        """Headers that were no report. Their batches were stored as if there were none."""
        self._process = process
        self._clock = clock
        self._all: dict[str, _Agent] = {}
        self._by_key: dict[int, dict[str, None]] = {}
        """The ids of each key's agents, those that were heard last at the end."""
        self._changed: dict[str, None] = {}

    def heard(self, headers: Sequence[str], key_id: int) -> "Heard | None":
        """Take the report that came with a batch of this key. None if it is unreadable: that refuses nothing."""
        try:
            (text,) = headers
            report = read_report(text)
        except ValueError:
            self.unreadable += 1
            return None
        agent = self._all.get(report.id)
        before = 0
        if agent is None or agent.row.run != report.run:
            agent = _of_new_run(agent, report)
        else:
            before = agent.row.missing
        count, said = agent.count, report.points.get(self._process, 0)
        if count is None or count.run != report.run:
            count = agent.count = _Count(report.run, said)
        more = said - count.base - count.answered
        if more >= 0:
            count.unheard.clear()
        agent.said = said
        self._put(agent, AgentRow(report.id, report.run, key_id, int(self._clock()), max(more, before), text), report)
        self._changed[report.id] = None
        return Heard(count, self._process)

    def merge(self, rows: Iterable[AgentRow]) -> None:
        """Take over what the store has, where it is newer: other processes have heard it, or an earlier one."""
        for row in sorted(rows, key=lambda row: row.seen_at):
            known = self._all.get(row.id)
            try:
                report = read_report(row.report)
            except ValueError:
                continue
            if known is None:
                self._put(_Agent(row), row, report)
            elif row.seen_at > known.row.seen_at:
                same = row.run == known.row.run
                more = max(row.missing, known.row.missing) if same else row.missing
                self._put(known, row._replace(missing=more), report)

    def take_changed(self) -> list[AgentRow]:
        """The rows that were heard since the last call."""
        changed, self._changed = self._changed, {}
        return [self._all[agent].row for agent in changed if agent in self._all]

    def put_back(self, rows: Iterable[AgentRow]) -> None:
        """Rows that could not be stored: the next ``take_changed`` has them again."""
        self._changed |= {row.id: None for row in rows}

    def forget(self) -> None:
        """Forget agents that were not heard for FORGET_SECONDS."""
        before = self.forget_before()
        for agent in [agent for agent in self._all.values() if agent.row.seen_at < before]:
            self._remove(agent)

    def forget_before(self) -> int:
        """The moment before which an agent is forgotten, in UTC seconds."""
        return int(self._clock()) - FORGET_SECONDS

    def listed(self, after: str, limit: int) -> list[ListedAgent]:
        """At most ``limit`` agents whose ids come after ``after``, in the order of their ids."""
        now = self._clock()
        chosen = sorted(agent for agent in self._all if agent > after)[:limit]
        return [self._told(self._all[agent], now) for agent in chosen]

    def states(self) -> dict[State, int]:
        """How many agents are in each state."""
        now = self._clock()
        counts: dict[State, int] = {"live": 0, "silent": 0, "stopped": 0}
        for agent in self._all.values():
            counts[_state(agent, now)] += 1
        return counts

    def missing(self) -> int:
        """The points of all agents that they were told are stored, and that no process acknowledged."""
        return sum(agent.row.missing for agent in self._all.values())

    def _put(self, agent: _Agent, row: AgentRow, report: AgentReport) -> None:
        """Give the agent this row, and put it last among those of its key. Forget another one if there are too many."""
        known = self._all.pop(row.id, None)
        if known is not None:
            self._leave(known.row)
        elif len(self._all) >= self.most:
            largest = max(self._by_key.values(), key=len)
            self._remove(self._all[next(iter(largest))])
        agent.row, agent.stopping = row, report.stopping
        self._all[row.id] = agent
        self._by_key.setdefault(row.key_id, {})[row.id] = None

    def _remove(self, agent: _Agent) -> None:
        del self._all[agent.row.id]
        self._changed.pop(agent.row.id, None)
        self._leave(agent.row)

    def _leave(self, row: AgentRow) -> None:
        del self._by_key[row.key_id][row.id]
        if not self._by_key[row.key_id]:
            del self._by_key[row.key_id]

    def _told(self, agent: _Agent, now: float) -> ListedAgent:
        count = agent.count
        ours = count is not None and count.run == agent.row.run
        return ListedAgent(
            read_report(agent.row.report),
            agent.row,
            _state(agent, now),
            agent.said - count.base if count is not None and ours else None,
            count.answered if count is not None and ours else None,
            agent.returns >= RETURNS,
        )


class Heard(NamedTuple):
    """A batch whose report was read. ``answered`` counts its points once they are acknowledged."""

    run: _Count
    process: str

    def answered(self, batch_id: str, answer: Answer) -> Answer:
        """The answer with the id of this process. Call it before the answer is sent."""
        if answer.status == 201:
            count, points = self.run, accepted_in(answer.body)
            if not (is_replay(answer) and batch_id in count.unheard):
                count.answered += points
            count.unheard[batch_id] = points
            if len(count.unheard) > MAX_UNHEARD:
                del count.unheard[next(iter(count.unheard))]
        return answer._replace(headers={**answer.headers, PROCESS_HEADER: self.process})


def _of_new_run(before: _Agent | None, report: AgentReport) -> _Agent:
    """The agent of a run that was not heard yet, or of one that was heard before the last one."""
    if before is None:
        return _Agent(AgentRow(report.id, report.run, 0, 0, 0, ""))
    back = before.run_before == report.run
    return _Agent(before.row, run_before=before.row.run, returns=before.returns + back)


def _state(agent: _Agent, now: float) -> State:
    if agent.stopping:
        return "stopped"
    return "silent" if now - agent.row.seen_at > SILENT_SECONDS else "live"

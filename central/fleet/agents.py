"""The latest report of each agent, and how many of its points this process acknowledged. All of it is in memory.

An agent sends one request at a time, so it has read the answers to all earlier requests when its next report comes. The
report says how many points this process has acknowledged to the agent. If that is more than this process has counted,
something else answered in its name. It may be less if an answer was lost; then the retry gets the answer again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from central.ingest.answers import Answer, accepted_in, is_replay
from central.store.agents import AgentRow
from protocol.report import PROCESS, PROCESS_HEADER, AgentReport, read_report

MAX_AGENTS: Final = 20_000
"""If there are more, we take the key with the most agents, and forget the one whose last report is the oldest."""
SILENT_SECONDS: Final = 300
"""An agent is silent if its last report is older, and did not say that the agent stops."""
FORGET_SECONDS: Final = 30 * 86_400
"""An agent is forgotten so long after its last report."""
MAX_UNCONFIRMED: Final = 64
RETURNS: Final = 2
"""Two agents have one id if reports go back to the run before so often. Once may be a late request."""
State = Literal["live", "silent", "stopped"]


@dataclass(slots=True)
class _Count:
    """The points of one run that this process acknowledged. ``base`` is what the first report of the run said.

    ``unconfirmed`` has the batches whose answers the agent may not have read. A replay of one of them counts nothing.
    """

    run: str
    base: int
    answered: int = 0
    unconfirmed: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Agent:
    row: AgentRow
    stopping: bool = False
    count: _Count | None = None
    said: int = 0
    """How many points this process has acknowledged, by the agent's last report."""
    run_before: str = ""
    returns: int = 0


class ListedAgent(NamedTuple):
    """One agent as the list has it. ``acknowledged`` and ``answered`` are points of this run and of this process.

    They are None if no report of this run came to this process. ``shared``: two agents have this id.
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
        """The ids of each key's agents. The one whose report came last is at the end."""
        self._changed: dict[str, None] = {}

    def take_report(self, headers: Sequence[str], key_id: int) -> "Reported | None":
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
            count.unconfirmed.clear()
        agent.said = said
        self._put(agent, AgentRow(report.id, report.run, key_id, int(self._clock()), max(more, before), text), report)
        self._changed[report.id] = None
        return Reported(count, self._process)

    def merge(self, rows: Iterable[AgentRow]) -> None:
        """Take over rows of the store that are newer: reports to other processes, or to an earlier one."""
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
        """The rows of agents whose reports came since the last call."""
        changed, self._changed = self._changed, {}
        return [self._all[agent].row for agent in changed if agent in self._all]

    def put_back(self, rows: Iterable[AgentRow]) -> None:
        """Rows that could not be stored: the next ``take_changed`` has them again."""
        self._changed |= {row.id: None for row in rows}

    def forget(self) -> None:
        """Forget agents whose last report is older than FORGET_SECONDS."""
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
        return [self._listed(self._all[agent], now) for agent in chosen]

    def states(self) -> dict[State, int]:
        """How many agents are in each state."""
        now = self._clock()
        counts: dict[State, int] = {"live": 0, "silent": 0, "stopped": 0}
        for agent in self._all.values():
            counts[_state(agent, now)] += 1
        return counts

    def missing(self) -> int:
        """The points that agents count as acknowledged and that no process acknowledged, of all agents."""
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

    def _listed(self, agent: _Agent, now: float) -> ListedAgent:
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


class Reported(NamedTuple):
    """A batch whose report was read. ``answered`` counts its points once they are acknowledged."""

    run: _Count
    process: str

    def answered(self, batch_id: str, answer: Answer) -> Answer:
        """The answer with the id of this process. Call it before the answer is sent."""
        if answer.status == 201:
            count, points = self.run, accepted_in(answer.body)
            if not (is_replay(answer) and batch_id in count.unconfirmed):
                count.answered += points
            count.unconfirmed[batch_id] = points
            if len(count.unconfirmed) > MAX_UNCONFIRMED:
                del count.unconfirmed[next(iter(count.unconfirmed))]
        return answer._replace(headers={**answer.headers, PROCESS_HEADER: self.process})


def _of_new_run(before: _Agent | None, report: AgentReport) -> _Agent:
    """The agent in a new run, or back in the run before. ``before`` is what we know of it, if anything."""
    if before is None:
        return _Agent(AgentRow(report.id, report.run, 0, 0, 0, ""))
    back = before.run_before == report.run
    return _Agent(before.row, run_before=before.row.run, returns=before.returns + back)


def _state(agent: _Agent, now: float) -> State:
    if agent.stopping:
        return "stopped"
    return "silent" if now - agent.row.seen_at > SILENT_SECONDS else "live"

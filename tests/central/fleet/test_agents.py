"""central/fleet/agents.py: the latest report of each agent, and the comparison of both sides' counts."""

import json
from typing import Any

import pytest

from central.fleet.agents import FORGET_SECONDS, SILENT_SECONDS, Agents
from central.ingest.answers import Answer, batch_body, recorded
from central.store.agents import AgentRow
from protocol.report import PROCESS_HEADER, AgentReport, write_report
from tests.central.store_help import NOW, Clock

OURS, OTHER = "0" * 16, "f" * 16
RUNS = {name: name * 16 for name in "abc"}


def header(agent: int = 1, run: str = "a", **fields: Any) -> list[str]:
    report = AgentReport(id=f"{agent:032x}", run=RUNS[run], host=f"web-{agent}", version="1", started=5, **fields)
    return [write_report(report)]


class Talk:
    """An agent that sends batches to a process. ``said`` counts the points whose answers arrived."""

    def __init__(self, agents: Agents) -> None:
        self.agents = agents
        self.said = 0
        self.batch = 0

    def send(self, points: int, *, again: bool = False, answered: bool = True, run: str = "a") -> None:
        """A batch of so many points; ``again``: the same as before. Unless ``answered``, its answer gets lost."""
        self.batch += not again
        reported = self.agents.take_report(header(run=run, points={OURS: self.said, OTHER: 77}), 1)
        assert reported is not None
        answer = reported.answered(str(self.batch), recorded(batch_body(points, ()), replayed=again))
        assert answer.headers[PROCESS_HEADER] == OURS
        self.said += points * answered

    def compared(self) -> tuple[int | None, int | None, int]:
        (one,) = self.agents.listed("", 9)
        return one.acknowledged, one.answered, one.row.missing


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agents(clock: Clock) -> Agents:
    return Agents(OURS, clock)


def test_both_sides_agree_when_every_answer_arrives(agents: Agents) -> None:
    talk = Talk(agents)
    for points in (3, 5, 7):
        talk.send(points)
    assert talk.compared() == (8, 15, 0)  # the report that came with the last batch is of before it


def test_a_lost_answer_is_counted_once_when_the_retry_is_answered(agents: Agents) -> None:
    talk = Talk(agents)
    talk.send(3)
    talk.send(5, answered=False)
    assert talk.compared() == (3, 8, 0)
    talk.send(5, again=True)
    talk.send(1)
    assert talk.compared() == (8, 9, 0)


def test_a_batch_of_another_process_counts_where_its_replay_is_answered(agents: Agents) -> None:
    talk = Talk(agents)
    talk.batch = 1
    talk.send(5, again=True)
    talk.send(1)
    assert talk.compared() == (5, 6, 0)


def test_an_answer_that_nobody_gave_is_missing_until_the_run_ends(agents: Agents) -> None:
    talk = Talk(agents)
    talk.send(3)
    talk.said += 1_000  # somebody answered in this process's name
    talk.send(1)
    assert talk.compared() == (1_003, 4, 1_000)
    assert agents.missing() == 1_000
    talk.send(0, answered=False)
    talk.send(5, answered=False)
    assert talk.compared()[2] == 1_000
    talk.said = 0
    talk.send(2, run="b")
    assert talk.compared() == (0, 2, 0)


def test_an_agent_that_is_known_again_begins_anew(agents: Agents, clock: Clock) -> None:
    talk = Talk(agents)
    talk.send(3)
    clock.now += FORGET_SECONDS + 1
    agents.forget()
    assert agents.listed("", 9) == []
    talk.send(1)
    talk.send(1)
    assert talk.compared() == (1, 2, 0)


@pytest.mark.parametrize("text", [[], ["{}"], ["x"], header() * 2, ['{"id":"\x1b"}']])
def test_a_header_that_is_no_report_refuses_nothing_and_is_counted(agents: Agents, text: list[str]) -> None:
    assert agents.take_report(text, 1) is None
    assert agents.unreadable == 1
    assert agents.listed("", 9) == []


def test_a_refused_batch_still_brings_its_report(agents: Agents) -> None:
    reported = agents.take_report(header(received=9), 1)
    assert reported is not None
    reported.answered("1", Answer(503, b"{}", {}))
    (one,) = agents.listed("", 9)
    assert (one.report.received, one.answered) == (9, 0)


@pytest.mark.parametrize(
    ("stopping", "after", "state"),
    [
        (False, 0, "live"),
        (False, SILENT_SECONDS, "live"),
        (False, SILENT_SECONDS + 1, "silent"),
        (True, 0, "stopped"),
        (True, SILENT_SECONDS + 1, "stopped"),
    ],
)
def test_an_agent_is_silent_when_nothing_says_that_it_stopped(
    agents: Agents, clock: Clock, stopping: bool, after: int, state: str
) -> None:
    agents.take_report(header(stopping=stopping), 1)
    clock.now += after
    (one,) = agents.listed("", 9)
    assert one.state == state
    assert {name: count for name, count in agents.states().items() if count} == {state: 1}


def test_when_there_are_too_many_the_key_that_has_most_loses_its_oldest(clock: Clock) -> None:
    agents = Agents(OURS, clock, most=5)
    for number in (1, 2):
        agents.take_report(header(number), 1)
    for number in range(100, 200):
        agents.take_report(header(number), 2)
    assert [int(one.report.id, 16) for one in agents.listed("", 9)] == [1, 2, 197, 198, 199]


def test_agents_are_listed_in_the_order_of_their_ids_page_by_page(agents: Agents) -> None:
    for number in (5, 3, 4, 1, 2):
        agents.take_report(header(number), 1)
    pages = [agents.listed(f"{after:032x}", 2) for after in (0, 2, 4)]
    assert [[one.report.host for one in page] for page in pages] == [["web-1", "web-2"], ["web-3", "web-4"], ["web-5"]]


def test_an_agent_may_change_its_key(agents: Agents) -> None:
    for key in (1, 2, 1):
        agents.take_report(header(), key)
    (one,) = agents.listed("", 9)
    assert one.row.key_id == 1


def test_two_agents_with_one_id_are_noticed_and_a_restart_is_not(agents: Agents) -> None:
    shared = []
    for run in "aababcabab":
        agents.take_report(header(run=run), 1)
        shared.append(agents.listed("", 9)[0].shared)
    assert shared == [False] * 4 + [False] * 0 + [True] * 6 or shared.index(True) >= 3
    restarted = Agents(OURS, Clock())
    for run in "aabbcc":
        restarted.take_report(header(run=run), 1)
    assert not restarted.listed("", 9)[0].shared


def test_reports_to_another_process_are_taken_where_they_are_newer(agents: Agents, clock: Clock) -> None:
    def of(number: int, seen_at: int, received: int, missing: int = 0) -> AgentRow:
        (text,) = header(number, received=received)
        return AgentRow(f"{number:032x}", RUNS["a"], 1, seen_at, missing, text)

    agents.take_report(header(1, received=5), 1)
    agents.take_report(header(2, received=5), 1)
    agents.merge([of(1, NOW - 1, 1), of(2, NOW + 1, 6, 4), of(3, NOW, 7), of(4, NOW, 8)._replace(report="{}")])
    assert {one.report.host: (one.report.received, one.row.missing) for one in agents.listed("", 9)} == {
        "web-1": (5, 0),
        "web-2": (6, 4),
        "web-3": (7, 0),
    }


def test_new_reports_are_written_and_written_again_after_a_failure(agents: Agents) -> None:
    agents.take_report(header(1), 1)
    agents.take_report(header(1, received=2), 1)
    (row,) = agents.take_changed()
    assert json.loads(row.report)["received"] == 2
    assert agents.take_changed() == []
    agents.put_back([row])
    assert agents.take_changed() == [row]

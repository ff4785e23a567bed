"""The report of a real agent at a real service: both sides count the same, over restarts and a kill of either side."""

import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Agent, Central, eventually


def the_agent(central: Central) -> dict[str, Any]:
    """What the service knows of the one agent."""
    (agent,) = central.get("/api/agents")["data"]
    return dict(agent)


def send(agent: Agent, lines: int) -> None:
    """Counts of one name, and one line that is none; wait until the agent has accounted for all."""
    before = agent.ledger()["acknowledged"] + agent.ledger()["dropped"]
    agent.send(*[b"orders:1|c"] * lines, b"orders:x|c")
    agent.settled(before + lines + 1)


def test_what_an_agent_says_is_what_the_service_counted(central: Central, agent: Agent) -> None:
    for lines in (3, 4):
        send(agent, lines)
    listed = the_agent(central)
    assert (listed["host"], listed["state"], listed["received"]) == (socket.gethostname(), "live", 9)
    assert (sum(listed["dropped"].values()), listed["acknowledged"], listed["in_spool"]) == (2, 3, 4)
    assert (listed["points_heard"], listed["points_answered"], listed["missing_points"]) == (1, 2, 0)
    agent.send(b"orders:1|c")  # the last window goes with the stop, and its report says so
    assert agent.end(signal.SIGTERM) == 0
    listed = the_agent(central)
    assert (listed["state"], listed["received"], listed["missing_points"]) == ("stopped", 10, 0)
    agent.start()
    send(agent, 1)
    again = the_agent(central)
    assert (again["id"], again["state"], again["received"]) == (listed["id"], "live", 2)


def test_an_agent_that_stops_with_nothing_left_to_send_says_so_too(central: Central, agent: Agent) -> None:
    send(agent, 3)
    assert agent.end(signal.SIGTERM) == 0
    listed = the_agent(central)
    assert (listed["state"], listed["received"], listed["acknowledged"]) == ("stopped", 4, 3)


def test_kills_of_both_sides_leave_no_difference(
    central: Central, agent: Agent, tmp_path: Path, processes: ExitStack
) -> None:
    for number in (1, 2):
        send(agent, number)
        central.end(signal.SIGKILL)
        central.start()
        send(agent, number)
        agent.end(signal.SIGKILL)
        agent.start()
    send(agent, 1)
    send(agent, 1)
    listed = the_agent(central)
    assert (listed["missing_points"], listed["shared_id"], listed["state"]) == (0, False, "live")
    assert listed["points_heard"] == 1
    assert listed["points_answered"] == 2


def test_without_the_folder_an_agent_is_another_one(central: Central, agent: Agent) -> None:
    send(agent, 1)
    first = the_agent(central)["id"]
    agent.end(signal.SIGTERM)
    (agent.folder / "agent-id").unlink()
    agent.start()
    send(agent, 1)
    eventually(lambda: len(central.get("/api/agents")["data"]) == 2, "the service knows two agents")
    assert first in {one["id"] for one in central.get("/api/agents")["data"]}

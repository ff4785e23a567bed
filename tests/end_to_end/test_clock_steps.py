"""A running agent's clock is set wrong and right again: no window is lost or counted twice, all at the true time."""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from protocol.times import format_time
from tests.end_to_end.conftest import Agent, Central, eventually

HOUR = 3_600
YEAR = 365 * 86_400
STEPS = (0, HOUR, 0, -HOUR, 0, YEAR, 0, -YEAR, 0, HOUR, -YEAR, YEAR, -HOUR)

WRONG_FROM_THE_START = (-YEAR, YEAR, HOUR, -HOUR, 0, -YEAR)


class SteppedAgent(Agent):
    """An agent whose clock is off by what ``set`` says."""

    def __init__(self, folder: Path, central: Central) -> None:
        super().__init__(folder, central)
        self._step = folder.with_suffix(".step")
        self._command = [sys.executable, "-m", "tests.agent.stepped", str(self._step)]

    def set(self, seconds: int) -> None:
        """At once, as by settimeofday."""
        fresh = self._step.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._step)


def test_steps_of_an_hour_and_a_year(central: Central, tmp_path: Path, processes: ExitStack) -> None:
    agent = SteppedAgent(tmp_path / "stepped", central)
    agent.set(0)
    processes.callback(agent.close)
    agent.start()
    begin = int(time.time()) - 60
    for number, step in enumerate(STEPS):
        agent.set(step)
        agent.send(b"steps:1|c\nsteps.time:7|ms")
        agent.settled(2 * (number + 1))
        assert agent.ledger()["dropped"] == 0
    assert agent.end(signal.SIGTERM) == 0
    assert central.ask("steps.time", "sum") == 7 * len(STEPS)
    assert_at_the_true_time(central, begin, len(STEPS))


def test_an_agent_that_starts_with_a_wrong_clock_and_without_a_service(
    central: Central, tmp_path: Path, processes: ExitStack
) -> None:
    agent = SteppedAgent(tmp_path / "stepped", central)
    assert central.end(signal.SIGTERM) == 0
    begin = int(time.time()) - 60
    agent.set(-YEAR)
    processes.callback(agent.close)
    agent.start()
    for number, step in enumerate(WRONG_FROM_THE_START):
        agent.set(step)
        agent.send(b"steps:1|c\nsteps.time:7|ms")
        sent = 2 * (number + 1)
        eventually(lambda sent=sent: agent.ledger().get("in_spool") == sent, "in the spool")  # type: ignore[misc]
    central.start()
    agent.settled(2 * len(WRONG_FROM_THE_START))
    assert agent.ledger()["dropped"] == 0
    assert agent.end(signal.SIGTERM) == 0
    assert_at_the_true_time(central, begin, len(WRONG_FROM_THE_START))


def assert_at_the_true_time(central: Central, begin: int, times: int) -> None:
    """Each of both metrics so often, and within the minutes that the test took."""
    span = f"start={format_time(begin)}&end={format_time(int(time.time()) + 60)}"
    true = central.get(f"/api/metrics/aggregate?name=steps,steps.time&operation=count&window=1m&{span}")["data"]
    for name in ("steps", "steps.time"):
        assert central.ask(name, "count") == times
        assert sum(point["value"] for point in true[name]) == times

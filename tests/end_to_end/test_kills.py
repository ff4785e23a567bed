"""Processes die; the sums stay. Every sample is stored once, or counted as dropped."""

import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from agent.spool.browse import list_spool
from tests.end_to_end.conftest import Agent, Central, eventually


def test_a_killed_central_keeps_every_acknowledged_sample_once(central: Central, agent: Agent) -> None:
    """kill -9 of central three times while the agent forwards; nothing is lost, nothing doubled."""
    stop = threading.Event()
    sent = 0

    def load() -> None:
        nonlocal sent
        while not stop.is_set():
            agent.send(*(b"killed.central:1|c\nkilled.timing:2.5|ms" for _ in range(20)))
            sent += 20
            stop.wait(0.005)

    sender = threading.Thread(target=load)
    sender.start()
    try:
        for _ in range(3):
            acknowledged = agent.ledger()["acknowledged"]
            eventually(
                lambda least=acknowledged: agent.ledger()["acknowledged"] > least,  # type: ignore[misc]
                "central acknowledges",
            )
            central.end(signal.SIGKILL)
            central.start()
    finally:
        stop.set()
        sender.join()
    agent.settled(sent * 2)
    assert agent.ledger()["dropped"] == 0
    assert central.ask("killed.central", "sum") == sent
    assert central.ask("killed.timing", "count") == sent
    assert central.ask("killed.timing", "sum") == sent * 5 / 2


def test_a_killed_agent_stores_what_it_had_spooled_once(
    tmp_path: Path, central: Central, agent: Agent, processes: ExitStack
) -> None:
    central.end(signal.SIGTERM)
    agent.send(*(b"killed.agent:1|c" for _ in range(1000)))
    # The ledger has a batch in the spool already while its file is being written, and a kill takes it then.
    eventually(
        lambda: sum(listed.samples for listed in list_spool(tmp_path / "spool")) == 1000,
        "all samples are in files",
    )
    agent.end(signal.SIGKILL)
    agent.start()
    assert agent.ledger()["recovered"] == 1000
    agent.end(signal.SIGKILL)
    central.start()
    agent.start()
    agent.settled(1000)
    assert central.ask("killed.agent", "sum") == 1000


def test_kills_of_the_agent_under_load_lose_nothing_that_was_received(central: Central, agent: Agent) -> None:
    """kill -9 at five moments of a window. All is in, and nothing is in twice."""
    sent = 0
    for pause in (0.0, 0.35, 0.7, 1.0, 1.3):
        before = agent.ledger()
        agent.send(*(b"moments:1|c" for _ in range(100)))
        sent += 100
        eventually(lambda earlier=before: agent.ledger()["received"] >= earlier["received"] + 100, "they were received")  # type: ignore[misc]
        time.sleep(pause)  # the moment of the kill in its window is what varies, not what is waited for
        agent.end(signal.SIGKILL)
        agent.start()
    eventually(lambda: agent.ledger()["in_spool"] == 0, "the spool is empty")
    assert central.ask("moments", "sum") == sent


def test_sigterm_loses_nothing_that_was_received(central: Central, agent: Agent) -> None:
    """Datagrams still in the socket's buffer are drained, the open window is flushed, the spool is sent."""
    agent.send(*(b"last.words:1|c\nlast.words:1|c" for _ in range(5000)))
    assert agent.end(signal.SIGTERM) == 0
    agent.start()  # a stop sends for a few seconds, and a busy machine may need more for all of it
    eventually(lambda: agent.ledger()["in_spool"] == 0, "the spool is empty")
    assert central.ask("last.words", "sum") == 10_000
    assert central.end(signal.SIGTERM) == 0
    central.start()
    assert central.ask("last.words", "sum") == 10_000
    assert central.ask("last.words", "count") == 10_000


def test_sigterm_while_central_is_down_keeps_all_in_the_spool(central: Central, agent: Agent) -> None:
    central.end(signal.SIGTERM)
    agent.send(*(b"kept:1|c" for _ in range(500)))
    eventually(lambda: agent.ledger()["received"] == 500, "all samples are received")
    assert agent.end(signal.SIGTERM) == 0
    central.start()
    agent.start()
    assert agent.ledger()["recovered"] == 500
    agent.settled(500)
    assert central.ask("kept", "sum") == 500

"""One name as several types, from the packet to the answer: it costs a suffix, and log, status and lists show it."""

import json
import urllib.request
from decimal import Decimal

from tests.end_to_end.conftest import Agent, Central, early_in_a_window, eventually
from tests.patience import PATIENCE


def test_four_types_of_one_name_are_stored_separately_and_reported(central: Central, agent: Agent) -> None:
    early_in_a_window()
    agent.send(b"ftp.login:1|c\nftp.login:12.5|ms\nftp.login:7|g\nftp.login:alice|s\nftp.login:2|c")
    agent.settled(5)
    assert agent.ledger()["dropped"] == 0
    stored = {"": 3, ".timing": Decimal("12.5"), ".gauge": 7, ".set": 1}
    assert {suffix: central.ask(f"ftp.login{suffix}", "sum") for suffix in stored} == stored
    listed = central.get("/api/metrics?clashes=true")["data"]
    assert [found["name"] for found in listed] == ["ftp.login.gauge", "ftp.login.set", "ftp.login.timing"]

    notice = "ftp.login belongs to another type, so its gauges are stored as ftp.login.gauge"
    with urllib.request.urlopen(f"{agent.http}/health", timeout=PATIENCE) as answer:
        assert notice in json.load(answer)["notices"]
    eventually(lambda: notice in agent.log, "the log tells of the clash")

"""agent/telemetry/report.py: what of a snapshot goes with each batch, and that it still adds up."""

from dataclasses import replace

from agent.clients import ClientsStatus
from agent.telemetry.report import AgentIdentity, make_report
from protocol.report import read_report, write_report
from tests.agent.telemetry.test_snapshot import FINE, UDP

QUIET = replace(FINE, sockets=[])
ABOUT = AgentIdentity("a" * 32, "b" * 16, "web-1", "1.0", 5)
CLIENTS = ClientsStatus("unix", ["py 1"], 9, 5, 3, 0, 0, arrived=4)


def test_the_report_adds_up_and_lines_that_are_no_metrics_are_apart() -> None:
    snapshot = replace(
        QUIET,
        received=20,
        recovered=5,
        acknowledged=10,
        in_window=3,
        in_spool=2,
        dropped={"bad_number": 4, "client_telemetry": 5, "event": 1, "no_type": 0},
    )
    received = read_report(write_report(make_report(ABOUT, snapshot, {"c" * 16: 7}, stopping=True)))
    assert (received.host, received.stopping, received.points) == ("web-1", True, {"c" * 16: 7})
    assert (received.dropped, received.left_out) == ({"bad_number": 4}, 6)
    gone = (
        received.acknowledged
        + sum(received.dropped.values())
        + received.left_out
        + received.in_window
        + received.in_spool
    )
    assert received.received + received.recovered == gone


def test_what_was_lost_before_the_agent_could_read_it_is_told_too() -> None:
    assert make_report(ABOUT, QUIET, {}, stopping=False).lost == {}
    socket = replace(UDP, kernel_drops=3, truncated=2, refused=1)
    snapshot = replace(QUIET, sockets=[socket, socket], clients=[CLIENTS])
    lost = {"kernel_drops": 6, "truncated": 4, "refused": 2, "client_packets": 4}
    assert make_report(ABOUT, snapshot, {}, stopping=False).lost == lost

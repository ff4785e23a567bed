"""The three pages from one snapshot."""

import dataclasses
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.receive.socket_status import SocketStatus
from agent.telemetry.snapshot import LATELY, AgentCollector, Snapshot, TroubleStatus, health, status

UDP = SocketStatus("UDP 127.0.0.1:8125", 700, 1, 60, 0, 0, 8, 4, 2)
UNIX = SocketStatus("unix /run/a.sock", 80, packets=5, truncated=0, kernel_drops=0)
TCP = SocketStatus("TCP [::1]:8125", 90, kernel_drops=0, connections=2, accepted=9, refused=0, idle_closed=3)

FINE = Snapshot(
    received=100,
    recovered=20,
    acknowledged=70,
    dropped={"bad_number": 3, "dead_letter": 7},
    in_window=25,
    in_spool=15,
    notes={"name_cleaned": 4},
    names=2,
    series=1,
    compiled=True,
    journal="",
    journal_left="",
    windows_waiting=0,
    spool_batches=1,
    spool_bytes=512,
    spool_in_memory=0,
    spool_overflowing=False,
    held=0,
    stuck=0,
    stuck_cause="",
    corrupt_files=1,
    dead_letters=1,
    dead_letters_removed=0,
    replayed=0,
    disk_failures=0,
    disk_trouble=None,
    unreadable=0,
    failures={"flush": 0},
    failing={},
    answers={"ack/stored": 9, "wait/network": 2},
    retries=2,
    trouble=None,
    last_success_age=4.0,
    clock_ahead=0.5,
    clashes=[],
    sockets=[UDP, UNIX, TCP],
    lately={},
)


def but(**changes: Any) -> Snapshot:
    return dataclasses.replace(FINE, **changes)


def trouble(action: str, seconds: float) -> TroubleStatus:
    return TroubleStatus(action, "the reason", seconds)


@pytest.mark.parametrize(
    ("snapshot", "says"),
    [
        (FINE, None),
        (but(clock_ahead=None, last_success_age=None, sockets=[]), None),
        (but(trouble=trouble("wait", 59)), None),
        (but(trouble=trouble("wait", 61)), "nothing goes through for 61 s: the reason; 1 batches are kept"),
        (but(trouble=trouble("hold", 0)), "the reason"),
        (but(trouble=trouble("wait_and_shout", 0)), "the reason"),
        (but(held=3, clock_ahead=3_600.2), "3 batches wait because the service would call them future"),
        (but(clock_ahead=3_600.2), "3600 s ahead of"),
        (but(clock_ahead=-3_600.2), "3600 s behind"),
        (but(clock_ahead=None, held=1), "1 batches"),
        (but(stuck=2, stuck_cause="an answer 403"), "batches do not go through while others do: 2; one of them becau"),
        (but(disk_trouble="No space left", spool_in_memory=2), "No space left; 2 batches are in memory only"),
        (but(windows_waiting=2), None),
        (but(windows_waiting=3, journal=""), "3 windows should have ended during one write; what they have is kept"),
        (but(windows_waiting=3, journal="no core"), "during one write; a kill loses what the disk does not have"),
        (but(spool_overflowing=True), "the spool is full"),
        (but(lately={"kernel_drops": 1_200}), "lately 1,200 datagrams were dropped by the kernel"),
        (but(lately={"names_over_cap": 7, "something": 1}), "lately 7 samples of new names were dropped"),
        (but(lately={"timestamp_too_old": 7}), "lately 7 samples were dropped: their time"),
    ],
)
def test_health(snapshot: Snapshot, says: str | None) -> None:
    reasons = health(snapshot)
    if says is None:
        assert reasons == []
    else:
        (reason,) = reasons
        assert says in reason


def test_status_is_json_and_has_the_health() -> None:
    page = json.loads(json.dumps(status(but(trouble=trouble("hold", 5)))))
    assert page["received"] == 100
    assert page["dropped"] == {"bad_number": 3, "dead_letter": 7}
    assert page["trouble"]["action"] == "hold"
    assert len(page["health"]) == 1


def scraped(snapshot: Snapshot) -> dict[str, float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(lambda: snapshot))
    text = generate_latest(registry).decode()
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_ledger_is_on_the_metrics_page_and_adds_up() -> None:
    found = scraped(FINE)
    into = found["fiesta_agent_samples_received_total"] + found["fiesta_agent_samples_recovered_total"]
    dropped = sum(value for name, value in found.items() if name.startswith("fiesta_agent_samples_dropped_total/"))
    held = found["fiesta_agent_samples_in_window"] + found["fiesta_agent_samples_in_spool"]
    assert into == found["fiesta_agent_samples_acknowledged_total"] + dropped + held == 120


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fiesta_agent_samples_dropped_total/bad_number", 3),
        ("fiesta_agent_notes_total/name_cleaned", 4),
        ("fiesta_agent_forward_attempts_total/wait/network", 2),
        ("fiesta_agent_spool_batches", 1),
        ("fiesta_agent_spool_bytes", 512),
        ("fiesta_agent_spool_corrupt_files_total", 1),
        ("fiesta_agent_dead_letters_total", 1),
        ("fiesta_agent_kernel_drops_total/UDP 127.0.0.1:8125", 0),
        ("fiesta_agent_kernel_drops_total/unix /run/a.sock", 0),
        ("fiesta_agent_receive_buffer_asked_bytes/UDP 127.0.0.1:8125", 8),
        ("fiesta_agent_receive_buffer_granted_bytes/UDP 127.0.0.1:8125", 4),
        ("fiesta_agent_receive_buffer_used_bytes/UDP 127.0.0.1:8125", 2),
        ("fiesta_agent_received_packets_total/unix /run/a.sock", 5),
        ("fiesta_agent_received_bytes_total/TCP [::1]:8125", 90),
        ("fiesta_agent_socket_errors_total/UDP 127.0.0.1:8125", 1),
        ("fiesta_agent_connections/TCP [::1]:8125", 2),
        ("fiesta_agent_connections_accepted_total/TCP [::1]:8125", 9),
        ("fiesta_agent_connections_refused_total/TCP [::1]:8125", 0),
        ("fiesta_agent_connections_idle_closed_total/TCP [::1]:8125", 3),
        ("fiesta_agent_clock_ahead_seconds", 0.5),
        ("fiesta_agent_last_success_age_seconds", 4),
        ("fiesta_agent_healthy", 1),
    ],
)
def test_a_number_on_the_metrics_page(name: str, value: float) -> None:
    assert scraped(FINE)[name] == value


def test_unknown_numbers_are_not_on_the_metrics_page() -> None:
    found = scraped(but(clock_ahead=None, last_success_age=None, sockets=[]))
    for name in ("clock_ahead_seconds", "last_success_age_seconds", "kernel_drops_total"):
        assert f"fiesta_agent_{name}" not in found


def test_a_number_that_a_socket_does_not_have_is_left_out() -> None:
    found = scraped(FINE)
    assert "fiesta_agent_received_packets_total/TCP [::1]:8125" not in found
    assert "fiesta_agent_receive_buffer_granted_bytes/unix /run/a.sock" not in found


def test_each_loss_in_lately_has_a_sentence() -> None:
    assert len(health(but(lately=dict.fromkeys(LATELY, 1)))) == len(LATELY)


def test_a_clash_of_names_is_a_notice_and_the_agent_stays_healthy() -> None:
    found = status(but(clashes=["a.timing"]))
    assert found["health"] == []
    assert found["notices"] == ["a belongs to another type, so its timings are stored as a.timing"]


def test_every_reason_and_note_is_0_before_it_happens() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(lambda: but(dropped={}, notes={})))
    text = generate_latest(registry).decode()
    for reason in ("bad_name", "line_cut", "frame_too_long", "names_over_cap", "rejected_METRIC_TYPE_CONFLICT"):
        assert f'fiesta_agent_samples_dropped_total{{reason="{reason}"}} 0.0' in text
    for note in ("gauge_delta", "tags_dropped", "gauges_forgotten"):
        assert f'fiesta_agent_notes_total{{note="{note}"}} 0.0' in text

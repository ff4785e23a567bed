"""The status for a person."""

from dataclasses import replace

import pytest

from agent.telemetry.snapshot import Snapshot, status
from agent.telemetry.status_text import render
from tests.agent.telemetry.test_snapshot import FINE, TCP, UDP, UNIX, but


@pytest.mark.parametrize(
    ("snapshot", "says"),
    [
        (FINE, "LOST: 3 samples in lines that could not be read; 7 samples in dead letters"),
        (FINE, "; 1 damaged spool files"),
        (FINE, "  UDP 127.0.0.1:8125            60 datagrams, 700 bytes"),
        (FINE, "receive buffer: 2 bytes used of 4, 8 asked for"),
        (but(sockets=[replace(UDP, buffer_limit=4)]), "8 asked for, net.core.rmem_max allows 4\n"),
        (FINE, "0 ms at 10,000 per second; sysctl -w net.core.rmem_max=8388608, then restart\n"),
        (but(sockets=[replace(UNIX, queue_limit=512)]), "  512 datagrams may wait (net.unix.max_dgram_qlen), then a"),
        (FINE, "  TCP [::1]:8125                2 connections open of 9, 90 bytes"),
        (FINE, "  unix /run/a.sock              5 datagrams, 80 bytes"),
        (but(dropped={"client_telemetry": 4}, corrupt_files=0), "nothing was lost"),
        (but(dropped={"client_telemetry": 4}), "no metrics, left out on purpose"),
        (but(dropped={"rejected_INVALID_NAME": 4}, corrupt_files=0), "LOST: 4 samples refused by the service"),
        (but(dropped={"spool_age": 2, "names_over_cap": 1}), "1 sample in windows that were full; 2 samples in the s"),
        (FINE, "the service took a batch 4 s ago"),
        (but(dropped={}, corrupt_files=0), "nothing was lost"),
        (but(notes={}, last_success_age=None), "the service has taken no batch yet"),
        (
            but(sockets=[replace(UDP, kernel_drops=5), replace(UNIX, truncated=2), replace(TCP, refused=1)]),
            "LOST: 5 datagrams that the kernel dropped, because the receive buffer was full, at UDP 127.0.0.1:8125; "
            "2 datagrams that were cut, because they were over 65,536 bytes, at unix /run/a.sock; "
            "1 connections that were refused",
        ),
        (but(spool_overflowing=True), "UNHEALTHY: the spool is full"),
        (FINE, "healthy"),
        (FINE, "lines are counted by the compiled core"),
        (but(compiled=False), "lines are counted by plain Python"),
    ],
)
def test_status_text(snapshot: Snapshot, says: str) -> None:
    assert says in render(status(snapshot))


def test_the_text_has_every_number_of_the_ledger() -> None:
    text = render(status(FINE))
    for name, count in [("received", 100), ("recovered", 20), ("acknowledged", 70), ("in window", 25)]:
        assert any(line.split()[: len(name.split()) + 1] == [*name.split(), str(count)] for line in text.splitlines())
    assert "name_cleaned" in text


def test_another_programs_answer_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        render({"status": "ok"})

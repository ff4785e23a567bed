"""The books for a person."""

import pytest

from agent.report import Snapshot, status
from agent.statustext import render
from tests.agent.test_report import FINE, but


@pytest.mark.parametrize(
    ("snapshot", "says"),
    [
        (FINE, "LOST: 1 damaged spool files"),
        (FINE, "3 samples dropped by the agent or refused"),
        (FINE, "7 samples in dead letters"),
        (FINE, "the centre took a batch 4 s ago"),
        (but(dropped={}, corrupt_files=0), "nothing was lost"),
        (but(notes={}, last_success_age=None), "the centre has taken no batch yet"),
        (but(kernel_drops=5), "5 datagrams in the kernel"),
        (but(spool_overflowing=True), "UNHEALTHY: the spool is full"),
        (FINE, "healthy"),
        (FINE, "lines are counted by the compiled core"),
        (but(compiled=False), "lines are counted by plain Python"),
    ],
)
def test_status_text(snapshot: Snapshot, says: str) -> None:
    assert says in render(status(snapshot))


def test_every_number_of_the_ledger_is_there() -> None:
    text = render(status(FINE))
    for name, count in [("received", 100), ("recovered", 20), ("acknowledged", 70), ("in window", 25)]:
        assert any(line.split()[: len(name.split()) + 1] == [*name.split(), str(count)] for line in text.splitlines())
    assert "name_cleaned" in text


def test_another_programs_answer_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        render({"status": "ok"})

"""agent/forward/answered.py: items by the process that acknowledged them; the oldest process goes first."""

from agent.forward.answered import Answered
from protocol.report import MAX_PROCESSES


def test_items_are_counted_by_process() -> None:
    answered = Answered()
    for process, items in (("a" * 16, 3), ("b" * 16, 5), ("a" * 16, 4)):
        answered.note(process, items)
    assert answered.points == {"a" * 16: 7, "b" * 16: 5}


def test_an_older_service_and_a_malformed_header_count_nothing() -> None:
    answered = Answered()
    for process in (None, "", "A" * 16, "a" * 15, "a" * 17, "a" * 16 + "\n"):
        answered.note(process, 3)
    assert answered.points == {}


def test_only_the_processes_that_answered_last_are_kept() -> None:
    answered = Answered()
    for number in range(MAX_PROCESSES):
        answered.note(f"{number:016x}", 1)
    answered.note(f"{0:016x}", 1)
    answered.note("f" * 16, 1)
    assert f"{0:016x}" in answered.points
    assert f"{1:016x}" not in answered.points
    assert len(answered.points) == MAX_PROCESSES

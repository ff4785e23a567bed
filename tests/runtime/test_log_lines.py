"""runtime/log_lines.py: which lines of an event pass, and how many the next one says were left out."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from runtime.log_lines import BurstLimit

LINES, SECONDS = 3, 60.0


def test_lines_that_come_too_often_are_left_out_and_counted() -> None:
    now = [0.0]
    limit = BurstLimit(LINES, SECONDS, lambda: now[0])
    assert [limit.try_pass("a") for _ in range(LINES + 2)] == [0] * LINES + [None] * 2
    assert limit.try_pass("b") == 0, "each event has its own limit"
    now[0] = SECONDS - 0.1
    assert limit.try_pass("a") is None
    now[0] = SECONDS
    assert [limit.try_pass("a") for _ in range(LINES + 1)] == [3, 0, 0, None]


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from("abc"))))
def test_no_event_passes_too_often_and_no_line_is_forgotten(steps: list[tuple[float, str]]) -> None:
    now = [0.0]
    limit = BurstLimit(LINES, SECONDS, lambda: now[0])
    came: Counter[str] = Counter()
    known: Counter[str] = Counter()
    passed: dict[str, list[float]] = {event: [] for event in "abc"}
    for pause, event in steps:
        now[0] += pause
        came[event] += 1
        left_out = limit.try_pass(event)
        if left_out is not None:
            passed[event].append(now[0])
            known[event] += left_out + 1
            assert known[event] == came[event], "a line that passes accounts for all that came before"
            assert len([time for time in passed[event] if time > now[0] - SECONDS]) <= LINES

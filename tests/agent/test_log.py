"""One line for each change of state, and no flood."""

import io
import json

from agent.log import BURST, BURST_SECONDS, log_to, not_too_often


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_json_unless_a_person_watches() -> None:
    stream = io.StringIO()
    tell = log_to(stream)
    tell("started", "on port 1")
    tell("hold", "the key is refused")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["message"]) == ("started", "info", "on port 1")
    assert second["level"] == "warning"
    assert second["timestamp"].endswith("Z")


def test_a_person_gets_plain_lines() -> None:
    stream = Terminal()
    log_to(stream)("started", "on port 1")
    assert "started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_one_event_is_told_a_few_times_a_minute_and_then_says_what_was_left_out() -> None:
    told: list[str] = []
    now = [0.0]
    tell = not_too_often(lambda event, message: told.append(f"{event}: {message}"), lambda: now[0])
    for _ in range(BURST + 3):
        tell("dead_letter", "refused")
    tell("started", "up")
    assert told == ["dead_letter: refused"] * BURST + ["started: up"]
    now[0] = BURST_SECONDS
    tell("dead_letter", "refused")
    assert told[-1] == "dead_letter: refused (3 more like this were left out)"

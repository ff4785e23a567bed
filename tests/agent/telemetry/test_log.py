"""One line for each change of state, and no flood."""

import io
import json
import os
from pathlib import Path

from agent.telemetry.log import BURST, BURST_SECONDS, AtLevel, log_to, not_too_often
from tests.full_disk import FullDisk


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_json_unless_the_stream_is_a_terminal() -> None:
    stream = io.StringIO()
    tell = log_to(stream)
    tell("started", "on port 1")
    tell("hold", "the key is refused")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["message"]) == ("started", "info", "on port 1")
    assert second["level"] == "warning"
    assert second["timestamp"].endswith("Z")


def test_a_terminal_gets_plain_lines() -> None:
    stream = Terminal()
    log_to(stream)("started", "on port 1")
    assert "started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_log_that_cannot_be_written_raises_nothing_and_says_so_later() -> None:
    stream = FullDisk()
    tell = log_to(stream)
    for _ in range(3):
        tell("wait", "no answer")
    stream.full = False
    tell("wait", "no answer")
    tell("wait", "no answer")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [
        "no answer (3 lines before this one could not be written)",
        "no answer",
    ]


def test_the_journal_is_told_the_level(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        found = os.fstat(stream.fileno())
        tell = log_to(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        tell("started", "on port 1")
        tell("hold", "the key is refused")
        stream.seek(0)
        assert [line.partition("{")[0] for line in stream] == ["<6>", "<4>"]


def test_an_event_is_logged_a_few_times_per_minute_and_then_counted() -> None:
    events: list[str] = []
    now = [0.0]
    tell = not_too_often(lambda event, message: events.append(f"{event}: {message}"), lambda: now[0])
    for _ in range(BURST + 3):
        tell("dead_letter", "refused")
    tell("started", "up")
    assert events == ["dead_letter: refused"] * BURST + ["started: up"]
    now[0] = BURST_SECONDS
    tell("dead_letter", "refused")
    assert events[-1] == "dead_letter: refused (3 more like this were left out)"


def test_the_level_can_change_while_the_log_is_used() -> None:
    events: list[str] = []
    tell = AtLevel(lambda event, message: events.append(event), "warning")
    tell("started", "up")
    tell("hold", "the key is refused")
    tell.level = "info"
    tell("stopped", "down")
    assert events == ["hold", "stopped"]

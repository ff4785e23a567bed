"""A few bad lines are shown, with their senders, and never a flood of them."""

from typing import get_args

import pytest

from agent.receive.bad_lines import FEW_LINES, MORE_LINES, SECONDS_PER_REASON, BadLines, shown
from protocol.statsd_tags import TagMode, TagRules


class Log(list[str]):
    def __init__(self) -> None:
        self.now = 0.0
        self.bad = BadLines(self.tell, lambda: self.now)

    def tell(self, event: str, message: str) -> None:
        assert event == "bad_line"
        self.append(message)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_bad_line_is_shown_with_its_reason_and_sender(log: Log) -> None:
    log.bad.inspect(b"a:1|c\nb:1|x\n\nc:2|ms", "127.0.0.1:5")
    assert log == ["unknown_type: 'b:1|x' from 127.0.0.1:5"]


def test_one_line_is_shown_per_reason_and_minute(log: Log) -> None:
    for _ in range(3):
        log.bad.inspect(b"b:1|x\nc:one|c", "here")
    assert log == ["unknown_type: 'b:1|x' from here", "bad_number: 'c:one|c' from here"]
    log.now = SECONDS_PER_REASON
    log.bad.inspect(b"d:1|x", "there")
    assert log[2:] == ["unknown_type: 'd:1|x' from there"]


@pytest.mark.parametrize("line", [b"_e{1,1}:a|b", b"_sc|web|0", b"datadog.dogstatsd.client.x:1|c"])
def test_events_and_service_checks_are_not_bad_lines(log: Log, line: bytes) -> None:
    log.bad.inspect(line, "here")
    assert log == []


def test_no_more_lines_are_inspected_than_armed_for(log: Log) -> None:
    log.bad.inspect(b"a:1|c\n" * (FEW_LINES - 1) + b"b:1|x\nc:one|c", "here")
    assert log == ["unknown_type: 'b:1|x' from here"]
    assert not log.bad.armed
    log.bad.inspect(b"c:one|c", "here")
    assert len(log) == 1
    log.bad.arm({"unknown_type": 0, "names_over_cap": 5})
    log.bad.inspect(b"a:1|c\n" * FEW_LINES, "here")
    assert not log.bad.armed


def test_more_lines_are_inspected_while_lines_are_rejected(log: Log) -> None:
    log.bad.arm({"unknown_type": 1})
    log.bad.inspect(b"a:1|c\n" * (MORE_LINES - 2), "here")
    assert log.bad.armed
    log.bad.arm({"unknown_type": 1})
    log.bad.inspect(b"a:1|c\n" * FEW_LINES, "here")
    assert not log.bad.armed


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"a:1|x", "'a:1|x'"),
        (b"\x00\xff\n\x1b[31m'", '"\\x00\\xff\\n\\x1b[31m\'"'),
        (b"a" * 80, "'" + "a" * 80 + "'"),
        (b"a" * 1_234, "'" + "a" * 80 + "'... (1,234 bytes)"),
    ],
)
def test_bytes_are_shown_escaped_and_shortened(line: bytes, text: str) -> None:
    assert shown(line) == text


def test_an_unknown_sender_is_called_unknown(log: Log) -> None:
    log.bad.show("truncated", b"a", "")
    assert log == ["truncated: 'a' from an unknown sender"]


def test_tags_that_make_a_name_too_long_are_bad_only_when_appended() -> None:
    events: list[str] = []
    line = b"a:1|c|#" + b"t" * 255
    for mode in get_args(TagMode):
        rules = TagRules(mode)
        BadLines(lambda event, message: events.append(message), lambda: 0.0, rules=rules).inspect(line, "here")
    assert [message.split(":")[0] for message in events] == ["bad_name"]

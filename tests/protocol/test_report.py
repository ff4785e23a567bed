"""protocol/report.py: what one end writes, the other reads; nothing else is read, and nothing reaches a terminal."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.report import (
    MAX_REASONS,
    MAX_REPORT,
    MAX_TEXT,
    OTHER_REASONS,
    AgentReport,
    read_report,
    shown_text,
    write_report,
)

AGENT, RUN = "0123456789abcdef" * 2, "fedcba9876543210"
counts = st.integers(0, (1 << 63) - 1)
words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1, max_size=64)
NAMES = {each.name for each in fields(AgentReport)}
APART = {"id", "run", "host", "version", "started", "stopping", "clock_ahead", "dropped", "lost", "points"}
"""Fields that are no counts."""


def a_report(**fields: Any) -> AgentReport:
    return AgentReport(**{"id": AGENT, "run": RUN, "host": "web-1", "version": "1.0", "started": 5, **fields})


@given(
    st.builds(
        AgentReport,
        id=st.just(AGENT),
        run=st.just(RUN),
        host=st.text(max_size=200),
        version=st.text(max_size=200),
        started=st.integers(0, 253_402_300_799),
        stopping=st.booleans(),
        **dict.fromkeys(NAMES - APART, counts),
        clock_ahead=st.none() | st.floats(-1e9, 1e9).map(lambda seconds: round(seconds, 3)),
        dropped=st.dictionaries(words, st.integers(1, 1 << 62), max_size=MAX_REASONS),
        lost=st.dictionaries(words, counts, max_size=3),
        points=st.dictionaries(words.map(lambda word: word[:16]), counts, max_size=8),
    )
)
def test_what_is_written_is_read(report: AgentReport) -> None:
    text = write_report(report)
    assert len(text) <= MAX_REPORT
    assert text.isascii()
    assert text.isprintable()
    read = read_report(text)
    assert read.host == shown_text(report.host)
    assert read.version == shown_text(report.version)
    for name in NAMES - {"host", "version", "dropped"}:
        assert getattr(read, name) == getattr(report, name), name
    assert sum(read.dropped.values()) == sum(report.dropped.values())


def test_the_reasons_that_lost_most_are_told_one_by_one() -> None:
    dropped = {f"reason_{number}": number for number in range(100)} | {"not a word": 1}
    lost = read_report(write_report(a_report(dropped=dropped))).dropped
    assert len(lost) == MAX_REASONS + 1
    assert lost["reason_99"] == 99
    assert lost[OTHER_REASONS] == sum(range(100 - MAX_REASONS)) + 1


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("web-1", "web-1"),
        ("Zürich", "Zürich"),
        ("\x1b[2Jweb", "�[2Jweb"),
        ("a\nb\tc\0", "a�b�c�"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt", "�txt"),
        ("\udcff", "�"),
        ("x" * 500, "x" * MAX_TEXT),
    ],
)
def test_no_text_has_a_character_that_a_terminal_obeys(given: str, shown: str) -> None:
    assert read_report(write_report(a_report(host=given))).host == shown


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"id": "x"}, "id that is none"),
        ({"id": AGENT.upper()}, "id that is none"),
        ({"id": 5}, "id that is none"),
        ({"id": None}, "id that is none"),
        ({"run": RUN[:-1]}, "id that is none"),
        ({"host": 5}, "number where a text"),
        ({"version": ["1"]}, "number where a text"),
        ({"received": -1}, "count that is none"),
        ({"received": 1.5}, "count that is none"),
        ({"received": True}, "count that is none"),
        ({"received": 1 << 63}, "count that is none"),
        ({"started": "now"}, "count that is none"),
        ({"stopping": 1}, "neither"),
        ({"clock_ahead": "5"}, "time that is none"),
        ({"clock_ahead": True}, "time that is none"),
        ({"clock_ahead": 1e300}, "time that is none"),
        ({"clock_ahead": float("nan")}, "time that is none"),
        ({"clock_ahead": 10**400}, "time that is none"),
        ({"dropped": []}, "no object"),
        ({"dropped": {"a b": 1}}, "no word"),
        ({"dropped": {"\x1b[2J": 1}}, "no word"),
        ({"dropped": {"a": -1}}, "count that is none"),
        ({"dropped": {f"r{n}": 1 for n in range(100)}}, "too many"),
        ({"points": {"x" * 65: 1}}, "no word"),
    ],
)
def test_a_header_with_a_fault_is_no_report(fields: dict[str, Any], fault: str) -> None:
    whole = {"id": AGENT, "run": RUN, "host": "web-1", "version": "1", "started": 5}
    with pytest.raises(ValueError, match=fault):
        read_report(json.dumps({**whole, **fields}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        '{"host":"é"}',
        "\udc80",
        "[]",
        "5",
        "null",
        "{}",
        '{"id":"x"',
        "[" * 5_000,
        f'{{"host":"{"x" * MAX_REPORT}"}}',
        "\x00",
    ],
)
def test_other_texts_are_no_report(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_report(text)


def test_fields_of_newer_agents_are_ignored_those_of_older_ones_zero() -> None:
    whole = {"id": AGENT, "run": RUN, "host": "web-1", "version": "1", "started": 5}
    assert read_report(json.dumps({**whole, "colour": "red"})) == a_report(version="1")


def test_a_time_beyond_all_calendars_is_the_last_one() -> None:
    assert read_report(write_report(a_report(started=1 << 62))).started == 253_402_300_799

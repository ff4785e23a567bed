"""central/csv_answer.py: when an answer is CSV, and its text."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.csv_answer import csv_body, prefers_csv


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),  # curl, PowerShell, most HTTP libraries
        ("application/json, text/plain, */*", False),  # Grafana
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),  # a browser
        ("text/csv", True),
        ("Text/CSV; charset=utf-8", True),
        ("text/csv, */*;q=0.1", True),
        ("text/*", True),
        ("text/*, application/json", False),
        ("application/json;q=0.5, text/csv;q=0.4", False),
        ("application/json;q=0.4, text/csv;q=0.5", True),
        ("application/json, text/csv", False),  # as good as each other: JSON
        ("text/csv;q=0", False),
        ("text/csv;q=a lot", False),
        ("*/*, text/csv;q=0", False),
        ("application/json;q=0, */*", True),
        (",;,q=1;", False),
    ],
)
def test_csv_is_given_to_those_who_prefer_it_to_json(accept: str, wanted: bool) -> None:
    assert prefers_csv(accept) is wanted


@given(st.text(alphabet="textcsv/*,;q=.01 -na", max_size=40))
def test_no_header_is_too_strange(accept: str) -> None:
    assert prefers_csv(accept) in (True, False)


def test_a_line_a_window_ended_as_the_rfc_says() -> None:
    parts = {"a": [(0, "9999999999999999.9999"), (60, "-0.5")], "none": [], "-b": [(0, "0"), (60, "null")]}
    assert csv_body(parts) == (
        b"name,timestamp,value\r\n"
        b"a,1970-01-01T00:00:00Z,9999999999999999.9999\r\n"
        b"a,1970-01-01T00:01:00Z,-0.5\r\n"
        b"-b,1970-01-01T00:00:00Z,0\r\n"
        b"-b,1970-01-01T00:01:00Z,\r\n"
    )


def test_no_data_is_the_header_alone() -> None:
    assert csv_body({"a": []}) == b"name,timestamp,value\r\n"


VALUES = st.decimals(allow_nan=False, allow_infinity=False, places=4)
WINDOWS = st.lists(st.tuples(st.integers(0, 4_000_000_000), VALUES))


@given(st.dictionaries(st.from_regex(r"\A[A-Za-z0-9._-]{1,20}\Z"), WINDOWS))
def test_a_csv_reader_gets_back_what_was_written(parts: dict[str, list[tuple[int, object]]]) -> None:
    texts = {name: [(start, f"{value}") for start, value in windows] for name, windows in parts.items()}
    rows = list(csv.reader(io.StringIO(csv_body(texts).decode(), newline=""), strict=True))
    assert rows[0] == ["name", "timestamp", "value"]
    flat = [(name, value) for name, windows in texts.items() for _, value in windows]
    assert [(row[0], row[2]) for row in rows[1:]] == flat

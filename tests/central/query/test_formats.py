"""central/query/formats.py: when an answer is CSV."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.query.formats import prefers_csv


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

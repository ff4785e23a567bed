"""central/query/formats.py: when an answer is CSV, and what a tag's value is there."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.query.formats import FORMATS, csv_field, preferred


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
    assert (preferred(accept) == "csv") is wanted


@pytest.mark.parametrize(
    "accept",
    [
        "application/x-ndjson",
        "application/jsonl",
        "Application/X-JSONLines",
        "application/jsonl, application/json;q=0.9",
        "application/x-ndjson, text/csv;q=0.9, */*;q=0.1",
        "application/*, application/json;q=0",
    ],
)
def test_json_lines_are_given_to_those_who_prefer_them(accept: str) -> None:
    assert preferred(accept) == "jsonl"


@given(st.text(alphabet="textcsv/*,;q=.01 -na", max_size=40))
def test_no_header_is_too_strange(accept: str) -> None:
    assert preferred(accept) in FORMATS


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, ""),
        ("", '""'),
        ("prod", "prod"),
        ('5" disk', '"5"" disk"'),
        ("-5", "-5"),
        ("+49 40 1234", "+49 40 1234"),
        ("@home", "@home"),
        ("-", "-"),
        ("f(x)", "f(x)"),
        ("@SUM(A1:A9)", "'@SUM(A1:A9)"),
        ('-2+3+HYPERLINK("http://a.example")', '"\'-2+3+HYPERLINK(""http://a.example"")"'),
        ("+Sheet2!A1", "'+Sheet2!A1"),
        ("=1+cmd()", "'=1+cmd()"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
    ],
)
def test_a_tags_value_in_csv_is_no_formula_that_calls_or_links(value: str | None, field: str) -> None:
    assert csv_field(value) == field


@given(st.text(alphabet="a\"'-+@(!:é ", max_size=9))
def test_csv_has_each_value_exactly_but_for_an_apostrophe(value: str) -> None:
    ((read,),) = csv.reader([csv_field(value)])
    assert read in {value, f"'{value}"}
    assert read == value or (value[0] in "-+@" and any(sign in value for sign in "(!"))

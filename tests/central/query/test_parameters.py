"""central/query/parameters.py: the parameters of a query."""

import pytest

from central.errors import ApiError
from central.query.parameters import Query, parse_list, parse_query

GOOD = {
    "name": "a",
    "operation": "sum",
    "window": "1h",
    "start": "2026-02-14T00:00:00Z",
    "end": "2026-02-15T00:00:00Z",
}
START, END = 1_771_027_200, 1_771_113_600
H = 3600


def query(**changes: str) -> Query:
    return parse_query(GOOD | changes)


def test_a_good_query() -> None:
    assert query() == Query(("a",), "sum", "1h", START, END, None)
    assert query().seconds == H


@pytest.mark.parametrize("fill", ["zero", "null"])
def test_fill(fill: str) -> None:
    assert query(fill=fill).fill == fill


def test_names_are_taken_in_their_order_and_once() -> None:
    assert query(name="b,a,b,A").names == ("b", "a", "A")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-02-14T02:00:00+02:00", START),
        ("2026-02-14T02:00:00 02:00", START),
        ("2026-02-14T02:00 02", START),
        ("2026-02-13T22:00:00-02:00", START),
        ("2026-02-14", START),
        ("2026-02-14 00:00:00", START),
        ("2026-02-14T00:00:00.999Z", START + 1),
        ("2026-02-13T23:59:59.999Z", START),
        ("2026-02-14T01:59:59.5 02:00", START),
    ],
)
def test_start_in_any_form_of_iso_8601(text: str, seconds: int) -> None:
    assert query(start=text).start == seconds


def test_a_range_between_two_seconds_is_empty_and_no_fault() -> None:
    asked = query(start="2026-02-14T00:00:00.2Z", end="2026-02-14T00:00:00.8Z")
    assert (asked.start, asked.end) == (START + 1, START + 1)


@pytest.mark.parametrize(
    ("changes", "code", "field", "says"),
    [
        *(({field: None}, "VALIDATION_ERROR", field, f"{field} is required") for field in GOOD),
        *(({field: ""}, "VALIDATION_ERROR", field, f"{field} is required") for field in GOOD),
        ({"operation": "median"}, "VALIDATION_ERROR", "operation", "one of sum, count, avg, min, max"),
        ({"operation": "SUM"}, "VALIDATION_ERROR", "operation", "one of"),
        ({"window": "2h"}, "VALIDATION_ERROR", "window", "one of 1m, 5m, 15m, 1h, 1d"),
        ({"fill": "none"}, "VALIDATION_ERROR", "fill", "one of zero, null"),
        ({"fill": ""}, "VALIDATION_ERROR", "fill", "required"),
        ({"start": "yesterday"}, "INVALID_TIMESTAMP", "start", "ISO 8601"),
        ({"end": "1771113600"}, "INVALID_TIMESTAMP", "end", "ISO 8601"),
        ({"end": "2026-02-30"}, "INVALID_TIMESTAMP", "end", "no date of the calendar"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "INVALID_TIMESTAMP", "start", "calendar"),
        ({"end": "9999-12-31T23:59:59-14:00"}, "INVALID_TIMESTAMP", "end", "calendar"),
        ({"end": GOOD["start"]}, "VALIDATION_ERROR", "end", "later than start"),
        ({"end": "2026-02-13"}, "VALIDATION_ERROR", "end", "later than start"),
        ({"end": "2026-02-13T23:59:59.999999999Z"}, "VALIDATION_ERROR", "end", "later than start"),
        (
            {"start": "2026-02-14T00:00:00.8Z", "end": "2026-02-14T00:00:00.2Z"},
            "VALIDATION_ERROR",
            "end",
            "later than start",
        ),
        ({"name": "a,,b"}, "INVALID_NAME", "name", "1 to 255 characters"),
        ({"name": "a, b"}, "INVALID_NAME", "name", "1 to 255 characters"),
        ({"name": "a" * 256}, "INVALID_NAME", "name", "1 to 255 characters"),
        (
            {"windows": "1h"},
            "VALIDATION_ERROR",
            "windows",
            "unknown parameter 'windows'; allowed are end, fill, format, name",
        ),
    ],
)
def test_a_bad_parameter_is_named(changes: dict[str, str | None], code: str, field: str, says: str) -> None:
    parameters = {name: text for name, text in (GOOD | changes).items() if text is not None}
    with pytest.raises(ApiError) as caught:
        parse_query(parameters)
    assert (caught.value.status, caught.value.code, caught.value.details["field"]) == (400, code, field)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("window", "end", "names", "fits"),
    [
        ("1m", "2026-02-21T15:20:00Z", 1, "1m"),
        ("1m", "2026-02-21T15:20:01Z", 1, "5m"),
        ("1m", "2026-02-21T15:20:00Z", 5, "5m"),
        ("1h", "2028-02-14T00:00:00Z", 1, "1d"),
        ("1d", "2090-01-01T00:00:00Z", 1, None),
    ],
)
def test_a_range_of_too_many_windows_says_which_window_would_fit(
    window: str, end: str, names: int, fits: str | None
) -> None:
    changes = {"window": window, "end": end, "name": ",".join(f"n{number}" for number in range(names))}
    if fits == window:
        assert query(**changes).window == window
        return
    with pytest.raises(ApiError) as caught:
        query(**changes)
    assert (caught.value.status, caught.value.code) == (400, "RANGE_TOO_LARGE")
    assert caught.value.details["fits"] == fits
    assert (f"use window={fits}" if fits else "no window fits") in caught.value.message
    if fits:
        query(**changes | {"window": fits})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ("", "", 100, False)),
        ({"prefix": "a.", "after": "a.b", "limit": "1000"}, ("a.", "a.b", 1000, False)),
        ({"prefix": "", "limit": "1"}, ("", "", 1, False)),
        ({"limit": "0010"}, ("", "", 10, False)),
        ({"clashes": "true"}, ("", "", 100, True)),
    ],
)
def test_a_list(parameters: dict[str, str], expected: tuple[str, str, int, bool]) -> None:
    assert parse_list(parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        *(({"limit": text}, "VALIDATION_ERROR", "limit") for text in ("0", "1001", "-1", "1.0", "", "x", "٣", "00001")),
        ({"prefix": "a b"}, "INVALID_NAME", "prefix"),
        ({"after": "ü"}, "INVALID_NAME", "after"),
        ({"page": "2"}, "VALIDATION_ERROR", "page"),
    ],
)
def test_a_bad_parameter_of_the_list_is_named(parameters: dict[str, str], code: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_list(parameters)
    assert (caught.value.status, caught.value.code, caught.value.details["field"]) == (400, code, field)

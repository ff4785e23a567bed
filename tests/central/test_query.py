"""central/query.py: parameters in, answer out."""

import json
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.errors import ApiError
from central.query import Query, parse_list, parse_query, render
from central.store.base import Bucket
from protocol.numbers import MAX_UNITS, UNIT

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


def answer(asked: Query, buckets: list[Bucket], ids: dict[str, int] | None = None) -> Any:
    ids = {"a": 1} if ids is None else ids
    return json.loads(render(asked, ids, buckets), parse_float=Decimal)


def value(operation: str, bucket: Bucket) -> str:
    """The text of the value of a single bucket."""
    text = render(query(operation=operation), {"a": 1}, [bucket]).decode()
    return text.split('"value":')[1].split("}")[0]


# --- parameters


def test_a_good_query() -> None:
    assert query() == Query(("a",), "sum", "1h", START, END, None)
    assert query().seconds == H


@pytest.mark.parametrize(("fill", "text"), [("zero", "0"), ("null", "null")])
def test_fill(fill: str, text: str) -> None:
    assert query(fill=fill).fill == text


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
        ("2026-02-14T00:00:00.999Z", START),
    ],
)
def test_start_in_any_form_of_iso_8601(text: str, seconds: int) -> None:
    assert query(start=text).start == seconds


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
    assert (f"window={fits} would fit" if fits else "no window fits") in caught.value.message
    if fits:
        query(**changes | {"window": fits})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ("", "", 100)),
        ({"prefix": "a.", "after": "a.b", "limit": "1000"}, ("a.", "a.b", 1000)),
        ({"prefix": "", "limit": "1"}, ("", "", 1)),
        ({"limit": "0010"}, ("", "", 10)),
    ],
)
def test_a_list(parameters: dict[str, str], expected: tuple[str, str, int]) -> None:
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


# --- answers


def test_an_answer_of_one_name_is_a_list() -> None:
    buckets = [Bucket(1, START, 2 * UNIT, 15_000_000, 0, 0), Bucket(1, START + H, UNIT, 1, 0, 0)]
    assert answer(query(), buckets) == {
        "success": True,
        "metric": "a",
        "operation": "sum",
        "window": "1h",
        "data": [
            {"timestamp": "2026-02-14T00:00:00Z", "value": 1500},
            {"timestamp": "2026-02-14T01:00:00Z", "value": Decimal("0.0001")},
        ],
    }


def test_an_answer_of_several_names_is_an_object_and_an_unknown_name_is_empty() -> None:
    buckets = [Bucket(1, START, UNIT, UNIT, 0, 0), Bucket(2, START, UNIT, 2 * UNIT, 0, 0)]
    found = answer(query(name="b,none,a"), buckets, {"a": 1, "b": 2})
    assert found["metric"] == "b,none,a"
    assert list(found["data"].items()) == [
        ("b", [{"timestamp": "2026-02-14T00:00:00Z", "value": 2}]),
        ("none", []),
        ("a", [{"timestamp": "2026-02-14T00:00:00Z", "value": 1}]),
    ]


@pytest.mark.parametrize(
    ("operation", "text"),
    [("sum", "-0.5"), ("count", "2.5"), ("avg", "-0.2"), ("min", "-9"), ("max", "9999999999999999.9999")],
)
def test_each_operation_reads_its_number(operation: str, text: str) -> None:
    assert value(operation, Bucket(1, START, 25_000, -5_000, -90_000, MAX_UNITS)) == text


@pytest.mark.parametrize(
    ("total", "weight", "text"),
    [
        (1, 2 * UNIT, "0"),
        (3, 2 * UNIT, "0.0002"),
        (-1, 2 * UNIT, "0"),
        (-3, 2 * UNIT, "-0.0002"),
        (10 * UNIT, 3 * UNIT, "3.3333"),
        (20 * UNIT, 3 * UNIT, "6.6667"),
        (UNIT, 3_333, "3.0003"),
        (3000 * MAX_UNITS, 3000 * UNIT, "9999999999999999.9999"),
    ],
)
def test_an_average_is_rounded_half_even_to_four_decimals(total: int, weight: int, text: str) -> None:
    assert value("avg", Bucket(1, START, weight, total, 0, 0)) == text


@given(st.integers(-(10**26), 10**26), st.integers(1, 10**24))
def test_an_average_is_what_decimal_says(total: int, weight: int) -> None:
    with localcontext(prec=120):
        exact = (Decimal(total) / Decimal(weight)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
    assert Decimal(value("avg", Bucket(1, START, weight, total, 0, 0))) == exact


@pytest.mark.parametrize(("fill", "empty"), [("zero", 0), ("null", None)])
def test_empty_windows_are_filled_from_the_first_that_the_range_touches(fill: str, empty: object) -> None:
    asked = query(fill=fill, start="2026-02-14T00:30:00Z", end="2026-02-14T03:00:01Z", name="a,b")
    found = answer(asked, [Bucket(1, START + H, UNIT, UNIT, 0, 0)])
    assert [(point["timestamp"][11:13], point["value"]) for point in found["data"]["a"]] == [
        ("00", empty),
        ("01", 1),
        ("02", empty),
        ("03", empty),
    ]
    assert [point["value"] for point in found["data"]["b"]] == [empty] * 4


@pytest.mark.parametrize(("start", "end"), [("0001-01-01", "0001-01-03"), ("9999-12-30", "9999-12-31T23:59:59Z")])
def test_the_ends_of_the_calendar_can_be_asked(start: str, end: str) -> None:
    points = answer(query(start=start, end=end, window="1d", fill="zero"), [])["data"]
    assert (points[0]["timestamp"][:10], len(points)) == (start, 2)

"""The list of metrics: its parameters and its answer."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.errors import ApiError
from central.query.listing import HOURS, Hours, Listing, hours_of, number_of, parse_list, render_list
from central.store.base import ListedName, Metric, NameDetails
from central.store.buckets import Buckets, wide_column
from protocol.numbers import UNIT, units_to_text

PLAIN = Listing("", "", False, None, "", 100, False, False, False)
NOW = 1_771_113_600.5


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, PLAIN),
        ({"prefix": "a.", "after": "a.b", "limit": "1000"}, PLAIN._replace(prefix="a.", after="a.b", limit=1000)),
        ({"prefix": "", "limit": "1"}, PLAIN._replace(limit=1)),
        ({"limit": "0010"}, PLAIN._replace(limit=10)),
        ({"clashes": "true"}, PLAIN._replace(clashes=True)),
        ({"search": ""}, PLAIN),
        ({"search": "b", "ignore_case": "true"}, PLAIN._replace(search="b", ignore_case=True, details=True)),
        ({"search": "b", "details": "false"}, PLAIN._replace(search="b")),
        ({"details": "true"}, PLAIN._replace(details=True)),
        ({"sparkline": "24h"}, PLAIN._replace(details=True, sparkline=True)),
    ],
)
def test_a_list(parameters: dict[str, str], expected: Listing) -> None:
    assert parse_list(parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        *(({"limit": text}, "VALIDATION_ERROR", "limit") for text in ("0", "1001", "-1", "1.0", "", "x", "٣", "00001")),
        ({"prefix": "a b"}, "INVALID_NAME", "prefix"),
        ({"after": "ü"}, "INVALID_NAME", "after"),
        ({"search": "a b"}, "INVALID_NAME", "search"),
        ({"page": "2"}, "VALIDATION_ERROR", "page"),
        ({"match": ""}, "VALIDATION_ERROR", "match"),
        ({"match": "a[b"}, "VALIDATION_ERROR", "match"),
        ({"match": "a{b"}, "VALIDATION_ERROR", "match"),
        ({"match": "a", "clashes": "true"}, "VALIDATION_ERROR", "match"),
        ({"ignore_case": "yes"}, "VALIDATION_ERROR", "ignore_case"),
        ({"details": "1"}, "VALIDATION_ERROR", "details"),
        ({"sparkline": "7d"}, "VALIDATION_ERROR", "sparkline"),
    ],
)
def test_a_bad_parameter_of_the_list_is_named(parameters: dict[str, str], code: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_list(parameters)
    assert (caught.value.status, caught.value.code, caught.value.details["field"]) == (400, code, field)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (PLAIN, ["A.b", "a", "a.b", "b"]),
        (PLAIN._replace(limit=2), ["A.b", "a", "a.b"]),
        (PLAIN._replace(after="a"), ["a.b", "b"]),
        (PLAIN._replace(prefix="a"), ["a", "a.b"]),
        (PLAIN._replace(search="b"), ["A.b", "a.b", "b"]),
        (PLAIN._replace(search="a.B"), []),
        (PLAIN._replace(search="a.B", ignore_case=True), ["A.b", "a.b"]),
    ],
)
def test_all_conditions_hold_beside_a_pattern(asked: Listing, expected: list[str]) -> None:
    assert asked.chosen(["b", "a.b", "a", "A.b"]) == expected


@pytest.mark.parametrize(
    ("kind", "weight", "total", "expected"),
    [
        ("counter", 3 * UNIT, 70_001, 70_001),
        ("value", 3 * UNIT, 10 * UNIT, 33_333),
        ("value", 2 * UNIT, 1, 0),  # half to even
        ("value", UNIT // 2, UNIT, 2 * UNIT),
        ("value", 3 * UNIT, 10**40, 10**40 // 3),
    ],
)
def test_a_window_of_a_counter_is_its_sum_and_of_a_value_its_average(
    kind: str, weight: int, total: int, expected: int
) -> None:
    assert number_of(kind, weight, total) == expected


def test_the_hours_of_a_counter_are_sums_and_those_of_a_value_averages() -> None:
    kinds = {"b": Metric(7, "value"), "a": Metric(3, "counter"), "none": Metric(5, "value")}
    details = {name: NameDetails(metric, None, 0) for name, metric in kinds.items()}
    rows = [
        # metric, hour, weight, total
        (3, 0, 2 * UNIT, -70_001),
        (3, 23, UNIT, 0),
        (7, 1, 3 * UNIT, 10 * UNIT),
        (7, 2, 2 * UNIT, 1),
        (7, 3, UNIT, 10**30),
    ]
    ids, hours, weights, totals = zip(*rows, strict=True)
    starts = 3_600 * np.array(hours) + 36_000
    lows = np.zeros(len(rows), dtype=np.int64)
    found = Buckets(np.array(ids), starts, wide_column(list(weights)), wide_column(list(totals)), lows, lows)
    gap = ["null"]
    assert hours_of(36_000, details, found) == Hours(
        36_000,
        {
            "b": [*gap, "3.3333", "0", f"{10**26}", *20 * gap],
            "a": ["-7.0001", *22 * gap, "0"],
            "none": HOURS * gap,
        },
    )


@given(st.lists(st.integers(-(10**26), 10**26) | st.integers(-UNIT, UNIT), max_size=HOURS))
def test_an_hour_has_every_digit(totals: list[int]) -> None:
    starts, ones = 3_600 * np.arange(len(totals)), np.full(len(totals), UNIT)
    found = Buckets(np.full(len(totals), 1), starts, ones, wide_column(totals), ones, ones)
    hours = hours_of(0, {"a": NameDetails(Metric(1, "counter"), None, 0)}, found)
    assert hours.texts["a"] == [*map(units_to_text, totals), *["null"] * (HOURS - len(totals))]


def test_an_answer_has_every_digit() -> None:
    page = [ListedName("a", "counter", "counter", None), ListedName("b.set", "value", "set", "b")]
    second = int(NOW)
    details = {
        "a": NameDetails(Metric(1, "counter"), None, second, second - 60, UNIT, 9_999_999_999_999_999_9999, ("env",)),
        "b.set": NameDetails(Metric(2, "value"), "b", second),
    }
    text = render_list(
        page, "b.set", NOW, details, Hours(second, {"a": ["null", "-0.0001"], "b.set": ["null", "null"]})
    ).decode()
    assert json.loads(text, parse_float=Decimal) == {
        "success": True,
        "data": [
            {
                "name": "a",
                "type": "counter",
                "statsd_type": "counter",
                "first_seen": "2026-02-15T00:00:00Z",
                "last_seen": "2026-02-14T23:59:00Z",
                "age_seconds": 60,
                "last_value": Decimal("9999999999999999.9999"),
                "tags": ["env"],
                "sparkline": [None, Decimal("-0.0001")],
            },
            {
                "name": "b.set",
                "type": "value",
                "statsd_type": "set",
                "clash_of": "b",
                "first_seen": "2026-02-15T00:00:00Z",
                "last_seen": None,
                "age_seconds": None,
                "last_value": None,
                "tags": [],
                "sparkline": [None, None],
            },
        ],
        "next": "b.set",
        "sparkline": {"start": "2026-02-15T00:00:00Z", "window": "1h"},
    }
    assert render_list(page[:1], None, NOW) == (
        b'{"success":true,"data":[{"name":"a","type":"counter","statsd_type":"counter"}],"next":null}'
    )

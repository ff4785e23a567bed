"""Items on the wire: what is accepted, and the code and field of every fault."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.histogram import encode, from_text
from protocol.item import Fault, Item, Kind, item_to_json, parse_item, parse_single
from protocol.limits import MAX_AGE_SECONDS
from protocol.numbers import MAX_UNITS
from protocol.tags import canonical, check_tags
from protocol.times import format_time

NOW = 1_771_113_600.5  # 2026-02-15T00:00:00.5Z
START = 1_771_113_600
TAGS = {"host": "web-1:日本 {}", "env": "prod"}
TAGS_TEXT = "env:prod,host:web-1:日本 {}"
SUMMARY = {"value": 6, "count": 3, "min": 1, "max": 3}


def counter(**fields: Any) -> dict[str, Any]:
    return {"name": "a", "type": "counter", "value": 1} | fields


SPREAD = {"name": "a", "type": "value", "value": 0, "count": 3, "min": -5, "max": Decimal("7.25")}
TEXT = "AYUTAdATAg"
"""A histogram of -5, 7.25 and 7.25."""


def spread(**fields: Any) -> dict[str, Any]:
    """An item with a histogram, without those fields that are None."""
    return {field: value for field, value in (SPREAD | {"histogram": TEXT} | fields).items() if value is not None}


def fault_of(raw: object, kind: Kind | None = None) -> tuple[str, str]:
    with pytest.raises(Fault) as raised:
        if kind is None:
            parse_item(raw, NOW, 5)
        else:
            parse_single(raw, kind, NOW, 5)
    assert raised.value.message == str(raised.value) != ""
    return raised.value.code, raised.value.field


@pytest.mark.parametrize(
    ("raw", "item"),
    [
        (counter(), Item("a", "counter", 10_000, START)),
        (counter(type="value", value=Decimal("-0.5")), Item("a", "value", -5_000, START)),
        (counter(value=Decimal("9999999999999999.9999")), Item("a", "counter", MAX_UNITS, START)),
        (counter(recorded_at="2026-02-14T23:59:50Z"), Item("a", "counter", 10_000, START - 10)),
        (counter(recorded_at="2026-02-15T00:00:05Z"), Item("a", "counter", 10_000, START + 5)),
        (counter(**SUMMARY), Item("a", "counter", 60_000, START, 30_000, 10_000, 30_000)),
        (
            counter(**(SUMMARY | {"count": Decimal("3.3333")})),
            Item("a", "counter", 60_000, START, 33_333, 10_000, 30_000),
        ),
        (counter(value=0, count=1, min=0, max=0), Item("a", "counter", 0, START, 10_000, 0, 0)),
        (counter(tags={}), Item("a", "counter", 10_000, START)),
        (counter(tags={"b": "2", "a": ""}), Item("a", "counter", 10_000, START, tags="a:,b:2")),
        (counter(**SUMMARY, tags=TAGS), Item("a", "counter", 60_000, START, 30_000, 10_000, 30_000, None, TAGS_TEXT)),
        (spread(tags=TAGS), Item("a", "value", 0, START, 30_000, -50_000, 72_500, from_text(TEXT), TAGS_TEXT)),
        (spread(), Item("a", "value", 0, START, 30_000, -50_000, 72_500, from_text(TEXT))),
    ],
)
def test_an_item_is_read(raw: dict[str, Any], item: Item) -> None:
    assert parse_item(raw, NOW, 5) == item


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (None, "VALIDATION_ERROR", "metrics"),
        ([], "VALIDATION_ERROR", "metrics"),
        (counter(unit="ms"), "VALIDATION_ERROR", "unit"),
        (counter(**{"x" * 200: 1}), "VALIDATION_ERROR", "x" * 80),
        ({"name": "a", "value": 1}, "VALIDATION_ERROR", "type"),
        (counter(type="gauge"), "VALIDATION_ERROR", "type"),
        (counter(type=["counter"]), "VALIDATION_ERROR", "type"),
        ({"type": "value", "value": 1}, "VALIDATION_ERROR", "name"),
        (counter(name=""), "INVALID_NAME", "name"),
        (counter(name="a b"), "INVALID_NAME", "name"),
        (counter(name="n" * 256), "INVALID_NAME", "name"),
        (counter(name=None), "INVALID_NAME", "name"),
        ({"name": "a", "type": "counter"}, "VALIDATION_ERROR", "value"),
        (counter(value="1"), "INVALID_VALUE", "value"),
        (counter(value=True), "INVALID_VALUE", "value"),
        (counter(value=None), "INVALID_VALUE", "value"),
        (counter(value=10**16), "INVALID_VALUE", "value"),
        (counter(value=Decimal("NaN")), "INVALID_VALUE", "value"),
        (counter(recorded_at=START), "INVALID_TIMESTAMP", "recorded_at"),
        (counter(recorded_at=None), "INVALID_TIMESTAMP", "recorded_at"),
        (counter(recorded_at="yesterday"), "INVALID_TIMESTAMP", "recorded_at"),
        (counter(recorded_at="2026-02-08T00:00:00Z"), "TIMESTAMP_TOO_OLD", "recorded_at"),
        (counter(recorded_at="2026-02-15T00:00:06Z"), "TIMESTAMP_IN_FUTURE", "recorded_at"),
        (counter(count=1), "VALIDATION_ERROR", "min"),
        (counter(min=1, max=1), "VALIDATION_ERROR", "count"),
        (counter(count=1, min=1), "VALIDATION_ERROR", "max"),
        (counter(**(SUMMARY | {"count": 0})), "INVALID_VALUE", "count"),
        (counter(**(SUMMARY | {"count": -1})), "INVALID_VALUE", "count"),
        (counter(**(SUMMARY | {"count": Decimal("0.00001")})), "INVALID_VALUE", "count"),
        (counter(**(SUMMARY | {"min": 4})), "INVALID_VALUE", "min"),
        (counter(**(SUMMARY | {"max": "3"})), "INVALID_VALUE", "max"),
        (counter(**SUMMARY, histogram="AYUTAdATAg"), "VALIDATION_ERROR", "histogram"),
        (spread(count=None, min=None, max=None), "VALIDATION_ERROR", "histogram"),
        (spread(min=None), "VALIDATION_ERROR", "min"),
        (spread(histogram=5), "INVALID_HISTOGRAM", "histogram"),
        (spread(histogram=""), "INVALID_HISTOGRAM", "histogram"),
        (spread(histogram="AYUTAdATAg=="), "INVALID_HISTOGRAM", "histogram"),
        (spread(histogram="AYUTAdATA\u0661"), "INVALID_HISTOGRAM", "histogram"),
        (spread(histogram="AYUTAdAT"), "INVALID_HISTOGRAM", "histogram"),
        (spread(count=Decimal("2.9999")), "INVALID_HISTOGRAM", "histogram"),
        (spread(min=Decimal("-5.1")), "INVALID_HISTOGRAM", "histogram"),
        (spread(max=8), "INVALID_HISTOGRAM", "histogram"),
    ],
)
def test_a_fault_names_its_code_and_field(raw: object, code: str, field: str) -> None:
    assert fault_of(raw) == (code, field)


BAD_TAGS = [
    *(None, [], "env:prod", 1, True, [["env", "prod"]]),
    *({"a": 1}, {"a": Decimal("1.5")}, {"a": None}, {"a": True}, {"a": ["b"]}, {"a": {"b": "c"}}),
    *({"": "x"}, {"1a": "x"}, {"a b": "x"}, {"a:b": "x"}, {"ä": "x"}, {"k" * 65: "x"}, {"a\n": "x"}),
    *({"a": "b,c"}, {"a": "b|c"}, {"a": "b=c"}, {"a": "b;c"}, {"a": "v" * 201}),
    *({"a": "b\n"}, {"a": "\x00"}, {"a": "\x7f"}, {"a": "\x9f"}, {"a": "\ud800"}, {"a": "\u202e"}, {"a": "\u2028"}),
    {f"k{number}": "x" for number in range(21)},
]


@pytest.mark.parametrize("tags", BAD_TAGS, ids=lambda tags: ascii(tags)[:40])
@pytest.mark.parametrize("kind", [None, "counter"])
def test_tags_that_break_a_rule_are_refused(tags: object, kind: Kind | None) -> None:
    raw = counter(tags=tags) if kind is None else {"name": "a", "tags": tags}
    assert fault_of(raw, kind) == ("INVALID_TAGS", "tags")


def test_a_fault_of_tags_says_what_would_be_right() -> None:
    with pytest.raises(Fault, match=r"^tags must be at most 20; there are 21$"):
        parse_item(counter(tags=BAD_TAGS[-1]), NOW, 5)
    with pytest.raises(Fault, match=r"^tags has a value of 'a' that is no text; write numbers as texts, such as"):
        parse_item(counter(tags={"a": 1}), NOW, 5)


def test_unknown_fields_are_all_named() -> None:
    with pytest.raises(Fault, match="unknown field 'x', 'y'; allowed are count, histogram, max, min, name"):
        parse_item(counter(y=1, x=2), NOW, 5)


def test_seven_days_back_is_accepted_to_the_second() -> None:
    assert parse_item(counter(recorded_at="2026-02-08T00:00:01Z"), NOW, 5).recorded_at == START - MAX_AGE_SECONDS + 1


@pytest.mark.parametrize(
    ("raw", "kind", "item"),
    [
        ({"name": "a"}, "counter", Item("a", "counter", 10_000, START)),
        ({"name": "a", "value": 5}, "counter", Item("a", "counter", 50_000, START)),
        ({"name": "a", "value": 5}, "value", Item("a", "value", 50_000, START)),
        ({"name": "a", "tags": TAGS}, "counter", Item("a", "counter", 10_000, START, tags=TAGS_TEXT)),
        ({"name": "a", "value": 5, "tags": {}}, "value", Item("a", "value", 50_000, START)),
    ],
)
def test_a_single_metric_is_read(raw: object, kind: Kind, item: Item) -> None:
    assert parse_single(raw, kind, NOW, 5) == item


@pytest.mark.parametrize(
    ("raw", "kind", "code", "field"),
    [
        ([], "counter", "VALIDATION_ERROR", "body"),
        ({"name": "a"}, "value", "VALIDATION_ERROR", "value"),
        ({"name": "a", "type": "counter"}, "counter", "VALIDATION_ERROR", "type"),
        ({"name": "a", "count": 1}, "counter", "VALIDATION_ERROR", "count"),
        ({"value": 1}, "counter", "VALIDATION_ERROR", "name"),
    ],
)
def test_a_fault_of_a_single_metric(raw: object, kind: Kind, code: str, field: str) -> None:
    assert fault_of(raw, kind) == (code, field)


UNITS = st.integers(-MAX_UNITS, MAX_UNITS)
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["counter", "value"])
VALUES = st.text(st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters=",|=;"), max_size=9)
TAGSETS = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,5}", fullmatch=True), VALUES, max_size=20)
PLAIN = st.builds(
    lambda name, kind, value, at, tags: Item(name, kind, value, at, tags=canonical(tags)),
    *(NAMES, KINDS, UNITS, st.integers(START - 600_000, START), TAGSETS),
)
SUMMARIES = st.builds(
    lambda plain, weight, bounds: plain._replace(weight=weight, low=min(bounds), high=max(bounds)),
    PLAIN,
    st.integers(1, MAX_UNITS),
    st.tuples(UNITS, UNITS),
)


@given(st.one_of(PLAIN, SUMMARIES))
def test_an_item_survives_the_wire(item: Item) -> None:
    raw = json.loads(item_to_json(item, format_time(item.recorded_at)), parse_float=Decimal)
    assert parse_item(raw, NOW, 5) == item


def test_a_histogram_and_tags_are_written_as_the_service_reads_them() -> None:
    item = Item("a", "value", 30_000, START, 20_000, 10_000, 20_000, encode({924: 10_000, 1052: 10_000}), 'a:"é",b:')
    raw = json.loads(item_to_json(item, format_time(START)))
    assert from_text(raw["histogram"]) == item.histogram
    assert check_tags(raw["tags"]) == item.tags

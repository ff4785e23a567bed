"""native/central/lookup.c: rows and missing series as plain Python makes them."""

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.core import missing_series, rows
from central.ingest.group import add
from central.ingest.names import Known
from central.ingest.series import KnownSeries
from central.ingest.submission import Submission, everyday_batch
from central.store.base import Group, Metric, Row
from protocol.item import Item
from protocol.numbers import UNIT
from protocol.tags import parse_tags
from tests.central.store_help import NOW, TODAY

METRICS = {"a": Metric(7, "value"), "b": Metric(3, "value"), "c": Metric(1 << 40, "counter")}
SERIES = {(7, "x:1"): 100, (7, "x:2"): 101, (3, "x:1"): 102, (1 << 40, ""): 103}
FULL = {7: 200, 1 << 40: 201}
SUMMARY = st.tuples(st.integers(1, 9), st.integers(-9, 0), st.integers(1, 9), st.none() | st.binary(min_size=1))


@st.composite
def any_item(draw: st.DrawFn) -> Item:
    """An item of a name that is known, with tags or without."""
    name, value = draw(st.sampled_from("abc")), draw(st.integers(-(10**30), 10**30))
    weight, low, high, histogram = draw(st.none() | SUMMARY) or (None, None, None, None)
    tags = draw(st.none() | st.sampled_from(["x:1", "x:2", "x:3", ""]))
    return Item(name, METRICS[name].kind, value, draw(st.integers(0, NOW)), weight, low, high, histogram, tags)


def known() -> Known:
    return Known(None, dict(METRICS), KnownSeries(dict(SERIES), dict(FULL)))


@given(st.lists(any_item()))
def test_the_core_makes_the_rows_of_plain_python(items: list[Item]) -> None:
    made: list[list[Row]] = []
    for core in (True, False):
        group, submission = Group(os.urandom(16), TODAY), Submission(1, items, None, len(items))
        given = () if core else (None,)
        try:
            add(group, submission, known(), [], *given)
        except KeyError:
            assert any(item.name == "b" and item.tags not in (None, "x:1") for item in items), "b is not full"
            made.append([])
        else:
            made.append(group.rows)
    assert made[0] == made[1]
    assert all(type(row) is Row for row in made[0])


@given(st.lists(any_item()))
def test_the_core_finds_the_missing_series_of_plain_python(items: list[Item]) -> None:
    submission = Submission(1, items, None, len(items))
    assert known().missing_series(submission) == known().missing_series(submission, None)


ITEM = Item("a", "value", 5, NOW, None, None, None, None, "x:1")


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ([ITEM._replace(name="unknown")], KeyError),
        ([ITEM, ITEM._replace(name="b", tags="x:9")], KeyError),
        ([ITEM[:-1]], TypeError),
        ([None], TypeError),
        ((ITEM,), TypeError),
    ],
)
def test_what_is_not_known_has_no_row(items: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        rows(items, Row, METRICS, SERIES, FULL)


def test_only_items_of_known_names_are_searched_for() -> None:
    with pytest.raises(KeyError):
        missing_series([ITEM._replace(name="unknown")], METRICS, SERIES)
    with pytest.raises(TypeError, match="rows become tuples of a type"):
        rows([ITEM], int, METRICS, SERIES, FULL)  # type: ignore[type-var] # wrong on purpose


def test_items_that_follow_each_other_keep_their_own_tags() -> None:
    tags: list[dict[str, str] | None] = [
        {"x": "1"},
        {"x": "1"},
        None,
        {"x": "1"},
        {"x": "2"},
        {"x": "21"},
        {},
        {"x": "21"},
    ]
    items = [{"name": "a", "type": "value", "value": 1} | ({} if one is None else {"tags": one}) for one in tags]
    made = everyday_batch(json.dumps({"metrics": items}).encode(), 1, NOW, 5)
    assert made is not None
    assert [parse_tags(item.tags) for item in made.items] == [one or {} for one in tags]
    assert made.items[0].tags is made.items[1].tags, "they share the text"
    assert [item.value for item in made.items] == [UNIT] * len(tags)

"""central/query/groups.py: what an answer has a line for, and which groups are the largest."""

import json

import pytest

from central.query.columns import columns_of
from central.query.groups import NO_KEY, AnswerLine, Choice, groups_of, largest, of_groups, whole_names
from central.query.parameters import Query
from central.query.render import render
from central.query.tags import TagGroup, parse_filters
from central.query.windows import windows_between
from central.store.base import IdGroup, Metric
from central.store.buckets import Buckets
from central.store.distribution import Distribution, no_spread
from central.store.series import Series
from protocol.numbers import UNIT
from tests.central.store_help import Bucket, columns

SERIES = [Series(10, "env:prod,host:a"), Series(11, "env:prod,host:b"), Series(12, 'env:t"est')]
COUNTER, VALUE = Metric(1, "counter"), Metric(2, "value")


def summaries(*totals: tuple[int, int], start: int = 0) -> Buckets:
    """Windows of keys with sums; each has two samples."""
    return columns([Bucket(key, start, 2 * UNIT, total * UNIT, 0, total * UNIT) for key, total in totals])


def test_without_tags_an_answer_has_a_line_per_name_asked() -> None:
    made = whole_names(["b", "c", "a"], {"a": COUNTER, "b": VALUE})
    assert made.lines == [AnswerLine("b", 2), AnswerLine("c", NO_KEY), AnswerLine("a", 1)]
    assert sorted(made.groups) == [IdGroup(1, 1, None), IdGroup(2, 2, None)]
    assert made.counters == [1]


@pytest.mark.parametrize(
    ("series", "filters", "groups"),
    [
        (SERIES, "env:*", [TagGroup(("prod",), (10, 11)), TagGroup(('t"est',), (12,))]),
        (SERIES, "!canary:*", [TagGroup((None,), (0,)), TagGroup(("prod",), (10, 11)), TagGroup(('t"est',), (12,))]),
        ([], "!env:*", [TagGroup((None,), (0,))]),
        ([], "env:*", []),
    ],
)
def test_samples_without_tags_are_a_group_where_they_meet_the_filters(
    series: list[Series], filters: str, groups: list[TagGroup]
) -> None:
    assert groups_of(series, parse_filters(filters), ["env"]) == groups


def test_each_group_of_each_name_has_a_key_of_its_own() -> None:
    made = of_groups(
        [("a", COUNTER, [TagGroup((None,), (0,)), TagGroup(("x",), (10,))]), ("b", VALUE, [TagGroup(("x",), (11, 0))])]
    )
    assert made.lines == [AnswerLine("a", 0, (None,)), AnswerLine("a", 1, ("x",)), AnswerLine("b", 2, ("x",))]
    assert made.groups == [IdGroup(0, 1, (0,)), IdGroup(1, 1, (10,)), IdGroup(2, 2, (11, 0))]
    assert made.counters == [0, 1]


def test_the_largest_groups_stay_and_the_rest_is_one() -> None:
    groups = [TagGroup((host,), (number + 10,)) for number, host in enumerate("abcd")]
    choice = of_groups([("c", COUNTER, groups), ("v", VALUE, groups[:1])])
    sums = summaries((0, 5), (1, 9), (2, 8), (4, 1))
    made = largest(choice, sums, 2)
    assert made.lines == [
        AnswerLine("c", 1, ("b",)),
        AnswerLine("c", 2, ("c",)),
        AnswerLine("c", 0, (None,), rest=True),
        AnswerLine("v", 4, ("a",)),
    ]
    assert made.groups[2] == IdGroup(0, 1, (10, 13))
    assert made.counters == [1, 2, 0]


def test_a_group_without_data_is_behind_a_sum_below_zero() -> None:
    groups = [TagGroup((host,), (number + 10,)) for number, host in enumerate("abc")]
    made = largest(of_groups([("c", COUNTER, groups)]), summaries((1, -9), (2, -8)), 2)
    assert [line.values for line in made.lines] == [("c",), ("b",), (None,)]
    assert made.groups[2] == IdGroup(0, 1, (10,))


def test_lines_without_data_are_left_out() -> None:
    choice = Choice([AnswerLine("a", 0), AnswerLine("a", 1)], [], [])
    assert choice.with_data(summaries((1, 5))).lines == [AnswerLine("a", 1)]
    assert choice.with_data(summaries()).lines == []


def drawn(query: Query, lines: list[AnswerLine], found: Buckets) -> bytes:
    windows = windows_between(query.start, query.end, query.seconds)
    return render(query, lines, found, columns_of(query, Distribution(found, no_spread()), [], windows))


QUERY = Query(("a",), ("sum",), "1h", 0, 7200, None, group_by=("env",), filters=(), top=1)
LINES = [AnswerLine("a", 0, ('t"é',)), AnswerLine("a", 1, (None,)), AnswerLine("a", 2, (None,), rest=True)]


def test_groups_are_a_list_in_json() -> None:
    answer = json.loads(drawn(QUERY, LINES, summaries((0, 5), (1, 6), (2, 7))))
    point = {"timestamp": "1970-01-01T00:00:00Z"}
    assert answer["data"] == [
        {"metric": "a", "tags": {"env": 't"é'}, "points": [point | {"value": 5}]},
        {"metric": "a", "tags": {"env": None}, "points": [point | {"value": 6}]},
        {"metric": "a", "tags": {}, "rest": True, "points": [point | {"value": 7}]},
    ]
    assert json.loads(drawn(QUERY, [], summaries()))["data"] == []


def test_groups_are_columns_in_csv() -> None:
    assert drawn(QUERY._replace(format="csv"), LINES, summaries((0, 5), (1, 6), (2, 7))).decode() == (
        "name,env,rest,timestamp,value\r\n"
        'a,"t""é",,1970-01-01T00:00:00Z,5\r\n'
        "a,,,1970-01-01T00:00:00Z,6\r\n"
        "a,,true,1970-01-01T00:00:00Z,7\r\n"
    )


def test_groups_are_fields_in_json_lines() -> None:
    assert drawn(QUERY._replace(format="jsonl"), LINES, summaries((0, 5), (1, 6), (2, 7))).decode() == (
        '{"name":"a","tags":{"env":"t\\"é"},"timestamp":"1970-01-01T00:00:00Z","value":5}\n'
        '{"name":"a","tags":{"env":null},"timestamp":"1970-01-01T00:00:00Z","value":6}\n'
        '{"name":"a","tags":{},"rest":true,"timestamp":"1970-01-01T00:00:00Z","value":7}\n'
    )


def test_csv_tells_an_empty_value_from_no_tag() -> None:
    text = drawn(
        QUERY._replace(format="csv", top=None),
        [LINES[1]._replace(key=0), AnswerLine("a", 1, ("",))],
        summaries((0, 5), (1, 6)),
    )
    assert [line.split(",1970")[0] for line in text.decode().splitlines()[1:]] == ["a,", 'a,""']


def test_filters_alone_give_one_group_with_empty_windows() -> None:
    query = QUERY._replace(group_by=None, top=None, fill="zero")
    answer = json.loads(drawn(query, [AnswerLine("a", 0)], summaries((0, 5))))
    assert [(group["tags"], [point["value"] for point in group["points"]]) for group in answer["data"]] == [
        ({}, [5, 0])
    ]

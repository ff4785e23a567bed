"""central/query/parameters.py: the parameters of a query."""

import pytest

from central.errors import ApiError
from central.query.parameters import Query, check_kinds, parse_query, with_matched
from central.query.windows import start_of_window
from central.store.series import TagFilter
from protocol.item import Kind

GOOD = {
    "name": "a",
    "operation": "sum",
    "window": "1h",
    "start": "2026-02-14T00:00:00Z",
    "end": "2026-02-15T00:00:00Z",
}
START, END = 1_771_027_200, 1_771_113_600
H = 3600
NOW = END + 2 * H + 90.5


def query(**changes: str) -> Query:
    return parse_query(GOOD | changes, NOW, start_of_window)


def test_a_good_query() -> None:
    assert query() == Query(("a",), ("sum",), "1h", START, END, None)
    assert query().seconds == H


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ("a", "shop.c", "shop.v")),
        ({"name": "shop.v,b"}, ("shop.v", "b", "shop.c")),
        ({"operation": "sum,p95"}, ("a", "shop.v")),
        ({"fraction_below": "3"}, ("a", "shop.v")),
    ],
)
def test_a_pattern_adds_the_names_that_it_means(changes: dict[str, str], names: tuple[str, ...]) -> None:
    asked = query(match="shop.*", **changes)
    assert asked.globs is not None
    assert with_matched(asked, {"shop.v": "value", "shop.c": "counter"}).names == names


def test_a_pattern_of_counters_alone_keeps_them_for_the_error() -> None:
    assert with_matched(query(match="c*", operation="p95"), {"c": "counter"}).names == ("a", "c")


def test_a_pattern_may_mean_too_much() -> None:
    asked = query(match="*", window="1m")
    with pytest.raises(ApiError) as caught:
        with_matched(asked, {f"n{number}": "counter" for number in range(40)})
    assert (caught.value.code, caught.value.details["field"]) == ("RANGE_TOO_LARGE", "window")
    assert len(with_matched(asked, {f"n{number}": "counter" for number in range(30)}).names) == 31


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


@pytest.mark.parametrize(
    ("changes", "start", "end"),
    [
        ({"start": "-1h", "end": "now"}, END + H, int(NOW) + 1),
        ({"start": "-2d", "end": "-1d"}, START - 22 * H, START + 2 * H + 90),
        ({"start": "-90s", "end": "now", "window": "1m"}, END + 2 * H, int(NOW) + 1),
        ({"start": "-1d", "end": "now", "window": "1d", "tz": "Europe/Berlin"}, START - H, int(NOW) + 1),
        ({"start": "-999999999w", "end": "1970-02-01", "window": "1d"}, 0, 31 * 24 * H),
    ],
)
def test_a_relative_start_is_that_of_a_window(changes: dict[str, str], start: int, end: int) -> None:
    assert (query(**changes).start, query(**changes).end) == (start, end)


@pytest.mark.parametrize(
    ("changes", "columns", "value"),
    [
        ({"operation": "p95,avg,p99.9,rate"}, ("p95", "avg", "p99.9", "rate"), None),
        ({"operation": "max", "fraction_below": "300"}, ("max", "fraction_below"), 3_000_000),
        ({"fraction_below": "-0.25"}, ("sum", "fraction_below"), -2_500),
        ({"operation": None, "fraction_below": "0.00005"}, ("fraction_below",), 0),
        ({"operation": None, "fraction_below": "9999999999999999.9999"}, ("fraction_below",), 10**20 - 1),
    ],
)
def test_the_columns_of_a_query(changes: dict[str, str | None], columns: tuple[str, ...], value: int | None) -> None:
    asked = parse_query(
        {name: text for name, text in (GOOD | changes).items() if text is not None}, NOW, start_of_window
    )
    assert (asked.columns, asked.fraction_below) == (columns, value)


@pytest.mark.parametrize(
    ("changes", "kinds", "field", "says"),
    [
        ({"operation": "p95"}, {"a": "value"}, None, ""),
        ({"operation": "p95"}, {}, None, ""),
        ({"operation": "sum,rate"}, {"a": "counter"}, None, ""),
        ({"operation": "sum,median"}, {"a": "counter"}, "operation", "operation: a is a counter and has no median"),
        ({"operation": "p0"}, {"a": "counter"}, "operation", "a is a counter and has no p0; a counter has sum, count"),
        ({"name": "v,a", "operation": "p95"}, {"v": "value", "a": "counter"}, "operation", "a is a counter"),
        ({"fraction_below": "3"}, {"a": "counter"}, "fraction_below", "fraction_below: a is a counter"),
        ({"operation": "p9", "fraction_below": "3"}, {"a": "counter"}, "operation", "has no p9"),
    ],
)
def test_a_counter_has_no_percentiles(
    changes: dict[str, str], kinds: dict[str, Kind], field: str | None, says: str
) -> None:
    if field is None:
        check_kinds(query(**changes), kinds)
        return
    with pytest.raises(ApiError) as caught:
        check_kinds(query(**changes), kinds)
    assert (caught.value.status, caught.value.details["field"]) == (400, field)
    assert says in caught.value.message


def test_a_range_between_two_seconds_is_empty_and_no_fault() -> None:
    asked = query(start="2026-02-14T00:00:00.2Z", end="2026-02-14T00:00:00.8Z")
    assert (asked.start, asked.end) == (START + 1, START + 1)


@pytest.mark.parametrize(
    ("changes", "code", "field", "says"),
    [
        *(({field: None}, "VALIDATION_ERROR", field, f"{field} is required") for field in GOOD),
        *(({field: ""}, "VALIDATION_ERROR", field, f"{field} is required") for field in GOOD),
        *(
            ({"operation": text}, "VALIDATION_ERROR", "operation", says)
            for text, says in {
                "mean": "operation 'mean' is not known; give sum, count, avg, min, max, rate, median or pN",
                "SUM": "operation 'SUM' is not known",
                "P95": "operation 'P95' is not known",
                "p": "operation 'p' is not known",
                "p101": "operation 'p101' is not known",
                "p99.9999": "with at most 3 decimals",
                "sum, avg": "operation ' avg' is not known",
                "sum,,avg": "operation has an empty place between commas",
                "sum,": "operation has an empty place between commas",
                "sum,p95,sum": "operation 'sum' was given twice",
                "fraction_below": "operation 'fraction_below' is not known",
            }.items()
        ),
        ({"operation": "", "fraction_below": "3"}, "VALIDATION_ERROR", "operation", "operation is required"),
        *(
            ({"fraction_below": text}, "INVALID_VALUE", "fraction_below", says)
            for says in ("must be a plain number, such as 300", "of at most 16 digits before and after the point")
            for text in (
                "abc",
                "",
                " 3",
                "3,5",
                "1_000",
                "nan",
                "inf",
                "-",
                ".5",
                "٣",
                "1e3",
                "+3",
                "300ms",
                "1" * 17,
                "3\n",
            )
        ),
        ({"fraction_below": "9999999999999999.99999"}, "INVALID_VALUE", "fraction_below", "must be between -99999999"),
        ({"window": "2h"}, "VALIDATION_ERROR", "window", "one of 1m, 5m, 15m, 1h, 1d"),
        ({"fill": "none"}, "VALIDATION_ERROR", "fill", "one of zero, null"),
        ({"fill": ""}, "VALIDATION_ERROR", "fill", "fill must be one of zero, null"),
        ({"format": ""}, "VALIDATION_ERROR", "format", "format must be one of json, csv, jsonl"),
        ({"start": "yesterday"}, "INVALID_TIMESTAMP", "start", "ISO 8601"),
        ({"start": "-1y"}, "INVALID_TIMESTAMP", "start", "Z, now, or a time before now such as -90s, -24h or -7d"),
        ({"match": "a.*,b.*"}, "VALIDATION_ERROR", "match", "comma outside of braces; write {a.*,b.*}"),
        ({"match": "a b*"}, "VALIDATION_ERROR", "match", "match has ' ', which no name has"),
        ({"match": "\u202e*"}, "VALIDATION_ERROR", "match", "match has '\\u202e', which no name has"),
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
            "unknown parameter 'windows'; allowed are end, fill, format, fraction_below, group_by, match, name",
        ),
    ],
)
def test_a_bad_parameter_is_named(changes: dict[str, str | None], code: str, field: str, says: str) -> None:
    parameters = {name: text for name, text in (GOOD | changes).items() if text is not None}
    with pytest.raises(ApiError) as caught:
        parse_query(parameters, NOW, start_of_window)
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
    ("names", "operation", "windows", "fits"),
    [(5, "sum,p95", 10 * 5_001, "5m"), (5, "sum", None, None), (1, "sum,p95,p99", None, None)],
)
def test_several_operations_count_in_the_size_of_an_answer(
    names: int, operation: str, windows: int | None, fits: str | None
) -> None:
    """Of 5,001 windows each."""
    changes = {"window": "1m", "end": "2026-02-17T11:21:00Z", "operation": operation}
    changes["name"] = ",".join(f"n{number}" for number in range(names))
    if windows is None:
        query(**changes)
        return
    with pytest.raises(ApiError) as caught:
        query(**changes)
    assert (caught.value.code, caught.value.details["windows"], caught.value.details["fits"]) == (
        "RANGE_TOO_LARGE",
        windows,
        fits,
    )
    assert "5,001 windows of 1m for each of 5 names, times 2 operations" in caught.value.message


def test_tags_are_chosen_grouped_and_ranked() -> None:
    made = query(tags="env:prod,!canary:*", group_by="host,env", top="5")
    assert made.filters == (TagFilter("env", "prod"), TagFilter("canary", "*", True))
    assert (made.group_by, made.top, made.by_series) == (("host", "env"), 5, True)
    assert query().by_series is False


@pytest.mark.parametrize(
    ("field", "changes", "said"),
    [
        ("tags", {"tags": ""}, "tags has ''; a condition is key:value"),
        ("tags", {"tags": "env"}, "tags has 'env'"),
        ("group_by", {"group_by": "a,a"}, "group_by must name each key once"),
        ("group_by", {"group_by": ""}, "group_by has '' as a key"),
        ("top", {"group_by": "a", "top": "0"}, "top must be a whole number from 1 to 1000"),
        ("top", {"tags": "a:b", "top": "3"}, "top is for groups; give group_by too"),
    ],
)
def test_bad_tags_are_refused_in_words(field: str, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ApiError) as caught:
        query(**changes)
    assert said in caught.value.message
    assert caught.value.details["field"] == field

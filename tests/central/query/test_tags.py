"""central/query/tags.py: which series a query chooses, and how they are grouped."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.query.tags import (
    UNTAGGED,
    TagGroup,
    group_series,
    hold_without_tags,
    parse_filters,
    parse_keys,
    parse_top,
)
from central.store.series import Series, TagFilter, to_like


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("env:prod", [TagFilter("env", "prod")]),
        ("env:prod,host:web-*", [TagFilter("env", "prod"), TagFilter("host", "web-*")]),
        ("!canary:*", [TagFilter("canary", "*", True)]),
        ("env:", [TagFilter("env", "")]),
        ("url:http://x:80/*", [TagFilter("url", "http://x:80/*")]),
        ("env:prod,env:prod", [TagFilter("env", "prod")]),
        ("env:a**b***", [TagFilter("env", "a*b*")]),
        ("k8s.pod/name:日本", [TagFilter("k8s.pod/name", "日本")]),
        ("env:!x", [TagFilter("env", "!x")]),
    ],
)
def test_filters_are_read(text: str, filters: list[TagFilter]) -> None:
    assert list(parse_filters(text)) == filters


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has ''; a condition is key:value, such as env:prod"),
        ("env", "has 'env'; a condition is key:value"),
        ("env:prod,", "has ''; a condition"),
        (":prod", "has the key ''; a key must be"),
        ("!:prod", "has the key ''"),
        ("!!env:prod", "has the key '!env'"),
        ("e nv:prod", "has the key 'e nv'"),
        ("env*:prod", "has the key 'env*'"),
        ("env:a=b", "has the value 'a=b' of 'env'; a value must be"),
        ("env:\x1b[0m", r"has the value '\x1b[0m' of 'env'"),
        (",".join(f"k{number}:x" for number in range(21)), "must be at most 20 conditions; there are 21"),
    ],
)
def test_a_bad_filter_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError) as fault:
        parse_filters(text)
    assert said in str(fault.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has '' as a key"),
        ("a,,b", "has '' as a key"),
        ("a,b,a", "must name each key once"),
        ("a b", "has 'a b' as a key; a key must be"),
        (",".join(f"k{number}" for number in range(21)), "must be at most 20 keys; there are 21"),
    ],
)
def test_bad_keys_are_named(text: str, said: str) -> None:
    with pytest.raises(ValueError) as fault:
        parse_keys(text)
    assert said in str(fault.value)


@pytest.mark.parametrize("text", ["", "0", "-1", "1001", "1.5", "ten", "\u0661", "1e2", " 1"])
def test_top_is_a_whole_number_in_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 1000"):
        parse_top(text)


def test_keys_and_top_are_read() -> None:
    assert (parse_keys("endpoint,status"), parse_top("10"), parse_top("1000")) == (("endpoint", "status"), 10, 1000)


@pytest.mark.parametrize(
    ("text", "held"), [("!canary:*", True), ("!a:b,!c:d", True), ("a:*", False), ("!a:b,c:d", False)]
)
def test_samples_without_tags_meet_negations_alone(text: str, held: bool) -> None:
    assert hold_without_tags(parse_filters(text)) is held


SERIES = [Series(1, "code:200,env:prod"), Series(2, "env:prod"), Series(3, "code:500,env:test"), UNTAGGED]


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        (["env"], [TagGroup((None,), (0,)), TagGroup(("prod",), (1, 2)), TagGroup(("test",), (3,))]),
        (["code"], [TagGroup((None,), (2, 0)), TagGroup(("200",), (1,)), TagGroup(("500",), (3,))]),
        (
            ["env", "code"],
            [
                TagGroup((None, None), (0,)),
                TagGroup(("prod", None), (2,)),
                TagGroup(("prod", "200"), (1,)),
                TagGroup(("test", "500"), (3,)),
            ],
        ),
        ([], [TagGroup((), (1, 2, 3, 0))]),
        (["nothing"], [TagGroup((None,), (1, 2, 3, 0))]),
    ],
)
def test_series_with_the_same_values_are_a_group(keys: list[str], groups: list[TagGroup]) -> None:
    assert group_series(SERIES, keys) == groups


def test_without_series_there_is_no_group() -> None:
    assert group_series([], ["env"]) == group_series([], []) == []


@given(st.text("ab!%_*[]", max_size=8), st.text("ab!%_[]", max_size=8))
def test_a_pattern_for_like_means_what_the_stars_mean(pattern: str, text: str) -> None:
    meant = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert _like(to_like(pattern), text) is meant


def _like(pattern: str, text: str) -> bool:
    """LIKE ... ESCAPE '!' as the databases take it."""
    meaning = re.sub(r"!(.)|(%)|(_)|(.)", _as_regex, pattern)
    return re.fullmatch(meaning, text) is not None


def _as_regex(found: re.Match[str]) -> str:
    escaped, many, one, other = found.groups()
    if many:
        return ".*"
    return "." if one else re.escape(escaped or other)

"""Which tags central accepts, what the agent makes of others, and the text of a set of tags."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.tags import (
    MAX_KEY_LENGTH,
    MAX_TAGS,
    MAX_VALUE_LENGTH,
    OVERFLOW,
    Cleaned,
    canonical,
    check_tags,
    clean_tags,
    is_key,
    is_value,
    parse_tags,
)

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,63}", fullmatch=True)
VALUES = st.text(max_size=MAX_VALUE_LENGTH).filter(is_value)
TAGS = st.dictionaries(KEYS, VALUES, max_size=MAX_TAGS)


@pytest.mark.parametrize("key", ["a", "_", "env", "k8s.pod/name", "a-b", "A9", "k" * MAX_KEY_LENGTH])
def test_a_key(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize(
    "key", ["", "9a", "-a", ".a", "/a", "a b", "a:b", "a,b", "é", "a\n", "k" * (MAX_KEY_LENGTH + 1)]
)
def test_no_key(key: str) -> None:
    assert not is_key(key)


@pytest.mark.parametrize(
    "value", ["", "prod", "a b", "http://x:80/y?z&q#f", "日本", "é", "{}<>'\"`", "\xa0", "🚀", "v" * MAX_VALUE_LENGTH]
)
def test_a_value(value: str) -> None:
    assert is_value(value)


@pytest.mark.parametrize(
    "value",
    ["a,b", "a|b", "a=b", "a;b", "a\n", "\t", "\x00", "\x7f", "\x9b", "\u202e", "\u2028", "\udcff", "v" * 201, "é,"],
)
def test_no_value(value: str) -> None:
    assert not is_value(value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, None),
        ({"env": "prod"}, "env:prod"),
        ({"host": "web-1", "env": "prod"}, "env:prod,host:web-1"),
        ({"b": "", "a": ""}, "a:,b:"),
        ({"url": "http://x:80"}, "url:http://x:80"),
        ({"a.b": "1", "a-b": "2", "B": "3"}, "B:3,a-b:2,a.b:1"),
    ],
)
def test_the_same_tags_have_the_same_text(raw: dict[str, str], text: str | None) -> None:
    assert check_tags(raw) == canonical(raw) == text
    assert check_tags(dict(reversed(raw.items()))) == text
    assert parse_tags(text) == raw


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "must be a JSON object"),
        (None, "must be a JSON object"),
        ("env:prod", "must be a JSON object"),
        ({f"k{number}": "" for number in range(MAX_TAGS + 1)}, "must be at most 20; there are 21"),
        ({"": "x"}, "has the key ''; a key must be 1 to 64"),
        ({"a b": "x"}, "has the key 'a b'"),
        ({"k" * 65: "x"}, "has the key 'kkk"),
        ({"\u202e": "x"}, r"has the key '\u202e'"),
        ({"env": 1}, "has a value of 'env' that is no text"),
        ({"env": None}, "has a value of 'env' that is no text"),
        ({"env": "a,b"}, "has the value 'a,b' of 'env'"),
        ({"env": "\x1b[2J"}, r"has the value '\x1b[2J' of 'env'"),
        ({"env": "v" * 201}, "of 'env'; a value must be at most 200"),
    ],
)
def test_a_fault_names_the_tag_and_what_is_right(raw: Any, said: str) -> None:
    with pytest.raises(ValueError) as fault:
        check_tags(raw)
    assert said in str(fault.value)
    assert str(fault.value).isascii()
    assert len(str(fault.value)) < 300


@pytest.mark.parametrize(
    ("pairs", "cleaned"),
    [
        ([], Cleaned(None)),
        ([("env", "prod")], Cleaned("env:prod")),
        ([("env", "")], Cleaned("env:")),
        ([("b", "2"), ("a", "1")], Cleaned("a:1,b:2")),
        ([("a", "1"), ("a", "2")], Cleaned("a:1", ("tag_repeated",))),
        ([("a", "1"), ("a", "1")], Cleaned("a:1", ("tag_repeated",))),
        ([("a b", "1")], Cleaned("a_b:1", ("tag_cleaned",))),
        ([("9a", "1")], Cleaned("_a:1", ("tag_cleaned",))),
        ([("a b", "1"), ("a_b", "2")], Cleaned("a_b:1", ("tag_cleaned", "tag_repeated"))),
        ([("", "1")], Cleaned(None, ("tag_cleaned",))),
        ([("a", "x=y;z|\udcff\n")], Cleaned("a:x_y_z___", ("tag_cleaned",))),
        ([("k" * 65, "v" * 201)], Cleaned(f"{'k' * 64}:{'v' * 200}", ("tag_cleaned",))),
        (
            [(f"k{number:02}", "") for number in range(22)],
            Cleaned(",".join(f"k{number:02}:" for number in range(20)), ("tags_over_cap", "tags_over_cap")),
        ),
    ],
)
def test_the_agent_cleans_tags_and_says_so(pairs: list[tuple[str, str]], cleaned: Cleaned) -> None:
    assert clean_tags(pairs) == cleaned


@given(TAGS)
def test_tags_that_keep_the_rules_are_not_changed(tags: dict[str, str]) -> None:
    text = check_tags(tags)
    assert parse_tags(text) == tags
    assert clean_tags(tags.items()) == Cleaned(text)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=30))
def test_whatever_is_sent_cleaned_tags_keep_the_rules(pairs: list[tuple[str, str]]) -> None:
    cleaned = clean_tags(pairs)
    assert check_tags(parse_tags(cleaned.tags)) == cleaned.tags
    sent_as_it_is = dict(pairs) == parse_tags(cleaned.tags) and len(dict(pairs)) == len(pairs)
    assert sent_as_it_is == (not cleaned.notes)


def test_the_overflow_is_a_series_like_others() -> None:
    assert check_tags({"overflow": "true"}) == OVERFLOW

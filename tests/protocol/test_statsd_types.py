"""The header that says what a batch's items were on their StatsD lines, and the names that a clash leads to."""

import re

import pytest

from protocol.limits import MAX_NAME_LENGTH
from protocol.statsd import MetricType
from protocol.statsd_types import MAX_RENAMED, from_letters, name_of_clash, shown, to_letters

ALL: list[MetricType] = ["counter", "timing", "gauge", "set"]


def test_the_letters_of_all_types_are_read_back() -> None:
    assert to_letters(ALL) == "ctgs"
    assert from_letters("ctgs", 4) == ALL
    assert from_letters("-c-", 3) == [None, "counter", None]
    assert from_letters("", 0) == []


@pytest.mark.parametrize(
    ("text", "items", "says"),
    [
        ("c", 2, "a letter for each of the 2 items; it has 1"),
        ("cc", 1, "a letter for each of the 1 items; it has 2"),
        ("", 1, "it has 0"),
        ("x", 1, "of the letters c, t, g, s"),
        ("C", 1, "of the letters c, t, g, s"),
        ("c,t", 3, "of the letters c, t, g, s"),
    ],
)
def test_a_header_that_does_not_fit_says_why(text: str, items: int, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        from_letters(text, items)


@pytest.mark.parametrize(
    ("name", "sent_as", "longer"),
    [
        ("a", "counter", "a.counter"),
        ("a.b", "timing", "a.b.timing"),
        ("n" * (MAX_NAME_LENGTH - 4), "set", "n" * (MAX_NAME_LENGTH - 4) + ".set"),
        ("n" * (MAX_NAME_LENGTH - 3), "set", None),
    ],
)
def test_a_clash_adds_a_suffix_when_the_name_is_short_enough(
    name: str, sent_as: MetricType, longer: str | None
) -> None:
    assert name_of_clash(name, sent_as) == longer


def test_an_answer_shows_a_limited_number_of_names() -> None:
    assert shown(["a.set", "b.gauge"]) == "a.set,b.gauge"
    assert shown([f"n{number}.set" for number in range(100)]).count(",") == MAX_RENAMED - 1

"""tests/oracle/tagged.py: cases that were worked out by hand."""

from decimal import Decimal

import pytest

from tests.oracle.brute_force import SECOND, Sent, plain
from tests.oracle.tagged import Chosen, Line

END = 60 * SECOND
TAGGED: tuple[dict[str, str], ...] = (
    {"env": "prod", "host": "web-1"},
    {"env": "dev", "host": "web-2"},
    {"env": ""},
    {},
)


def sent(kind: str = "counter") -> Sent:
    """The values 1, 2, 4 and 8, with the tags above."""
    made = Sent()
    for place, tags in enumerate(TAGGED):
        assert made.add("a", kind, plain(place, Decimal(1 << place))._replace(tags=tags))
    return made


def sums(chosen: Chosen, of: Sent) -> list[tuple[Line, int]]:
    return [(line, sum(int(one.total) for one in samples)) for line, samples in chosen.lines(of, "a", 0, END)]


@pytest.mark.parametrize(
    ("conditions", "total"),
    [
        ((), 15),
        (("env:prod",), 1),
        (("env:*",), 7),
        (("env:",), 4),
        (("!env:prod",), 14),
        (("!env:*",), 8),
        (("host:web-*", "!env:dev"), 1),
        (("host:*2",), 2),
    ],
)
def test_all_conditions_must_hold(conditions: tuple[str, ...], total: int) -> None:
    assert sums(Chosen(conditions), sent()) == [(Line("a"), total)]


def test_a_deleted_series_counts_in_its_name_alone() -> None:
    of = sent()
    assert of.delete_series("a", TAGGED[1])
    assert not of.delete_series("a", TAGGED[1])
    assert of.add("a", "counter", plain(5, Decimal(100))._replace(tags=TAGGED[1]))
    assert sums(Chosen(), of) == [(Line("a"), 115)]
    assert sums(Chosen(keys=("env",)), of) == [
        (Line("a", (value,)), total) for value, total in ((None, 8), ("", 4), ("dev", 100), ("prod", 1))
    ]
    assert of.delete_series("a", TAGGED[1])
    assert sums(Chosen(("env:dev",)), of) == []


def test_a_condition_that_no_series_meets_gives_no_line() -> None:
    assert sums(Chosen(("region:*",)), sent()) == []
    assert sums(Chosen(("!env:x",)), Sent()) == []


def test_groups_are_in_order_with_those_without_the_key_first() -> None:
    groups = [(None, 8), ("", 4), ("dev", 2), ("prod", 1)]
    assert sums(Chosen(keys=("env",)), sent()) == [(Line("a", (value,)), total) for value, total in groups]


@pytest.mark.parametrize(
    ("kind", "largest", "rest"), [("counter", (Line("a", (None,)), 8), 7), ("value", (Line("a", (None,)), 8), 7)]
)
def test_the_largest_groups_come_first_and_then_the_rest(kind: str, largest: tuple[Line, int], rest: int) -> None:
    assert sums(Chosen(keys=("env",), top=1), sent(kind)) == [largest, (Line("a", (), rest=True), rest)]
    assert len(sums(Chosen(keys=("env",), top=4), sent(kind))) == 4

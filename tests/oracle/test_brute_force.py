"""tests/oracle/brute_force.py: cases that were worked out by hand."""

from decimal import Decimal

import pytest

from tests.oracle.brute_force import SECOND, Sample, Sent


def plain(at: int, value: str) -> Sample:
    number = Decimal(value)
    return Sample(at, number, Decimal(1), number, number)


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0, 60 * SECOND, "6"),
        (1, 60 * SECOND, "5"),
        (0, 59 * SECOND, "3"),
        (0, 59 * SECOND + 1, "6"),
        (59 * SECOND + 1, 60 * SECOND, None),
    ],
)
def test_a_bound_is_an_exact_moment(start: int, end: int, found: str | None) -> None:
    sent = Sent()
    for at, value in ((0, "1"), (30, "2"), (59, "3")):
        assert sent.add("a", "counter", plain(at, value))
    wanted = [] if found is None else [(0, Decimal(found))]
    assert list(sent.answer("a", "sum", 60, start, end)) == wanted


@pytest.mark.parametrize(
    ("operation", "value"), [("sum", "10.5"), ("count", "4"), ("avg", "2.625"), ("min", "-1"), ("max", "9")]
)
def test_a_summary_counts_with_its_weight(operation: str, value: str) -> None:
    sent = Sent()
    sent.add("a", "value", plain(5, "0.5"))
    sent.add("a", "value", Sample(59, Decimal(10), Decimal(3), Decimal(-1), Decimal(9)))
    assert list(sent.answer("a", operation, 60, 0, 60 * SECOND)) == [(0, Decimal(value))]


def test_a_name_has_one_type_until_it_is_deleted() -> None:
    sent = Sent()
    assert sent.add("a", "value", plain(5, "1"))
    assert not sent.add("a", "counter", plain(5, "1"))
    assert sent.delete("a")
    assert not sent.delete("a")
    assert sent.add("a", "counter", plain(5, "2"))
    assert list(sent.answer("a", "sum", 60, 0, 60 * SECOND)) == [(0, Decimal(2))]

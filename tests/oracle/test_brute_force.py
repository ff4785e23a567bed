"""tests/oracle/brute_force.py: cases that were worked out by hand."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.oracle.brute_force import SECOND, Sample, Sent, Windows, filled


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
    assert list(sent.answer("a", "sum", Windows(60), start, end)) == wanted


@pytest.mark.parametrize(
    ("operation", "value"), [("sum", "10.5"), ("count", "4"), ("avg", "2.625"), ("min", "-1"), ("max", "9")]
)
def test_a_summary_counts_with_its_weight(operation: str, value: str) -> None:
    sent = Sent()
    sent.add("a", "value", plain(5, "0.5"))
    sent.add("a", "value", Sample(59, Decimal(10), Decimal(3), Decimal(-1), Decimal(9)))
    assert list(sent.answer("a", operation, Windows(60), 0, 60 * SECOND)) == [(0, Decimal(value))]


def test_a_name_has_one_type_until_it_is_deleted() -> None:
    sent = Sent()
    assert sent.add("a", "value", plain(5, "1"))
    assert not sent.add("a", "counter", plain(5, "1"))
    assert sent.delete("a")
    assert not sent.delete("a")
    assert sent.add("a", "counter", plain(5, "2"))
    assert list(sent.answer("a", "sum", Windows(60), 0, 60 * SECOND)) == [(0, Decimal(2))]


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("zone", "seconds", "at", "begins"),
    [
        ("Europe/Berlin", 86_400, "2026-10-25T23:59:59+01:00", "2026-10-25T00:00:00+02:00"),
        ("Europe/Berlin", 86_400, "2026-10-26T00:00:00+01:00", "2026-10-26T00:00:00+01:00"),
        ("Europe/Berlin", 3_600, "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+02:00"),
        ("Europe/Berlin", 3_600, "2026-10-25T02:30:00+01:00", "2026-10-25T02:00:00+01:00"),
        ("Asia/Kolkata", 3_600, "2026-10-25T10:29:59+00:00", "2026-10-25T09:30:00+00:00"),
        ("Asia/Kolkata", 900, "2026-10-25T10:29:59+00:00", "2026-10-25T10:15:00+00:00"),
    ],
)
def test_hours_and_days_are_those_of_the_zone(zone: str, seconds: int, at: str, begins: str) -> None:
    assert Windows(seconds, ZoneInfo(zone)).begin(second(at)) == second(begins)


def test_windows_without_data_are_filled_up_to_the_end() -> None:
    bounds = (30 * SECOND, 180 * SECOND + 1)
    found = filled([(60, Decimal(7))], None, Windows(60), bounds)
    assert list(found) == [(0, None), (60, 7), (120, None), (180, None)]


def test_points_before_the_line_are_hidden() -> None:
    sent = Sent(line=30)
    for at in (0, 29, 30):
        sent.add("a", "counter", plain(at, "1"))
    assert list(sent.answer("a", "count", Windows(60), 0, 60 * SECOND)) == [(0, Decimal(1))]

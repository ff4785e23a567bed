"""tests/oracle/brute_force.py: cases that were worked out by hand."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.oracle.brute_force import SECOND, Sample, Sent, Windows, filled, percentile, shares_below
from tests.oracle.brute_force import plain as plain_of


def plain(at: int, value: str) -> Sample:
    return plain_of(at, Decimal(value))


def values(
    sent: Sent, operation: str, start: int = 0, end: int = 60 * SECOND, seconds: int = 60
) -> list[tuple[int, Decimal]]:
    """Start and value of each window of the name ``a``."""
    found = sent.windows("a", Windows(seconds), start, end)
    return [(at, sent.value("a", operation, samples, seconds)) for at, samples in found]


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
    assert values(sent, "sum", start, end) == wanted


@pytest.mark.parametrize(
    ("operation", "value"),
    [("sum", "10.5"), ("count", "4"), ("avg", "2.625"), ("min", "-1"), ("max", "9"), ("rate", "0.0667")],
)
def test_a_summary_counts_with_its_weight(operation: str, value: str) -> None:
    sent = Sent()
    sent.add("a", "value", plain(5, "0.5"))
    sent.add("a", "value", Sample(59, Decimal(10), Decimal(3), Decimal(-1), Decimal(9), None))
    assert values(sent, operation) == [(0, Decimal(value))]


def test_a_name_has_one_type_until_it_is_deleted() -> None:
    sent = Sent()
    assert sent.add("a", "value", plain(5, "1"))
    assert not sent.add("a", "counter", plain(5, "1"))
    assert sent.delete("a")
    assert not sent.delete("a")
    assert sent.add("a", "counter", plain(5, "2"))
    assert values(sent, "sum") == [(0, Decimal(2))]


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
    found = filled([(60, Decimal(7))], Windows(60), bounds)
    assert list(found) == [(0, None), (60, 7), (120, None), (180, None)]


def test_points_before_the_line_are_hidden() -> None:
    sent = Sent(line=30)
    for at in (0, 29, 30):
        sent.add("a", "counter", plain(at, "1"))
    assert values(sent, "count") == [(0, Decimal(1))]


SPREAD = Sample(0, Decimal(9), Decimal(3), Decimal(1), Decimal(5), ((Decimal(1), Decimal(1)), (Decimal(5), Decimal(2))))


def test_a_rate_is_of_the_sum_of_a_counter() -> None:
    sent = Sent()
    sent.add("a", "counter", plain(5, "30"))
    assert values(sent, "rate") == [(0, Decimal("0.5"))]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_local_day_is_as_long_as_its_clocks_say(day: str, hours: int) -> None:
    days = Windows(86_400, ZoneInfo("Europe/Berlin"))
    start = days.begin(second(f"{day}T12:00:00+02:00"))
    assert days.end(start) - start == hours * 3_600


@pytest.mark.parametrize(
    ("percent", "value"), [("0", "1"), ("25", "1"), ("50", "3"), ("50.001", "5"), ("75", "5"), ("100", "5")]
)
def test_a_percentile_is_the_sample_of_its_rank(percent: str, value: str) -> None:
    assert percentile([SPREAD, plain(1, "3")], Decimal(percent)) == Decimal(value)


def test_a_summary_without_values_has_its_ends_alone() -> None:
    unknown = SPREAD._replace(values=None)
    assert percentile([unknown, plain(1, "3")], Decimal(50)) is None
    assert percentile([unknown, plain(1, "3")], Decimal(100)) == 5
    assert shares_below([unknown], Decimal(3)) is None
    assert shares_below([unknown], Decimal(1)) == (Decimal(0), Decimal(0))
    assert shares_below([unknown], Decimal("5.1")) == (Decimal(1), Decimal(1))


def test_the_share_below_a_value_leaves_out_what_is_near_it() -> None:
    assert shares_below([SPREAD, plain(1, "2.99")], Decimal(3)) == (Decimal("0.25"), Decimal("0.5"))

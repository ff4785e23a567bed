"""ISO 8601 in, whole UTC seconds inside, Z out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.times import first_second, format_time, parse_exact, parse_time

MIDNIGHT = 1_771_113_600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-02-15T00:00:00Z", MIDNIGHT),
        ("2026-02-15t00:00:00z", MIDNIGHT),
        ("2026-02-15 00:00:00", MIDNIGHT),
        ("2026-02-15", MIDNIGHT),
        ("2026-02-15T00:00", MIDNIGHT),
        ("2026-02-15T01:30:00+01:30", MIDNIGHT),
        ("2026-02-15T01:30:00+0130", MIDNIGHT),
        ("2026-02-14T19:00:00-05", MIDNIGHT),
        ("2026-02-15T00:00:00.999999999Z", MIDNIGHT),
        ("2026-02-15T00:00:00,5Z", MIDNIGHT),
        ("1969-12-31T23:59:59.5Z", -1),
    ],
)
def test_any_offset_is_read_and_naive_is_utc(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-02-15T00:00:00Z", MIDNIGHT),
        ("2026-02-15", MIDNIGHT),
        ("2026-02-15T00:00:00.0Z", MIDNIGHT),
        ("2026-02-15T00:00:00.000000000Z", MIDNIGHT),
        ("2026-02-15T00:00:00.5Z", MIDNIGHT + 1),
        ("2026-02-15T00:00:00,5Z", MIDNIGHT + 1),
        ("2026-02-15T00:00:00.000001Z", MIDNIGHT + 1),
        ("2026-02-15T00:00:00.000000001Z", MIDNIGHT + 1),
        ("2026-02-14T23:59:59.999Z", MIDNIGHT),
        ("2026-02-15T01:29:59.999+01:30", MIDNIGHT),
        ("1969-12-31T23:59:59.5Z", 0),
        ("1969-12-31T23:59:58.5Z", -1),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799),
    ],
)
def test_a_bound_with_a_fraction_becomes_the_next_whole_second(text: str, seconds: int) -> None:
    assert first_second(parse_exact(text)) == seconds


@given(
    moment=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 30)),
    minutes=st.integers(-14 * 60, 14 * 60),
    stored=st.integers(-1, 1),
)
def test_a_bound_divides_whole_seconds_as_its_exact_time_does(moment: datetime, minutes: int, stored: int) -> None:
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    second = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=stored)
    assert (parse_time(second.isoformat()) >= first_second(parse_exact(moment.isoformat()))) == (second >= moment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1771113600",
        "20260215",
        "2026-W07-7",
        "2026-02-15T",
        "2026-02-15T00:00:00Z ",
        "2026-02-15T24:30:00Z",
        "2026-02-15T00:00:60Z",
        "2026-02-15T00:00:00+99:00",
        "2026-02-30",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "\u0662026-02-15",
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="must be an ISO 8601 time such as 2026-02-15T00:00:00Z"):
        parse_time(text)
    with pytest.raises(ValueError, match="must be an ISO 8601 time"):
        parse_exact(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (MIDNIGHT, "2026-02-15T00:00:00Z"), (-59_011_459_200, "0100-01-01T00:00:00Z")],
)
def test_times_are_written_in_utc(seconds: int, text: str) -> None:
    assert format_time(seconds) == text


@given(st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)))
def test_a_written_time_is_read_back(moment: datetime) -> None:
    seconds = int(moment.replace(microsecond=0).timestamp())
    assert parse_time(format_time(seconds)) == seconds

"""central/query/relative_time.py: times that count from now, and times as people type them."""

import re

import pytest

from central.query.relative_time import RELATIVE_PATTERN, relative_time, resolve_time

NOW = 1_771_113_690.9


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", 1_771_113_691),
        ("-90s", 1_771_113_600),
        ("-1m", 1_771_113_630),
        ("-2h", 1_771_106_490),
        ("-1d", 1_771_027_290),
        ("-1w", 1_770_508_890),
        ("-0s", 1_771_113_690),
        ("-999999999w", 0),
        *(
            (text, None)
            for text in ("", "Now", "1h", "+1h", "-1y", "-h", "--1h", "-1h ", "-1.5h", "-1234567890s", "-\u0661h")
        ),
    ],
)
def test_a_time_counts_from_now(text: str, moment: int | None) -> None:
    assert relative_time(text, NOW) == moment
    assert (re.fullmatch(RELATIVE_PATTERN, text) is not None) == (moment is not None)


def test_a_time_before_now_is_aligned_and_now_is_not() -> None:
    def hour(moment: int) -> int:
        return moment // 3600 * 3600

    assert relative_time("-1h", NOW, hour) == 1_771_110_000
    assert relative_time("now", NOW, hour) == 1_771_113_691


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", "2026-02-15T00:00:01Z"),
        ("-90s", "2026-02-14T23:58:30Z"),
        ("-15m", "2026-02-14T23:45:00Z"),
        ("-1h", "2026-02-14T23:00:00Z"),
        ("-7d", "2026-02-08T00:00:00Z"),
        ("-1w", "2026-02-08T00:00:00Z"),
        ("-999999999w", "1970-01-01T00:00:00Z"),
        ("2026-02-15T01:00:00+01:00", "2026-02-15T00:00:00Z"),
        ("2026-02-15T00:00:00.5Z", "2026-02-15T00:00:01Z"),
        ("2026-02-14T23:59:59.999Z", "2026-02-15T00:00:00Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_times_as_people_type_them(text: str, time: str) -> None:
    assert resolve_time(text, 1771113600.7) == time


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-1", "-1y", "--1h", "+1h", "-1.5h", "-٣h", "20260215", "1771113600"]
)
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; give 'now', -1h for an hour ago, or 2026-02-15T00:00:00Z"):
        resolve_time(text, 0)


def test_a_time_back_from_now_goes_where_its_window_begins() -> None:
    def align(moment: int) -> int:
        return moment // 3600 * 3600

    assert resolve_time("-1h", 1771113600.7 + 1800, align) == "2026-02-14T23:00:00Z"
    assert resolve_time("2026-02-14T23:12:00Z", 1771113600.7, align) == "2026-02-14T23:12:00Z"
    assert resolve_time("now", 1771113600.7, align) == "2026-02-15T00:00:01Z"

"""central/commands/relative_time.py: times as people type them."""

import pytest

from central.commands.relative_time import resolve_time


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

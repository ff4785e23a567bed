"""Times as Graphite writes them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from central.graphite.times import parse_offset, parse_time

BERLIN = ZoneInfo("Europe/Berlin")
NOW = int(datetime(2026, 2, 15, 14, 30, 20, tzinfo=BERLIN).timestamp())  # a Sunday


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-02-15 14:30:20"),
        ("-1h", "2026-02-15 13:30:20"),
        ("now-1d", "2026-02-14 14:30:20"),
        ("-1h30min", "2026-02-15 13:00:20"),
        ("-7days", "2026-02-08 14:30:20"),
        ("-2w", "2026-02-01 14:30:20"),
        ("-1mon", "2026-01-16 14:30:20"),
        ("+1y", "2027-02-15 14:30:20"),
        ("today", "2026-02-15 00:00:00"),
        ("midnight", "2026-02-15 00:00:00"),
        ("noon", "2026-02-15 12:00:00"),
        ("yesterday", "2026-02-14 00:00:00"),
        ("noon yesterday", "2026-02-14 12:00:00"),
        ("noon_yesterday", "2026-02-14 12:00:00"),
        ("midnight-7d", "2026-02-08 00:00:00"),
        ("14:30_20260215", "2026-02-15 14:30:00"),
        ("20260215", "2026-02-15 00:00:00"),
        ("2:05pm_02/14/26", "2026-02-14 14:05:00"),
        ("monday", "2026-02-09 00:00:00"),
        ("january 10", "2026-01-10 00:00:00"),
        ("jan1", "2026-01-01 00:00:00"),
        ("6pm_mar_8", "2026-03-08 18:00:00"),
        ("december 31 noon", "2026-12-31 12:00:00"),
        ("feb 1-1d", "2026-01-31 00:00:00"),
        ("february 30", None),
        ("january", None),
        ("smarch 1", None),
        ("-90mins", "2026-02-15 13:00:20"),
        ("-2hrs", "2026-02-15 12:30:20"),
        ("-20secs", "2026-02-15 14:30:00"),
        ("1771113600", "2026-02-15 01:00:00"),
        ("0", "1970-01-01 01:00:00"),
        ("86400", "1970-01-02 01:00:00"),
        ("", None),
        ("soon", None),
        ("25:00_20260215", None),
        ("-1fortnight", None),
        ("20261345", None),
        ("-99999y", None),
    ],
)
def test_a_time_is_a_moment_or_refused(text: str, moment: str | None) -> None:
    if moment is None:
        with pytest.raises(ValueError, match=r"not|unit"):
            parse_time(text, NOW, BERLIN)
        return
    assert f"{datetime.fromtimestamp(parse_time(text, NOW, BERLIN), BERLIN):%Y-%m-%d %H:%M:%S}" == moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3_600), ("-7d", -604_800), ("+5min", 300), ("90s", 90), ("1h30min", 5_400), ("5mins", 300)],
)
def test_an_offset_is_seconds(text: str, seconds: int) -> None:
    assert parse_offset(text) == seconds

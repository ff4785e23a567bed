"""central/query/windows.py: where windows begin and end, days of 23 and 25 hours, and exact sums over them."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from central.query.windows import fold, fold_spread, not_whole, spans, start_of_window, windows_between
from central.store.buckets import buckets_of, no_buckets
from central.store.distribution import Histograms, Spread, entries_of, no_spread
from protocol.histogram import encode
from protocol.times import format_time, parse_time
from tests.central.store_help import Bucket, columns

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
)
HOUR, DAY = 3_600, 86_400


def texts(start: str, end: str, seconds: int, zone: str | None) -> list[str]:
    windows = windows_between(parse_time(start), parse_time(end), seconds, None if zone is None else ZoneInfo(zone))
    return [format_time(int(edge)) for edge in windows.starts]


@pytest.mark.parametrize(
    ("zone", "start", "end", "seconds", "expected"),
    [
        (None, "2026-02-14T05:00:00Z", "2026-02-15T05:00:00Z", DAY, ["2026-02-14T00:00:00Z", "2026-02-15T00:00:00Z"]),
        (
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "2026-03-30T12:00:00Z",
            DAY,
            ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"],
        ),
        ("Asia/Kolkata", "2026-02-14T05:00:00Z", "2026-02-14T05:30:00Z", HOUR, ["2026-02-14T04:30:00Z"]),
        ("Asia/Kolkata", "2026-02-14T05:00:00Z", "2026-02-14T05:01:00Z", 900, ["2026-02-14T05:00:00Z"]),
        # The clock jumps over midnight: the day begins at 01:00.
        (
            "America/Sao_Paulo",
            "2018-11-03T12:00:00Z",
            "2018-11-05T12:00:00Z",
            DAY,
            ["2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"],
        ),
        # It goes back from midnight to 23:00: the day goes on.
        (
            "America/Sao_Paulo",
            "2018-02-17T12:00:00Z",
            "2018-02-18T12:00:00Z",
            DAY,
            ["2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"],
        ),
        # It goes back from 01:00 to midnight, which comes twice: one day.
        (
            "America/Havana",
            "2026-10-31T12:00:00Z",
            "2026-11-02T12:00:00Z",
            DAY,
            ["2026-10-31T04:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"],
        ),
        # A date that a zone left out has no window.
        (
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            "2011-12-31T09:59:59Z",
            DAY,
            ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"],
        ),
        # An hour that comes twice is two windows; half an hour more makes one longer.
        (
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            HOUR,
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T14:00:00Z",
            "2026-04-04T17:00:00Z",
            HOUR,
            ["2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"],
        ),
    ],
)
def test_windows_begin_at(zone: str | None, start: str, end: str, seconds: int, expected: list[str]) -> None:
    assert texts(start, end, seconds, zone) == expected


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (6, 1, 24)])
def test_a_day_has_the_hours_that_its_clock_has(month: int, day: int, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    noon = int(datetime(2026, month, day, 12, tzinfo=zone).timestamp())
    windows = windows_between(noon, noon + 1, DAY, zone)
    assert (windows.ends - windows.starts).tolist() == [hours * HOUR]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "America/New_York"])
@pytest.mark.parametrize("seconds", [HOUR, DAY])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_zone_reaches_to_the_ends_of_the_calendar(zone: str, seconds: int, moment: str) -> None:
    start = parse_time(moment)
    windows = windows_between(start, start + 1, seconds, ZoneInfo(zone))
    assert len(windows.starts) == 1
    assert windows.starts[0] <= start < windows.ends[0]
    assert start_of_window(start, seconds, ZoneInfo(zone)) == windows.starts[0]


@example("Australia/Lord_Howe", HOUR, 1_601_738_999, 2)  # from 02:00 to 02:30
@given(
    st.sampled_from(ZONES), st.sampled_from([HOUR, DAY]), st.integers(1_500_000_000, 2_000_000_000), st.integers(1, 90)
)
def test_windows_cover_the_range_without_a_gap(zone: str, seconds: int, start: int, count: int) -> None:
    end = start + count * seconds
    windows = windows_between(start, end, seconds, ZoneInfo(zone))
    assert windows.starts[0] <= start < windows.ends[0]
    assert windows.starts[-1] < end <= windows.ends[-1]
    assert (windows.starts[1:] == windows.ends[:-1]).all()
    assert not np.any(windows.starts % windows.step)
    for edge in windows.starts.tolist():
        local = datetime.fromtimestamp(edge, UTC).astimezone(ZoneInfo(zone))
        before = (datetime.fromtimestamp(edge, UTC) - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
        # A clock that is put forward over a whole hour begins a window where it lands.
        assert local.minute == 0 or local.utcoffset() != before.utcoffset()
        if seconds == DAY:
            assert local.date() != before.date()


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 71), st.integers(1, 2**61), st.integers(-(2**61), 2**61))))
def test_folding_is_exact(rows: list[tuple[int, int, int, int]]) -> None:
    """Against plain whole numbers, also where a sum leaves 64 bits."""
    zone, start = ZoneInfo("Europe/Berlin"), parse_time("2026-02-14T00:00:00Z")
    windows = windows_between(start, start + 3 * DAY, DAY, zone)
    found = {(number, start + hour * HOUR): (weight, total) for number, hour, weight, total in rows}
    given_rows = [Bucket(*key, weight, total, total, total) for key, (weight, total) in sorted(found.items())]
    expected: dict[tuple[int, int], list[int]] = {}
    for (number, at), (weight, total) in sorted(found.items()):
        day = max(edge for edge in windows.starts.tolist() if edge <= at)
        known = expected.setdefault((number, day), [0, 0, total, total])
        known[:] = known[0] + weight, known[1] + total, min(known[2], total), max(known[3], total)
    folded = fold(columns(given_rows), windows)
    rows_of = zip(*(column.tolist() for column in folded), strict=True)
    assert {(number, at): list(rest) for number, at, *rest in rows_of} == expected
    some = fold(buckets_of(columns(given_rows)[:4]), windows)
    assert [column.tolist() for column in some] == [*(column.tolist() for column in folded[:4]), [], []]


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 71), st.integers(-3, 3), st.integers(1, 2**61))))
def test_folding_histograms_is_exact_and_keeps_their_order(rows: list[tuple[int, int, int, int]]) -> None:
    start = parse_time("2026-02-14T00:00:00Z")
    windows = windows_between(start, start + 3 * DAY, DAY, ZoneInfo("Europe/Berlin"))
    found = {(number, start + hour * HOUR, bucket): weight for number, hour, bucket, weight in rows}
    expected: Counter[tuple[int, int, int]] = Counter()
    for (number, at, bucket), weight in found.items():
        expected[number, max(edge for edge in windows.starts.tolist() if edge <= at), bucket] += weight
    ids, starts = (np.array([key[place] for key in found], dtype=np.int64) for place in (0, 1))
    histograms = Histograms(ids, starts, [encode({bucket: weight}) for (_, _, bucket), weight in found.items()])
    entries = entries_of(*fold_spread(Spread(no_spread().samples, histograms), windows))
    folded = zip(*(column.tolist() for column in entries), strict=True)
    assert [((number, at, bucket), weight) for number, at, bucket, weight in folded] == sorted(expected.items())


@pytest.mark.parametrize(
    ("start", "end", "most", "found"),
    [
        (0, 300, 10, [(0, 300)]),
        (0, 300, 5, [(0, 300)]),
        (0, 300, 2, [(0, 120), (120, 240), (240, 300)]),
        (30, 270, 2, [(30, 120), (120, 240), (240, 270)]),
        (130, 300, 2, [(130, 240), (240, 300)]),
        (0, 300, 1, [(at, at + 60) for at in range(0, 300, 60)]),
        (0, 0, 2, []),
    ],
)
def test_a_range_is_read_in_pieces_of_whole_windows(
    start: int, end: int, most: int, found: list[tuple[int, int]]
) -> None:
    assert spans(windows_between(0, end, 60), start, end, most) == found


def test_folding_nothing_gives_nothing() -> None:
    windows = windows_between(0, DAY, DAY, ZoneInfo("Asia/Kolkata"))
    assert len(fold(no_buckets(), windows).starts) == 0
    assert len(fold_spread(no_spread(), windows).samples.starts) == 0


@pytest.mark.parametrize(
    ("start", "end", "now", "cut"),
    [
        (0, 2 * HOUR, 9 * HOUR, []),
        (1, 2 * HOUR, 9 * HOUR, [0]),
        (0, 2 * HOUR - 1, 9 * HOUR, [HOUR]),
        (0, 2 * HOUR, 2 * HOUR - 1, [HOUR]),
        (0, 2 * HOUR, HOUR / 2, [0, HOUR]),
    ],
)
def test_windows_that_are_not_whole(start: int, end: int, now: float, cut: list[int]) -> None:
    assert not_whole(windows_between(0, 2 * HOUR, HOUR), start, end, now).tolist() == cut

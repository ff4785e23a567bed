"""The checks of percentiles and histograms see a sample that is missing, one that is doubled, and a wrong bucket."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from protocol.histogram import bucket_of, encode
from protocol.numbers import UNIT
from tests.soak.oracle import ANY_DAY, Oracle, Point, Sums
from tests.soak.packet import LINES, SAMPLES, points
from tests.soak.spread import PERCENTS, Percentiles, histogram_faults, percentile_faults, ranked

TAGS = "env:prod"
SERIES = f"a|{TAGS}"
VALUES = ((100, UNIT), (5_000, 2 * UNIT), (70_000, UNIT))
HISTOGRAM = encode({bucket_of(value): weight for value, weight in VALUES})
TRUE = ranked(dict(VALUES))


@pytest.fixture
def oracle() -> Oracle:
    """A name with three values, in one series."""
    oracle = Oracle()
    oracle.acknowledge([Point("a", 4 * UNIT, 80_100, 100, 70_000, TAGS, 3, VALUES)])
    return oracle


def test_a_percentile_is_the_sample_that_so_much_of_the_weight_reaches() -> None:
    assert dict(zip(PERCENTS, TRUE, strict=True)) == {
        **dict.fromkeys(("0", "1", "25"), 100),
        "50": 5_000,
        **dict.fromkeys(("90", "99", "99.9", "100"), 70_000),
    }


@pytest.mark.parametrize(
    ("name", "day", "percent", "more"),
    [("a", 3, "50", 0), (SERIES, 3, "50", 19), (SERIES, 3, "50", -19)],
)
def test_percentiles_within_the_bound(oracle: Oracle, name: str, day: int, percent: str, more: int) -> None:
    assert percentile_faults("here", [Percentiles(name, day, percentiles_with(percent, more))], oracle) == []


@pytest.mark.parametrize(
    ("name", "day", "percent", "more"),
    [(SERIES, 3, "50", 20), ("a", 3, "0", 1), ("a", 3, "100", -1), ("a", 4, "0", 0), ("b", 3, "0", 0)],
)
def test_percentiles_beside_the_bound_are_seen(oracle: Oracle, name: str, day: int, percent: str, more: int) -> None:
    assert len(percentile_faults("here", [Percentiles(name, day, percentiles_with(percent, more))], oracle)) == 1


def percentiles_with(percent: str, more: int) -> list[int]:
    """The true samples, one of them changed."""
    return [value + more * (percent == one) for value, one in zip(TRUE, PERCENTS, strict=True)]


SUMMARY = (Decimal("8.01"), Decimal(4), HISTOGRAM)
LESS = encode({bucket_of(100): UNIT})


@pytest.mark.parametrize(
    ("raw", "folded", "faults"),
    [
        ([SUMMARY], [(Decimal(4), HISTOGRAM)], 0),
        ([], [], 2),
        ([SUMMARY, SUMMARY], [], 2),
        ([(*SUMMARY[:2], None)], [], 4),
        ([SUMMARY, (Decimal("0.01"), None, None)], [], 2),
        ([SUMMARY], [(Decimal(4), LESS)], 4),
    ],
)
def test_histograms_are_those_of_the_samples(
    oracle: Oracle, raw: list[tuple[Any, ...]], folded: list[tuple[Any, ...]], faults: int
) -> None:
    def ask(sql: str) -> Sequence[tuple[Any, ...]]:
        if "histogram_" in sql:
            return [(name, *row) for row in folded for name in ("a", SERIES)]
        return [("a" if "points.metric_id" in sql else SERIES, *row) for row in raw]

    assert len(histogram_faults(ask, "points", oracle)) == faults


def test_series_add_up_to_their_name(oracle: Oracle) -> None:
    stored = Sums(4 * UNIT, 80_100, 100, 70_000)
    assert oracle.sum_faults("here", {SERIES: stored}) == []
    assert len(oracle.sum_faults("here", {SERIES: stored, "a|": Sums(UNIT, 5, 200, 200)})) == 1
    assert len(oracle.faults("here", {"a": stored, SERIES: Sums(UNIT, 5, 5, 5)})) == 1


def test_a_packet_holds_what_its_lines_say() -> None:
    assert [line.text("x") for line in LINES[3:6:2]] == [
        "x.hits:1|c|@0.5|#env:dev",
        "x.took:1.5:20.25:300:0.0123|ms|#env:prod,path:/a",
    ]
    assert SAMPLES == 11 == len(points("x"))
    assert Point("x.hits", 2 * UNIT, 2 * UNIT, UNIT, UNIT, "env:dev") in points("x")
    assert Point("x.took", 2 * UNIT, 145_000, 72_500, 72_500, "env:dev", ANY_DAY, ((72_500, 2 * UNIT),)) in points("x")

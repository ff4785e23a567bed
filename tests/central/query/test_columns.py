"""central/query/columns.py: which numbers an operation gives, from the summaries and the histograms of windows."""

from collections.abc import Sequence
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.compiled import CORE
from central.query.columns import Answered, columns_of, joined
from central.query.parameters import Query
from central.query.values import Values
from central.query.windows import Windows, windows_between
from central.store.buckets import Buckets
from central.store.distribution import Distribution, Histograms, Samples, Spread, no_spread
from protocol.histogram import encode
from protocol.numbers import MAX_UNITS, UNIT
from protocol.times import parse_time
from tests.central.query.test_percentiles import PERCENTS, SAMPLES, Weighted, Window, histogram_of, numbers_in
from tests.central.store_help import Bucket, columns
from tests.examples import examples

COUNTER, VALUE = 5, 6
HOURS = windows_between(0, 7_200, 3_600)


def asked(*names: str, fraction_below: int | None = None) -> Query:
    return Query(("a", "b"), names, "1m", 0, 60, None, fraction_below=fraction_below)


def distribution(windows: Sequence[Window], *, wide: bool = False) -> Distribution:
    """What a store gives for windows, two to a name."""
    summaries, histograms = [], []
    for at, (samples, unknown) in enumerate(windows):
        metric_id, start = 5 + at // 2, 60 * (at % 2) - 60
        values = [value for value, _ in samples]
        weight = sum(weight for _, weight in samples) + unknown
        summaries.append(Bucket(metric_id, start, weight, 0, min(values), max(values)))
        histograms.append((metric_id, start, encode(histogram_of(samples))))
    ids, starts, encoded = zip(*histograms, strict=True)
    spread = no_spread()._replace(histograms=Histograms(np.array(ids), np.array(starts), list(encoded)))
    return Distribution(columns(summaries, wide=wide), spread)


def of_summaries(query: Query, summaries: list[Bucket], windows: Windows = HOURS) -> list[Values]:
    found = Distribution(columns(summaries), no_spread())
    return columns_of(query, found, [COUNTER], windows)


def test_each_operation_is_a_column_in_the_order_asked() -> None:
    summaries = [Bucket(VALUE, 0, 4 * UNIT, 11 * UNIT, UNIT, 5 * UNIT)]
    found = of_summaries(asked("max", "avg", "p100", "count", "p0", "min", "sum"), summaries)
    assert [numbers_in(values) for values in found] == [
        [50_000], [27_500], [50_000], [40_000], [10_000], [10_000], [110_000],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "rate"),
    [
        (Bucket(COUNTER, 0, 3 * UNIT, 7_200 * UNIT, 0, 0), 2 * UNIT),
        (Bucket(COUNTER, 0, UNIT, -7_200 * UNIT, 0, 0), -2 * UNIT),
        (Bucket(VALUE, 0, 7_200 * UNIT, 3 * UNIT, 0, 0), 2 * UNIT),
        (Bucket(VALUE, 3_600, UNIT, 9, 0, 0), 3),
        (Bucket(VALUE, 3_600, 1_800, 9, 0, 0), 0),
        (Bucket(VALUE, 3_600, 5_400, 9, 0, 0), 2),
    ],
)
def test_a_rate_is_per_second_the_sum_of_a_counter_the_samples_of_a_value(summary: Bucket, rate: int) -> None:
    assert [numbers_in(values) for values in of_summaries(asked("rate"), [summary])] == [[rate]]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_rate_knows_how_long_a_local_day_is(day: str, hours: int) -> None:
    noon = parse_time(f"{day}T12:00:00+02:00")
    windows = windows_between(noon, noon + 1, 86_400, ZoneInfo("Europe/Berlin"))
    summary = Bucket(COUNTER, int(windows.starts[0]), UNIT, hours * 3_600 * UNIT, 0, 0)
    assert [numbers_in(values) for values in of_summaries(asked("rate"), [summary], windows)] == [[UNIT]]


def test_percentiles_and_shares_come_from_histograms() -> None:
    samples = [(value, UNIT) for value in range(1, 101)]
    found = distribution([Window(samples), Window(samples, unknown=UNIT)])
    query = asked("median", "p99", "p100", "fraction_below", fraction_below=11)
    windows = windows_between(-60, 60, 60)
    assert [numbers_in(values) for values in columns_of(query, found, [], windows)] == [
        [50, None],
        [99, None],
        [100, 100],
        [100_000, None],
    ]


PARTS = st.lists(st.tuples(SAMPLES, st.booleans()), min_size=1, max_size=3)
"""What a window is made of: samples, each lot as a histogram or as plain samples."""


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(PARTS, st.sampled_from([0, 0, UNIT])), min_size=1, max_size=6), PERCENTS, st.randoms())
def test_windows_give_the_same_with_the_compiled_core_and_without(
    windows: list[tuple[list[tuple[Weighted, bool]], int]], percent: int, random: Random
) -> None:
    summaries, plain, encoded = [], list[tuple[int, int, int]](), list[tuple[int, int, bytes]]()
    for at, (lots, unknown) in enumerate(windows):
        key = (5 + at // 2, 60 * (at % 2))
        parts = [([(value, UNIT) for value, _ in lot] if is_plain else lot, is_plain) for lot, is_plain in lots]
        samples = [sample for lot, _ in parts for sample in lot]
        values = [value for value, _ in samples]
        weight = sum(weight for _, weight in samples) + unknown
        summaries.append(Bucket(*key, weight, 0, min(values), max(values)))
        plain += [(*key, value) for lot, is_plain in parts if is_plain for value, _ in lot]
        encoded += [(*key, encode(histogram_of(lot))) for lot, is_plain in parts if not is_plain]
    random.shuffle(encoded)
    samples_found = Samples(*np.array(plain, dtype=np.int64).reshape(-1, 3).T)
    places = np.array([one[:2] for one in encoded], dtype=np.int64).reshape(-1, 2).T
    spread = Spread(samples_found, Histograms(places[0], places[1], [content for *_, content in encoded]))
    found, query = Distribution(columns(summaries), spread), asked(f"p{percent / 1_000:.3f}", "p50")
    told_by = [
        [numbers_in(values) for values in columns_of(query, found, [], windows_between(0, 120, 60), core)]
        for core in (CORE, None)
    ]
    assert CORE is not None
    assert told_by[0] == told_by[1]
    assert [number is None for number in told_by[0][0]] == [unknown > 0 for _, unknown in windows]


def test_a_weight_that_no_64_bits_hold_has_its_percentile() -> None:
    found = distribution([Window([(3, MAX_UNITS)]), Window([(5, UNIT)])], wide=True)
    windows = windows_between(-60, 60, 60)
    assert [numbers_in(values) for values in columns_of(asked("p50"), found, [], windows)] == [[3, 5]]


@pytest.mark.parametrize("wide", [True, False])
def test_parts_of_a_range_are_joined_in_the_order_of_id_and_time(wide: bool) -> None:
    minutes = windows_between(-60, 60, 60)
    query = asked("max", "p50", "fraction_below", fraction_below=25)
    windows = [Window([(value, UNIT), (value + 1, UNIT)], unknown=value % 2) for value in (10, 21, 30, 40)]
    whole = distribution(windows, wide=wide)
    parts = []
    for at in (-60, 0):
        of_summaries, histograms = whole.buckets.starts == at, whole.spread.histograms
        summaries = Buckets(*(column[of_summaries] for column in whole.buckets))
        chosen = np.flatnonzero(histograms.starts == at)
        encoded = [histograms.encoded[place] for place in chosen.tolist()]
        some = Histograms(histograms.metric_ids[chosen], histograms.starts[chosen], encoded)
        part = Distribution(summaries, whole.spread._replace(histograms=some))
        parts.append(Answered(summaries, columns_of(query, part, [], minutes)))
    found = joined(parts)
    assert [column.tolist() for column in found.summaries] == [column.tolist() for column in whole.buckets]
    expected = columns_of(query, whole, [], minutes)
    assert [numbers_in(values) for values in found.columns] == [numbers_in(values) for values in expected]
    assert [values.decimals for values in found.columns] == [4, 4, 6]


@pytest.mark.parametrize("operation", ["sum", "count", "avg", "min", "max", "rate", "p0", "p95", "fraction_below"])
def test_no_data_gives_empty_columns(operation: str) -> None:
    query = asked(operation, fraction_below=1)
    assert [numbers_in(values) for values in of_summaries(query, [])] == [[]]

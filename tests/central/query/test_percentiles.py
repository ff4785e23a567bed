"""central/query/percentiles.py: percentiles and shares of many windows, against brute force over their samples."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.query.operations import WHOLE
from central.query.percentiles import fraction_below, histograms_of, middles_of, percentile
from central.query.values import Values
from central.store.buckets import Column, no_buckets, wide_column
from central.store.distribution import Counted, Entries, no_entries
from protocol.histogram import bounds_of, bucket_of, middle_of
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_help import Bucket, columns
from tests.examples import examples

Weighted = list[tuple[int, int]]
"""Samples of one window: values and weights, in units."""


class Window(NamedTuple):
    """One window: its samples, and how much more weight its summary has from samples without a histogram."""

    samples: Weighted
    unknown: int = 0


def counted(windows: Sequence[Window], *, wide: bool = False) -> Counted:
    """Summaries and entries of windows, two to a name."""
    summaries, entries = [], []
    for at, (samples, unknown) in enumerate(windows):
        metric_id, start = 5 + at // 2, 60 * (at % 2) - 60
        values = [value for value, _ in samples] or [0]
        weight = sum(weight for _, weight in samples) + unknown
        summaries.append(Bucket(metric_id, start, weight, 0, min(values), max(values)))
        histogram = histogram_of(samples)
        entries += [(metric_id, start, bucket, histogram[bucket]) for bucket in sorted(histogram)]
    made = Entries(*map(wide_column if wide else narrow, zip(*entries, strict=True))) if entries else no_entries()
    return Counted(columns(summaries, wide=wide) if summaries else no_buckets(), made)


def histogram_of(samples: Weighted) -> Counter[int]:
    """The weight of each bucket."""
    weights: Counter[int] = Counter()
    for value, weight in samples:
        weights[bucket_of(value)] += weight
    return weights


def narrow(numbers: Sequence[int]) -> Column:
    return np.array(numbers, dtype=np.int64)


def numbers_in(values: Values) -> list[int | None]:
    """The numbers, None where there is none."""
    known = np.ones(len(values.numbers), dtype=bool) if values.known is None else values.known
    return [number if there else None for number, there in zip(values.numbers.tolist(), known.tolist(), strict=True)]


def true_sample(samples: Weighted, percent: int) -> int:
    """By nearest rank: the smallest sample at or below which at least so many percent of the weight lie."""
    total, reached = sum(weight for _, weight in samples), 0
    for value, weight in sorted(samples):
        reached += weight
        if reached * WHOLE >= percent * total:
            return value
    raise AssertionError("no sample")


VALUES = st.one_of(st.integers(-300, 300), st.integers(-(10**9), 10**9), st.integers(-(10**14), 10**14))
WEIGHTS = st.one_of(st.just(UNIT), st.integers(1, 5 * UNIT))
SAMPLES = st.lists(st.tuples(VALUES, WEIGHTS), min_size=1, max_size=30)
WINDOWS = st.lists(st.builds(Window, SAMPLES, st.sampled_from([0, 0, 1, UNIT])), max_size=6)
PERCENTS = st.one_of(st.sampled_from([1, 50_000, 95_000, 99_900, 99_999]), st.integers(1, WHOLE - 1))


@settings(max_examples=examples(300))
@given(WINDOWS, PERCENTS)
def test_every_percentile_is_within_1_in_256_of_the_true_sample(windows: list[Window], percent: int) -> None:
    found = numbers_in(percentile(histograms_of(counted(windows)), percent))
    for window, number in zip(windows, found, strict=True):
        assert (number is None) == (window.unknown > 0)
        if number is not None:
            true = true_sample(window.samples, percent)
            assert abs(number - true) * 256 <= abs(true)
            assert bounds_of(bucket_of(true))[0] <= number <= bounds_of(bucket_of(true))[1]


@settings(max_examples=examples(200))
@given(WINDOWS, VALUES)
def test_a_share_leaves_out_no_more_than_its_own_bucket(windows: list[Window], value: int) -> None:
    found = numbers_in(fraction_below(histograms_of(counted(windows)), value))
    for (samples, unknown), number in zip(windows, found, strict=True):
        total = sum(weight for _, weight in samples)
        below = sum(weight for one, weight in samples if bounds_of(bucket_of(one))[1] < value)
        if value <= min(samples)[0] or max(samples)[0] < value:
            assert number == (0 if value <= min(samples)[0] else 10**6)
        else:
            assert number == (None if unknown else round(Fraction(below * 10**6, total)))


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(
    ("samples", "percent", "number"),
    [
        ([(7, UNIT)], 50_000, 7),
        ([(7, UNIT)], 1, 7),
        ([(1, UNIT), (2, UNIT)], 50_000, 1),
        ([(1, UNIT), (2, UNIT)], 50_001, 2),
        ([(1, UNIT), (2, UNIT), (3, UNIT), (4, UNIT)], 75_000, 3),
        ([(-3, UNIT), (-2, UNIT), (0, UNIT), (2, UNIT)], 25_000, -3),
        ([(-3, UNIT), (-2, UNIT), (0, UNIT), (2, UNIT)], 75_000, 0),
        # Weights that are no whole samples: 1/3 sampled lines.
        ([(1, 33_333), (9, 66_667)], 33_333, 1),
        ([(1, 33_333), (9, 66_667)], 33_334, 9),
        # 999 below and one far away.
        ([(5, 999 * UNIT), (250, UNIT)], 99_900, 5),
        ([(5, 999 * UNIT), (250, UNIT)], 99_901, 250),
    ],
)
def test_a_percentile_by_nearest_rank(samples: Weighted, percent: int, number: int, wide: bool) -> None:
    assert numbers_in(percentile(histograms_of(counted([Window(samples)], wide=wide)), percent)) == [number]


@pytest.mark.parametrize(
    ("samples", "percent", "number"),
    [
        ([(1_000_000, UNIT)], 50_000, 1_000_000),
        ([(1_000_000, UNIT), (1_000_001, UNIT)], 50_000, 1_000_001),
        ([(MAX_UNITS, UNIT)], 50_000, MAX_UNITS),
        ([(-MAX_UNITS, UNIT), (MAX_UNITS, UNIT)], 50_000, -middle_of(bucket_of(MAX_UNITS))),
        ([(MAX_UNITS, 10**24)], 99_999, MAX_UNITS),
    ],
)
def test_a_percentile_is_clamped_to_min_and_max(samples: Weighted, percent: int, number: int) -> None:
    found = percentile(histograms_of(counted([Window(samples)], wide=True)), percent)
    low, high = samples[0][0], samples[-1][0]
    assert numbers_in(found) == [min(max(number, low), high)]


@pytest.mark.parametrize("size", [10**12, 2**62 - 1, 10**24])
def test_ranks_of_huge_weights_are_exact(size: int) -> None:
    samples = [(1, size), (2, size), (3, 1)]
    histograms = histograms_of(counted([Window(samples)] * 5, wide=size > 2**62))
    for percent in (1, 49_999, 50_000, 50_001, 99_999):
        assert numbers_in(percentile(histograms, percent)) == [true_sample(samples, percent)] * 5
    assert numbers_in(fraction_below(histograms, 2)) == [round(Fraction(size * 10**6, 2 * size + 1))] * 5


def test_a_window_with_a_sample_in_no_histogram_has_no_percentile() -> None:
    samples = [(10, UNIT), (20, UNIT)]
    windows = [Window(samples), Window(samples, unknown=1), Window([], unknown=UNIT), Window(samples)]
    histograms = histograms_of(counted(windows))
    assert numbers_in(percentile(histograms, 95_000)) == [20, None, None, 20]
    assert numbers_in(fraction_below(histograms, 15)) == [500_000, None, 10**6, 500_000]
    assert numbers_in(fraction_below(histograms, 21)) == [10**6] * 4
    assert numbers_in(fraction_below(histograms, 10)) == [0, 0, 10**6, 0]


def test_no_windows_give_no_numbers() -> None:
    histograms = histograms_of(Counted(no_buckets(), no_entries()))
    assert numbers_in(percentile(histograms, 50_000)) == []
    assert numbers_in(fraction_below(histograms, 0)) == []


def test_the_middle_of_every_bucket_is_that_of_the_protocol() -> None:
    last = bucket_of(MAX_UNITS)
    every = range(-last, last + 1)
    assert middles_of(narrow(every)).tolist() == [middle_of(bucket) for bucket in every]
    small = range(-bucket_of(10**15), bucket_of(10**15) + 1)
    assert middles_of(narrow(small)).dtype == np.int64
    assert middles_of(narrow(small)).tolist() == [middle_of(bucket) for bucket in small]

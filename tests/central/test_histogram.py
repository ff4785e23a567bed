"""central/histogram.py: Prometheus' buckets, exact."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.histogram import Histogram


@pytest.mark.parametrize(
    ("values", "buckets"),
    [
        ([], [0, 0, 0]),
        ([1], [1, 1, 1]),
        ([1.0001], [0, 1, 1]),
        ([2], [0, 1, 1]),
        ([3], [0, 0, 1]),
        ([0, 1, 2, 3], [2, 3, 4]),
    ],
)
def test_a_bucket_counts_what_is_at_most_its_bound(values: list[float], buckets: list[int]) -> None:
    times = Histogram((1, 2))
    for value in values:
        times.observe(value)
    assert times.buckets() == [("1", buckets[0]), ("2", buckets[1]), ("+Inf", buckets[2])]
    assert (times.count, times.total) == (len(values), sum(values))


@given(st.lists(st.integers(-5, 50)), st.lists(st.integers(0, 40), unique=True).map(sorted))
def test_it_agrees_with_sorting(values: list[int], bounds: list[int]) -> None:
    times = Histogram(bounds)
    for value in values:
        times.observe(value)
    ordered = sorted(values)
    wanted = [bisect_left(ordered, bound + 1) for bound in bounds]
    assert [count for _, count in times.buckets()] == [*wanted, len(values)]

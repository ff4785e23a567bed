"""central/store/distribution.py: buckets and sums as arrays, by the compiled core and without it."""

from collections import Counter
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.store.buckets import wide_column
from central.store.distribution import (
    Distribution,
    Entries,
    Histograms,
    Samples,
    Spread,
    buckets_of,
    entries_of,
    no_entries,
    pieces_of,
    places_of,
)
from protocol.histogram import MAX_BUCKET, bucket_of, encode
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.cores import each_core
from tests.central.store_help import Bucket, columns

narrow = st.integers(-(2**62), 2**62) | st.integers(-1000, 1000)
edges = st.builds(
    lambda bit, step, sign: sign * ((1 << bit) + step), st.integers(0, 61), st.integers(-1, 1), st.just(1)
)
histograms = st.dictionaries(
    st.integers(-MAX_BUCKET, MAX_BUCKET), st.integers(1, 9).map(UNIT.__mul__) | st.integers(1, 10**18), min_size=1
)


def column(numbers: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def rows(entries: Entries) -> list[tuple[int, ...]]:
    return list(zip(*(part.tolist() for part in entries), strict=True))


@given(st.lists(narrow | edges))
def test_a_bucket_as_an_array_is_the_bucket_of_each_value(values: list[int]) -> None:
    assert buckets_of(column(values)).tolist() == [bucket_of(value) for value in values]
    assert buckets_of(wide_column([*values, MAX_UNITS])).tolist() == [*map(bucket_of, values), MAX_BUCKET]


@each_core
def test_nothing_has_no_entries(core: ModuleType | None) -> None:
    empty = column([])
    assert (
        rows(entries_of(Samples(empty, empty, empty), Histograms(empty, empty, []), core)) == rows(no_entries()) == []
    )


@each_core
@given(
    samples=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), narrow)),
    summaries=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), histograms)),
)
def test_entries_are_the_sums_in_order(
    core: ModuleType | None,
    samples: list[tuple[int, int, int]],
    summaries: list[tuple[int, int, dict[int, int]]],
) -> None:
    expected = Counter[tuple[int, int, int]]()
    for metric_id, start, value in samples:
        expected[metric_id, start, bucket_of(value)] += UNIT
    for metric_id, start, histogram in summaries:
        for bucket, weight in histogram.items():
            expected[metric_id, start, bucket] += weight
    found = entries_of(
        Samples(*(column([sample[place] for sample in samples]) for place in range(3))),
        Histograms(
            column([metric_id for metric_id, _, _ in summaries]),
            column([start for _, start, _ in summaries]),
            [encode(histogram) for *_, histogram in summaries],
        ),
        core,
    )
    assert rows(found) == [(*key, expected[key]) for key in sorted(expected)]


@given(
    samples=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), narrow)),
    summaries=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), histograms)),
    most=st.integers(1, 9),
)
def test_pieces_have_the_entries_of_the_whole_and_each_window_once(
    samples: list[tuple[int, int, int]], summaries: list[tuple[int, int, dict[int, int]]], most: int
) -> None:
    windows = sorted({(3, 2), *(row[:2] for row in (*samples, *summaries))})
    spread = Spread(
        Samples(*(column([sample[place] for sample in samples]) for place in range(3))),
        Histograms(
            column([metric_id for metric_id, _, _ in summaries]),
            column([start for _, start, _ in summaries]),
            [encode(histogram) for *_, histogram in summaries],
        ),
    )
    found = Distribution(columns([Bucket(*window, 1, 0, 0, 0) for window in windows]), spread)
    pieces = [*pieces_of(found, most)]
    assert [row for piece in pieces for row in rows(piece.entries)] == rows(entries_of(*spread))
    kept = [pair for piece in pieces for pair in zip(piece.buckets.metric_ids, piece.buckets.starts, strict=True)]
    assert kept == windows
    for piece in pieces:
        inside = {*zip(piece.buckets.metric_ids.tolist(), piece.buckets.starts.tolist(), strict=True)}
        assert {entry[:2] for entry in rows(piece.entries)} <= inside
        after_the_first = [entry for entry in rows(piece.entries) if entry[:2] != min(inside)]
        assert len(after_the_first) < most


def test_an_answer_without_data_is_one_piece() -> None:
    empty = column([])
    found = Distribution(columns([]), Spread(Samples(empty, empty, empty), Histograms(empty, empty, [])))
    (piece,) = pieces_of(found)
    assert (len(piece.buckets.starts), len(piece.entries.starts)) == (0, 0)


def test_the_windows_of_samples_are_found_or_refused() -> None:
    summaries = columns([Bucket(*window, 1, 0, 0, 0) for window in ((3, 60), (3, 120), (5, 60))])
    assert places_of(summaries, column([5, 3, 3]), column([60, 60, 120])).tolist() == [2, 0, 1]
    for metric_id, start in ((3, 0), (3, 180), (4, 60), (5, 120), (6, 60), (2, 60)):
        with pytest.raises(RuntimeError, match="without its summary"):
            places_of(summaries, column([3, metric_id]), column([60, start]))
    with pytest.raises(RuntimeError):
        places_of(columns([]), column([3]), column([60]))

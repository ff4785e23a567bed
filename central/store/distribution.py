"""How the samples of names are spread over their values: a store's answer to a question for percentiles. Pure.

As columns, like the summaries in central/store/buckets.py, so that no Python object is made per bucket. A store gives
what it read of the samples in a range; ``entries_of`` sorts them into buckets and adds up.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from central.compiled import CORE
from central.store.buckets import Buckets, Column, wide_column
from protocol.histogram import bucket_of, decode
from protocol.numbers import UNIT

_EXACT_BITS: Final = 8
"""Magnitudes below two to the power of it have a bucket of their own (protocol.histogram)."""
_BUCKET_BITS: Final = 15
_BUCKET_OFFSET: Final = 1 << (_BUCKET_BITS - 1)
"""More than any bucket's number, so that a bucket plus it fits into _BUCKET_BITS."""
_NARROW_END: Final = 1 << 62


class Entries(NamedTuple):
    """How much weight a name has in a bucket of values (protocol.histogram) during a window, one entry per row.

    Rows are in the order of id, start and bucket. No two rows share all three, and no weight is 0. A weight is in
    units of 10^-4, so one sample weighs 10,000.
    """

    metric_ids: Column
    starts: Column
    buckets: Column
    weights: Column


class Distribution(NamedTuple):
    """Summaries over windows, and the buckets of their samples, both of one moment.

    The weights of a window's entries add up to its summary's weight exactly if every sample of it is in a bucket. A
    summary that was sent without a histogram is in no bucket, so then they add up to less.
    """

    buckets: Buckets
    entries: Entries


class Samples(NamedTuple):
    """Plain samples: the id, the window's start and the value in units of each."""

    metric_ids: Column
    starts: Column
    values: Column


class Histograms(NamedTuple):
    """Histograms of summaries: the id and the window's start of each, and its bytes (protocol.histogram)."""

    metric_ids: Column
    starts: Column
    encoded: Sequence[bytes]


def no_entries() -> Entries:
    """The entries of an answer without any data."""
    return Entries(*np.empty((4, 0), dtype=np.int64))


def entries_of(samples: Samples, histograms: Histograms, core: ModuleType | None = CORE) -> Entries:
    """The entries of all these samples. Of one id and start there may be any number, in any order."""
    ids = np.concatenate((samples.metric_ids, histograms.metric_ids)).astype(np.int64)
    starts = np.concatenate((samples.starts, histograms.starts)).astype(np.int64)
    if not len(ids):
        return no_entries()
    # One whole number says id, start and bucket, so that one sort puts all in order.
    ids, id_place = np.unique(ids, return_inverse=True)
    starts, start_place = np.unique(starts, return_inverse=True)
    window_of = id_place * len(starts) + start_place
    keys = (window_of[: len(samples.values)] << _BUCKET_BITS) + buckets_of(samples.values) + _BUCKET_OFFSET
    of_samples, counts = np.unique(keys, return_counts=True)
    of_histograms, weights = _decoded(window_of[len(samples.values) :], histograms.encoded, core)
    keys, weights = _added_up(np.concatenate((of_samples, of_histograms)), _joined(counts * UNIT, weights))
    window, bucket = keys >> _BUCKET_BITS, (keys & ((1 << _BUCKET_BITS) - 1)) - _BUCKET_OFFSET
    return Entries(ids[window // len(starts)], starts[window % len(starts)], bucket, weights)


def buckets_of(values: Column) -> Column:
    """The bucket of each value, as protocol.histogram.bucket_of gives it."""
    if values.dtype == object:
        return np.array([bucket_of(value) for value in values], dtype=np.int64)
    size = np.abs(values)
    # frexp goes through a double, which may round up to the next power of two: then the exponent is one too large.
    exponent = np.frexp(size.astype(np.float64))[1].astype(np.int64) - 1
    exponent = np.maximum(exponent - ((size >> np.maximum(exponent, 0)) == 0), 0)
    shift = np.maximum(exponent - (_EXACT_BITS - 1), 0)
    bucket = np.where(size < 1 << _EXACT_BITS, size, ((shift + 1) << 7) + ((size >> shift) & 127))
    signed: Column = np.where(values < 0, -bucket, bucket)
    return signed


def _decoded(windows: Column, encoded: Sequence[bytes], core: ModuleType | None) -> tuple[Column, Column]:
    """The keys and weights of histograms, whose windows are given. Keys may repeat."""
    if core is not None:
        with contextlib.suppress(OverflowError):  # a weight of more than 63 bits, which is rare
            places, buckets, weights = (
                np.frombuffer(column, dtype=np.int64) for column in core.decode_histograms(encoded)
            )
            return (windows[places] << _BUCKET_BITS) + buckets + _BUCKET_OFFSET, weights
    keys: list[int] = []
    numbers: list[int] = []
    for window, content in zip(windows.tolist(), encoded, strict=True):
        histogram = decode(content)
        keys += [(window << _BUCKET_BITS) + bucket + _BUCKET_OFFSET for bucket in histogram]
        numbers += histogram.values()
    return np.array(keys, dtype=np.int64), wide_column(numbers)


def _joined(first: Column, second: Column) -> Column:
    """Both columns in one, with numbers of any size where one of them or their sum could be too large for 64 bits."""
    total = sum(float(np.abs(column.astype(np.float64)).sum()) for column in (first, second) if len(column))
    kind: Any = np.int64 if total < _NARROW_END else object
    return np.concatenate((first.astype(kind), second.astype(kind)))


def _added_up(keys: Column, weights: Column) -> tuple[Column, Column]:
    """Each key once, in order, with the sum of its weights."""
    if weights.dtype == object:
        sums: Counter[int] = Counter()
        for key, weight in zip(keys.tolist(), weights, strict=True):
            sums[key] += weight
        ordered = sorted(sums)
        return np.array(ordered, dtype=np.int64), wide_column([sums[key] for key in ordered])
    if (keys[1:] > keys[:-1]).all():  # nearly always: folded histograms come in order, one for each window
        return keys, weights
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[first], np.add.reduceat(weights[order], first)

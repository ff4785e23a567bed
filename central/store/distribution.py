"""How the samples of names are spread over their values: a store's answer to a question for percentiles. Pure.

A store gives what it read of the samples in a range: values, and histograms as they are stored, which take about 2
bytes per bucket. ``entries_of`` sorts them into buckets and adds them up. It works on columns, as
central/store/buckets.py does for summaries, so that no Python object is made per bucket. An entry takes about 100 bytes
while it is made. So ``pieces_of`` makes the entries of a large answer for some of its windows at a time.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from central.compiled import CORE
from central.store.buckets import Buckets, Column, wide_column
from protocol.histogram import bucket_of, decode
from protocol.numbers import UNIT

_EXACT_BITS: Final = 8
"""Each magnitude below 2**8 has a bucket of its own (protocol.histogram)."""
_BUCKET_BITS: Final = 15
_BUCKET_OFFSET: Final = 1 << (_BUCKET_BITS - 1)
"""Larger than any bucket's number: a bucket plus this is positive and fits into _BUCKET_BITS."""
_NARROW_END: Final = 1 << 62
_NO_SUMMARY: Final = "the store gave samples of a window without its summary"
MOST_ENTRIES: Final = 500_000
"""How many entries are made at once. They take about 50 MB."""


class Entries(NamedTuple):
    """How much weight a name has in a bucket of values (protocol.histogram) during a window, one entry per row.

    Rows are in the order of id, start and bucket. No two rows share all three, and no weight is 0. A weight is in
    units of 10^-4, so one sample weighs 10,000.
    """

    metric_ids: Column
    starts: Column
    buckets: Column
    weights: Column


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


class Spread(NamedTuple):
    """What a store read of the samples in a range, in any order: plain ones, and those in histograms."""

    samples: Samples
    histograms: Histograms


class Distribution(NamedTuple):
    """Summaries over windows, and how their samples are spread, both of one moment.

    Each sample of the spread is in a window that has a summary. A summary that was sent without a histogram is not in
    the spread.
    """

    buckets: Buckets
    spread: Spread


class Counted(NamedTuple):
    """Summaries over windows and their entries.

    The weights of a window's entries add up to its summary's weight exactly if every sample of it is in the spread.
    """

    buckets: Buckets
    entries: Entries


def no_entries() -> Entries:
    """The entries of an answer without any data."""
    return Entries(*np.empty((4, 0), dtype=np.int64))


def no_spread() -> Spread:
    """The spread of an answer without any data."""
    ids, starts, values = np.empty((3, 0), dtype=np.int64)
    return Spread(Samples(ids, starts, values), Histograms(ids, starts, []))


def pieces_of(found: Distribution, most: int = MOST_ENTRIES) -> Iterator[Counted]:
    """The windows in order, with their entries, in pieces of about ``most`` entries or fewer.

    There is at least one piece. A piece has at least one window, unless there is none at all.
    """
    buckets, (samples, histograms) = found
    sizes = np.fromiter(map(len, histograms.encoded), dtype=np.int64, count=len(histograms.encoded)) >> 1
    if len(samples.values) + int(sizes.sum()) <= most:
        yield Counted(buckets, entries_of(samples, histograms))
        return
    of_samples = places_of(buckets, samples.metric_ids, samples.starts)
    of_histograms = places_of(buckets, histograms.metric_ids, histograms.starts)
    rows = len(buckets.starts)
    before = np.cumsum(np.bincount(of_samples, minlength=rows) + np.bincount(of_histograms, sizes, rows)) // most
    for piece in np.split(np.arange(rows), np.flatnonzero(np.diff(before)) + 1):
        first, after = piece[0], piece[-1] + 1
        some = Samples(*(column[(of_samples >= first) & (of_samples < after)] for column in samples))
        chosen = np.flatnonzero((of_histograms >= first) & (of_histograms < after))
        of_these = _chosen(histograms, chosen)
        yield Counted(Buckets(*(column[first:after] for column in buckets)), entries_of(some, of_these))


class Unmixed(NamedTuple):
    """An answer divided in two: the windows that have histograms and no plain sample, and ``others``.

    ``rows`` has True for each window of the whole answer that belongs to the first part. ``summaries`` and ``counts``
    are of that part: its windows, and how many histograms each has. ``encoded`` has these histograms, in the order of
    the windows.
    """

    rows: Column
    summaries: Buckets
    counts: Column
    encoded: list[bytes]
    others: Distribution


def unmixed_of(found: Distribution) -> Unmixed:
    """The windows of summaries alone: nearly all, since agents send no plain samples."""
    buckets, (samples, histograms) = found
    rows = len(buckets.starts)
    of_samples = places_of(buckets, samples.metric_ids, samples.starts)
    places = places_of(buckets, histograms.metric_ids, histograms.starts)
    counts = np.bincount(places, minlength=rows)
    unmixed = (counts > 0) & (np.bincount(of_samples, minlength=rows) == 0)
    own = np.flatnonzero(unmixed[places])
    if (places[1:] < places[:-1]).any():
        own = own[np.argsort(places[own], kind="stable")]
    encoded = _those(histograms.encoded, own)
    rest = _chosen(histograms, np.flatnonzero(~unmixed[places]))
    # All plain samples are of the others.
    others = Distribution(Buckets(*(column[~unmixed] for column in buckets)), Spread(samples, rest))
    return Unmixed(unmixed, Buckets(*(column[unmixed] for column in buckets)), counts[unmixed], encoded, others)


def _chosen(histograms: Histograms, places: Column) -> Histograms:
    return Histograms(histograms.metric_ids[places], histograms.starts[places], _those(histograms.encoded, places))


def _those(encoded: Sequence[bytes], places: Column) -> list[bytes]:
    """The histograms at these places. To look all up takes a third of the time that their ranks take."""
    if len(places) == len(encoded) and (places == np.arange(len(places))).all():
        return list(encoded)
    return [encoded[place] for place in places.tolist()]


def places_of(summaries: Buckets, metric_ids: Column, starts: Column) -> Column:
    """The index of the summary of each of these windows. Raises RuntimeError if one has no summary."""
    if not len(starts):
        return np.empty(0, dtype=np.int64)
    if not len(summaries.starts):
        raise RuntimeError(_NO_SUMMARY)
    ids, first = np.unique(summaries.metric_ids), summaries.starts.min()
    span = summaries.starts.max() - first + 1
    keys = np.searchsorted(ids, summaries.metric_ids) * span + (summaries.starts - first)
    found = np.searchsorted(keys, np.searchsorted(ids, metric_ids) * span + (starts - first))
    places: Column = np.minimum(found, len(keys) - 1)
    if (summaries.metric_ids[places] != metric_ids).any() or (summaries.starts[places] != starts).any():
        raise RuntimeError(_NO_SUMMARY)
    return places


def entries_of(samples: Samples, histograms: Histograms, core: ModuleType | None = CORE) -> Entries:
    """The entries of all these samples. A window may have any number of samples and histograms, in any order."""
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
    """Both columns in one. It holds Python's own integers if a number or the sum of all might not fit into 64 bits."""
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

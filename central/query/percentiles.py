"""Percentiles, and shares below a value, of all windows at once: from histograms, with arrays. Pure.

A percentile is by nearest rank: the smallest bucket at or below which at least p percent of the window's weight lies.
The answer is the middle of that bucket, within the window's min and max: at most 1/256 of the value away from the true
sample of that rank. All is counted in whole numbers, so the same samples give the same digits.

A window has them only where each of its samples is in a histogram: where the weights of its entries add up to its
count. A summary that came without a histogram makes them unavailable there; nothing is guessed.
"""

from types import ModuleType
from typing import Final, NamedTuple

import numpy as np

from central.query.operations import WHOLE
from central.query.values import Values, nearest
from central.store.buckets import Buckets, Column, roomy
from central.store.distribution import Counted, Entries, Unmixed, places_of
from protocol.histogram import bucket_of

_MILLION: Final = 1_000_000
_WIDE: Final = 55
"""From this shift on the middle of a bucket does not fit into 64 bits."""


class WindowHistograms(NamedTuple):
    """The windows whose histograms are whole. One row of ``rows``, ``firsts`` and ``ends`` is one such window.

    ``rows`` is its place among the summaries; its entries are those from ``firsts`` to before ``ends``. ``running`` is
    the weight before each entry, over all windows, and at last that of all.
    """

    summaries: Buckets
    entries: Entries
    running: Column
    rows: Column
    firsts: Column
    ends: Column


def histograms_of(found: Counted) -> WindowHistograms:
    """The histograms of the windows whose every sample is in one; both parts are in the order of id and start."""
    summaries, entries = found
    running = _running(entries.weights)
    changes = (np.diff(entries.metric_ids) != 0) | (np.diff(entries.starts) != 0)
    firsts = np.flatnonzero(np.r_[True, changes])[: len(entries.starts)]
    ends = np.r_[firsts[1:], len(entries.starts)][: len(firsts)]
    rows = places_of(summaries, entries.metric_ids[firsts], entries.starts[firsts])
    whole = running[ends] - running[firsts] == summaries.weights[rows]
    return WindowHistograms(summaries, entries, running, rows[whole], firsts[whole], ends[whole])


def percentile(histograms: WindowHistograms, percent: int) -> Values:
    """The percentile of each window, in units; ``percent`` in thousandths of a percent, above 0 and below WHOLE."""
    _, entries, running, rows, firsts, _ = histograms
    weights = histograms.summaries.weights[rows]
    # percent * weight / WHOLE, rounded up, in two parts so that no product leaves 64 bits.
    needed = weights // WHOLE * percent + -(-(weights % WHOLE * percent) // WHOLE)
    # Weights are above 0, so the first entry that reaches the rank is one of the window's own.
    ranked = np.searchsorted(running, running[firsts] + needed) - 1
    return _of_buckets(histograms.summaries, rows, entries.buckets[ranked])


def percentile_of_unmixed(windows: Unmixed, percent: int, core: ModuleType) -> Values:
    """The percentile of windows that have histograms alone, as ``percentile`` gives it.

    Raises OverflowError for a weight of more than 63 bits.
    """
    columns = core.rank_histograms(windows.encoded, windows.counts.astype(np.int64).tobytes(), percent)
    weights, buckets = (np.frombuffer(column, dtype=np.int64) for column in columns)
    rows = np.flatnonzero(weights == windows.summaries.weights)
    return _of_buckets(windows.summaries, rows, buckets[rows])


def _of_buckets(summaries: Buckets, rows: Column, buckets: Column) -> Values:
    """The middles of the buckets that hold the samples of a rank, for these rows; of other windows nothing is known."""
    middles = middles_of(buckets)
    within = np.minimum(np.maximum(middles, summaries.lows[rows]), summaries.highs[rows])
    known = np.zeros(len(summaries.starts), dtype=bool)
    known[rows] = True
    numbers = np.zeros(len(known), dtype=within.dtype)
    numbers[rows] = within
    return Values(numbers, known=known)


def fraction_below(histograms: WindowHistograms, value: int) -> Values:
    """The share of each window's weight in buckets wholly below ``value`` units, in millionths.

    It is 0 where min is not below the value and 1 where max is, also without a histogram.
    """
    summaries, entries, _, rows, firsts, ends = histograms
    running = _running(np.where(entries.buckets < bucket_of(value), entries.weights, 0))
    share = nearest(running[ends] - running[firsts], summaries.weights[rows], _MILLION)
    numbers = np.zeros(len(summaries.starts), dtype=np.int64)
    known = np.zeros(len(numbers), dtype=bool)
    numbers[rows], known[rows] = share.astype(np.int64), True
    none, every = summaries.lows >= value, summaries.highs < value
    numbers[none], numbers[every] = 0, _MILLION
    return Values(numbers, decimals=6, known=known | none | every)


def middles_of(buckets: Column) -> Column:
    """The middle of each bucket in units, as protocol.histogram.middle_of gives it."""
    sizes = np.abs(buckets)
    shifts = np.maximum(sizes >> 7, 1) - 1
    if shifts.max(initial=0) >= _WIDE:
        sizes, shifts = sizes.astype(object), shifts.astype(object)
    middles = (sizes - (shifts << 7) << shifts) + ((1 << shifts) >> 1)
    signed: Column = np.where(buckets < 0, -middles, middles)
    return signed


def _running(weights: Column) -> Column:
    """The sum of the weights before each place, and at last of all."""
    sums: Column = np.r_[0, np.cumsum(roomy(weights))]
    return sums

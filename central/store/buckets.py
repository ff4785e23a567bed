"""A store's answer to a query: summaries as columns, so that there is no Python object per window."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
"""Whole numbers: 64-bit integers, or Python integers (dtype object) if one in the column could be too large."""

_SAFE: Final = 2**62
"""A sum that may reach this is made with Python's own integers, which have any size."""


class Buckets(NamedTuple):
    """Summaries, one row per name and window, in the order of metric id and start. Numbers are in units.

    ``lows`` and ``highs`` are empty where nobody asked for the extremes.
    """

    metric_ids: Column
    starts: Column
    weights: Column
    totals: Column
    lows: Column
    highs: Column

    def at(self, rows: Column) -> "Buckets":
        """These rows, in this order."""
        return Buckets(*(column[rows] if len(column) else column for column in self))


def buckets_of(columns: Sequence[Column]) -> Buckets:
    """Buckets of all six columns, or of four, without the extremes."""
    return Buckets(*columns, *np.empty((len(Buckets._fields) - len(columns), 0), dtype=np.int64))


def no_buckets() -> Buckets:
    """An answer without data."""
    return Buckets(*np.empty((6, 0), dtype=np.int64))


def wide_column(numbers: Sequence[int]) -> Column:
    """A column of numbers of any size."""
    return np.array(numbers, dtype=object)


def roomy(numbers: Column) -> Column:
    """The numbers, as Python's own integers if their sum might not fit into 64 bits."""
    if numbers.dtype == object or int(np.abs(numbers).max(initial=0)) < _SAFE // max(len(numbers), 1):
        return numbers
    return numbers.astype(object)

"""A store's answer to a query: summaries as columns, so that no Python object is made per window."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
"""Whole numbers: of 64 bits, or Python's own (dtype object) where one of the column's could be too large."""


class Buckets(NamedTuple):
    """Summaries of names over windows, one per row, in the order of id and start; numbers in units."""

    metric_ids: Column
    starts: Column
    weights: Column
    totals: Column
    lows: Column
    highs: Column


def no_buckets() -> Buckets:
    """The answer without any data."""
    return Buckets(*np.empty((6, 0), dtype=np.int64))


def wide_column(numbers: Sequence[int]) -> Column:
    """A column of numbers of any size."""
    return np.array(numbers, dtype=object)

"""The numbers of one column of an answer, for all windows, and exact division to the last digit. Pure."""

from typing import NamedTuple

import numpy as np

from central.store.buckets import Column
from protocol.numbers import DECIMALS


class Values(NamedTuple):
    """A whole number per window, in the order of the summaries: the value times ten to the ``decimals``.

    ``known`` says in which windows there is one; None means in all.
    """

    numbers: Column
    decimals: int = DECIMALS
    known: Column | None = None


def nearest(numbers: Column, divisors: Column, scale: int) -> Column:
    """``numbers * scale / divisors`` to the nearest whole number, ties to even; divisors are above 0."""
    whole, rest = numbers // divisors, numbers % divisors
    most = int(np.abs(whole).max(initial=0))
    if most >= 2**62 // scale or int(divisors.max(initial=0)) >= 2**62 // scale:
        # A product could leave 64 bits: Python's own numbers.
        whole, rest, divisors = (column.astype(object) for column in (whole, rest, divisors))
    rest = rest * scale
    floor, twice = whole * scale + rest // divisors, rest % divisors * 2
    rounded: Column = floor + ((twice > divisors) | ((twice == divisors) & (floor % 2 == 1)))
    return rounded

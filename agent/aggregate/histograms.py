"""Histograms of the open window: added up within a bound of memory, and weighted by their sample rates.

They are bytes of protocol.histogram. Empty bytes stand for a histogram that is not known; with it, no sum is known.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from math import lcm
from typing import Final, TypeAlias

from protocol.histogram import decode, encode
from protocol.numbers import divide_half_even

Merge: TypeAlias = Callable[[list[bytes]], bytes]
"""protocol.histogram.merge, or the same from the compiled core."""
MAX_BYTES: Final = 64 << 20
"""Bytes of all histograms of an open window. A name with 60 different timings takes some 100."""
UNKNOWN: Final = b""


class Histograms:
    """Adds up histograms. When they would take more than ``capacity`` bytes together, a sum becomes UNKNOWN.

    ``given_up`` counts these sums. A sum that is given up loses no sample: only its percentiles are not known.
    """

    def __init__(self, merge: Merge, capacity: int = MAX_BYTES) -> None:
        self.given_up = 0
        self._merge = merge
        self._room = self._capacity = capacity

    def first(self, new: bytes) -> bytes:
        """The sum of one histogram, which begins a new sum."""
        if len(new) > self._room:
            self.given_up += 1
            return UNKNOWN
        self._room -= len(new)
        return new

    def add(self, known: bytes, new: bytes) -> bytes:
        """The sum of ``known``, an earlier sum, and ``new``. ``known`` must not be used any more."""
        if not known:
            return UNKNOWN
        self.forget(known)
        return self.first(self._merge([known, new])) if new else UNKNOWN

    def forget(self, known: bytes) -> None:
        """Give back the memory of a sum."""
        self._room += len(known)

    def close(self) -> None:
        """Begin anew with the next window. The caller owns all sums."""
        self._room = self._capacity


def weighted(parts: Sequence[tuple[bytes, Decimal]]) -> bytes:
    """The histogram of values that were sent with sample rates. A value of rate 0.1 weighs 10 samples.

    ``parts`` has the values of each rate; without their rates, each value weighs one sample. A weight such as 1 / 0.3
    is rounded. To make them add up to the weight of all samples, which is rounded once, we round the sums from the
    smallest bucket on, half even; each bucket gets the difference.
    """
    if any(not encoded for encoded, _ in parts):
        return UNKNOWN
    ratios = [rate.as_integer_ratio() for _, rate in parts]
    common = lcm(*(top for top, _ in ratios))
    exact: Counter[int] = Counter()
    """Weights in units / ``common``."""
    for (encoded, _), (top, bottom) in zip(parts, ratios, strict=True):
        factor = bottom * (common // top)
        for bucket, weight in decode(encoded).items():
            exact[bucket] += weight * factor
    total, before = 0, 0
    rounded: dict[int, int] = {}
    for bucket in sorted(exact):
        total += exact[bucket]
        after = divide_half_even(total, common)
        rounded[bucket], before = after - before, after
    return encode(rounded)

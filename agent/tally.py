"""Counters and timings of one window: exact sums by rate, and the items they become.

Sums are kept by sample rate; the caller works inside ``localcontext(protocol.lines.EXACT)``, so that
they are exact. Rounding to units happens once, in ``Tally.items``.
"""

from collections.abc import Iterable, Iterator, Set
from decimal import Decimal
from typing import Final

from agent.summary import Millionths, Summary
from agent.window import WindowItem
from protocol.batch import Item, Kind
from protocol.lines import ONE
from protocol.numbers import MAX_UNITS, UNIT, divide_half_even

MAX_RATES: Final = 100
"""Different sample rates beside 1 that one name may use in a window; more is a program gone wrong."""

_MILLION: Final = 1_000_000
_MILLIONTHS_A_UNIT: Final = _MILLION // UNIT


class Tallies:
    """The counters, or the timings, of the open window. ``capacity`` bounds the rates of all names together,
    the first of each left out."""

    def __init__(self, kind: Kind, capacity: int) -> None:
        self._kind: Kind = kind
        self._room = self._capacity = capacity
        self._tallies: dict[str, _Tally] = {}

    def __len__(self) -> int:
        return len(self._tallies)

    def __contains__(self, name: str) -> bool:
        return name in self._tallies

    def add(self, name: str, rate: Decimal, summary: Summary) -> int:
        """Add values of one rate; returns how many were refused: all when that is one rate too many."""
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = _Tally(summary)
        elif tally.by_rate and rate is not ONE and rate not in tally.by_rate:
            if not self._room or len(tally.by_rate) >= MAX_RATES:
                return summary.samples
            self._room -= 1
        tally.add(rate, summary)
        return 0

    def remove(self, name: str) -> int:
        """Forget a name of this window; returns how many samples go with it."""
        tally = self._tallies.pop(name)
        self._room += max(0, len(tally.by_rate) - 1)
        return tally.samples

    def names(self) -> Set[str]:
        """The names of this window, in the order they came."""
        return self._tallies.keys()

    def close(self, start: int) -> list[WindowItem]:
        """A plain item for a single sample of rate 1, else a summary; then there are none.

        A sum or a weight out of DECIMAL becomes several items within it that add up exactly.
        """
        tallies, self._tallies, self._room = self._tallies, {}, self._capacity
        return [item for name, tally in tallies.items() for item in tally.items(name, self._kind, start)]


class _Tally:
    """One name's values. ``samples`` counts them as received, unweighted; those of rate 1 are in
    ``plain`` and ``total``, those of other rates in ``by_rate``."""

    __slots__ = ("by_rate", "high", "low", "plain", "samples", "total")

    def __init__(self, first: Summary) -> None:
        self.samples = self.plain = 0
        self.total: Millionths = 0
        self.low, self.high = first.low, first.high
        self.by_rate: dict[Decimal, tuple[int, Millionths]] = {}

    def add(self, rate: Decimal, summary: Summary) -> None:
        """Add values of one rate."""
        samples, total, low, high = summary
        if rate is ONE:
            self.plain += samples
            self.total += total
        else:
            known, known_total = self.by_rate.get(rate, (0, 0))
            self.by_rate[rate] = known + samples, known_total + total
        self.samples += samples
        self.low = min(self.low, low)
        self.high = max(self.high, high)

    def items(self, name: str, kind: Kind, start: int) -> Iterator[WindowItem]:
        value = _units([(self.total, ONE), *((total, rate) for rate, (_, total) in self.by_rate.items())])
        if self.samples == self.plain == 1:
            yield WindowItem(Item(name, kind, value, start), 1)
            return
        counts = [(self.plain, ONE), *((count, rate) for rate, (count, _) in self.by_rate.items())]
        weight = _units((count * _MILLION, rate) for count, rate in counts)
        low, high = _units([(self.low, ONE)]), _units([(self.high, ONE)])
        parts = max(-(-abs(value) // MAX_UNITS), -(-weight // MAX_UNITS))
        for part_value, part_weight, samples in zip(
            _spread(value, parts), _spread(weight, parts), _spread(self.samples, parts), strict=True
        ):
            yield WindowItem(Item(name, kind, part_value, start, part_weight, low, high), samples)


def _units(parts: Iterable[tuple[Millionths, Decimal]]) -> int:
    """Units of the sum of amount/rate, exact and then rounded half even, once."""
    fractions = [_divide(amount, rate) for amount, rate in parts]
    # Two by two: the denominators grow with each sum, so most sums should be of small ones.
    while len(fractions) > 1:
        odd = fractions[len(fractions) & ~1 :]
        pairs = zip(fractions[::2], fractions[1::2], strict=False)
        fractions = [(a * d + c * b, b * d) for (a, b), (c, d) in pairs] + odd
    ((numerator, denominator),) = fractions
    return divide_half_even(numerator, denominator * _MILLIONTHS_A_UNIT)


def _divide(amount: Millionths, rate: Decimal) -> tuple[int, int]:
    top, bottom = amount.as_integer_ratio()
    if rate is not ONE:
        rate_top, rate_bottom = rate.as_integer_ratio()
        return top * rate_bottom, bottom * rate_top
    return top, bottom


def _spread(total: int, parts: int) -> list[int]:
    """``total`` as ``parts`` whole numbers that differ by one at most."""
    share, rest = divmod(total, parts)
    return [share + 1] * rest + [share] * (parts - rest)

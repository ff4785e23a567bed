"""Counters and timings of one window: exact sums by rate, and the items they become.

Sums are kept by sample rate; the caller works inside ``localcontext(protocol.statsd.EXACT)``, so that
they are exact. Rounding to units happens once, in ``Tally.items``.
"""

from collections.abc import Iterable, Iterator, Set
from decimal import Decimal
from typing import Final, TypeAlias

from agent.aggregate.values import Millionths, Summary
from agent.aggregate.window import WindowItem
from protocol.item import Item
from protocol.numbers import MAX_UNITS, UNIT, divide_half_even
from protocol.statsd import ONE, MetricType
from protocol.statsd_types import KIND_OF

MAX_RATES: Final = 100
"""Different sample rates beside 1 that one name may use in a window; more is a program gone wrong."""

_MILLION: Final = 1_000_000
_MILLIONTHS_A_UNIT: Final = _MILLION // UNIT

_Sums: TypeAlias = tuple[int, int, Millionths, Millionths, Millionths, dict[Decimal, tuple[int, Millionths]] | None]
"""One name's samples as received, unweighted; how many of them have rate 1, and their sum; the smallest and the
largest of all; and number and sum of those of other rates. Plain tuples of numbers are nothing that garbage collection
looks at."""


class SumsByRate:
    """The counters, or the timings, of the open window. ``capacity`` bounds the rates of all names together,
    the first of each left out."""

    def __init__(self, sent_as: MetricType, capacity: int) -> None:
        self._sent_as: MetricType = sent_as
        self._room = self._capacity = capacity
        self._tallies: dict[str, _Sums] = {}

    def __len__(self) -> int:
        return len(self._tallies)

    def __contains__(self, name: str) -> bool:
        return name in self._tallies

    def add(self, name: str, rate: Decimal, summary: Summary) -> int:
        """Add values of one rate; returns how many were refused: all when that is one rate too many."""
        known = self._tallies.get(name)
        if known is None:
            self._tallies[name] = _first(rate, summary)
            return 0
        *_, by_rate = known
        if by_rate is not None and rate is not ONE and rate not in by_rate:
            if not self._room or len(by_rate) >= MAX_RATES:
                return summary.samples
            self._room -= 1
        self._tallies[name] = _sum(known, rate, summary)
        return 0

    def remove(self, name: str) -> int:
        """Forget a name of this window; returns how many samples go with it."""
        samples, *_, by_rate = self._tallies.pop(name)
        self._room += len(by_rate) - 1 if by_rate else 0
        return samples

    def names(self) -> Set[str]:
        """The names of this window, in the order they came."""
        return self._tallies.keys()

    def close(self, start: int) -> Iterator[WindowItem]:
        """A plain item for a single sample of rate 1, else a summary, as they are asked for; then there are none.

        A sum or a weight out of DECIMAL becomes several items within it that add up exactly.
        """
        sums, self._tallies, self._room = self._tallies, {}, self._capacity
        return (item for name in list(sums) for item in _items(name, self._sent_as, start, sums.pop(name)))


def _first(rate: Decimal, summary: Summary) -> _Sums:
    samples, total, low, high = summary
    if rate is ONE:
        return samples, samples, total, low, high, None
    return samples, 0, 0, low, high, {rate: (samples, total)}


def _sum(known: _Sums, rate: Decimal, summary: Summary) -> _Sums:
    samples, plain, total, low, high, by_rate = known
    if rate is ONE:
        plain += summary.samples
        total += summary.total
    else:
        by_rate = {} if by_rate is None else by_rate
        count, rated = by_rate.get(rate, (0, 0))
        by_rate[rate] = count + summary.samples, rated + summary.total
    return samples + summary.samples, plain, total, min(low, summary.low), max(high, summary.high), by_rate


def _items(name: str, sent_as: MetricType, start: int, sums: _Sums) -> Iterable[WindowItem]:
    """At least one item."""
    kind = KIND_OF[sent_as]
    samples, plain, total, low, high, by_rate = sums
    value, weight = _unit(total), plain * UNIT
    if by_rate:
        value = _units([(total, ONE), *((rated, rate) for rate, (_, rated) in by_rate.items())])
        counts = [(plain, ONE), *((count, rate) for rate, (count, _) in by_rate.items())]
        weight = _units((count * _MILLION, rate) for count, rate in counts)
    elif samples == 1:
        return (WindowItem(Item(name, kind, value, start), 1, sent_as),)
    bounds = _unit(low), _unit(high)
    if -MAX_UNITS <= value <= MAX_UNITS and weight <= MAX_UNITS:
        return (WindowItem(Item(name, kind, value, start, weight, *bounds), samples, sent_as),)
    parts = max(-(-abs(value) // MAX_UNITS), -(-weight // MAX_UNITS))
    return [
        WindowItem(Item(name, kind, part_value, start, part_weight, *bounds), part_samples, sent_as)
        for part_value, part_weight, part_samples in zip(
            _spread(value, parts), _spread(weight, parts), _spread(samples, parts), strict=True
        )
    ]


def _unit(amount: Millionths) -> int:
    """Units of an amount, rounded half even."""
    if type(amount) is int:
        return divide_half_even(amount, _MILLIONTHS_A_UNIT)
    return _units([(amount, ONE)])


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

"""Counters and timings of one window: exact sums by rate, and the items they become.

There is one sum per name and sample rate. The caller works inside ``localcontext(protocol.statsd.EXACT)``, so the sums
are exact. They are rounded to units once, in ``_items``.
"""

from collections.abc import Iterable, Iterator, Set
from decimal import Decimal
from typing import Final, TypeAlias

from agent.aggregate.histograms import UNKNOWN, Histograms, weighted
from agent.aggregate.values import Millionths, Summary, to_unit
from agent.aggregate.window import WindowItem
from protocol.item import Item
from protocol.numbers import MAX_UNITS, UNIT, divide_half_even
from protocol.statsd import ONE, MetricType
from protocol.statsd_types import KIND_OF

MAX_RATES: Final = 100
"""Sample rates other than 1 that one name may use in a window. A program that uses more has a fault."""

_MILLION: Final = 1_000_000
_MILLIONTHS_PER_UNIT: Final = _MILLION // UNIT

_Rated: TypeAlias = tuple[int, Millionths, bytes]
"""What one name has received at one rate: (samples, sum, histogram). None of them is weighted."""
_Sums: TypeAlias = tuple[int, int, Millionths, Millionths, Millionths, bytes, dict[Decimal, _Rated] | None]
"""What one name has received: (samples, samples of rate 1, their sum, smallest value, largest value, histogram of rate
1, by other rate: _Rated). A plain tuple of numbers costs the garbage collector nothing."""


class SumsByRate:
    """The counters, or the timings, of the open window.

    ``capacity`` bounds the rates of all names together. The first rate of each name does not count. ``histograms`` is
    shared by all tables that close together.
    """

    def __init__(self, sent_as: MetricType, capacity: int, histograms: Histograms) -> None:
        self._histograms = histograms
        self._sent_as: MetricType = sent_as
        self._room = self._capacity = capacity
        self._by_name: dict[str, _Sums] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def add(self, name: str, rate: Decimal, summary: Summary) -> int:
        """Add values of one rate. Returns how many were refused: all of them when there is no room for their rate."""
        known = self._by_name.get(name)
        if known is None:
            self._by_name[name] = self._first(rate, summary)
            return 0
        *_, by_rate = known
        if by_rate is not None and rate is not ONE and rate not in by_rate:
            if not self._room or len(by_rate) >= MAX_RATES:
                return summary.samples
            self._room -= 1
        self._by_name[name] = self._sum(known, rate, summary)
        return 0

    def remove(self, name: str) -> int:
        """Forget a name of this window. Returns its samples."""
        samples, *_, histogram, by_rate = self._by_name.pop(name)
        self._room += len(by_rate) - 1 if by_rate else 0
        for one in (histogram, *(rated for *_, rated in (by_rate or {}).values())):
            self._histograms.forget(one)
        return samples

    def names(self) -> Set[str]:
        """The names of this window, in the order of their first sample."""
        return self._by_name.keys()

    def close(self, start: int) -> Iterator[WindowItem]:
        """A plain item for a single sample of rate 1, else a summary. The next window is empty.

        Each item is made when the caller asks for it. A sum or a weight outside DECIMAL becomes several items inside
        it that add up exactly.
        """
        sums, self._by_name, self._room = self._by_name, {}, self._capacity
        self._histograms.close()
        return (item for name in list(sums) for item in _items(name, self._sent_as, start, sums.pop(name)))

    def _first(self, rate: Decimal, summary: Summary) -> _Sums:
        samples, total, low, high, histogram = summary
        histogram = self._histograms.first(histogram)
        if rate is ONE:
            return samples, samples, total, low, high, histogram, None
        return samples, 0, 0, low, high, UNKNOWN, {rate: (samples, total, histogram)}

    def _sum(self, known: _Sums, rate: Decimal, summary: Summary) -> _Sums:
        samples, plain, total, low, high, histogram, by_rate = known
        if rate is ONE:
            histogram = self._spread(plain, histogram, summary)
            plain += summary.samples
            total += summary.total
        else:
            by_rate = {} if by_rate is None else by_rate
            count, rated, spread = by_rate.get(rate, (0, 0, UNKNOWN))
            spread = self._spread(count, spread, summary)
            by_rate[rate] = count + summary.samples, rated + summary.total, spread
        low, high = min(low, summary.low), max(high, summary.high)
        return samples + summary.samples, plain, total, low, high, histogram, by_rate

    def _spread(self, count: int, known: bytes, summary: Summary) -> bytes:
        """The histogram of ``count`` values and of those of a summary, all of one rate."""
        return self._histograms.add(known, summary.histogram) if count else self._histograms.first(summary.histogram)


def _items(name: str, sent_as: MetricType, start: int, sums: _Sums) -> Iterable[WindowItem]:
    """The items of one name, at least one."""
    kind = KIND_OF[sent_as]
    samples, plain, total, low, high, histogram, by_rate = sums
    value, weight = to_unit(total), plain * UNIT
    if by_rate:
        rated = [*([(ONE, (plain, total, histogram))] if plain else []), *by_rate.items()]
        value = _units((amount, rate) for rate, (_, amount, _) in rated)
        weight = _units((count * _MILLION, rate) for rate, (count, *_) in rated)
        histogram = weighted([(one, rate) for rate, (*_, one) in rated])
    elif samples == 1:
        return (WindowItem(Item(name, kind, value, start), 1, sent_as),)
    bounds = to_unit(low), to_unit(high)
    if -MAX_UNITS <= value <= MAX_UNITS and weight <= MAX_UNITS:
        item = Item(name, kind, value, start, weight, *bounds, histogram or None)
        return (WindowItem(item, samples, sent_as),)
    # Which samples would be in which of several items is not known, so they have no histogram.
    items = max(-(-abs(value) // MAX_UNITS), -(-weight // MAX_UNITS))
    return [
        WindowItem(Item(name, kind, item_value, start, item_weight, *bounds), item_samples, sent_as)
        for item_value, item_weight, item_samples in zip(
            _spread(value, items), _spread(weight, items), _spread(samples, items), strict=True
        )
    ]


def _units(amounts: Iterable[tuple[Millionths, Decimal]]) -> int:
    """Units of the sum of amount/rate. The sum is exact and is rounded half even once."""
    fractions = [_divide(amount, rate) for amount, rate in amounts]
    # Add in pairs: a denominator grows with each sum, so most sums are then of small numbers.
    while len(fractions) > 1:
        odd = fractions[len(fractions) & ~1 :]
        pairs = zip(fractions[::2], fractions[1::2], strict=False)
        fractions = [(a * d + c * b, b * d) for (a, b), (c, d) in pairs] + odd
    ((numerator, denominator),) = fractions
    return divide_half_even(numerator, denominator * _MILLIONTHS_PER_UNIT)


def _divide(amount: Millionths, rate: Decimal) -> tuple[int, int]:
    top, bottom = amount.as_integer_ratio()
    if rate is not ONE:
        rate_top, rate_bottom = rate.as_integer_ratio()
        return top * rate_bottom, bottom * rate_top
    return top, bottom


def _spread(total: int, count: int) -> list[int]:
    """``total`` as ``count`` whole numbers that differ by one at most."""
    share, rest = divmod(total, count)
    return [share + 1] * rest + [share] * (count - rest)

"""Many values at once, exactly: the fast way for values in usual forms.

``values`` is the values of one or more lines as sent: one line each, packed values with their colons. When the result
is None, the caller parses each line by itself (protocol.statsd.parse_values).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import fsum
from typing import Final, NamedTuple

from protocol.histogram import bucket_of, decode, encode
from protocol.numbers import UNIT, divide_half_even
from protocol.statsd import LIMIT, Value

_PLAIN: Final = b"0123456789.+-:\n"
_FINE: Final = re.compile(rb"\.[0-9]{7}")
# The repeats are possessive, so that no packet makes them slow. Only groups are not: see protocol/statsd.py. The short
# form is inside DECIMAL whatever its digits are.
_SHORT_NUMBER: Final = rb"[+-]?+[0-9]{1,15}+(?:\.[0-9]{0,6}+)?"
_LONG_NUMBER: Final = rb"[+-]?+(?:[0-9]{1,15}+(?:\.[0-9]{0,20}+)?|\.[0-9]{1,20}+)(?:[eE][+-]?+[0-9]{1,2}+)?"
_SHORT: Final = re.compile(rb"%b(?:[:\n]%b)*" % (_SHORT_NUMBER, _SHORT_NUMBER))
_LONG: Final = re.compile(rb"%b(?:[:\n]%b)*" % (_LONG_NUMBER, _LONG_NUMBER))
_DECIMALS: Final = 6
_MILLION: Final = 10**_DECIMALS
_MILLIONTHS_PER_UNIT: Final = _MILLION // UNIT
_FINE_PER_MILLIONTH: Final = 10**12
_FLOAT_ERROR: Final = 2.0**-51

Millionths = int | Decimal
"""An exact number of millionths: mostly a whole number, an int, else a Decimal. You can add and compare the two."""


class Summary(NamedTuple):
    """Values of one rate: how many, their sum, the smallest and the largest. The rate is not applied.

    ``histogram`` says how they are spread, as bytes of protocol.histogram where each value weighs one sample. It is
    empty when that is not known, as for counters.
    """

    samples: int
    total: Millionths
    low: Millionths
    high: Millionths
    histogram: bytes = b""

    def is_within(self, limit: Decimal) -> bool:
        """Whether every value is between -limit and limit, both excluded."""
        limit = limit.scaleb(_DECIMALS)
        return -limit < self.low and self.high < limit

    def repeated(self, times: int) -> "Summary":
        """The summary of the same values, each ``times`` times."""
        histogram = self.histogram
        if histogram:
            histogram = encode({bucket: weight * times for bucket, weight in decode(histogram).items()})
        return Summary(self.samples * times, self.total * times, self.low, self.high, histogram)


def summarize(numbers: Sequence[Decimal], *, spread: bool) -> Summary:
    """The summary of at least one number inside DECIMAL. With ``spread`` it has a histogram."""
    amounts = [number.scaleb(_DECIMALS) for number in numbers]
    total = sum(amounts, start=Decimal(0))
    return Summary(len(amounts), total, min(amounts), max(amounts), _histogram(amounts) if spread else b"")


def from_fine(samples: int, total: int, low: int, high: int, histogram: bytes) -> Summary:
    """The summary of ``samples`` values from the compiled core, whose numbers are in 10^-18."""
    return Summary(samples, _coarse(total), _coarse(low), _coarse(high), histogram)


def try_summarize(values: bytes, *, spread: bool) -> Summary | None:
    """The summary of all values. None unless each is in a usual form and inside DECIMAL."""
    if not values.translate(None, _PLAIN) and not _FINE.search(values):
        summary = _try_floats(values, spread=spread)
        if summary is not None:
            return summary
    if not _LONG.fullmatch(values):
        return None
    numbers = list(map(Decimal, _split(values)))
    if not all(-LIMIT < number < LIMIT for number in numbers):
        return None
    return summarize(numbers, spread=spread)


def to_unit(amount: Millionths) -> int:
    """Units of an amount, rounded half even."""
    if type(amount) is int:
        return divide_half_even(amount, _MILLIONTHS_PER_UNIT)
    top, bottom = amount.as_integer_ratio()
    return divide_half_even(top, bottom * _MILLIONTHS_PER_UNIT)


def try_last(values: bytes) -> tuple[list[Value], int]:
    """The last value in a list, and how many there are. Empty unless each is in a short form and has no sign."""
    if b"+" in values or b"-" in values or not _SHORT.fullmatch(values):
        return [], 0
    texts = _split(values)
    return [Value(Decimal(texts[-1]), False)], len(texts)


def try_values(values: bytes) -> list[Value]:
    """All values in order. Empty unless each is in a short form."""
    if not _SHORT.fullmatch(values):
        return []
    texts = _split(values)
    known = {text: Value(Decimal(text), text[0] in "+-") for text in set(texts)}
    return [known[text] for text in texts]


def _coarse(fine: int) -> Millionths:
    whole, rest = divmod(fine, _FINE_PER_MILLIONTH)
    return Decimal(fine).scaleb(-12) if rest else whole


def _split(values: bytes) -> list[str]:
    return values.replace(b":", b"\n").decode("ascii").split("\n")


def _histogram(amounts: Iterable[Millionths]) -> bytes:
    weights: Counter[int] = Counter()
    for amount, times in Counter(amounts).items():
        weights[bucket_of(to_unit(amount))] += times * UNIT
    return encode(weights)


def _try_floats(values: bytes, *, spread: bool) -> Summary | None:
    """The exact summary of numbers of at most six decimals, computed with floats. None where it might be inexact.

    float() reads digits, dots and signs just as the grammar does. A float differs from its decimal by at most 2^-53 of
    it. So does the result of fsum, and so does the product with a million. Together, n numbers up to m are wrong by
    less than n * m * 2^-51. Below a quarter of a millionth, the nearest whole number of millionths is the true sum.
    """
    try:
        floats = list(map(float, values.replace(b":", b"\n").split(b"\n")))
    except ValueError:
        return None
    low, high = min(floats), max(floats)
    if len(floats) * max(-low, high) * _FLOAT_ERROR * _MILLION >= 0.25:
        return None
    histogram = _histogram(round(number * _MILLION) for number in floats) if spread else b""
    total = round(fsum(floats) * _MILLION)
    return Summary(len(floats), total, round(low * _MILLION), round(high * _MILLION), histogram)

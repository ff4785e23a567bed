"""What the agent's core must do, written down a second time and slowly: the fuzzer's judge of single steps."""

import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from protocol.histogram import bucket_of, encode
from protocol.numbers import UNIT

_NUMBER: Final = re.compile(rb"[+-]?([0-9]*)(?:\.([0-9]*))?")
_LONGEST_KEY: Final = 1_024
_LONGEST_LINE: Final = 1 << 20
_LONGEST_MEMBER: Final = 64

Key = tuple[bytes, bytes]
Sums = tuple[Key, int, int, Fraction, Fraction, Fraction, bytes]
"""What is known of a series. Of a set the first number is how many members it has, and the bytes are how often each
came, and the members."""
SPREAD, GAUGE, SIGNED_GAUGE, SET = 1, 2, 3, 4


def limit_of(tail: bytes) -> int | None:
    """The limit that the fuzzer's ``learn`` gives for a tail; None where it raises."""
    if tail.startswith(b"c"):
        return 1_000
    if tail.startswith((b"ms", b"h", b"d")) or form_of(tail) >= GAUGE:
        return 10**12
    return None if tail.startswith(b"!") else 0


def form_of(tail: bytes) -> int:
    """How lines with this tail are counted."""
    if tail.startswith(b"g"):
        return SIGNED_GAUGE if tail.startswith(b"g|#") else GAUGE
    if tail == b"s" or tail.startswith(b"s|"):
        return SET
    return SPREAD if tail.startswith((b"ms", b"h")) else 0


@dataclass
class _Series:
    lines: int = 0
    left: int = 0
    values: list[Fraction] = field(default_factory=list)
    members: Counter[bytes] = field(default_factory=Counter)


class Model:
    """Lines in, sums out; it never forgets a name, which the core does where there are very many."""

    def __init__(self) -> None:
        self._series: dict[Key, _Series] = {}
        self._waiting: dict[Key, bytes] = {}
        """The last value of each gauge, the one that came first first."""
        self.left = b""

    def feed(self, text: bytes) -> bool:
        """Count a packet; False when learning failed, which ends it."""
        for line in text.split(b"\n"):
            counted = self._count(line.removesuffix(b"\r"))
            if counted is None:
                return False
            if not counted and line.removesuffix(b"\r"):
                if b"|g" in line:
                    self._leave_gauges()
                self.left += line + b"\n"
        return True

    def take(self) -> tuple[list[Sums], bytes]:
        """The sums in the order of their first lines, and the lines left alone."""
        self._leave_gauges()
        taken = [_sums(key, one) for key, one in self._series.items() if one.lines > one.left]
        left, self.left = self.left, b""
        self._series.clear()
        return taken, left

    def _leave_gauges(self) -> None:
        for (name, tail), value in self._waiting.items():
            self.left += name + b":" + value + b"|" + tail + b"\n"
            self._series[name, tail].left += 1
        self._waiting.clear()

    def _count(self, line: bytes) -> bool | None:
        name, colon, rest = line.partition(b":")
        text, bar, tail = rest.partition(b"|")
        values = [_value(one) for one in text.split(b":")]
        if not colon or not bar or len(name + tail) > _LONGEST_KEY or len(line) > _LONGEST_LINE:
            return False
        key, form, limit = (name, tail), form_of(tail), limit_of(tail)
        if form == SET and 1 <= len(text) <= _LONGEST_MEMBER:
            self._at(key).members[text] += 1
            return True
        if None in values or form == SET:
            return False
        if limit is None:
            return None
        numbers = [value for value in values if value is not None]
        if max(map(abs, numbers)) >= limit:
            return False
        if form in (GAUGE, SIGNED_GAUGE):
            if len(numbers) > 1 or (form == GAUGE and text[:1] in (b"+", b"-")):
                return False
            self._waiting.pop(key, None)
            self._waiting[key] = text
        self._at(key).values += numbers
        return True

    def _at(self, key: Key) -> _Series:
        series = self._series.setdefault(key, _Series())
        series.lines += 1
        return series


def _sums(key: Key, series: _Series) -> Sums:
    lines, form = series.lines - series.left, form_of(key[1])
    if form == SET:
        members = b"\n".join(b"%d %b" % (times, member) for member, times in series.members.items())
        return key, lines, lines, Fraction(len(series.members)), Fraction(), Fraction(), members
    if form in (GAUGE, SIGNED_GAUGE):
        return key, lines, lines, Fraction(), Fraction(), Fraction(), b""
    return key, lines, len(series.values), sum(series.values, Fraction()), *_spread(key, series.values)


def _spread(key: Key, values: list[Fraction]) -> tuple[Fraction, Fraction, bytes]:
    """The smallest, the largest, and the histogram."""
    buckets = Counter(bucket_of(round(value * UNIT)) for value in values)
    histogram = encode({bucket: count * UNIT for bucket, count in buckets.items()})
    return min(values), max(values), histogram if form_of(key[1]) == SPREAD else b""


def _value(text: bytes) -> Fraction | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    whole, decimals = found[1], found[2] or b""
    if len(whole) > 12 or len(decimals) > 18 or not 1 <= len(whole + decimals) <= 19:
        return None
    number = Fraction(int(whole + decimals), 10 ** len(decimals))
    return -number if text.startswith(b"-") else number

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

Key = tuple[bytes, bytes]
Sums = tuple[Key, int, int, Fraction, Fraction, Fraction, bytes]


def limit_of(tail: bytes) -> int | None:
    """The limit that the fuzzer's ``learn`` gives for a tail; None where it raises."""
    if tail.startswith(b"c"):
        return 1_000
    if tail.startswith((b"ms", b"h", b"d")):
        return 10**12
    return None if tail.startswith(b"!") else 0


def has_histogram(tail: bytes) -> bool:
    """Whether the values of lines with this tail are counted by bucket too."""
    return tail.startswith((b"ms", b"h"))


@dataclass
class _Series:
    lines: int = 0
    values: list[Fraction] = field(default_factory=list)


class Model:
    """Lines in, sums out; it never forgets a name, which the core does where there are very many."""

    def __init__(self) -> None:
        self._series: dict[Key, _Series] = {}
        self.left = b""

    def feed(self, text: bytes) -> bool:
        """Count a packet; False when learning failed, which ends it."""
        for line in text.split(b"\n"):
            counted = self._count(line.removesuffix(b"\r"))
            if counted is None:
                return False
            if not counted and line.removesuffix(b"\r"):
                self.left += line + b"\n"
        return True

    def take(self) -> tuple[list[Sums], bytes]:
        """The sums in the order of their first lines, and the lines left alone."""
        taken = [
            (key, one.lines, len(one.values), sum(one.values, Fraction()), *_spread(key, one.values))
            for key, one in self._series.items()
        ]
        left, self.left = self.left, b""
        self._series.clear()
        return taken, left

    def _count(self, line: bytes) -> bool | None:
        name, colon, rest = line.partition(b":")
        text, bar, tail = rest.partition(b"|")
        values = [_value(one) for one in text.split(b":")]
        if not colon or not bar or None in values or len(name + tail) > _LONGEST_KEY or len(line) > _LONGEST_LINE:
            return False
        limit = limit_of(tail)
        if limit is None:
            return None
        numbers = [value for value in values if value is not None]
        if max(map(abs, numbers)) >= limit:
            return False
        series = self._series.setdefault((name, tail), _Series())
        series.lines += 1
        series.values += numbers
        return True


def _spread(key: Key, values: list[Fraction]) -> tuple[Fraction, Fraction, bytes]:
    """The smallest, the largest, and the histogram."""
    buckets = Counter(bucket_of(round(value * UNIT)) for value in values)
    histogram = encode({bucket: count * UNIT for bucket, count in buckets.items()})
    return min(values), max(values), histogram if has_histogram(key[1]) else b""


def _value(text: bytes) -> Fraction | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    whole, decimals = found[1], found[2] or b""
    if len(whole) > 12 or len(decimals) > 18 or not 1 <= len(whole + decimals) <= 19:
        return None
    number = Fraction(int(whole + decimals), 10 ** len(decimals))
    return -number if text.startswith(b"-") else number

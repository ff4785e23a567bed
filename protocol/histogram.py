"""Histograms of values: how many samples fell into each of many narrow buckets.

A bucket is a range of values (DESIGN, "Percentiles"). There are 128 per octave, so the middle of a bucket differs from
each value in it by 1/256 of the value at most, and values below 0.0256 have a bucket of their own. Buckets are fixed:
merging adds whole numbers, so the same samples give the same bytes, in whatever order and parts they came.

A histogram is a mapping of buckets to weights, both whole numbers. Values and weights are units of protocol.numbers:
one sample weighs UNIT. On the wire and in the stores it is bytes:

    flag, bucket, count, { gap, count }        all but the flag are varints (LEB128), the bucket with its sign as zigzag

in the order of buckets; a gap is the distance from the bucket before. The flag is WHOLE where every weight is a whole
number of samples; counts are then samples, else units. So each histogram has exactly one encoding.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from protocol.numbers import MAX_UNITS, UNIT

UNITS: Final = 0
WHOLE: Final = 1
_BITS: Final = 7
_PER_OCTAVE: Final = 1 << _BITS
_EXACT: Final = 2 * _PER_OCTAVE
"""Magnitudes below this have a bucket of their own."""


def bucket_of(units: int) -> int:
    """The bucket of a value. Larger values have larger buckets or the same; -v has the negative of v's."""
    magnitude = abs(units)
    if magnitude < _EXACT:
        return units
    shift = magnitude.bit_length() - 1 - _BITS
    bucket = ((shift + 1) << _BITS) + ((magnitude >> shift) & (_PER_OCTAVE - 1))
    return bucket if units > 0 else -bucket


MAX_BUCKET: Final = bucket_of(MAX_UNITS)
MAX_WEIGHT: Final = 10**38 - 1
"""The most that a histogram weighs: the largest sum of a rollup, which is a DECIMAL(38, 4)."""


def bounds_of(bucket: int) -> tuple[int, int]:
    """The smallest and the largest value of a bucket, in units."""
    magnitude = abs(bucket)
    if magnitude < _EXACT:
        return bucket, bucket
    shift = (magnitude >> _BITS) - 1
    low = (_PER_OCTAVE + (magnitude & (_PER_OCTAVE - 1))) << shift
    high = low + (1 << shift) - 1
    return (low, high) if bucket > 0 else (-high, -low)


def middle_of(bucket: int) -> int:
    """The value that stands for those of a bucket, in units: off by 1/256 of each of them at most."""
    low, high = bounds_of(abs(bucket))
    middle = low + (high - low + 1) // 2
    return middle if bucket >= 0 else -middle


def encode(histogram: Mapping[int, int]) -> bytes:
    """The bytes of a histogram with at least one bucket, every weight above 0."""
    whole = not any(weight % UNIT for weight in histogram.values())
    encoded = bytearray([WHOLE if whole else UNITS])
    before = None
    for bucket in sorted(histogram):
        _put(encoded, bucket - before if before is not None else _zigzag(bucket))
        _put(encoded, histogram[bucket] // UNIT if whole else histogram[bucket])
        before = bucket
    return bytes(encoded)


def decode(encoded: bytes) -> dict[int, int]:
    """The histogram of these bytes, in the order of its buckets. Raises ValueError for what ``encode`` never makes."""
    if not encoded or encoded[0] not in {UNITS, WHOLE}:
        raise ValueError("does not begin with a known flag")
    whole = encoded[0] == WHOLE
    numbers = _numbers(encoded[1:])
    histogram: dict[int, int] = {}
    bucket, total, fine = 0, 0, False
    for number, count in zip(numbers, numbers, strict=True):
        if not count or (histogram and not number):
            raise ValueError("has a gap or a count of 0")
        bucket = bucket + number if histogram else _unzigzag(number)
        weight = histogram[bucket] = count * UNIT if whole else count
        total += weight
        fine = fine or weight % UNIT != 0
        if abs(bucket) > MAX_BUCKET or total > MAX_WEIGHT:
            raise ValueError("has a bucket or a weight out of range")
    if not histogram or (not whole and not fine):
        raise ValueError("is not in its shortest form")
    return histogram


def merge(histograms: Iterable[bytes]) -> bytes:
    """The bytes of the sum of at least one histogram.

    Raises ValueError where one cannot be decoded, there is none, or they weigh more together than MAX_WEIGHT.
    """
    merged: Counter[int] = Counter()
    for encoded in histograms:
        merged.update(decode(encoded))
    if not 0 < merged.total() <= MAX_WEIGHT:
        raise ValueError("there must be at least one histogram, and their weight must be one that a rollup can hold")
    return encode(merged)


def to_text(encoded: bytes) -> str:
    """The bytes as text for JSON: base64url without padding."""
    return urlsafe_b64encode(encoded).rstrip(b"=").decode("ascii")


def from_text(text: str) -> bytes:
    """The bytes of a text. Raises ValueError for what ``to_text`` never makes."""
    try:
        encoded = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # its texts speak of what was decoded, and not of what would be right
        encoded = b""
    if not encoded or to_text(encoded) != text:
        raise ValueError("must be the bytes of a histogram in base64url, without padding")
    return encoded


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return number >> 1 if number % 2 == 0 else -(number + 1 >> 1)


def _put(into: bytearray, number: int) -> None:
    while number > 0x7F:
        into.append(number & 0x7F | 0x80)
        number >>= 7
    into.append(number)


def _numbers(encoded: bytes) -> Iterator[int]:
    """The varints of these bytes. Raises ValueError for one that is cut, or longer than it need be."""
    number, shift = 0, 0
    for byte in encoded:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        elif byte or not shift:
            yield number
            number, shift = 0, 0
        else:
            raise ValueError("has a number that is longer than it need be")
    if shift:
        raise ValueError("ends within a number")

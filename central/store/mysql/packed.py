"""The merged histograms of an hour's minutes as the bytes of one row. Pure.

A name has 1,440 minutes per day. A row for each would take MySQL longer to find, to join to its rollup and to write as
text than all the rest of an answer. So a row holds an hour:

    minute (1 byte), length (3 bytes, big-endian), histogram (protocol.histogram)        and so on

in the order of minutes. A minute without a histogram is left out. docs/decisions/0032-an-hour-of-histograms-is-a-row.md
"""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np

from central.compiled import CORE
from central.store.buckets import Column

MAX_BYTES: Final = 256 * 1024
"""A larger hour is not stored packed, since it must fit into one packet. Then queries by minute read its raw points.
This is 4 kB per minute, twice what a minute with 6,000 samples takes."""
_HEAD: Final = 4
_LENGTH_BITS: Final = 24
_MINUTES: Final = 60


class Minutes(NamedTuple):
    """The minutes of packed hours: ``counts`` per hour; per minute its number from 0 to 59, and its histogram."""

    counts: Column
    minutes: Column
    encoded: list[bytes]


def pack(minutes: Mapping[int, bytes]) -> bytes | None:
    """The bytes of an hour's histograms by their minutes, 0 to 59. None if they are more than MAX_BYTES."""
    parts = [
        (minute << _LENGTH_BITS | len(histogram)).to_bytes(_HEAD, "big") + histogram
        for minute, histogram in sorted(minutes.items())
    ]
    content = b"".join(parts)
    return content if len(content) <= MAX_BYTES else None


def unpack(hours: Sequence[bytes], core: ModuleType | None = CORE) -> Minutes:
    """The minutes of these hours, one hour after the other. Raises ValueError for bytes that ``pack`` never makes."""
    if core is not None:
        counts, minutes, encoded = core.unpack_minutes(list(hours))
        return Minutes(np.frombuffer(counts, np.int64), np.frombuffer(minutes, np.int64), encoded)
    found = [list(minutes_of(content)) for content in hours]
    return Minutes(
        np.array([len(of_hour) for of_hour in found], dtype=np.int64),
        np.array([minute for of_hour in found for minute, _ in of_hour], dtype=np.int64),
        [histogram for of_hour in found for _, histogram in of_hour],
    )


def minutes_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The minutes of an hour and their histograms. Raises ValueError for bytes that ``pack`` never makes."""
    at, before = 0, -1
    while at < len(content):
        head = int.from_bytes(content[at : at + _HEAD], "big")
        minute, length = head >> _LENGTH_BITS, head & (1 << _LENGTH_BITS) - 1
        at += _HEAD
        if not before < minute < _MINUTES or not 0 < length <= len(content) - at:
            raise ValueError("is not the packed histograms of an hour")
        yield minute, content[at : at + length]
        at, before = at + length, minute

"""A Bloom filter of 16-byte ids that grows. With it, the store needs no search on disk for a new request id.

``id in filter`` is False only for ids that are certainly not in it. True means probably: then the store searches the
table. A full block is wrong for about 1 in 40,000 new ids. Ids are hashes, so their own bits are the positions.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_FIRST_CAPACITY: Final = 1 << 14
_BITS_PER_ID: Final = 32
_PROBES: Final = 6
_LOW: Final = (1 << 64) - 1


class BloomFilter:
    """The ids of one day, in blocks of doubling size. A full block has 4 bytes per id; one from ``load`` up to 16."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bytearray, int]] = []
        self._room = 0

    def __contains__(self, key: bytes) -> bool:
        number = int.from_bytes(key, "big")
        start, step = number >> 64, (number & _LOW) | 1
        for bits, mask in self._blocks:
            at = start
            for _ in range(_PROBES):
                place = at & mask
                if not bits[place >> 3] >> (place & 7) & 1:
                    break
                at += step
            else:
                return True
        return False

    def add(self, keys: Iterable[bytes]) -> None:
        """Add ids."""
        for key in keys:
            bits, mask = self._block()
            number = int.from_bytes(key, "big")
            at, step = number >> 64, (number & _LOW) | 1
            for _ in range(_PROBES):
                place = at & mask
                bits[place >> 3] |= 1 << (place & 7)
                at += step
            self._room -= 1

    def load(
        self, high: "np.ndarray[tuple[int], np.dtype[np.uint64]]", low: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
    ) -> None:
        """Add many ids at once. ``high`` and ``low`` are the 64-bit halves of each id."""
        if not len(high):
            return
        bits, mask = self._grow(max(_FIRST_CAPACITY, 1 << (2 * len(high) - 1).bit_length()))
        self._room -= len(high)
        view = np.frombuffer(bits, dtype=np.uint8)
        at, step = high.copy(), low | np.uint64(1)
        for _ in range(_PROBES):
            place = at & np.uint64(mask)
            np.bitwise_or.at(view, place >> np.uint64(3), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8))
            at += step

    def _block(self) -> tuple[bytearray, int]:
        if self._room > 0:
            return self._blocks[-1]
        return self._grow(_FIRST_CAPACITY << len(self._blocks))

    def _grow(self, capacity: int) -> tuple[bytearray, int]:
        size = capacity * _BITS_PER_ID
        block = (bytearray(size >> 3), size - 1)
        self._blocks.append(block)
        self._room = capacity
        return block

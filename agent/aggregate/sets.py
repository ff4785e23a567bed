"""Sets: how many different members a name had in the window."""

from collections.abc import Iterator, Sequence, Set
from hashlib import sha256
from typing import Final

from agent.aggregate.window import WindowItem
from protocol.item import Item
from protocol.numbers import UNIT

LONG_MEMBER: Final = 64
"""A longer member (in bytes) is stored as its SHA-256, so that the number of members bounds the memory."""

SMALL_SET: Final = 100


class Sets:
    """The sets of the open window. ``capacity`` bounds the members of all of them together.

    The last fifth is for sets of fewer than SMALL_SET members, so that a few huge sets leave room for them.
    """

    def __init__(self, capacity: int) -> None:
        self._room = self._capacity = capacity
        self._spare = capacity // 5
        self._members: dict[str, set[bytes]] = {}
        self._samples: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def add(self, name: str, members: list[bytes], times: Sequence[int]) -> int:
        """Add at least one member, each sent so many times. Returns how many samples were refused for lack of room."""
        known: Set[bytes] = self._members.get(name, frozenset())
        samples = sum(times)
        if len(members) <= self._room - self._spare and max(map(len, members)) <= LONG_MEMBER:
            new, taken = set(members) - known, samples
        else:
            new, taken = self._choose(known, members, times)
        if taken:
            self._members.setdefault(name, set()).update(new)
            self._samples[name] = self._samples.get(name, 0) + taken
            self._room -= len(new)
        return samples - taken

    def _choose(self, known: Set[bytes], members: list[bytes], times: Sequence[int]) -> tuple[set[bytes], int]:
        """Those that are new and for which there is room, and how many samples all that are known by then stand for."""
        new: set[bytes] = set()
        taken = 0
        for sent, count in zip(members, times, strict=True):
            member = sent if len(sent) <= LONG_MEMBER else sha256(sent).digest()
            if member not in known and member not in new:
                spare = 0 if len(known) + len(new) < SMALL_SET else self._spare
                if len(new) >= self._room - spare:
                    continue
                new.add(member)
            taken += count
        return new, taken

    def remove(self, name: str) -> int:
        """Forget a set of this window. Returns its samples."""
        self._room += len(self._members.pop(name))
        return self._samples.pop(name)

    def names(self) -> Set[str]:
        """The sets of this window, in the order of their first sample."""
        return self._members.keys()

    def close(self, start: int) -> Iterator[WindowItem]:
        """One plain item per set: its number of members. Made when the caller asks for it; the next window is empty."""
        sets, samples = self._members, self._samples
        self._members, self._samples, self._room = {}, {}, self._capacity
        return (
            WindowItem(Item(name, "value", len(sets.pop(name)) * UNIT, start), count, "set")
            for name, count in samples.items()
        )

"""How many names and series may be live, and how many are."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from protocol.statsd_tags import MARK, split_key
from protocol.tags import OVERFLOW

SHARE_OF_ONE_NAME: Final = 10
"""One name may have a tenth of all series, so that a flood of its tags leaves room for the series of other names."""


def overflow_of(key: str) -> str:
    """The series of the same name that takes the samples of series for which there is no room."""
    name, _ = split_key(key)
    return f"{name}{MARK}{OVERFLOW}"


def counts_as_name(key: str) -> bool:
    """Whether a key takes a name's place: that of a series without tags, or of an overflow."""
    return split_key(key)[1] in {None, OVERFLOW}


@dataclass(slots=True)
class Room:
    """At most ``capacity`` names, and as many series with tags beside them. Each counts once per type."""

    capacity: int
    names: int = 0
    series: int = 0
    _by_name: Counter[str] = field(default_factory=Counter)

    def try_take(self, key: str) -> bool:
        """Take a place for a new series. False when there is none."""
        name, mark, tags = key.partition(MARK)
        if not mark or tags == OVERFLOW:
            has_room = self.names < self.capacity
            self.names += has_room
            return has_room
        if self.series >= self.capacity or self._by_name[name] >= max(self.capacity // SHARE_OF_ONE_NAME, 1):
            return False
        self.series += 1
        self._by_name[name] += 1
        return True

    def leave(self, key: str) -> None:
        """Free the place of a series."""
        if counts_as_name(key):
            self.names -= 1
        else:
            self.series -= 1
            self._by_name[split_key(key)[0]] -= 1

    def clear(self) -> None:
        """Free all places."""
        self.names = self.series = 0
        self._by_name.clear()

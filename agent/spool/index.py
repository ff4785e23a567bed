"""The batches that can be sent, in the order of their windows. It has only names and numbers, no files."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Final, NamedTuple


class IndexEntry(NamedTuple):
    """A batch that can be sent: its file's name, its window's start, its samples and its bytes."""

    name: str
    start: int
    samples: int
    size: int


class Rest(NamedTuple):
    """The wait of a batch that has failed: how often it failed, until when it waits, and why.

    ``gone`` is how many batches had gone through at its last failure, and ``first_gone`` at its first.
    """

    failures: int
    until: float
    cause: str
    gone: int = 0
    first_gone: int = 0


class Order:
    """Entries sorted by name, and so by window."""

    def __init__(self) -> None:
        self._entries: list[IndexEntry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[IndexEntry]:
        return iter(self._entries)

    def get(self, name: str) -> IndexEntry | None:
        """The entry of this name, or None."""
        at = self._at(name)
        return None if at is None else self._entries[at]

    def add(self, entry: IndexEntry) -> None:
        """Add an entry. There must be no entry of its name."""
        insort(self._entries, entry)

    def remove(self, entry: IndexEntry) -> IndexEntry | None:
        """Remove the entry of the same name and return it. None when there is none."""
        at = self._at(entry.name)
        return None if at is None else self._entries.pop(at)

    def oldest(self) -> IndexEntry | None:
        """The entry of the oldest window."""
        return self._entries[0] if self._entries else None

    def newest(self, until: float) -> IndexEntry | None:
        """The last entry whose window starts at ``until`` (seconds) or before."""
        count = self.count(until)
        return self._entries[count - 1] if count else None

    def after(self, start: float) -> IndexEntry | None:
        """The first entry of a window that starts after ``start``."""
        count = self.count(start)
        return self._entries[count] if count < len(self._entries) else None

    def before(self, start: float) -> list[IndexEntry]:
        """The entries of windows that started before ``start``."""
        return self._entries[: bisect_left(self._entries, start, key=lambda entry: entry.start)]

    def ends(self, start: int) -> tuple[IndexEntry, IndexEntry] | None:
        """The first and the last entry of the window that starts at ``start``. None when it has no entry."""
        first = bisect_left(self._entries, start, key=lambda entry: entry.start)
        count = self.count(start)
        return (self._entries[first], self._entries[count - 1]) if first < count else None

    def count(self, until: float) -> int:
        """How many entries have a window that starts at ``until`` or before."""
        return bisect_right(self._entries, until, key=lambda entry: entry.start)

    def _at(self, name: str) -> int | None:
        at = bisect_left(self._entries, name, key=lambda entry: entry.name)
        return at if at < len(self._entries) and self._entries[at].name == name else None


class SpoolIndex:
    """The entries of the spool. All are in ``all``, and those that may be sent are in ``fresh`` or ``failed`` too.

    ``pinned`` is being sent, and no limit removes it. Times are on the steady clock, in seconds.
    """

    def __init__(self) -> None:
        self.all: Final = Order()
        self.fresh: Final = Order()
        """Entries that have not failed yet."""
        self.failed: Final = Order()
        """Entries that have failed and whose rest is over."""
        self.pinned: IndexEntry | None = None
        self.size = 0
        """Bytes of all entries."""
        self._rests: dict[str, Rest] = {}
        """The last rest of each entry that has failed."""
        self._resting: set[str] = set()

    def __len__(self) -> int:
        return len(self.all)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.all.get(name) is not None

    def __iter__(self) -> Iterator[IndexEntry]:
        return iter(self.all)

    def add(self, entry: IndexEntry) -> None:
        """Add an entry in place of one with the same name, which keeps its rest."""
        self._take(entry)
        self.all.add(entry)
        self.size += entry.size
        if entry.name not in self._rests:
            self.fresh.add(entry)
        elif entry.name not in self._resting:
            self.failed.add(entry)

    def remove(self, entry: IndexEntry) -> None:
        """Remove an entry, if it is there."""
        self._take(entry)
        self._rests.pop(entry.name, None)
        self._resting.discard(entry.name)
        if self.pinned is not None and self.pinned.name == entry.name:
            self.pinned = None

    def rest(self, entry: IndexEntry, rest: Rest) -> None:
        """Let an entry rest, if it is there: it is not sent until its rest is over."""
        if entry.name in self:
            self.fresh.remove(entry)
            self.failed.remove(entry)
            self._rests[entry.name] = rest
            self._resting.add(entry.name)

    def wake(self, now: float) -> None:
        """End the rests that are over at ``now``."""
        for name in [name for name in self._resting if self._rests[name].until <= now]:
            self._resting.discard(name)
            entry = self.all.get(name)
            if entry is not None:
                self.failed.add(entry)

    def rested(self, entry: IndexEntry) -> Rest | None:
        """The last rest of an entry. None when it has not failed yet."""
        return self._rests.get(entry.name)

    def rests(self) -> list[Rest]:
        """The last rest of each entry that has failed."""
        return list(self._rests.values())

    def next_wake(self) -> float | None:
        """When the first rest ends. None when no entry rests."""
        return min((self._rests[name].until for name in self._resting), default=None)

    def older_than(self, before: float) -> list[IndexEntry]:
        """Entries whose window started before ``before``, without the pinned one."""
        return [entry for entry in self.all.before(before) if entry != self.pinned]

    def beyond(self, size: int, count: int) -> Iterator[tuple[str, IndexEntry]]:
        """The oldest entries over the limits, each with the reason. The caller must remove each before the next."""
        while self.size > size or len(self) > count:
            entry = next((entry for entry in self.all if entry != self.pinned), None)
            if entry is None:
                return
            yield ("spool_files" if len(self) > count else "spool_bytes"), entry

    def _take(self, entry: IndexEntry) -> None:
        known = self.all.remove(entry)
        if known is not None:
            self.size -= known.size
            self.fresh.remove(known)
            self.failed.remove(known)

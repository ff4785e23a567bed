"""Which batches can be sent, in the order of their windows. Names and numbers only, no files."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class IndexEntry(NamedTuple):
    """A batch that can be sent: its file's name, its window's start, its samples and its bytes."""

    name: str
    start: int
    samples: int
    size: int


class SpoolIndex:
    """Entries sorted by name, which is by window. ``pinned`` is being sent and is never pushed out."""

    def __init__(self) -> None:
        self.pinned: IndexEntry | None = None
        self.size = 0
        """Bytes of all entries."""
        self._entries: list[IndexEntry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._at(name) is not None

    def __iter__(self) -> Iterator[IndexEntry]:
        return iter(self._entries)

    def get(self, name: str) -> IndexEntry | None:
        """The entry of this name."""
        at = self._at(name)
        return None if at is None else self._entries[at]

    def add(self, entry: IndexEntry) -> None:
        """Add an entry; one of the same name is replaced."""
        known = self._at(entry.name)
        if known is not None:
            self.size -= self._entries.pop(known).size
        self._entries.insert(bisect_left(self._entries, entry), entry)
        self.size += entry.size

    def remove(self, entry: IndexEntry) -> None:
        """Take an entry out, if it is there."""
        known = self._at(entry.name)
        if known is not None:
            self.size -= self._entries.pop(known).size
        if self.pinned is not None and self.pinned.name == entry.name:
            self.pinned = None

    def oldest(self) -> IndexEntry | None:
        """The entry of the oldest window."""
        return self._entries[0] if self._entries else None

    def newest(self, until: float) -> IndexEntry | None:
        """The entry of the newest window that starts at ``until`` or before, in seconds."""
        count = self.count(until)
        return self._entries[count - 1] if count else None

    def after(self, start: float) -> IndexEntry | None:
        """The first entry of a window that starts after ``start``."""
        count = self.count(start)
        return self._entries[count] if count < len(self._entries) else None

    def ends(self, start: int) -> tuple[IndexEntry, IndexEntry] | None:
        """The first and the last entry of a window; None when it has none."""
        first = bisect_left(self._entries, start, key=lambda entry: entry.start)
        count = self.count(start)
        return (self._entries[first], self._entries[count - 1]) if first < count else None

    def count(self, until: float) -> int:
        """Entries whose window starts at ``until`` or before."""
        return bisect_right(self._entries, until, key=lambda entry: entry.start)

    def older_than(self, before: float) -> list[IndexEntry]:
        """Entries whose window started before ``before``, the pinned one left out."""
        end = bisect_left(self._entries, before, key=lambda entry: entry.start)
        return [entry for entry in self._entries[:end] if entry != self.pinned]

    def beyond(self, size: int, count: int) -> Iterator[tuple[str, IndexEntry]]:
        """The oldest entries that are too many, with the reason. The caller removes each before the next."""
        while self.size > size or len(self) > count:
            entry = next((entry for entry in self._entries if entry != self.pinned), None)
            if entry is None:
                return
            yield ("spool_files" if len(self) > count else "spool_bytes"), entry

    def _at(self, name: str) -> int | None:
        at = bisect_left(self._entries, name, key=lambda entry: entry.name)
        return at if at < len(self._entries) and self._entries[at].name == name else None

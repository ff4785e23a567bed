"""The series of the open window: what is counted under each, and which ones stay when there are too many."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Final, TypeAlias

from agent.aggregate.freeing import freeing
from agent.aggregate.gauges import Gauges
from agent.aggregate.histograms import Histograms
from agent.aggregate.room import Room, counts_as_name, overflow_of
from agent.aggregate.sets import Sets
from agent.aggregate.sums import SumsByRate
from agent.aggregate.values import Summary
from agent.aggregate.window import Window, WindowItem
from agent.ledger import Ledger
from protocol.item import Item
from protocol.statsd import MetricType, Tail, Value
from protocol.statsd_tags import MARK

NameTable: TypeAlias = "SumsByRate | Gauges | Sets"


class OpenWindow:
    """A table for each kind of metric. All have their series by key, see protocol.statsd_tags.

    A series that is in the window is always counted. For a new one with tags there may be no room. Then the overflow
    of its name takes its samples: the name's total stays exact. A name, or overflow, is *known* when it was in the last
    window that had room for all names. In a full window a known name takes the place of one that is not known. So a
    flood of new names does not push out the names from before it. The caller works inside localcontext(EXACT), and
    clears the room when all windows that share it are closed.
    """

    def __init__(self, room: Room, max_members: int, deltas: bool, ledger: Ledger, histograms: Histograms) -> None:
        self.gauges: Final = Gauges(2 * room.capacity, deltas)
        self._room = room
        self._ledger = ledger
        self._histograms = histograms
        self._counters = SumsByRate("counter", room.capacity, histograms)
        self._timings = SumsByRate("timing", room.capacity, histograms)
        self._numbers: Mapping[MetricType, SumsByRate] = {"counter": self._counters, "timing": self._timings}
        self._sets = Sets(max_members)
        self._tables: tuple[NameTable, ...] = (self._counters, self._timings, self.gauges, self._sets)
        self._last: dict[NameTable, list[str]] = {table: [] for table in self._tables}
        """The keys of the last window that had room for all names."""
        self._known: dict[NameTable, Set[str]] | None = None
        """The known names. Made of the last keys when a window is full: few windows are, and it takes a while."""
        self._outdated: list[list[str]] = []
        self._overflowed = False
        self._newcomers: list[tuple[NameTable, str]] | None = None
        """The names of this window that are not known. Made when the window is full and a known name comes."""

    def add(self, key: str, tail: Tail, summary: Summary) -> None:
        """Count values of a counter or a timing."""
        sums = self._numbers[tail.type]
        place = self._admit(sums, key, summary.samples)
        if place is not None:
            self._count(summary.samples, sums.add(place, tail.rate, summary), "rates_over_cap")

    def apply(self, key: str, values: Sequence[Value], times: int, *, absolute: bool = False) -> None:
        """Set or change a gauge by at least one value. See Gauges.apply."""
        samples = len(values) * times
        place = self._admit(self.gauges, key, samples)
        if place is None:
            return
        if self.gauges.deltas and not absolute and (deltas := sum(value.signed for value in values)):
            self._ledger.notes["gauge_delta"] += deltas * times
        self._count(samples, self.gauges.apply(place, values, times, absolute=absolute), "out_of_range")
        self._leave_unless_taken(self.gauges, place)

    def repeat(self, key: str, samples: int) -> None:
        """Count samples that changed nothing, because the gauge has a later value, which was applied before this call.

        They are dropped where that value was.
        """
        self._ledger.received += samples
        if key not in self.gauges and not counts_as_name(key):
            self._ledger.notes["series_over_cap"] += samples
            key = overflow_of(key)
        if key in self.gauges:
            self.gauges.repeat(key, samples)
            self._ledger.in_window += samples
        else:
            self._ledger.drop("names_over_cap", samples)

    def add_members(self, key: str, members: list[bytes], times: Iterable[int]) -> None:
        """Add at least one member to a set, each sent so many times."""
        counts = list(times)
        samples = sum(counts)
        place = self._admit(self._sets, key, samples)
        if place is not None:
            self._count(samples, self._sets.add(place, members, counts), "members_over_cap")
            self._leave_unless_taken(self._sets, place)

    def close(self, start: int) -> Window:
        """Return the window that began at ``start`` and begin the next. Each item is made when the caller asks for it.

        The samples of an item leave ``in_window`` when it is made. From then on the caller owns them, and must add
        them to ``in_spool`` or count them as dropped.
        """
        if not self._overflowed:
            self._outdated += self._last.values()
            self._last = {table: list(table.names()) for table in self._tables}
            self._known = None
        self._overflowed, self._newcomers = False, None
        if self.gauges.forgotten:
            self._ledger.notes["gauges_forgotten"] += self.gauges.forgotten
            self.gauges.forgotten = 0
        if self._histograms.given_up:
            self._ledger.notes["histograms_over_cap"] += self._histograms.given_up
            self._histograms.given_up = 0
        gauges = self.gauges.values()
        kinds = (
            self._counters.close(start),
            self._timings.close(start),
            self.gauges.close(start, gauges),
            self._sets.close(start),
        )
        return Window(start, self._leaving(kinds), gauges)

    def tidy(self) -> Iterator[None]:
        """Free, in steps, what the last close has left."""
        outdated, self._outdated = self._outdated, []
        yield from freeing(*outdated)

    def _leaving(self, kinds: tuple[Iterator[WindowItem], ...]) -> Iterator[WindowItem]:
        """The items, with the keys of their series taken apart."""
        for items in kinds:
            for entry in items:
                self._ledger.in_window -= entry.samples
                item, samples, sent_as = entry
                name, mark, tags = item.name.partition(MARK)
                yield WindowItem(Item._make((name, *item[1:-1], tags)), samples, sent_as) if mark else entry

    def _admit(self, table: NameTable, key: str, samples: int) -> str | None:
        """Count samples as received, and return the key under which they count.

        When there is no room for their name, drop them and return None.
        """
        self._ledger.received += samples
        if key in table or self._room.try_take(key):
            return key
        if not counts_as_name(key):
            self._ledger.notes["series_over_cap"] += samples
            key = overflow_of(key)
            if key in table or self._room.try_take(key):
                return key
        self._overflowed = True
        if key in self._known_in(table) and self._try_make_room() and self._room.try_take(key):
            return key
        self._ledger.drop("names_over_cap", samples)
        return None

    def _leave_unless_taken(self, table: NameTable, key: str) -> None:
        """Free the place of a series of which every value was refused."""
        if key not in table:
            self._room.leave(key)

    def _known_in(self, table: NameTable) -> Set[str]:
        if self._known is None:
            self._known = {each: _names(keys) for each, keys in self._last.items()}
        return self._known[table]

    def _try_make_room(self) -> bool:
        """Drop a name that is not known, and all its samples of this window."""
        if self._newcomers is None:
            self._newcomers = [
                (table, key)
                for table in self._tables
                for key in filter(counts_as_name, table.names())
                if key not in self._known_in(table)
            ]
        if not self._newcomers:
            return False
        table, key = self._newcomers.pop()
        samples = table.remove(key)
        self._room.leave(key)
        self._ledger.in_window -= samples
        self._ledger.drop("names_over_cap", samples)
        return True

    def _count(self, samples: int, refused: int, reason: str) -> None:
        self._ledger.in_window += samples - refused
        if refused:
            self._ledger.drop(reason, refused)


def _names(keys: Iterable[str]) -> Set[str]:
    """Those that count as names. Most keys have no tags, and are found quickly."""
    return {key for key in keys if MARK not in key or counts_as_name(key)}

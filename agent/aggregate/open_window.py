"""The names of the open window: what is counted under each, and which ones stay when there are too many."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final, TypeAlias

from agent.aggregate.gauges import Gauges
from agent.aggregate.sets import Sets
from agent.aggregate.sums import SumsByRate
from agent.aggregate.values import Summary
from agent.aggregate.window import Window, WindowItem
from agent.ledger import Ledger
from protocol.statsd import MetricType, Tail, Value

NameTable: TypeAlias = "SumsByRate | Gauges | Sets"


class OpenWindow:
    """A table for each kind of metric, and at most ``max_names`` names in all of them.

    A name that is in the window is always counted. A name is *known* when it was in the last window that had room for
    all names. In a full window a known name takes the place of one that is not known. So a flood of new names does not
    push out the names from before it. The caller works inside localcontext(EXACT).
    """

    def __init__(self, max_names: int, max_members: int, deltas: bool, ledger: Ledger) -> None:
        self.gauges: Final = Gauges(max_names, deltas)
        self._max_names = max_names
        self._ledger = ledger
        self._counters = SumsByRate("counter", max_names)
        self._timings = SumsByRate("timing", max_names)
        self._numbers: Mapping[MetricType, SumsByRate] = {"counter": self._counters, "timing": self._timings}
        self._sets = Sets(max_members)
        self._tables: tuple[NameTable, ...] = (self._counters, self._timings, self.gauges, self._sets)
        self._known: dict[NameTable, Set[str]] = {table: frozenset() for table in self._tables}
        self._overflowed = False
        self._newcomers: list[tuple[NameTable, str]] | None = None
        """The names of this window that are not known. Made when the window is full and a known name comes."""

    def add(self, name: str, tail: Tail, summary: Summary) -> None:
        """Count values of a counter or a timing."""
        sums = self._numbers[tail.type]
        if self._admit(sums, name, summary.samples):
            self._count(summary.samples, sums.add(name, tail.rate, summary), "rates_over_cap")

    def apply(self, name: str, values: Sequence[Value], times: int, *, absolute: bool = False) -> None:
        """Set or change a gauge by at least one value. See Gauges.apply."""
        samples = len(values) * times
        if not self._admit(self.gauges, name, samples):
            return
        if self.gauges.deltas and not absolute and (deltas := sum(value.signed for value in values)):
            self._ledger.notes["gauge_delta"] += deltas * times
        self._count(samples, self.gauges.apply(name, values, times, absolute=absolute), "out_of_range")

    def add_members(self, name: str, members: list[bytes], times: int) -> None:
        """Add at least one member to a set, each sent ``times`` times."""
        samples = len(members) * times
        if self._admit(self._sets, name, samples):
            self._count(samples, self._sets.add(name, members, times), "members_over_cap")

    def live_names(self) -> int:
        """How many names are in the window. A name counts once per type."""
        return len(self._counters) + len(self._timings) + len(self.gauges) + len(self._sets)

    def close(self, start: int) -> Window:
        """Return the window that began at ``start`` and begin the next. Each item is made when the caller asks for it.

        The samples of an item leave ``in_window`` when it is made. From then on the caller owns them, and must add
        them to ``in_spool`` or count them as dropped.
        """
        if not self._overflowed:
            self._known = {table: set(table.names()) for table in self._tables}
        self._overflowed, self._newcomers = False, None
        if self.gauges.forgotten:
            self._ledger.notes["gauges_forgotten"] += self.gauges.forgotten
            self.gauges.forgotten = 0
        gauges = self.gauges.values()
        kinds = (
            self._counters.close(start),
            self._timings.close(start),
            self.gauges.close(start, gauges),
            self._sets.close(start),
        )
        return Window(start, self._leaving(kinds), gauges)

    def _leaving(self, kinds: tuple[Iterator[WindowItem], ...]) -> Iterator[WindowItem]:
        for items in kinds:
            for item in items:
                self._ledger.in_window -= item.samples
                yield item

    def _admit(self, table: NameTable, name: str, samples: int) -> bool:
        """Count samples as received. When there is no room for their name, drop them and return False."""
        self._ledger.received += samples
        if name in table or self.live_names() < self._max_names:
            return True
        self._overflowed = True
        if name in self._known[table] and self._try_make_room():
            return True
        self._ledger.drop("names_over_cap", samples)
        return False

    def _try_make_room(self) -> bool:
        """Drop a name that is not known, and all its samples of this window."""
        if self._newcomers is None:
            self._newcomers = [
                (table, name) for table in self._tables for name in table.names() if name not in self._known[table]
            ]
        if not self._newcomers:
            return False
        table, name = self._newcomers.pop()
        samples = table.remove(name)
        self._ledger.in_window -= samples
        self._ledger.drop("names_over_cap", samples)
        return True

    def _count(self, samples: int, refused: int, reason: str) -> None:
        self._ledger.in_window += samples - refused
        if refused:
            self._ledger.drop(reason, refused)

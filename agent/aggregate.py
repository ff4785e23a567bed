"""Packets in, one closed window out: every sample is in an item or in a counted drop.

``feed`` only keeps the packet. Some forty thousand lines later, or when somebody wants to know,
``settle`` counts them together, since most of the work is then done once for many lines.

With the compiled core most lines are counted as they come and only the others are kept. What comes out
is the same; plain Python is what it is measured by.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from decimal import localcontext
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from agent.compiled import MaybeCore
from agent.gather import Gatherer, Group, Meaning
from agent.gauges import Gauges
from agent.ledger import Ledger
from agent.sets import Sets
from agent.summary import Summary, from_fine, summarize, try_last, try_summarize, try_values
from agent.tally import Tallies
from agent.window import Window
from protocol.lines import EXACT, ONE, MetricType, Note, Rejected, Tail, Value, parse_values

SETTLE_BYTES: Final = 1 << 20
"""Packets kept before they are counted: some 40,000 lines, 20 ms of work."""
SETTLE_LINES: Final = 50_000
"""Lines gathered at once: as many as usual ones are, and a part of those that are a few bytes each."""
SHORT_VALUES: Final = 12
REMEMBERED: Final = 4096
"""So many summaries of so few bytes are remembered: 1 is sent a lot."""


@dataclass(frozen=True, slots=True)
class AggregateOptions:
    """``max_names`` bounds the live names of a window (name and type) and the gauges remembered,
    ``max_members`` the members of all sets of a window together; ``prefix`` goes before every name."""

    max_names: int = 100_000
    prefix: str = ""
    tags: Literal["drop", "append"] = "drop"
    gauges: Literal["delta", "absolute"] = "delta"
    max_members: int = 100_000


Shelf: TypeAlias = "Tallies | Gauges | Sets"


class Aggregator:
    """The open window. Synchronous, bounded, and the only writer of the ledger's ``in_window``, which is
    exact after ``settle``, as is ``received``.

    Drops, beside the grammar's reasons: names_over_cap, rates_over_cap, members_over_cap. Names
    already in the window go on being counted. In a full one a *known* name, one of the last window that
    had room for all, takes the place of a name that is not: a flood of names does not push out those
    that were there before it.
    """

    def __init__(self, options: AggregateOptions, ledger: Ledger, core: MaybeCore = None) -> None:
        self.core = core(self._learn) if core else None
        self._max_names = options.max_names
        self._ledger = ledger
        self._packets: list[bytes] = []
        self._bytes = 0
        self._gatherer = Gatherer(options.prefix, options.tags == "append", ledger.reject)
        self._counters = Tallies("counter", options.max_names)
        self._timings = Tallies("value", options.max_names)
        self._numbers: Mapping[MetricType, Tallies] = {"counter": self._counters, "timing": self._timings}
        self._gauges = Gauges(options.max_names, options.gauges == "delta")
        self._sets = Sets(options.max_members)
        self._shelves: tuple[Shelf, ...] = (self._counters, self._timings, self._gauges, self._sets)
        self._known: dict[Shelf, Set[str]] = {shelf: frozenset() for shelf in self._shelves}
        self._overflowed = False
        self._newcomers: list[tuple[Shelf, str]] | None = None
        """Names of this window that are not known, once it is full and a known one comes."""
        self._summaries = lru_cache(REMEMBERED)(try_summarize)
        self._count: Mapping[MetricType, Callable[[Group], None]] = {
            "counter": self._count_numbers,
            "timing": self._count_numbers,
            "gauge": self._count_gauge,
            "set": self._count_set,
        }

    def feed(self, packet: bytes) -> None:
        """Take one datagram, or a chunk of whole lines. Whatever is in it, nothing is raised."""
        if self.core:
            self.core.feed(packet)
        else:
            self._packets.append(packet)
            self._bytes += len(packet) + 1
        self.settle_when_due()

    def settle_when_due(self) -> None:
        """Bound the packets that are kept. For whoever reads from a socket straight into the core."""
        if (self.core.left if self.core else self._bytes) >= SETTLE_BYTES:
            self.settle()

    def settle(self) -> None:
        """Count everything fed so far. Call it before reading the ledger."""
        sums, text = self.core.take() if self.core else ([], b"\n".join(self._packets) + b"\n")
        self._packets.clear()
        self._bytes = 0
        with localcontext(EXACT):
            for (name, tail, notes), count, *numbers in sums:
                self._note(notes, count)
                self._add(name, tail, from_fine(*numbers))
            lines = _lines(text)
            for first in range(0, len(lines), SETTLE_LINES):
                for group in self._gatherer.gather(lines[first : first + SETTLE_LINES]):
                    self._count[group.tail.type](group)

    def close(self, start: int) -> Window:
        """Everything fed so far, as the window that began at ``start`` (whole seconds). A new one opens.

        The samples leave ``ledger.in_window`` and are nowhere in the ledger until the caller, who now
        owns them, adds them to ``in_spool`` or counts them dropped.
        """
        self.settle()
        if not self._overflowed:
            self._known = {shelf: set(shelf.names()) for shelf in self._shelves}
        self._overflowed, self._newcomers = False, None
        items = [item for shelf in self._shelves for item in shelf.close(start)]
        self._ledger.in_window -= sum(item.samples for item in items)
        if self._gauges.forgotten:
            self._ledger.notes["gauges_forgotten"] += self._gauges.forgotten
            self._gauges.forgotten = 0
        return Window(start, items)

    def live_names(self) -> int:
        """Names, by type, in the open window as of the last settle."""
        return sum(map(len, self._shelves))

    def gauges(self) -> dict[str, str]:
        """Last values as exact decimal text as of the last settle; right after ``close`` they are its window's."""
        return self._gauges.dump()

    def restore_gauges(self, texts: Mapping[str, str]) -> None:
        """Start from what ``gauges`` said in an earlier run. Bad entries are left out and noted."""
        bad = self._gauges.restore(texts)
        if bad:
            self._ledger.notes["gauge_state_bad"] += bad

    def _learn(self, raw: bytes, text: bytes) -> tuple[int, Meaning | None]:
        """For the core: what it may count by itself, and up to which value."""
        meaning = self._gatherer.meaning(raw, text)
        if meaning is None or meaning.tail.type not in self._numbers:
            return 0, None
        return int(meaning.tail.limit), meaning

    def _count_numbers(self, group: Group) -> None:
        values, tail = group.values, group.tail
        summary = self._summaries(values) if len(values) <= SHORT_VALUES else try_summarize(values)
        if summary is None or (tail.rate is not ONE and not summary.is_within(tail.limit)):
            numbers = [value.number for value in self._values(group)]
            if not numbers:
                return
            summary = summarize(numbers)
        elif group.notes:
            self._note(group.notes, (values.count(b"\n") + 1) * group.times)
        if group.times > 1:
            summary = summary.repeated(group.times)
        self._add(group.name, tail, summary)

    def _add(self, name: str, tail: Tail, summary: Summary) -> None:
        tallies = self._numbers[tail.type]
        if self._admit(tallies, name, summary.samples):
            refused = tallies.add(name, tail.rate, summary)
            self._keep(summary.samples, refused, "rates_over_cap")

    def _count_gauge(self, group: Group) -> None:
        values, times = try_last(group.values)
        if not values:
            values, times = try_values(group.values), 1
        if values:
            self._note(group.notes, (group.values.count(b"\n") + 1) * group.times)
        else:
            values = self._values(group)
        samples = len(values) * times
        if samples and self._admit(self._gauges, group.name, samples):
            refused = self._gauges.apply(group.name, values, times)
            self._keep(samples, refused, "out_of_range")

    def _count_set(self, group: Group) -> None:
        sent = group.values.split(b"\n")
        members = [member for member in sent if member]
        if len(members) < len(sent):
            self._ledger.reject("no_value", (len(sent) - len(members)) * group.times)
        self._note(group.notes, len(members) * group.times)
        samples = len(members) * group.times
        if samples and self._admit(self._sets, group.name, samples):
            refused = self._sets.add(group.name, members, group.times)
            self._keep(samples, refused, "members_over_cap")

    def _values(self, group: Group) -> list[Value]:
        """The values of a group whose lines are looked at one by one; bad lines are rejected, good ones noted."""
        values: list[Value] = []
        for line in group.values.split(b"\n"):
            try:
                values += parse_values(line, group.tail.limit)
            except Rejected as rejected:
                self._ledger.reject(rejected.reason, group.times)
            else:
                self._note(group.notes, group.times)
        return values

    def _note(self, notes: tuple[Note, ...], lines: int) -> None:
        for note in notes:
            self._ledger.notes[note] += lines

    def _admit(self, shelf: Shelf, name: str, samples: int) -> bool:
        """Count samples as received; False, and they are dropped, when their name is one too many."""
        self._ledger.received += samples
        if name in shelf or self.live_names() < self._max_names:
            return True
        self._overflowed = True
        if name in self._known[shelf] and self._try_make_room():
            return True
        self._ledger.drop("names_over_cap", samples)
        return False

    def _try_make_room(self) -> bool:
        """Drop a name that is not known, with all its samples of this window."""
        if self._newcomers is None:
            self._newcomers = [
                (shelf, name) for shelf in self._shelves for name in shelf.names() if name not in self._known[shelf]
            ]
        if not self._newcomers:
            return False
        shelf, name = self._newcomers.pop()
        samples = shelf.remove(name)
        self._ledger.in_window -= samples
        self._ledger.drop("names_over_cap", samples)
        return True

    def _keep(self, samples: int, refused: int, reason: str) -> None:
        self._ledger.in_window += samples - refused
        if refused:
            self._ledger.drop(reason, refused)


def _lines(text: bytes) -> list[bytes]:
    return (text.replace(b"\r\n", b"\n") if b"\r" in text else text).split(b"\n")

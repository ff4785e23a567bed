"""Packets in, one closed window out: every sample is in an item or in a counted drop.

``feed`` only stores the packet. ``settle`` counts the stored packets together, because most of the work is then done
once for many lines. It runs after some 40,000 lines, or when a caller needs exact counts.

The compiled core counts most lines at once and stores only the others. The result is the same as that of plain
Python, and the tests compare the two.

A window of many names is much work. So ``cut`` only marks its end, and ``settling`` counts in small steps. The caller
can do other work between two steps. What it feeds in between belongs to the next window.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from decimal import localcontext
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from agent.aggregate.compiled import MaybeCore
from agent.aggregate.earlier import EarlierWindows
from agent.aggregate.freeing import freeing, releasing
from agent.aggregate.grouping import LineGroup, LineGrouper, Meaning
from agent.aggregate.histograms import Histograms
from agent.aggregate.open_window import OpenWindow
from agent.aggregate.others import Others
from agent.aggregate.room import Room
from agent.aggregate.values import Summary, from_fine, summarize, try_last, try_summarize, try_values
from agent.aggregate.window import Window
from agent.ledger import AGENT_FAULT, Ledger, lines_in
from protocol import histogram
from protocol.statsd import EXACT, KEEP, ONE, MetricType, Note, Tail, Value, parse_values
from protocol.statsd_tags import TagRules

if TYPE_CHECKING:
    from agent.aggregate.core import Counted

SETTLE_BYTES: Final = 1 << 20
"""Bytes of packets that are stored before they are counted: some 40,000 lines, 20 ms of work."""
SETTLE_LINES: Final = 50_000
"""Lines that are grouped at once. SETTLE_BYTES of usual lines fit in; very short lines need several rounds."""
STEP: Final = 400
"""Sums of the core, or groups of lines, that one step counts: some milliseconds."""
SHORT_VALUES: Final = 12
"""The summary of values of at most this many bytes is remembered, because programs often send a plain 1."""
REMEMBERED: Final = 4096
"""How many such summaries are remembered."""
FORMS: Final = {"counter": 0, "timing": 1, "gauge": 2, "signed": 3, "set": 4}
"""How the core counts the lines of a type: see agent/aggregate/core.pyi."""
Overtaken: TypeAlias = tuple[Meaning, int]
"""What the lines of a gauge mean, and how many were followed by another one."""


@dataclass(frozen=True, slots=True)
class AggregateOptions:
    """``max_names`` bounds the names of a window, and beside them the series with tags. Each counts once per type.

    ``max_members`` bounds the members of all sets of a window together. ``prefix`` goes before every name.
    ``interval`` is the length of a window in seconds.
    """

    max_names: int = 100_000
    prefix: str = ""
    tags: TagRules = KEEP
    gauges: Literal["delta", "absolute"] = "delta"
    max_members: int = 100_000
    interval: int = 10


class Aggregator:
    """The open window. It is synchronous and bounded, and only it writes the ledger's ``in_window``.

    ``in_window`` and ``received`` are exact after ``settle``. The ledger balances after every step.
    Beside the grammar's reasons, samples are dropped as names_over_cap, rates_over_cap and members_over_cap: see
    agent.aggregate.open_window; and as timestamp_too_old, timestamp_in_future and timestamps_over_cap: see
    agent.aggregate.earlier.
    """

    def __init__(self, options: AggregateOptions, ledger: Ledger, core: MaybeCore = None, others: int = 0) -> None:
        self.core = core(self._learn) if core else None
        self.others = Others([core(self._learn) for _ in range(others)]) if core and others else None
        """The cores of threads. None when only this thread counts."""
        if self.core and self.others:
            self.core.stamp(0)
        self.learned = 0
        """How often the core asked what lines mean that it has not seen before."""
        self._ledger = ledger
        self._packets: list[bytes] = []
        self._bytes = 0
        self.on_telemetry: Callable[[bytes, list[bytes]], None] = lambda name, rests: None
        """Called with what clients say of themselves: see agent.clients."""
        self._grouper = self._group_by(options.prefix, options.tags)
        merge = core.merge if core else histogram.merge
        self._room = Room(options.max_names)
        self._tables = OpenWindow(self._room, options.max_members, options.gauges == "delta", ledger, Histograms(merge))
        self._earlier = EarlierWindows(
            options.max_names, options.max_members, options.interval, ledger, Histograms(merge)
        )
        self._work: deque[Iterator[None]] = deque()
        """In order: what was fed and is not counted yet, and the ends of windows. Each iterator does one step."""
        self._closed: deque[Window] = deque()
        self._behind = False
        """Whether packets that were due wait in ``_work``."""
        self.when_due: Callable[[], object] = self.settle
        """Called when so much waits that it must be counted. It may call ``settle``, or ``step`` until False."""
        self.when_failed: Callable[[Exception, bytes], object] = lambda error, lines: None
        """Called with an exception that is a fault of ours, and with the lines that it lost."""
        self._summaries = lru_cache(REMEMBERED)(try_summarize)
        self._count: Mapping[MetricType, Callable[[LineGroup], None]] = {
            "counter": self._count_numbers,
            "timing": self._count_numbers,
            "gauge": self._count_gauge,
            "set": self._count_set,
        }

    def feed(self, packet: bytes) -> None:
        """Take one datagram, or a chunk of whole lines. Raises nothing, whatever the bytes are."""
        try:
            if self.core:
                self.core.feed(packet)
            else:
                self._packets.append(packet)
                self._bytes += len(packet) + 1
        except Exception as error:
            self._lose(error, packet, lines_in(packet))
        self.settle_when_due()

    def settle_when_due(self) -> None:
        """Bound the stored packets. Call it after a read from a socket straight into the core.

        When too many are stored, ``when_due`` says when they are counted. When as many again have come before that,
        they are counted at once.
        """
        if (self.core.left if self.core else self._bytes) >= SETTLE_BYTES:
            self._count_soon()

    def count_left(self) -> None:
        """Count soon what threads have left, unless that goes on already. They stop reading at some megabytes."""
        if not self._behind:
            self._count_soon()

    def _count_soon(self) -> None:
        behind, self._behind = self._behind, True
        self._put_to_work()
        self._work.append(self._catch_up())
        (self.settle if behind else self.when_due)()

    def settle(self) -> None:
        """Count everything fed so far. Call it before you read the ledger."""
        for _ in self.settling():
            pass

    def settling(self) -> Iterator[None]:
        """Count in steps. Ends when everything fed before is counted, by this iterator or by another caller."""
        self._put_to_work()
        while self.step():
            yield

    def step(self) -> bool:
        """Do one step of the waiting work. Returns False when nothing was left."""
        with localcontext(EXACT):
            while self._work:
                try:
                    for _ in self._work[0]:
                        return True
                except Exception as error:
                    self._lose(error, b"", 0)
                self._work.popleft()
        return False

    def cut(self, start: int) -> None:
        """End the window that began at ``start`` (whole seconds). What is fed from now on belongs to the next one."""
        self._put_to_work()
        self._work.append(self._close(start))

    def closed(self) -> Window:
        """The window that was cut, the oldest first. What is not counted of it yet is counted now.

        The samples of an item stay in ``ledger.in_window`` until the item is made: see OpenWindow.close.
        Raises IndexError when none was cut.
        """
        while not self._closed and self.step():
            pass
        return self._closed.popleft()

    def close(self, start: int) -> Window:
        """Cut the window and return it at once."""
        self.cut(start)
        return self.closed()

    def name_by(self, prefix: str, rules: TagRules) -> None:
        """Name what is fed from now on by these rules. What was fed before is counted first, by the old ones."""
        with self.held():
            if self.core:
                self.core.forget()
            if self.others:
                self.others.forget()
            self.settle()
            self._grouper = self._group_by(prefix, rules)

    def held(self) -> AbstractContextManager[None]:
        """Keep what other threads count as it is: between two of their reads, at one moment."""
        return self.others.held() if self.others else nullcontext()

    def bound(self, max_names: int) -> None:
        """Have room for so many names from now on. Those that the window has already stay until it ends."""
        self.settle()
        self._room.capacity = max_names
        self._earlier.bound(max_names)

    def _group_by(self, prefix: str, rules: TagRules) -> LineGrouper:
        return LineGrouper(prefix, rules, self._ledger.reject, self._telemetry)

    def _telemetry(self, name: bytes, rests: list[bytes]) -> None:
        self.on_telemetry(name, rests)

    def live_names(self) -> int:
        """How many names the open window has since the last ``settle``. A name counts once per type."""
        return self._room.names

    def live_series(self) -> int:
        """How many series with tags it has beside them."""
        return self._room.series

    def restore_gauges(self, texts: Mapping[str, str]) -> None:
        """Start with the gauges of an earlier run, as exact decimal text. Bad ones are left out and noted."""
        bad = self._tables.gauges.restore(texts)
        if bad:
            self._ledger.notes["gauge_state_bad"] += bad

    def note_lost_gauges(self) -> None:
        """Note that the gauges of an earlier run are lost as a whole."""
        self._ledger.notes["gauge_state_bad"] += 1

    def _put_to_work(self) -> None:
        if self.core:
            sums, text = self.others.take(self.core) if self.others else self.core.take()
        else:
            sums, text = iter(()), b"\n".join(self._packets) + b"\n"
        self._packets, self._bytes = [], 0
        overtaken: list[Overtaken] = []
        self._work.append(self._count_sums(sums, overtaken))
        self._work.append(self._count_lines(text))
        self._work.append(self._count_overtaken(overtaken))
        self._work.append(releasing([*([self.core] if self.core else ()), *(self.others.cores if self.others else ())]))

    def _count_sums(self, sums: "Iterator[Counted]", overtaken: "list[Overtaken]") -> Iterator[None]:
        """Count what the core has counted, but for gauges, which come into ``overtaken``."""
        add, note, ledger, left = self._tables.add, self._note, self._ledger, STEP
        for meaning, lines, samples, total, low, high, fine, spread in sums:
            received = ledger.received
            try:
                name, tail, notes = meaning
                if tail.type == "gauge":
                    overtaken.append((meaning, lines))
                    continue
                if notes:
                    note(notes, lines)
                if tail.type == "set":
                    self._tables.add_members(name, spread.split(b"\n"), array("I", low))
                    left -= total
                else:
                    add(name, tail, (from_fine if fine else Summary)(samples, total, low, high, spread))
            except Exception as error:
                self._lose(error, repr(meaning).encode(), samples - (ledger.received - received))
            left -= 1
            if left <= 0:
                left = STEP
                yield

    def _count_overtaken(self, overtaken: "list[Overtaken]") -> Iterator[None]:
        """Count lines of gauges that other lines have followed, of which the last one is counted already."""
        for number, (meaning, lines) in enumerate(overtaken, 1):
            received = self._ledger.received
            try:
                self._note(meaning.notes, lines)
                self._tables.repeat(meaning.key, lines)
            except Exception as error:
                self._lose(error, repr(meaning).encode(), lines - (self._ledger.received - received))
            if number % STEP == 0:
                yield
        yield from freeing(overtaken)

    def _count_lines(self, text: bytes) -> Iterator[None]:
        lines = (text.replace(b"\r\n", b"\n") if b"\r" in text else text).split(b"\n")
        for first in range(0, len(lines), SETTLE_LINES):
            counted, chunk, before = 0, lines[first : first + SETTLE_LINES], self._ledger.received
            try:
                for group in self._grouper.group(chunk):
                    if group is not None:
                        self._count_group(group)
                        counted += 1
                    if group is None or counted % STEP == 0:
                        yield
            except Exception as error:  # what others received between two steps makes this a few too low
                left = sum(map(bool, chunk)) - (self._ledger.received - before)
                self._lose(error, b"", left)
            chunk.clear()
        yield from freeing(lines)

    def _count_group(self, group: LineGroup) -> None:
        received = self._ledger.received
        try:
            self._count[group.tail.type](group)
        except Exception as error:
            samples = (group.values.count(b"\n") + group.values.count(b":") + 1) * group.times
            self._lose(error, group.key.encode() + b":" + group.values, samples - (self._ledger.received - received))

    def _lose(self, error: Exception, lines: bytes, samples: int) -> None:
        """Count as lost what an exception kept from being received, and what it left received and in no place."""
        self._ledger.reject(AGENT_FAULT, max(0, samples))
        self._ledger.drop(AGENT_FAULT, max(0, self._ledger.balance()))
        self.when_failed(error, lines)

    def _close(self, start: int) -> Iterator[None]:
        yield from self._tables.gauges.copying()
        self._closed.append(self._tables.close(start)._replace(earlier=self._earlier.close(start)))
        self._room.clear()
        yield from self._tables.tidy()

    def _catch_up(self) -> Iterator[None]:
        self._behind = False
        yield

    def _learn(self, raw: bytes, text: bytes) -> tuple[int, Meaning | None, int]:
        """For the core: the limit of values that it may count by itself, what the lines mean, how it counts them."""
        self.learned += 1
        try:
            meaning = self._grouper.meaning(raw, text)
        except Exception:
            return 0, None, 0  # the line is left to plain Python, which counts it, or counts it as lost
        if meaning is None or meaning.tail.timestamp is not None:
            return 0, None, 0
        tail = meaning.tail
        absolute = tail.absolute or not self._tables.gauges.deltas
        return int(tail.limit), meaning, FORMS["signed" if tail.type == "gauge" and absolute else tail.type]

    def _count_numbers(self, group: LineGroup) -> None:
        values, tail = group.values, group.tail
        spread = tail.type == "timing"
        summary = (self._summaries if len(values) <= SHORT_VALUES else try_summarize)(values, spread=spread)
        if summary is None or (tail.rate is not ONE and not summary.is_within(tail.limit)):
            numbers = [value.number for value in self._values(group)]
            if not numbers:
                return
            summary = summarize(numbers, spread=spread)
        elif group.notes:
            self._note(group.notes, (values.count(b"\n") + 1) * group.times)
        if group.times > 1:
            summary = summary.repeated(group.times)
        if (tables := self._tables_at(tail, summary.samples)) is not None:
            tables.add(group.key, tail, summary)

    def _count_gauge(self, group: LineGroup) -> None:
        values, times = try_last(group.values)
        if not values:
            values, times = try_values(group.values), 1
        if values:
            self._note(group.notes, (group.values.count(b"\n") + 1) * group.times)
        else:
            values = self._values(group)
        if values and (tables := self._tables_at(group.tail, len(values) * times)) is not None:
            tables.apply(group.key, values, times, absolute=group.tail.absolute)

    def _count_set(self, group: LineGroup) -> None:
        sent = group.values.split(b"\n")
        members = [member for member in sent if member]
        if len(members) < len(sent):
            self._ledger.reject("no_value", (len(sent) - len(members)) * group.times)
        self._note(group.notes, len(members) * group.times)
        if members and (tables := self._tables_at(group.tail, len(members) * group.times)) is not None:
            tables.add_members(group.key, members, repeat(group.times, len(members)))

    def _tables_at(self, tail: Tail, samples: int) -> OpenWindow | None:
        """The window of the values of a tail. When there is none, their samples are dropped."""
        if tail.timestamp is None:
            return self._tables
        tables = self._earlier.at(tail.timestamp)
        if tables is None:
            self._ledger.reject("timestamps_over_cap", samples)
        return tables

    def _values(self, group: LineGroup) -> list[Value]:
        """Read the values of a group one by one and return the good ones. Bad ones are rejected, good lines noted."""
        values: list[Value] = []
        for line in group.values.split(b"\n"):
            good, bad = parse_values(line, group.tail.limit)
            for reason in bad:
                self._ledger.reject(reason, group.times)
            if good:
                values += good
                self._note(group.notes, group.times)
        return values

    def _note(self, notes: tuple[Note, ...], lines: int) -> None:
        for note in notes:
            self._ledger.notes[note] += lines

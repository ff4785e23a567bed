"""What several cores have counted is what one would have counted, in the order in which it was read."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.aggregate.others import FIRST_SENDERS, Others
from agent.aggregate.window import WindowItem
from agent.ledger import Ledger
from protocol.numbers import UNIT
from protocol.statsd import KEEP
from protocol.statsd_tags import TagRules
from tests.agent.aggregate.test_core_agrees import NASTY, Counts, counts
from tests.examples import examples

Part = tuple[int, bytes, bytes]
"""A time, lines that were left then, and the address of their sender."""


class FakeCore:
    """Has left some lines. It notes what is asked while it is not held."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts
        self.holds = self.stamped = self.forgotten = 0
        self.careless: list[str] = []

    def hold(self) -> None:
        self.holds += 1

    def let_go(self) -> None:
        self.holds -= 1

    def stamp(self, senders: int) -> None:
        self._asked("stamp")
        self.stamped = senders

    def forget(self) -> None:
        self._asked("forget")
        self.forgotten += 1

    def parts(self) -> list[tuple[int, int, bytes]]:
        self._asked("parts")
        ends = [sum(len(lines) for _, lines, _ in self._parts[: number + 1]) for number in range(len(self._parts))]
        return [(time, end, sender) for (time, _, sender), end in zip(self._parts, ends, strict=True)]

    def take(self) -> tuple[Iterator[Any], bytes]:
        self._asked("take")
        return iter([len(self._parts)]), b"".join(lines for _, lines, _ in self._parts)

    def mirror(self, fd: int) -> tuple[int, ...]:
        self._asked("mirror")
        return (fd, 2, 3, 4, 5, 6)

    def _asked(self, what: str) -> None:
        if not self.holds:
            self.careless.append(what)


def others(*cores: FakeCore) -> Others:
    return Others(cast("Any", cores))


@pytest.mark.parametrize(
    ("main", "left", "together"),
    [
        ([], [[], []], b""),
        ([(1, b"a\n", b"")], [[], []], b"a\n"),
        ([(2, b"b\n", b"")], [[(1, b"a\n", b""), (4, b"d\n", b"")], [(3, b"c\n", b"")]], b"a\nb\nc\nd\n"),
        ([], [[(5, b"1\n2\n", b"")], [(5, b"3\n", b"")]], b"1\n2\n3\n"),
        ([(9, b"z\n", b"")], [[(1, b"a\nb\n", b"x"), (2, b"c\n", b"")], [(8, b"y\n", b"")]], b"a\nb\nc\ny\nz\n"),
    ],
)
def test_lines_come_in_the_order_of_their_reading(main: list[Part], left: list[list[Part]], together: bytes) -> None:
    first, cores = FakeCore(*main), [FakeCore(*parts) for parts in left]
    first.hold()
    taken: Any = others(*cores).take(cast("Any", first))
    assert taken.left == together
    assert list(taken.sums) == [len(main), *map(len, left)]
    assert [(core.holds, core.careless) for core in cores] == [(0, [])] * len(cores)


def test_lines_are_marked_and_inspected_where_their_threads_left_them() -> None:
    seen: list[tuple[bytes, bytes]] = []
    two = others(FakeCore((1, b"a\n", b"from"), (3, b"b\n", b"")))
    two.mark = bytes.upper
    two.inspect = lambda lines, sender: seen.append((lines, sender))
    first = FakeCore((2, b"own\n", b""))
    first.hold()
    assert two.take(cast("Any", first)).left == b"A\nown\nB\n"
    assert seen == [(b"a\n", b"from")]


def test_all_cores_are_set_and_asked() -> None:
    cores = [FakeCore(), FakeCore()]
    both = others(*cores)
    assert [core.stamped for core in cores] == [FIRST_SENDERS] * 2
    both.forget()
    assert [core.forgotten for core in cores] == [1, 1]
    assert both.mirror(7) == [14, 4, 6, 8, 10, 12]
    with both.held():
        assert [core.holds for core in cores] == [1, 1]
    assert [core.careless for core in cores] == [[], []]


@contextmanager
def several(options: AggregateOptions, ledger: Ledger, number: int = 2) -> Iterator[Aggregator]:
    """An aggregator with as many cores beside its own."""
    assert CORE is not None
    aggregator = Aggregator(options, ledger, CORE, number)
    assert aggregator.others is not None
    yield aggregator


def feed(aggregator: Aggregator, core: int, packet: bytes) -> None:
    """As if a thread had read it. Core 0 is the main one."""
    assert aggregator.others is not None
    if core == 0:
        aggregator.feed(packet)
    else:
        aggregator.others.cores[core - 1].feed(packet)


def samples_of(*items: Iterable[WindowItem]) -> int:
    return sum(item.samples for some in items for item in some)


def dealt(windows: list[list[list[bytes]]], options: AggregateOptions) -> list[Counts]:
    """All that is known after each window, whose packets came to one core after the other."""
    ledger, results = Ledger(), []
    with several(options, ledger) as aggregator:
        for number, window in enumerate(windows):
            for place, packets in enumerate(window):
                for packet in packets:
                    feed(aggregator, (place + number) % 3, packet)
            aggregator.settle()
            assert ledger.balance() == 0
            received, in_window = ledger.received, ledger.in_window
            closed = aggregator.close(0)
            items = sorted(closed.items, key=repr)
            ledger.acknowledged += samples_of(items, *(earlier.items for earlier in closed.earlier))
            gauges = {name: str(value) for name, value in closed.gauges.items()}
            results.append((received, in_window, dict(ledger.dropped), dict(ledger.notes), items, gauges))
    return results


def later() -> None:
    """Wait until what is read is no longer of one part with what was read before."""
    end = time.monotonic_ns() + 2_000_000
    while time.monotonic_ns() < end:
        pass


@pytest.mark.parametrize(
    ("reads", "value", "samples"),
    [
        ([(1, b"g:1|g"), (2, b"g:2|g"), (1, b"odd")], 2, 2),
        ([(1, b"g:1|g"), (2, b"g:2|g\ng:3|g"), (1, b"h:+1|g"), (2, b"h:2|g")], 3, 3),
        ([(2, b"g:1|g"), (1, b"g:2|g"), (2, b"g:+3|g"), (0, b"odd")], 5, 3),
        ([(1, b"g:1|g"), (2, b"g:+3|g"), (1, b"g:2|g")], 2, 3),
        ([(1, b"g:1|g\nh:1|g"), (2, b"g:4|g"), (1, b"h:2|g"), (0, b"g:-1|g")], 3, 3),
    ],
)
def test_the_last_value_of_a_gauge_is_the_one_that_was_read_last(
    reads: list[tuple[int, bytes]], value: int, samples: int
) -> None:
    ledger = Ledger()
    with several(AggregateOptions(), ledger) as aggregator:
        for core, packet in reads:
            feed(aggregator, core, packet)
            later()
        closed = aggregator.close(0)
        found = {item.item.name: (item.item.value // UNIT, item.samples) for item in closed.items}
    assert found["g"] == (value, samples)
    assert ledger.received == sum(packet.count(b"\n") + 1 for _, packet in reads)


PACKETS = st.lists(st.lists(NASTY, max_size=4).map(b"\n".join), max_size=3)
WINDOWS = st.lists(st.lists(PACKETS, min_size=3, max_size=3), min_size=1, max_size=3)


@settings(max_examples=examples(80))
@given(WINDOWS, st.sampled_from(["keep", "drop", "append"]), st.sampled_from(["delta", "absolute"]))
def test_several_cores_count_as_one(windows: list[list[list[bytes]]], tags: Any, gauges: Any) -> None:
    options = AggregateOptions(prefix="p.", tags=TagRules(tags), gauges=gauges)
    whole = [[packet for packets in window for packet in packets] for window in windows]
    assert dealt(windows, options) == counts(None, whole, options)


def test_gauges_deltas_sets_histograms_and_tags_come_together() -> None:
    window = [
        [b"g:5|g\nd:+1|g", b"s:a|s\ns:b|s", b"t:1|ms\nt:2|ms", b"c:1|c|#x:y", b"r:1|c|@0.5"],
        [b"g:6|g\nd:+10|g", b"s:b|s\ns:c|s", b"t:2|ms\nt:900|ms", b"c:2|c|#x:y\nc:3|c|#x:z", b"r:2|c|@0.25"],
        [b"g:4|g\nd:-3|g", b"s:c|s", b"t:1e3|ms", b"c:4|c", b"bad", b"r:1|c"],
    ]
    ((received, in_window, dropped, _, items, gauges),) = dealt([window], AggregateOptions())
    assert (received, in_window, dropped) == (24, 23, {"no_type": 1})
    assert gauges == {"g": "4", "d": "8"}
    found = {item.item.name: item for item in items}
    assert found["t"].item.value == 1_905 * 10_000
    assert found["t"].item.histogram is not None
    assert found["r"].samples == 3
    assert {name: found[name].item.value // 10_000 for name in ("s", "r", "c")} == {"s": 3, "r": 11, "c": 4}
    whole = [one for part in window for one in part]
    assert dealt([window], AggregateOptions()) == counts(None, [whole], AggregateOptions())


@settings(max_examples=examples(20))
@given(WINDOWS, st.integers(1, 3))
def test_caps_hold_over_all_cores_together(windows: list[list[list[bytes]]], most: int) -> None:
    ledger = Ledger()
    with several(AggregateOptions(max_names=most, max_members=most), ledger) as aggregator:
        for window in windows:
            for place, packets in enumerate(window):
                for packet in packets:
                    feed(aggregator, place, packet)
            aggregator.settle()
            assert aggregator.live_names() <= most
            assert aggregator.live_series() <= most
            assert ledger.balance() == 0
            closed = aggregator.close(0)
            ledger.acknowledged += samples_of(closed.items, *(earlier.items for earlier in closed.earlier))
    whole = [packet for window in windows for packets in window for packet in packets]
    assert ledger.received == counts(None, [whole], AggregateOptions())[0][0]


def test_lines_get_the_names_that_held_when_their_threads_read_them() -> None:
    ledger = Ledger()
    with several(AggregateOptions(prefix="old."), ledger) as aggregator:
        for core in range(3):
            feed(aggregator, core, b"a:1|c\nb:%d|g" % core)
        aggregator.name_by("new.", KEEP)
        for core in range(3):
            feed(aggregator, core, b"a:1|c")
        closed = aggregator.close(0)
        found = {item.item.name: item.samples for item in closed.items}
    assert found == {"old.a": 3, "old.b": 3, "new.a": 3}
    assert ledger.received == sum(found.values())


def test_lines_of_threads_wait_until_those_before_are_counted() -> None:
    """A thread bounds what it leaves, so nothing is counted at once, which would keep the loop from its turn."""
    ledger, due = Ledger(), []
    aggregator = Aggregator(AggregateOptions(), ledger)
    aggregator.when_due = lambda: due.append(ledger.received)
    aggregator.feed(b"a:1|c")
    aggregator.count_left()
    aggregator.feed(b"a:1|c")
    aggregator.count_left()
    aggregator.count_left()
    assert (due, ledger.received) == ([0], 0)
    while aggregator.step():
        pass
    assert ledger.received == 1
    aggregator.count_left()
    assert due == [0, 1]
    aggregator.settle()
    assert (ledger.received, ledger.balance()) == (2, 0)

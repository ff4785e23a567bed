"""What grows with input, and where it ends; and that the good go on beside the bad."""

import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate import grouping
from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.aggregate.gauges import COPIED_AT_ONCE, Gauges
from agent.aggregate.grouping import LineGrouper
from agent.aggregate.histograms import Histograms
from agent.aggregate.sets import SMALL_SET, Sets
from agent.aggregate.sums import MAX_RATES, SumsByRate
from agent.aggregate.values import summarize
from agent.ledger import MAX_REASONS, OTHER_REASON, Ledger
from agent.receive.sockets import MAX_CONNECTIONS, RESERVED, room_for_connections
from protocol.histogram import merge
from protocol.numbers import UNIT
from protocol.statsd import KEEP, RATE_DIGITS, Value, parse_tail
from tests.agent.cores import each_core


class Windows:
    """One aggregator, window by window; its ledger must balance after each."""

    def __init__(self, core: MaybeCore, max_names: int, max_members: int = 100) -> None:
        self.ledger = Ledger()
        options = AggregateOptions(max_names=max_names, max_members=max_members)
        self.aggregator = Aggregator(options, self.ledger, core)

    def window(self, *lines: bytes) -> dict[str, int]:
        """Samples by name."""
        for line in lines:
            self.aggregator.feed(line)
            self.aggregator.settle()
        assert self.ledger.balance() == 0
        items = list(self.aggregator.close(0).items)
        self.ledger.acknowledged += sum(item.samples for item in items)
        assert self.ledger.balance() == 0
        return {item.item.name: item.samples for item in items}


def flood(kind: bytes, count: int = 20) -> list[bytes]:
    return [b"junk%d:1|%s" % (number, kind) for number in range(count)]


GOOD = {b"c": "counter", b"ms": "timing", b"g": "gauge", b"s": "set"}


@each_core
@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("bad", GOOD)
def test_a_flood_of_names_does_not_push_out_known_names(core: MaybeCore, kind: bytes, bad: bytes) -> None:
    windows = Windows(core, max_names=5)
    assert windows.window(b"good:1|%s" % kind) == {"good": 1}
    for _ in range(3):
        counted = windows.window(*flood(bad), b"good:1:1|%s" % kind if kind in (b"c", b"ms") else b"good:1|%s" % kind)
        assert len(counted) == 5
        assert counted["good"] == (2 if kind in (b"c", b"ms") else 1)
    assert windows.ledger.dropped == {"names_over_cap": 3 * 16}


@each_core
def test_known_names_up_to_the_cap_are_counted_and_new_ones_dropped(core: MaybeCore) -> None:
    windows = Windows(core, max_names=3)
    known = [b"a:1|c", b"b:1|ms", b"c:1|g"]
    windows.window(*known)
    assert windows.window(b"x:1|c", b"x:1|c", b"y:1|s", *known, b"z:1|c") == {"a": 1, "b": 1, "c": 1}
    assert windows.ledger.dropped == {"names_over_cap": 4}
    assert windows.window(b"x:1|c") == {"x": 1}


@each_core
def test_names_of_a_flood_are_not_known_afterwards(core: MaybeCore) -> None:
    windows = Windows(core, max_names=5)
    windows.window(b"good:1|c")
    windows.window(*flood(b"c"))
    assert "good" in windows.window(*flood(b"c"), b"good:1|c")


@each_core
def test_a_gauge_that_is_pushed_out_is_forgotten_and_noted(core: MaybeCore) -> None:
    windows = Windows(core, max_names=2)
    windows.window(b"a:1|c", b"b:1|c")
    assert windows.window(b"depth:40|g", b"x:1|c", b"a:1|c", b"b:1|c") == {"a": 1, "b": 1}
    assert windows.aggregator.close(0).gauges == {}
    assert windows.ledger.notes == {"gauges_forgotten": 1}


def test_all_names_share_the_room_for_rates_except_the_first_of_each() -> None:
    sums, one = SumsByRate("counter", 3, Histograms(merge)), summarize([Decimal(1)], spread=False)
    rates = [Decimal(number) / 100 for number in range(1, 60)]
    assert [sums.add(f"n{number}", rates[number], one) for number in range(9)] == [0] * 9
    assert [sums.add("n0", rate, one) for rate in rates[10:14]] == [0, 0, 0, 1]
    assert sums.add("n1", rates[20], one) == 1
    assert sums.add("n1", rates[1], one) == 0
    assert sums.remove("n0") == 4
    assert sums.add("n1", rates[20], one) == 0
    sums.close(0)
    for rate in rates[:4]:
        assert sums.add("n0", rate, one) == 0
    assert MAX_RATES > 4


@given(
    st.lists(st.tuples(st.integers(-(10**12), 10**12), st.decimals("0.01", "0.99", places=6)), min_size=1, max_size=30)
)
def test_a_sum_over_many_rates_is_exact_in_any_order(amounts: list[tuple[int, Decimal]]) -> None:
    sums = SumsByRate("counter", 100, Histograms(merge))
    for amount, rate in amounts:
        sums.add("a", rate, summarize([Decimal(amount)], spread=False))
    (item, *_), exact = sums.close(0), sum(Fraction(amount) / Fraction(rate) for amount, rate in amounts)
    assert abs(Fraction(item.item.value, UNIT) - exact) <= Fraction(1, 2 * UNIT)


def test_a_rate_is_taken_to_forty_digits() -> None:
    assert parse_tail(b"c|@0.1" + b"0" * 50 + b"1") == parse_tail(b"c|@0.1")
    assert parse_tail(b"c|@0." + b"9" * 50) == parse_tail(b"c")
    assert parse_tail(b"c|@0.1" + b"0" * (RATE_DIGITS - 2) + b"1") != parse_tail(b"c|@0.1")


def test_huge_sets_leave_room_for_small_ones() -> None:
    sets = Sets(1_000)
    assert sets.add("huge", [b"%d" % number for number in range(2_000)], [1] * 2_000) == 1_200
    assert sets.add("other", [b"%d" % number for number in range(2_000)], [1] * 2_000) == 2_000 - SMALL_SET
    assert sets.add("small", [b"%d" % number for number in range(50)], [1] * 50) == 0
    assert sets.remove("huge") == 800
    assert sets.add("more", [b"%d" % number for number in range(2_000)], [1] * 2_000) == 2_000 - 650


@pytest.mark.parametrize("line", [b"%s%d:1|c", b"a:1|c|#%s:%d"])
def test_long_names_and_tails_are_not_remembered_for_ever(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MAX_MEANING_BYTES", 100_000)
    grouper = LineGrouper("", KEEP, lambda reason, lines: None)
    tracemalloc.start()
    try:
        for number in range(50):
            list(grouper.group([line % (b"x" * 8_000, number)]))
            assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()


def test_unknown_reasons_beyond_the_limit_are_counted_under_one_name() -> None:
    ledger = Ledger()
    for number in range(1_000):
        ledger.reject(f"rejected_CODE_{number}", 2)
    assert len(ledger.dropped) == MAX_REASONS + 1
    assert ledger.dropped[OTHER_REASON] == 2 * (1_000 - MAX_REASONS)
    assert ledger.balance() == 0


@contextmanager
def descriptors(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_connections_leave_descriptors_for_the_spool() -> None:
    with descriptors(512):
        assert room_for_connections() == MAX_CONNECTIONS
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == MAX_CONNECTIONS + RESERVED
    with descriptors(MAX_CONNECTIONS * 2):
        assert room_for_connections() == MAX_CONNECTIONS
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == MAX_CONNECTIONS * 2


def test_only_the_latest_gauges_are_restored_when_room_is_short() -> None:
    gauges = Gauges(2)
    gauges.restore({"a": "1", "b": "2", "c": "3"})
    assert list(gauges.values()) == ["b", "c"]


@pytest.mark.parametrize(
    ("gauges", "steps"),
    [(0, 0), (COPIED_AT_ONCE, 0), (COPIED_AT_ONCE + 1, 2), (3 * COPIED_AT_ONCE, 3), (3 * COPIED_AT_ONCE + 1, 4)],
)
def test_many_gauges_are_copied_in_steps(gauges: int, steps: int) -> None:
    table = Gauges(100_000)
    table.restore({f"g{number}": str(number) for number in range(gauges)})
    assert len(list(table.copying())) == steps
    assert list(table.values().items()) == [(f"g{number}", Decimal(number)) for number in range(gauges)]
    table.apply("new", [Value(Decimal(1), False)])
    assert table.values()["new"] == 1


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_the_gauge_untouched_for_longest_is_forgotten(touches: list[tuple[str, bool]]) -> None:
    """The boolean ends the window. At most three are touched in one, and four are kept."""
    gauges, last, touched = Gauges(4), dict[str, Decimal](), set[str]()
    for number, (name, ends) in enumerate(touches):
        if ends:
            list(gauges.close(0, gauges.values()))
            touched.clear()
        if name not in touched:
            if len(touched) == 3:
                continue
            last.pop(name, None)
            touched.add(name)
            if len(last) == 4:
                del last[next(one for one in last if one not in touched)]
        last[name] = Decimal(number)
        assert gauges.apply(name, [Value(Decimal(number), False)]) == 0
        assert list(gauges.values().items()) == list(last.items())

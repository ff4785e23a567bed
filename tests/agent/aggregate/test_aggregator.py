"""Aggregation: tables of lines and items, and any packets at all against a slow, plain reference."""

from collections.abc import Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate import aggregator as aggregate
from agent.aggregate.aggregator import STEP, AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.aggregate.sums import MAX_RATES
from agent.aggregate.window import Window
from agent.ledger import Ledger
from protocol.item import Item
from protocol.numbers import MAX_TEXT, MAX_UNITS, units_to_text
from protocol.statsd import EXACT
from protocol.statsd_tags import TagRules
from protocol.statsd_types import KIND_OF
from tests.agent.aggregate.reference import PACKETS, Reference, Row
from tests.agent.cores import CORES, each_core
from tests.examples import examples


def run(*packets: bytes, **options: Any) -> tuple[list[Row], Ledger]:
    """Rows of (kind, name, value[, weight, low, high]) of one window, sorted, and the ledger when closed.

    Whatever counts them.
    """
    plain, *others = (run_one(core, packets, options) for core in CORES)
    assert all(other == plain for other in others)
    return plain


def run_one(core: MaybeCore, packets: Iterable[bytes], options: Any) -> tuple[list[Row], Ledger]:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(**options), ledger, core)
    for packet in packets:
        aggregator.feed(packet)
    aggregator.settle()
    assert ledger.balance() == 0
    return close(aggregator, ledger), ledger


def key_of(item: Item) -> str:
    return item.name if item.tags is None else f"{item.name}#{item.tags}"


def close(aggregator: Aggregator, ledger: Ledger) -> list[Row]:
    window = aggregator.close(1_000)
    items = list(window.items)
    earlier = [item for one in window.earlier for item in one.items]
    ledger.in_spool += sum(item.samples for item in [*items, *earlier])
    assert (ledger.balance(), ledger.in_window, window.start) == (0, 0, 1_000)
    rows = []
    for item, _, sent_as in items:
        assert KIND_OF[sent_as] == item.kind
        assert item.recorded_at == 1_000
        summary = () if item.weight is None else (item.weight, item.low, item.high)
        rows.append(
            (item.kind, key_of(item), *(units_to_text(units) for units in (item.value, *summary) if units is not None))
        )
    return sorted(rows)


@pytest.mark.parametrize(
    ("packet", "rows"),
    [
        (b"a:1|c", [("counter", "a", "1")]),
        (b"a:2.5|m\n", [("counter", "a", "2.5")]),
        (b"a:1|c\na:2|c", [("counter", "a", "3", "2", "1", "2")]),
        (b"a:1|c|@0.1", [("counter", "a", "10", "10", "1", "1")]),
        (b"a:1|c|@1", [("counter", "a", "1")]),
        (b"a:1|c|@0.3", [("counter", "a", "3.3333", "3.3333", "1", "1")]),
        (b"a:1|c|@0.3\n" * 3, [("counter", "a", "10", "10", "1", "1")]),
        (b"a:3|ms|@0.3\na:5|h", [("value", "a", "15", "4.3333", "3", "5")]),
        (b"a:1:2:3|ms", [("value", "a", "6", "3", "1", "3")]),
        (b"a:1|ms\na:2|h\na:3|d", [("value", "a", "6", "3", "1", "3")]),
        (b"a:0.1|c\n" * 10, [("counter", "a", "1", "10", "0.1", "0.1")]),
        (b"a:0.1|ms\na:0.2|ms", [("value", "a", "0.3", "2", "0.1", "0.2")]),
        (b"a:0.00005|c\n" * 2, [("counter", "a", "0.0001", "2", "0", "0")]),
        (b"a:0.00005|c", [("counter", "a", "0")]),
        (b"a:0.00015|c", [("counter", "a", "0.0002")]),
        (b"a:%b|ms" % MAX_TEXT.encode(), [("value", "a", MAX_TEXT)]),
        (b"a:%b|ms\na:-1|ms" % MAX_TEXT.encode(), [("value", "a", "9999999999999998.9999", "2", "-1", MAX_TEXT)]),
        (b"a:1e2|c\na:1e-4|c", [("counter", "a", "100.0001", "2", "0.0001", "100")]),
        (b"a:5|g", [("value", "a", "5")]),
        (b"a:5|g\na:7|g\na:6|g", [("value", "a", "6")]),
        (b"a:5|g\na:+1|g\na:-3|g", [("value", "a", "3")]),
        (b"a:-3|g", [("value", "a", "-3")]),
        (b"a:1:+2:+3|g", [("value", "a", "6")]),
        (b"a:+1|g\n" * 7, [("value", "a", "7")]),
        (b"a:5|g|@0.1", [("value", "a", "5")]),
        (b"a/b:1|g\na-b:2|g\na/b:+3|g", [("value", "a-b", "5")]),
        (b"a:1|g\na:2|g|#t\na:3|g", [("value", "a", "3"), ("value", "a#t:", "2")]),
        (b"a:1|c|#k:v,b\na;b=;k=v:2|c\na:4|c", [("counter", "a", "4"), ("counter", "a#b:,k:v", "3", "2", "1", "2")]),
        (b"a:x|s\na:y|s\na:x|s|@0.5", [("value", "a", "2")]),
        (b"a:1:2|s", [("value", "a", "1")]),
        (b"a:x|s\n" * 5, [("value", "a", "1")]),
        (b"a:1|c\na:2|ms", [("counter", "a", "1"), ("value", "a", "2")]),
        (b"a:1|c\r\nb:2|c\r\n\n\r\nc:3|c\r", [("counter", "a", "1"), ("counter", "b", "2"), ("counter", "c", "3")]),
        (b"", []),
        (b"\n\r\n\n", []),
    ],
)
def test_lines_become_items(packet: bytes, rows: list[Row]) -> None:
    got, ledger = run(packet)
    assert got == rows
    assert not ledger.dropped


@pytest.mark.parametrize(
    ("packet", "dropped"),
    [
        (b"a:x|c", {"bad_number": 1}),
        (b"a:1:2:x|ms\nb:1|c", {"bad_number": 1}),
        (b"a:1|c\na:x|c\n" * 30, {"bad_number": 30}),
        (b"a:x|c\n" * 5, {"bad_number": 5}),
        (b"a:1-2|c\na:1.2.3|c\na:.|c\na:1|c", {"bad_number": 3}),
        (b"a:1|c|@2\na:1|c|@2\na:1|zz", {"bad_rate": 2, "unknown_type": 1}),
        (
            b"_e{1,1}:a|b\n_sc|a|0\ndatadog.dogstatsd.client.x:1|c",
            {"event": 1, "service_check": 1, "client_telemetry": 1},
        ),
        (b"a:|s\na:x|s", {"no_value": 1}),
        (b"a:|s\na:|s", {"no_value": 2}),
        (b"a:x|g\na:y|g", {"bad_number": 2}),
        (b"a:999999999999999|c|@0.05", {"out_of_range": 1}),
        (b"a:1|c|@0.5\na:9999999999999999|c|@0.5", {"out_of_range": 1}),
        (b"a:9999999999999999.99995|c\na:1|c", {"out_of_range": 1}),
        (b"a:9999999999999999|g\na:+1|g\na:-1|g", {"out_of_range": 1}),
        (b"n" * 256 + b":1|c", {"bad_name": 1}),
    ],
)
def test_every_sample_not_counted_has_a_reason(packet: bytes, dropped: dict[str, int]) -> None:
    _, ledger = run(packet)
    assert ledger.dropped == dropped


def test_notes_are_counted_per_line_and_only_for_good_lines() -> None:
    _, ledger = run(b"a b:1|c|#t\n" * 3, b"a b:x|c|#t\n", b"a:1:2|g|T5\n", b"a:x|s||y\n", b"a:|s||y\n", b"a:5x|g|T5")
    assert ledger.notes == {"name_cleaned": 3, "unknown_field": 2}


def test_a_prefix_goes_before_every_name_and_counts_for_its_length() -> None:
    rows, ledger = run(b"a:1|c\n" + b"n" * 252 + b":1|g", prefix="web.")
    assert rows == [("counter", "web.a", "1")]
    assert ledger.dropped == {"bad_name": 1}


def as_texts(window: Window) -> dict[str, str]:
    return {name: format(value, "f") for name, value in window.gauges.items()}


def test_a_signed_absolute_gauge_is_a_plain_value() -> None:
    rows, ledger = run(b"a:5|g\na:-3|g", gauges="absolute")
    assert (rows, ledger.notes) == ([("value", "a", "-3")], {})


@each_core
def test_a_sum_out_of_range_becomes_items_in_range_that_add_up(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:%b|c\n" % MAX_TEXT.encode() * 5)
    items = [item for item, _, _ in aggregator.close(0).items]
    assert len(items) == 5
    assert all(abs(item.value) <= MAX_UNITS and item.low == item.high == MAX_UNITS for item in items)
    assert sum(item.value for item in items) == 5 * MAX_UNITS
    assert sum(item.weight or 0 for item in items) == 50_000


@each_core
def test_a_weight_out_of_range_becomes_items_in_range_that_add_up(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:0|ms|@0.0000000000000002\n" * 3)
    items = list(aggregator.close(0).items)
    assert [entry.item.weight for entry in items] == [75 * 10**18] * 2
    assert [entry.samples for entry in items] == [2, 1]


@each_core
def test_nothing_is_lost_between_windows(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:1|c\nx:9|g\ns:m|s")
    assert len(close(aggregator, ledger)) == 3
    aggregator.feed(b"a:1|c")
    assert close(aggregator, ledger) == [("counter", "a", "1")]
    aggregator.feed(b"x:+1|g")
    assert close(aggregator, ledger) == [("value", "x", "10")]
    assert close(aggregator, ledger) == []


@each_core
def test_what_comes_while_a_window_is_counted_belongs_to_the_next(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    for kind in ("c", "ms", "g", "s"):
        for number in range(STEP + 500):
            aggregator.feed(f"{kind}{number}:5|{kind}".encode())
    aggregator.cut(1_000)
    steps = 0
    for step in aggregator.settling():
        assert step is None
        assert (ledger.balance(), ledger.received == ledger.in_window) == (0, True)
        steps += 1
        aggregator.feed(b"g0:+1|g\nc0:1|c")
    assert steps >= 6
    assert ledger.received == 4 * (STEP + 500)
    first = aggregator.closed()
    left = [item.item.name for item in first.items if (item.item.value, item.samples) == (50_000, 1)]
    assert (len(left), first.gauges["g0"]) == (3 * (STEP + 500), Decimal(5))
    assert ledger.in_window == 0
    assert [item.item[:3] for item in aggregator.close(1_010).items] == [
        ("c0", "counter", steps * 10_000),
        ("g0", "value", (5 + steps) * 10_000),
    ]


@each_core
def test_no_step_counts_more_than_it_may(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    for number in range(3 * STEP):
        aggregator.feed(f"a{number}:1|c\nb{number}:1|g".encode())
    before = 0
    for _ in aggregator.settling():
        assert 0 <= ledger.received - before <= STEP
        before = ledger.received
    assert ledger.received == 6 * STEP


def test_a_window_that_was_not_cut_cannot_be_taken() -> None:
    with pytest.raises(IndexError):
        Aggregator(AggregateOptions(), Ledger()).closed()


@each_core
def test_enough_waiting_packets_are_settled_without_a_call(monkeypatch: pytest.MonkeyPatch, core: MaybeCore) -> None:
    monkeypatch.setattr(aggregate, "SETTLE_BYTES", 20)
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:+1|g\nb:+1|g")
    assert ledger.received == 0
    aggregator.feed(b"a:+1|g\nb:+1|g")
    assert (ledger.received, ledger.in_window, aggregator.live_names()) == (4, 4, 2)


@each_core
def test_due_packets_are_counted_in_steps_or_at_once_when_many_came(
    monkeypatch: pytest.MonkeyPatch, core: MaybeCore
) -> None:
    monkeypatch.setattr(aggregate, "SETTLE_BYTES", 20)
    monkeypatch.setattr(aggregate, "STEP", 1)
    ledger, due = Ledger(), []
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.when_due = lambda: due.append(ledger.received)
    four = b"a:+1|g\nb:+1|g\nc:+1|g\nd:+1|g"
    aggregator.feed(four)
    assert (due, ledger.received) == ([0], 0)
    assert [aggregator.step() and ledger.received for _ in range(3)] == [1, 2, 3]
    aggregator.feed(four)
    assert (due, ledger.received) == ([0], 8)
    aggregator.feed(four)
    assert (due, ledger.received) == ([0, 8], 8)
    while aggregator.step():
        pass
    aggregator.feed(four)
    assert (due, ledger.received, ledger.balance()) == ([0, 8, 12], 12, 0)


@each_core
def test_names_over_the_cap_are_dropped_and_known_ones_go_on(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(max_names=3), ledger, core)
    aggregator.feed(b"a:1|c\nb:1|ms\nc:1|g")
    aggregator.settle()
    aggregator.feed(b"d:1:2|c\na:1|ms\nb:1|g\ne:x|s\na:1|c\nb:1|ms\nc:+1|g")
    aggregator.settle()
    assert ledger.dropped == {"names_over_cap": 5}
    assert close(aggregator, ledger) == [
        ("counter", "a", "2", "2", "1", "1"),
        ("value", "b", "2", "2", "1", "1"),
        ("value", "c", "2"),
    ]
    aggregator.feed(b"d:1|c")
    assert close(aggregator, ledger) == [("counter", "d", "1")]


def test_rates_of_a_name_are_bounded() -> None:
    lines = b"\n".join(b"a:1|c|@0.5%03d" % index for index in range(MAX_RATES + 7))
    rows, ledger = run(lines, b"a:1|c\na:1|c|@0.5\nb:1|c|@0.9")
    assert ledger.dropped == {"rates_over_cap": 7}
    assert [row[1] for row in rows] == ["a", "b"]


def test_members_of_sets_are_bounded_and_known_ones_go_on() -> None:
    rows, ledger = run(b"a:1|s\na:2|s\nb:3|s\nb:4|s\nb:3|s\nc:5|s", b"a:1|s", max_members=3)
    assert rows == [("value", "a", "2"), ("value", "b", "1")]
    assert ledger.dropped == {"members_over_cap": 2}


def test_a_long_member_is_as_distinct_as_a_short_one() -> None:
    rows, _ = run(b"a:%b|s\na:%b1|s\na:%b|s" % ((b"x" * 500,) * 3))
    assert rows == [("value", "a", "2")]


@each_core
def test_gauges_are_kept_over_restarts_exactly(core: MaybeCore) -> None:
    first = Aggregator(AggregateOptions(), Ledger(), core)
    first.feed(b"a:0.123456789|g\nb:-5|g\nc:9999999999999999|g")
    texts = as_texts(first.close(0))
    assert texts == {"a": "0.123456789", "b": "-5", "c": "9999999999999999"}
    ledger = Ledger()
    second = Aggregator(AggregateOptions(), ledger, core)
    second.restore_gauges(texts | {"bad name": "1", "d": "x", "e": "1:2"})
    assert ledger.notes == {"gauge_state_bad": 3}
    second.feed(b"a:+0.000000001|g\nb:+1|g")
    assert close(second, ledger) == [("value", "a", "0.1235"), ("value", "b", "-4")]
    assert as_texts(second.close(0)) == {"c": "9999999999999999", "a": "0.123456790", "b": "-4"}


@each_core
def test_the_gauge_untouched_for_longest_is_forgotten_for_a_new_one(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(max_names=1), ledger, core)
    for packet in (b"a:1|g", b"b:2|g", b"a:+1|g", b"c:3|g"):
        aggregator.feed(packet)
        close(aggregator, ledger)
    assert as_texts(aggregator.close(0)) == {"a": "2", "c": "3"}
    assert ledger.notes["gauges_forgotten"] == 1


@each_core
def test_meanings_are_forgotten_and_learned_again(monkeypatch: pytest.MonkeyPatch, core: MaybeCore) -> None:
    monkeypatch.setattr("agent.aggregate.grouping.MAX_MEANINGS", 3)
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    for _ in range(3):
        aggregator.feed(b"a:1|c\nb:2|ms\nc:3|ms|@0.5\nd:3|q")
        aggregator.settle()
    assert ledger.dropped == {"unknown_type": 3}
    assert [row[1] for row in close(aggregator, ledger)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "values",
    [
        [f"{index}.{index:03d}" for index in range(200)],
        [f"{10**12 + index}.{index:04d}" for index in range(200)],
        [repr(index / 7) for index in range(1, 200)],
        [f"{index}e-{index % 30}" for index in range(200)],
        [str(index % 3) for index in range(200)],
    ],
)
def test_sums_are_exact_however_they_are_computed(values: list[str]) -> None:
    rows, _ = run("\n".join(f"a:{value}|ms" for value in values).encode())
    with localcontext(EXACT):
        total = sum(map(Decimal, values))
    expected = [
        round(Fraction(number) * 10**4) for number in (total, min(map(Decimal, values)), max(map(Decimal, values)))
    ]
    value, low, high = map(units_to_text, expected)
    assert rows == [("value", "a", value, str(len(values)), low, high)]


@settings(max_examples=examples(150))
@given(
    st.lists(PACKETS, max_size=5),
    st.sampled_from(["keep", "drop", "append"]),
    st.sampled_from(["delta", "absolute"]),
    st.integers(1, 40),
)
def test_any_packets_give_the_result_of_the_reference(
    packets: list[bytes], tags: Any, gauges: Any, copies: int
) -> None:
    options = AggregateOptions(prefix="p.", tags=TagRules(tags), gauges=gauges)
    reference = Reference(options)
    for packet in packets * copies:
        reference.packet(packet)
    for core in CORES:
        ledger = Ledger()
        aggregator = Aggregator(options, ledger, core)
        for packet in packets * copies:
            aggregator.feed(packet)
        aggregator.settle()
        assert ledger.received == reference.received
        assert (ledger.dropped, ledger.notes) == (reference.dropped, reference.notes)
        assert ledger.in_window == reference.received - reference.dropped.total()
        assert close(aggregator, ledger) == reference.rows()
        assert ledger.dropped["timestamp_in_future"] == reference.timed
        assert {name: Fraction(value) for name, value in aggregator.close(0).gauges.items()} == reference.gauges

"""How timings are spread: the same histogram however the samples come, as heavy as ``count``, bounded in memory."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.aggregate.histograms import UNKNOWN, Histograms, weighted
from agent.ledger import Ledger
from protocol.histogram import bucket_of, decode, encode, merge
from protocol.item import Item
from protocol.numbers import UNIT, to_units
from tests.agent.cores import CORES, each_core
from tests.examples import examples


def items(core: MaybeCore, windows: list[list[bytes]]) -> list[Item]:
    """The items of all windows. Each packet of a window is counted before the next one comes."""
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    made: list[Item] = []
    for window in windows:
        for packet in window:
            aggregator.feed(packet)
            aggregator.settle()
        made += [entry.item for entry in aggregator.close(0).items]
    return made


def only(core: MaybeCore, *packets: bytes) -> Item:
    (item,) = items(core, [list(packets)])
    return item


def as_histogram(item: Item) -> bytes:
    """Of a summary, and of a plain sample, which has none because its value says all."""
    return item.histogram if item.histogram is not None else encode({bucket_of(item.value): UNIT})


VALUES = st.one_of(
    st.integers(-300, 300).map(str),
    st.decimals(-1000, 1000, places=3).map(str),
    st.decimals(-1, 1, places=7).map(str),
    st.decimals(-(10**11), 10**11, places=4).map(str),
    st.sampled_from(["0.00005", "0.00015", "-0.00025", "0.02565", "1e3", "5.", ".5", "9999999999999", "-0"]),
)
RATES = st.sampled_from(["", "|@0.5", "|@0.1", "|@0.25"])
LINES = st.tuples(st.lists(VALUES, min_size=1, max_size=3), RATES)


@settings(max_examples=examples(150))
@given(st.lists(st.lists(st.lists(LINES, max_size=30), min_size=1, max_size=3), min_size=1, max_size=3))
def test_any_split_of_the_samples_gives_the_same_histogram(windows: Any) -> None:
    """Over packets, windows and both ways to count: the histograms add up to the one of all samples."""
    lines = [[[f"a:{':'.join(values)}|ms{rate}".encode() for values, rate in one] for one in w] for w in windows]
    true: dict[int, int] = {}
    for values, rate in (line for window in windows for packet in window for line in packet):
        for value in values:
            bucket = bucket_of(to_units(Decimal(value)))
            true[bucket] = true.get(bucket, 0) + int(UNIT / Decimal(rate[2:] or 1))
    for core in CORES:
        made = [as_histogram(item) for item in items(core, [[b"\n".join(one) for one in w] for w in lines])]
        assert (merge(made) if made else b"") == (encode(true) if true else b"")


@each_core
@pytest.mark.parametrize("samples", [2, 63, 64, 65, 66, 500])
def test_few_and_many_samples_are_counted_alike(core: MaybeCore, samples: int) -> None:
    values = [(number * 7919) % 1_000 - 100 for number in range(samples)]
    item = only(core, b"\n".join(b"a:%d|h" % value for value in values))
    true: dict[int, int] = {}
    for value in values:
        bucket = bucket_of(value * UNIT)
        true[bucket] = true.get(bucket, 0) + UNIT
    assert item.histogram == encode(true)
    packed = only(core, b"a:" + b":".join(b"%d" % value for value in values) + b"|d")
    assert packed.histogram == item.histogram


@each_core
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"a:1|c\na:2|c", id="a counter"),
        pytest.param(b"a:1|g", id="a gauge"),
        pytest.param(b"a:x|s\na:y|s", id="a set"),
        pytest.param(b"a:1|ms", id="a single sample, whose value says all"),
        pytest.param(b"\n".join([b"a:9999999999999999|ms"] * 3), id="a sum that needs several items"),
    ],
)
def test_an_item_without_a_histogram(core: MaybeCore, packet: bytes) -> None:
    assert {item.histogram for item in items(core, [[packet]])} == {None}


@each_core
@pytest.mark.parametrize("rates", [["0.3"], ["0.3", "0.7", "1"], ["0.000123", "0.9"], ["0.1", "1"]])
def test_weights_of_sampled_timings_add_up_to_the_count(core: MaybeCore, rates: list[str]) -> None:
    item = only(core, b"\n".join(b"a:%d|ms|@%b" % (n % 40, rate.encode()) for rate in rates for n in range(50)))
    assert item.histogram is not None and item.weight is not None
    weights = decode(item.histogram)
    assert sum(weights.values()) == item.weight
    assert (min(weights), max(weights)) == (bucket_of(item.low or 0), bucket_of(item.high or 0))
    for n in range(40):
        true = sum((Fraction(2 if n < 10 else 1) / Fraction(rate) * UNIT for rate in rates), start=Fraction())
        assert abs(Fraction(weights[bucket_of(n * UNIT)]) - true) <= 1


def test_what_is_not_known_of_one_rate_is_not_known_of_all() -> None:
    known = encode({1: UNIT})
    assert weighted([(known, Decimal("0.1")), (UNKNOWN, Decimal(1))]) == UNKNOWN
    assert weighted([(known, Decimal("0.1")), (known, Decimal(1))]) == encode({1: 11 * UNIT})


def test_histograms_over_the_bound_are_given_up_and_counted() -> None:
    one, other = encode({1: UNIT}), encode({2: UNIT, 900: UNIT})
    histograms = Histograms(merge, 2 * len(one))
    first, second = histograms.first(one), histograms.first(one)
    assert histograms.first(one) == UNKNOWN
    assert histograms.add(second, other) == UNKNOWN
    assert histograms.add(UNKNOWN, one) == UNKNOWN
    assert histograms.given_up == 2
    assert histograms.add(first, one) == encode({1: 2 * UNIT}), "the room of the one that was given up is free again"
    histograms.close()
    assert [histograms.first(one) for _ in range(3)] == [one, one, UNKNOWN]


@each_core
def test_a_full_window_keeps_sums_and_notes_the_lost_histograms(core: MaybeCore, monkeypatch: Any) -> None:
    monkeypatch.setattr(Histograms.__init__, "__defaults__", (8,))
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:1|ms\na:2|ms\nb:1|ms\nb:2|ms")
    by_name = {entry.item.name: entry.item for entry in aggregator.close(0).items}
    assert (by_name["a"].histogram is None, by_name["b"].histogram is None) == (False, True)
    assert by_name["b"][2:7] == (3 * UNIT, 0, 2 * UNIT, UNIT, 2 * UNIT)
    assert ledger.notes == {"histograms_over_cap": 1}

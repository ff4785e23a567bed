"""Aggregation: tables of lines and items, and any packets at all against a slow, plain reference."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate import aggregator as aggregate
from agent.aggregate.aggregator import STEP, AggregateOptions, Aggregator
from agent.aggregate.compiled import MaybeCore
from agent.aggregate.gauges import Gauges
from agent.aggregate.sums import MAX_RATES
from agent.aggregate.window import Window
from agent.ledger import Ledger
from protocol.numbers import MAX_TEXT, MAX_UNITS, units_to_text
from protocol.statsd import EXACT
from tests.agent.cores import CORES, each_core

Row = tuple[Any, ...]


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


def close(aggregator: Aggregator, ledger: Ledger) -> list[Row]:
    window = aggregator.close(1_000)
    items = list(window.items)
    ledger.in_spool += sum(item.samples for item in items)
    assert (ledger.balance(), ledger.in_window, window.start) == (0, 0, 1_000)
    rows = []
    for item, _ in items:
        assert item.recorded_at == 1_000
        summary = () if item.weight is None else (item.weight, item.low, item.high)
        rows.append(
            (item.kind, item.name, *(units_to_text(units) for units in (item.value, *summary) if units is not None))
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
        (b"a:1|g\na:2|g|#t\na:3|g", [("value", "a", "3")]),
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


def test_notes_are_counted_a_line_and_only_for_good_lines() -> None:
    _, ledger = run(b"a b:1|c|#t\n" * 3, b"a b:x|c|#t\n", b"a:1:2|g|T5\n", b"a:x|s||y\n", b"a:|s||y\n", b"a:5x|g|T5")
    assert ledger.notes == {"name_cleaned": 3, "tags_dropped": 3, "timestamp_ignored": 1, "unknown_field": 2}


def test_a_prefix_goes_before_every_name_and_counts_for_its_length() -> None:
    rows, ledger = run(b"a:1|c\n" + b"n" * 252 + b":1|g", prefix="web.")
    assert rows == [("counter", "web.a", "1")]
    assert ledger.dropped == {"bad_name": 1}


def test_tags_are_appended_when_asked() -> None:
    rows, ledger = run(b"a:1|c|#k:v\na:1|c|#k:w\na:1|c|#k:v\na:7|g|#x:y\na.x.y:+1|g\na:2|g|#x:y", tags="append")
    assert rows == [("counter", "a.k.v", "2", "2", "1", "1"), ("counter", "a.k.w", "1"), ("value", "a.x.y", "2")]
    assert not ledger.notes


def as_texts(window: Window) -> dict[str, str]:
    return {name: format(value, "f") for name, value in window.gauges.items()}


def test_a_sign_is_just_a_sign_for_absolute_gauges() -> None:
    assert run(b"a:5|g\na:-3|g", gauges="absolute")[0] == [("value", "a", "-3")]


@each_core
def test_a_sum_out_of_range_becomes_items_in_range_that_add_up(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:%b|c\n" % MAX_TEXT.encode() * 5)
    items = [item for item, _ in aggregator.close(0).items]
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
    assert [item.weight for item, _ in items] == [75 * 10**18] * 2
    assert [samples for _, samples in items] == [2, 1]


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
def test_packets_are_settled_by_themselves_when_enough_wait(monkeypatch: pytest.MonkeyPatch, core: MaybeCore) -> None:
    monkeypatch.setattr(aggregate, "SETTLE_BYTES", 20)
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.feed(b"a:1|g\nb:1|g")
    assert ledger.received == 0
    aggregator.feed(b"a:1|g\nb:1|g")
    assert (ledger.received, ledger.in_window, aggregator.live_names()) == (4, 4, 2)


@each_core
def test_packets_that_are_due_are_counted_in_steps_and_at_once_where_as_many_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch, core: MaybeCore
) -> None:
    monkeypatch.setattr(aggregate, "SETTLE_BYTES", 20)
    monkeypatch.setattr(aggregate, "STEP", 1)
    ledger, due = Ledger(), []
    aggregator = Aggregator(AggregateOptions(), ledger, core)
    aggregator.when_due = lambda: due.append(ledger.received)
    four = b"a:1|g\nb:1|g\nc:1|g\nd:1|g"
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
    aggregator = Aggregator(AggregateOptions(max_names=2), ledger, core)
    for packet in (b"a:1|g", b"b:2|g", b"a:+1|g", b"c:3|g"):
        aggregator.feed(packet)
        close(aggregator, ledger)
    assert as_texts(aggregator.close(0)) == {"a": "2", "c": "3"}
    assert ledger.notes == {"gauges_forgotten": 1}


def test_only_the_latest_gauges_are_restored_where_there_is_no_room_for_all() -> None:
    gauges = Gauges(2)
    gauges.restore({"a": "1", "b": "2", "c": "3"})
    assert list(gauges.values()) == ["b", "c"]


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
def test_sums_are_exact_whatever_way_they_are_made(values: list[str]) -> None:
    rows, _ = run("\n".join(f"a:{value}|ms" for value in values).encode())
    with localcontext(EXACT):
        total = sum(map(Decimal, values))
    expected = [
        round(Fraction(number) * 10**4) for number in (total, min(map(Decimal, values)), max(map(Decimal, values)))
    ]
    value, low, high = map(units_to_text, expected)
    assert rows == [("value", "a", value, str(len(values)), low, high)]


# The reference: a line at a time, straight from the grammar, in fractions.

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
BOUND = Fraction(2 * MAX_UNITS + 1, 20_000)
TYPES = {b"c": "counter", b"m": "counter", b"ms": "timing", b"h": "timing", b"d": "timing", b"g": "gauge", b"s": "set"}


class Bad(Exception):
    pass


@dataclass
class Reference:
    options: AggregateOptions
    received: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    numbers: dict[tuple[str, str], list[tuple[Fraction, Fraction]]] = field(default_factory=dict)
    gauges: dict[str, Fraction] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    sets: dict[str, set[bytes]] = field(default_factory=dict)

    def packet(self, packet: bytes) -> None:
        for line in packet.split(b"\n"):
            bare = line.removesuffix(b"\r")
            if bare:
                try:
                    self.received += self.line(bare)
                except Bad as bad:
                    self.received += 1
                    self.dropped[str(bad)] += 1

    def line(self, line: bytes) -> int:
        raw, _, rest = line.partition(b":")
        values, _, tail = rest.partition(b"|")
        notes: list[str] = []
        name = self.name(raw, notes)
        type_text, *fields = tail.split(b"|")
        if type_text not in TYPES:
            raise Bad("unknown_type" if type_text else "no_type")
        rate, tags = self.fields(fields, notes)
        metric_type = TYPES[type_text]
        if metric_type in ("counter", "timing") and 1 / rate >= BOUND:
            raise Bad("out_of_range")
        if self.options.tags == "append":
            name += "".join("." + tag for tag in sorted({self.tag(tag) for tag in tags}) if tag)
        elif tags:
            notes.append("tags_dropped")
        name = self.options.prefix + name
        if len(name) > 255:
            raise Bad("bad_name")
        if metric_type == "set":
            if not values:
                raise Bad("no_value")
            self.sets.setdefault(name, set()).add(values)
            self.notes.update(notes)
            return 1
        if metric_type == "gauge":
            rate = Fraction(1)
        texts = values.split(b":")
        numbers = [self.number(text, rate) for text in texts]
        self.notes.update(notes)
        if metric_type == "gauge":
            for text, number in zip(texts, numbers, strict=True):
                self.gauge(name, number, self.options.gauges == "delta" and text[:1] in b"+-")
        else:
            self.numbers.setdefault((metric_type, name), []).extend((number, rate) for number in numbers)
        return len(numbers)

    def name(self, raw: bytes, notes: list[str]) -> str:
        for start, reason in (
            (b"_e{", "event"),
            (b"_sc|", "service_check"),
            (b"datadog.dogstatsd.client.", "client_telemetry"),
        ):
            if raw.startswith(start):
                raise Bad(reason)
        if b"|" in raw:
            raise Bad("no_value")
        name = self.clean(raw)
        if not 0 < len(name) <= 255:
            raise Bad("bad_name")
        if name.encode() != raw:
            notes.append("name_cleaned")
        return name

    def fields(self, fields: list[bytes], notes: list[str]) -> tuple[Fraction, list[bytes]]:
        rates: list[Fraction] = []
        tags: list[bytes] = []
        for one in fields:
            if one[:1] == b"@":
                if rates:
                    raise Bad("duplicate_rate")
                if not NUMBER.fullmatch(one[1:]) or not 0 < Fraction(one[1:].decode()) <= 1:
                    raise Bad("bad_rate")
                rates.append(Fraction(one[1:].decode()))
            elif one[:1] == b"#":
                tags += [tag for tag in one[1:].split(b",") if tag]
            elif re.fullmatch(rb"T\d+", one):
                notes.append("timestamp_ignored")
            elif one[:2] != b"c:":
                notes.append("unknown_field")
        return (rates or [Fraction(1)])[0], tags

    def clean(self, raw: bytes) -> str:
        return re.sub(r"[^A-Za-z0-9._-]", "_", raw.decode("utf-8", "surrogateescape").replace("/", "-"))

    def tag(self, tag: bytes) -> str:
        key, _, value = tag.partition(b":")
        return ".".join(self.clean(part) for part in (key, value) if part)

    def number(self, text: bytes, rate: Fraction) -> Fraction:
        if not text:
            raise Bad("no_value")
        if not NUMBER.fullmatch(text):
            raise Bad("bad_number")
        number = Fraction(text.decode())
        if abs(number / rate) >= BOUND:
            raise Bad("out_of_range")
        return number

    def gauge(self, name: str, number: Fraction, delta: bool) -> None:
        value = self.gauges.get(name, Fraction(0)) + number if delta else number
        if abs(value) >= BOUND:
            self.dropped["out_of_range"] += 1
            return
        self.gauges[name] = value
        self.touched.add(name)

    def rows(self) -> list[Row]:
        rows: list[Row] = [("value", name, units(self.gauges[name])) for name in self.touched]
        rows += [("value", name, units(Fraction(len(members)))) for name, members in self.sets.items()]
        for (metric_type, name), pairs in self.numbers.items():
            summary = (sum(1 / rate for _, rate in pairs), min(pairs)[0], max(pairs)[0])
            row = [
                sum(number / rate for number, rate in pairs),
                *(summary if len(pairs) > 1 or summary[0] != 1 else ()),
            ]
            rows.append(
                ("counter" if metric_type == "counter" else "value", name, *(units(Fraction(one)) for one in row))
            )
        return sorted(rows)


def units(number: Fraction) -> str:
    return units_to_text(round(number * 10_000))


NAMES = st.sampled_from([b"a", b"b", b"a/x", b"a-x", b"a.k.v", b"\xc3\xa9", b"_e{1", b"", b"n" * 255, b"a|b", b"\r"])
VALUES = st.one_of(
    st.integers(-50, 50).map(lambda number: b"%d" % number),
    st.decimals(-1000, 1000, places=4).map(lambda number: str(number).encode()),
    st.decimals(-(10**9), 10**9, places=8).map(lambda number: str(number).encode()),
    st.floats(allow_nan=False, min_value=-1e9, max_value=1e9).map(lambda number: repr(number).encode()),
    st.sampled_from(
        [b"1", b"+1", b"-1", b"0.5", b".5", b"5.", b"1e2", b"x", b"", b"nan", b"1_0", b"999999999", b"+.5", b"-"]
    ),
)
FIELDS = st.sampled_from(
    [b"@0.1", b"@0.3", b"@1", b"@1.0", b"@2", b"@x", b"#k:v", b"#", b"#b,a:1", b"T12", b"c:x", b"", b"zz"]
)
LINES = st.one_of(
    st.builds(
        lambda name, values, kind, fields: name + b":" + b":".join(values) + b"|" + b"|".join([kind, *fields]),
        NAMES,
        st.lists(VALUES, min_size=1, max_size=3),
        st.sampled_from([b"c", b"ms", b"h", b"g", b"g", b"s", b"q", b""]),
        st.lists(FIELDS, max_size=2),
    ),
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")),
)
REPEATED = st.tuples(LINES, st.integers(1, 4)).map(lambda pair: [pair[0]] * pair[1])
PACKETS = st.lists(REPEATED, max_size=8).map(lambda groups: b"\n".join(line for group in groups for line in group))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PACKETS, max_size=5),
    st.sampled_from(["drop", "append"]),
    st.sampled_from(["delta", "absolute"]),
    st.integers(1, 40),
)
def test_any_packets_give_what_the_reference_gives(packets: list[bytes], tags: Any, gauges: Any, copies: int) -> None:
    options = AggregateOptions(prefix="p.", tags=tags, gauges=gauges)
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
        assert {name: Fraction(value) for name, value in aggregator.close(0).gauges.items()} == reference.gauges

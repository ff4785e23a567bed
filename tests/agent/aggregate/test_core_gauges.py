"""Gauges and sets in the compiled core: which lines are left for the grammar, in which order, and what is counted."""

from array import array
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE, MaybeCore
from agent.ledger import Ledger
from protocol.statsd_tags import TagRules
from tests.agent.aggregate.test_core import a_core
from tests.agent.aggregate.test_core_agrees import counts
from tests.agent.cores import each_core
from tests.examples import examples

FORMS: Final = {b"g": 2, b"g|#": 3, b"s": 4}
WAITING: Final = 1 << 14
MEMBERS: Final = 1 << 17


def learn(name: bytes, tail: bytes) -> tuple[int, Any, int]:
    """Everything is counted."""
    return 10**12, (name, tail), FORMS.get(tail, 0)


@pytest.mark.parametrize(
    ("packet", "left", "overtaken"),
    [
        (b"a:1|g", b"a:1|g\n", {}),
        (b"a:1|g\na:2.50|g\na:3.|g", b"a:3.|g\n", {b"a": 2}),
        (b"a:1|g\nb:2|g\na:3|g", b"b:2|g\na:3|g\n", {b"a": 1}),
        (b"a:1|g\nodd\na:3|g\nb:x|c", b"odd\nb:x|c\na:3|g\n", {b"a": 1}),
        (b"a:1|g\na:2|g\na:+1|g\na:3|g\na:4|g", b"a:2|g\na:+1|g\na:4|g\n", {b"a": 2}),
        (b"b:2|g\na:1|g\nc:1e1|g\nb:3|g", b"b:2|g\na:1|g\nc:1e1|g\nb:3|g\n", {}),
        (b"a:1|g\na:2:3|g\na:4|g", b"a:1|g\na:2:3|g\na:4|g\n", {}),
        (b"a:1|g\na:-1|g", b"a:1|g\na:-1|g\n", {}),
        (b"a:1|g|#\na:-1|g|#\na:+2|g|#", b"a:+2|g|#\n", {b"a": 2}),
        (b"a:1|g\na:1000000000000|g", b"a:1|g\na:1000000000000|g\n", {}),
        (b"a:1|g\nb:1|c:2|g", b"a:1|g\nb:1|c:2|g\n", {}),
        (b"a:1|g\r\na:999999999999.0000001|g\r\n", b"a:999999999999.0000001|g\n", {b"a": 1}),
    ],
)
def test_only_the_last_line_of_a_gauge_is_left(packet: bytes, left: bytes, overtaken: dict[bytes, int]) -> None:
    def learn_pieces(name: bytes, tail: bytes) -> tuple[int, Any, int]:
        return learn(name, tail) if tail in FORMS else (0, None, 0)

    core = a_core(learn_pieces)
    core.feed(packet)
    sums, found = core.take()
    assert (found, {name: lines for (name, _), lines, *_ in sums}) == (left, overtaken)
    sums, found = core.take()
    assert (list(sums), found) == ([], b"")


@pytest.mark.parametrize(
    ("packet", "left", "members"),
    [
        (b"s:x|s", b"", {b"x": 1}),
        (
            b"s:x|s\ns:y|s\ns:x|s\ns:1|s\ns:1:2|s\ns:\xff\x00|s",
            b"",
            {b"x": 2, b"y": 1, b"1": 1, b"1:2": 1, b"\xff\x00": 1},
        ),
        (b"s:" + b"m" * 64 + b"|s", b"", {b"m" * 64: 1}),
        (b"s:" + b"m" * 65 + b"|s\ns:|s", b"s:" + b"m" * 65 + b"|s\ns:|s\n", {}),
        (b"s:x\ns:x|\ns:x|sx\ns:x|ms\ns:|s", b"s:x\ns:x|\ns:x|sx\ns:x|ms\ns:|s\n", {}),
    ],
)
def test_each_different_member_is_kept_once(packet: bytes, left: bytes, members: dict[bytes, int]) -> None:
    core = a_core(learn)
    core.feed(packet)
    sums, found = core.take()
    counted = {
        member: times
        for _, lines, samples, many, each, low, fine, texts in sums
        for member, times in zip(texts.split(b"\n"), array("I", each), strict=True)
        if (many, lines, samples, low, fine) == (len(members), sum(members.values()), lines, 0, False)
    }
    assert (found, counted) == (left, members)
    assert next(core.take()[0], None) is None


def test_a_large_set_is_given_in_parts() -> None:
    core = a_core(learn)
    lines = [b"s:%d|s" % (number % 2_500) for number in range(4_000)] + [b"t:x|s"]
    core.feed(b"\n".join(lines))
    sums, left = core.take()
    parts = [(name, many, sum(array("I", each)), texts.split(b"\n")) for (name, _), _, _, many, each, *_, texts in sums]
    assert left == b""
    assert [part[:3] for part in parts] == [(b"s", 1_000, 2_000), (b"s", 1_000, 1_500), (b"s", 500, 500), (b"t", 1, 1)]
    assert [member for part in parts[:3] for member in part[3]] == [b"%d" % number for number in range(2_500)]


def test_members_beyond_the_bound_are_left() -> None:
    core = a_core(learn)
    core.feed(b"\n".join(b"s%d:%d|s" % (number % 7, number) for number in range(MEMBERS + 5)))
    core.feed(b"s0:0|s")
    sums, left = core.take()
    assert left == b"".join(b"s%d:%d|s\n" % (number % 7, number) for number in range(MEMBERS, MEMBERS + 5))
    assert sum(one[1] for one in sums) == MEMBERS + 1
    core.feed(b"s0:%d|s" % (MEMBERS + 1))
    assert core.take()[1] == b""


def test_more_gauges_than_may_wait_keep_their_order() -> None:
    core = a_core(learn)
    lines = [b"g%d:%d|g" % (number % (WAITING + 10), number) for number in range(2 * WAITING)]
    core.feed(b"\n".join(lines))
    sums, left = core.take()
    found = left.splitlines()
    kept = set(found)
    assert len(found) + sum(one[1] for one in sums) == len(lines)
    assert [line for line in lines if line in kept] == found
    assert {line.split(b":")[0]: line for line in found} == {line.split(b":")[0]: line for line in lines}


FEW = st.builds(
    lambda name, value, tail: name + b":" + value + tail,
    st.sampled_from([b"a", b"b", b"a/x", b"a-x", b"n" * 300]),
    st.sampled_from([b"1", b"2.50", b"0", b"-3", b"+4", b"1e3", b"5:6", b"x", b"m" * 65, b"9999999999999999", b""]),
    st.sampled_from([b"|g", b"|g", b"|g", b"|g|#", b"|g|#a:b", b"|g|c:1", b"|g|x", b"|g|T1", b"|g:+1|g", b"|s", b"|s",
                     b"|s|#a:b", b"|s|x", b"|c", b"|ms", b""]),
)  # fmt: skip
WINDOWS = st.lists(st.lists(st.lists(FEW, max_size=20).map(b"\n".join), max_size=4), min_size=1, max_size=3)


@settings(max_examples=examples(400))
@given(WINDOWS, st.sampled_from(["keep", "drop", "append"]), st.sampled_from(["delta", "absolute"]))
def test_gauges_and_sets_agree_with_plain_python(windows: Any, tags: Any, gauges: Any) -> None:
    options = AggregateOptions(tags=TagRules(tags), gauges=gauges)
    assert counts(CORE, windows, options) == counts(None, windows, options)


@settings(max_examples=examples(100))
@given(WINDOWS, st.integers(1, 4), st.integers(1, 4))
def test_the_ledger_balances_where_there_is_little_room(windows: Any, names: int, members: int) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(max_names=names, max_members=members), ledger, CORE)
    for window in windows:
        for packet in window:
            aggregator.feed(packet)
        aggregator.settle()
        assert ledger.balance() == 0
        assert aggregator.live_names() <= names
        closed = aggregator.close(0)
        for items in (closed.items, *(earlier.items for earlier in closed.earlier)):
            ledger.acknowledged += sum(item.samples for item in items)
        assert (ledger.balance(), ledger.in_window) == (0, 0)
    whole = [packet for window in windows for packet in window]
    assert ledger.received == counts(None, [whole], AggregateOptions())[0][0]


@each_core
def test_overtaken_samples_of_a_gauge_without_room_are_dropped_with_it(core: MaybeCore) -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(max_names=1), ledger, core)
    aggregator.feed(b"a:1|c\n" + b"g:1|g\n" * 5 + b"a:1|g|#t:x\n" * 3 + b"a:2|g|#t:y\n" * 3)
    closed = aggregator.close(0)
    found = {(item.item.name, item.item.tags): item.samples for item in closed.items}
    assert found == {("a", None): 1, ("a", "t:x"): 3}
    assert ledger.dropped == {"names_over_cap": 8}
    assert ledger.notes["series_over_cap"] == 3

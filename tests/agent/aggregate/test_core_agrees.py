"""The compiled core beside plain Python: never another opinion, whatever comes."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate import aggregator as aggregate
from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE, MaybeCore
from agent.ledger import Ledger
from protocol.statsd_tags import TagRules
from tests.agent.aggregate.reference import LINES
from tests.agent.cores import CORES
from tests.examples import examples

STATSD = [row["line"].encode() for row in json.loads((Path(__file__).parents[2] / "data/statsd.json").read_text())]


Counts = tuple[int, int, dict[str, int], dict[str, int], list[Any], dict[str, str]]


def counts(core: MaybeCore, windows: list[list[bytes]], options: AggregateOptions) -> list[Counts]:
    """All that is known after each window."""
    ledger = Ledger()
    aggregator = Aggregator(options, ledger, core)
    results = []
    for window in windows:
        for packet in window:
            aggregator.feed(packet)
        aggregator.settle()
        received, in_window = ledger.received, ledger.in_window
        closed = aggregator.close(0)
        items = sorted(closed.items, key=repr)
        gauges = {name: str(value) for name, value in closed.gauges.items()}
        results.append((received, in_window, dict(ledger.dropped), dict(ledger.notes), items, gauges))
    return results


NASTY = st.one_of(
    st.sampled_from(STATSD),
    LINES,
    st.builds(lambda line, at, byte: line[:at] + byte + line[at + 1 :], st.sampled_from(STATSD), st.integers(0, 20),
              st.binary(max_size=2)),
    st.text(alphabet="a1:|c.-+@#\r\n\x00e9", max_size=30).map(str.encode),
    st.builds(lambda digits, dot, kind: b"a:%b.%b|%b" % (digits[:dot], digits[dot:], kind),
              st.text(alphabet="0123456789", min_size=1, max_size=40).map(str.encode), st.integers(0, 40),
              st.sampled_from([b"c", b"ms", b"h|@0.1", b"ms|@0.0000001", b"g"])),
    st.binary(max_size=40),
)  # fmt: skip
WINDOWS = st.lists(st.lists(st.lists(NASTY, max_size=6).map(b"\n".join), max_size=6), min_size=1, max_size=3)


@settings(max_examples=examples(300))
@given(WINDOWS, st.sampled_from(["keep", "drop", "append"]), st.sampled_from(["delta", "absolute"]), st.integers(1, 20))
def test_the_core_agrees_with_plain_python(windows: Any, tags: Any, gauges: Any, copies: int) -> None:
    options = AggregateOptions(prefix="p.", tags=TagRules(tags), gauges=gauges)
    repeated = [window * copies for window in windows]
    assert counts(CORE, repeated, options) == counts(None, repeated, options)


def test_the_core_agrees_with_plain_python_on_every_vector() -> None:
    windows = [[line] * times for line in STATSD for times in (1, 2, 70)]
    assert counts(CORE, windows, AggregateOptions()) == counts(None, windows, AggregateOptions())


def counted_in_steps(core: MaybeCore, windows: list[list[bytes]], options: AggregateOptions, steps: int) -> list[Any]:
    """Items and gauges of each window, and the ledger; the next window's packets come while one is being counted."""
    ledger = Ledger()
    aggregator = Aggregator(options, ledger, core)
    results = []
    for number, window in enumerate([*windows, []]):
        for packet in window:
            aggregator.feed(packet)
            for _ in islice(aggregator.settling(), steps):
                assert ledger.balance() == 0
        if number:
            closed = aggregator.closed()
            items = sorted(closed.items, key=repr)
            ledger.acknowledged += sum(item.samples for item in items)
            results.append((items, {name: str(value) for name, value in closed.gauges.items()}))
        aggregator.cut(0)
    return [*results, ledger.received, ledger.in_window, dict(ledger.dropped), dict(ledger.notes)]


@settings(max_examples=examples(150))
@given(WINDOWS, st.sampled_from(["keep", "drop", "append"]), st.integers(1, 5), st.integers(0, 3))
def test_counting_in_steps_gives_the_same_result(windows: Any, tags: Any, copies: int, steps: int) -> None:
    options, repeated = AggregateOptions(tags=TagRules(tags)), [window * copies for window in windows]
    whole = counts(None, repeated, options)
    *_, (_, _, dropped, notes, _, _) = whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "STEP", 1)
        for core in CORES:
            *results, received, in_window, dropped_too, notes_too = counted_in_steps(core, repeated, options, steps)
            assert results == [(items, gauges) for *_, items, gauges in whole]
            assert (in_window, dropped_too, notes_too) == (0, dropped, notes)
            assert received == whole[-1][0]

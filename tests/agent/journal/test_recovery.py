"""Whatever was read before a kill is stored, once, wherever the kill comes."""

import asyncio
from collections import defaultdict
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.aggregate.aggregator import AggregateOptions
from agent.journal.layout import ABSOLUTE, CUT, PLAIN, Rules
from protocol import histogram
from protocol.numbers import UNIT
from protocol.statsd_tags import TagRules
from tests.agent.journal.lives import NEVER, KilledError, Life
from tests.examples import examples

Stored = dict[str, list[dict[str, Any]]]


def sums(stored: Stored) -> dict[str, tuple[Fraction, Fraction, Any]]:
    """By name and tags: the sum, the samples, and the histograms together."""
    found: defaultdict[str, list[Any]] = defaultdict(lambda: [Fraction(0), Fraction(0), []])
    for items in stored.values():
        for item in items:
            one = found[item["name"] + str(item.get("tags", ""))]
            one[0] += Fraction(str(item["value"]))
            one[1] += Fraction(str(item.get("count", 1)))
            if "histogram" in item:
                one[2].append(histogram.from_text(item["histogram"]))
            elif item["name"] == "t":  # a single sample needs none
                units = int(Fraction(str(item["value"])) * UNIT)
                one[2].append(histogram.encode({histogram.bucket_of(units): UNIT}))
    return {name: (total, count, parts and histogram.merge(parts)) for name, (total, count, parts) in found.items()}


def test_what_was_read_is_stored_by_the_next_start(tmp_path: Path) -> None:
    async def lives() -> None:
        stored: Stored = {}
        first = Life(tmp_path, stored)
        await first.start()
        for packet in (b"a:1|c\na:2|c|@0.5", b"t:5|ms\nt:7|ms|#x:y", b"g:40|g\ng:+2|g", b"s:m|s\ns:n|s", b"bad"):
            first.read(packet)
        first.killed()
        second = Life(tmp_path, stored)
        await second.start()
        assert (second.ledger.recovered, second.balance(), dict(second.ledger.dropped)) == (9, 0, {"no_type": 1})
        assert second.log.messages("journal_redone") == [
            "9 samples, in 5 packets that a killed agent had read in the windows since 2026-02-15T00:00:00Z, are in "
            "the spool"
        ]
        second.read(b"g:+1|g")
        await second.close_window()
        for _ in range(2):
            second.send()
        values = {(item["name"], item["value"]) for items in stored.values() for item in items}
        assert values == {("a", 5), ("t", 5), ("t", 7), ("g", 42), ("g", 43), ("s", 2)}
        second.killed()

    asyncio.run(lives())


LINE = st.sampled_from(
    [
        b"a:1|c",
        b"a:2|c|@0.5",
        b"b:3|c|#k:v",
        b"t:5|ms",
        b"t:70.25|ms|@0.1",
        b"g:+1|g",
        b"h:-2.5|g",
        b"x:nan|c",
        b"u:1e3|c",
    ]
)
STEP = st.one_of(
    st.lists(LINE, min_size=1, max_size=5).map(b"\n".join),
    st.sampled_from(["close", "send", "unanswered"]),
    st.tuples(st.just("kill"), st.integers(1, 30), st.booleans()),
)


@settings(max_examples=examples(60))
@given(st.lists(STEP, max_size=25))
def test_any_packets_and_kills_give_the_sums_of_the_packets(steps: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        stored, packets = asyncio.run(lived(Path(folder) / "spool", steps))
    with TemporaryDirectory() as folder:
        expected, _ = asyncio.run(lived(Path(folder) / "spool", packets))
    assert without_gauges(stored) == without_gauges(expected)
    assert last_of(stored, "g") == last_of(expected, "g")
    assert last_of(stored, "h", least=True) == last_of(expected, "h", least=True)


def without_gauges(stored: Stored) -> dict[str, Any]:
    return {name: one for name, one in sums(stored).items() if name not in ("g", "h")}


def last_of(stored: Stored, name: str, *, least: bool = False) -> float:
    """The last value of a gauge that only grows, or only falls."""
    values = [item["value"] for items in stored.values() for item in items if item["name"] == name]
    return float((min if least else max)([0, *values]))


async def lived(folder: Path, steps: list[Any]) -> tuple[Stored, list[bytes]]:
    """What central has after these steps, and the packets among them."""
    stored: Stored = {}
    packets: list[bytes] = []
    life = Life(folder, stored)
    await life.start()
    for step in [*steps, "close"]:
        if isinstance(step, bytes):
            packets.append(step)
            life.read(step)
        elif step == "close":
            life = await until_done(life, folder, stored, life.close_window)
        elif isinstance(step, str):
            life = await until_done(life, folder, stored, partial(life.try_send, answered=step == "send"))
        else:
            _, life.fuse.left, life.fuse.after = step
            if step[1] % 3 == 0:  # a kill at once, and the fuse is for the next start
                left = life.fuse
                life.killed()
                life = Life(folder, stored)
                life.fuse.left, life.fuse.after = left.left, left.after
                life = await until_done(life, folder, stored, life.start)
        assert life.balance() == 0
    life.fuse.left = NEVER
    while len(life.spool.index):
        life.send()
    life.killed()
    return stored, packets


async def until_done(life: Life, folder: Path, stored: Stored, act: Any) -> Life:
    """Do it, or be killed at it; then the next life starts, and is killed in its start twice too."""
    for left in (3, 6, None):
        try:
            await act()
            return life
        except KilledError:
            life.killed()
            life = Life(folder, stored)
            if left:
                life.fuse.left = left
            act = life.start
    await act()
    return life


async def one_life(folder: Path, stored: Stored, *packets: bytes, **given: Any) -> Life:
    life = Life(folder, stored, **given)
    await life.start()
    for packet in packets:
        life.read(packet)
    return life


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("left", range(1, 16))
def test_a_delta_counts_once_wherever_the_kill_comes(tmp_path: Path, left: int, after: bool) -> None:
    async def lives() -> None:
        stored: Stored = {}
        life = await one_life(tmp_path, stored, b"g:+10|g")
        await life.close_window()
        life.read(b"g:+5|g")
        life.fuse.left, life.fuse.after = left, after
        life = await until_done(life, tmp_path, stored, life.close_window)
        life.fuse.left = NEVER
        life.read(b"g:+1|g")
        await life.close_window()
        while len(life.spool.index):
            life.send()
        values = sorted(item["value"] for items in stored.values() for item in items)
        assert values == [10, 15, 16]
        life.killed()

    asyncio.run(lives())


def test_a_window_is_redone_with_the_settings_under_which_it_was_read(tmp_path: Path) -> None:
    async def lives() -> None:
        stored: Stored = {}
        options = AggregateOptions(prefix="old.", tags=TagRules("append", (("host", "h"),)), gauges="absolute")
        life = await one_life(tmp_path, stored, b"a:1|c|#k:v\ng:-3|g", options=options)
        life.killed()
        life = await one_life(tmp_path, stored)
        life.send()
        assert {(item["name"], item["value"]) for items in stored.values() for item in items} == {
            ("old.a.k.v", 1),
            ("old.g", -3),
        }
        life.killed()

    asyncio.run(lives())


def test_lines_read_after_a_reload_are_named_by_its_rules(tmp_path: Path) -> None:
    async def lives() -> None:
        stored: Stored = {}
        life = await one_life(tmp_path, stored, b"a:1|c")
        rules = TagRules("drop", (("host", "h"),))
        life.journal.use(Rules("new.", rules, 100))
        life.aggregator.name_by("new.", rules)
        life.read(b"a:2|c|#k:v")
        life.killed()
        life = await one_life(tmp_path, stored)
        life.journal.use(Rules("new.", rules, 100))
        life.aggregator.name_by("new.", rules)
        await life.close_window()
        life.read(b"b:3|c")
        life.killed()
        life = await one_life(tmp_path, stored)
        while len(life.spool.index):
            life.send()
        found = {(item["name"], item["value"], str(item.get("tags"))) for items in stored.values() for item in items}
        assert found == {("a", 1, "None"), ("new.a", 2, "{'host': 'h'}"), ("new.b", 3, "{'host': 'h'}")}
        life.killed()

    asyncio.run(lives())


def test_lines_read_after_a_reload_have_its_room_for_names(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await one_life(tmp_path, {}, b"a:1|c\nb:1|c", options=AggregateOptions(max_names=2))
        for names, packet in ((3, b"c:1|c\nd:1|c"), (1, b"e:1|c\na:1|c")):
            life.journal.use(Rules("", TagRules("keep"), names))
            life.aggregator.bound(names)
            life.read(packet)
        life.aggregator.settle()
        before = dict(life.ledger.dropped)
        life.killed()
        stored: Stored = {}
        life = await one_life(tmp_path, stored)
        life.send()
        assert dict(life.ledger.dropped) == before == {"names_over_cap": 2}
        found = {(item["name"], item["value"]) for items in stored.values() for item in items}
        assert found == {("a", 2), ("b", 1), ("c", 1)}
        life.killed()

    asyncio.run(lives())


@pytest.mark.parametrize(
    ("kind", "packet", "gauge", "dropped"),
    [
        (PLAIN, b"g:+5|g", 15, {}),
        (ABSOLUTE, b"g:+5|g", 5, {}),
        (CUT, b"g:+5|g\na:1", 15, {"truncated": 1}),
        (ABSOLUTE | CUT, b"g:-5|g\na:1", -5, {"truncated": 1}),
    ],
)
def test_the_kind_of_a_record_says_what_its_lines_mean(
    tmp_path: Path, kind: int, packet: bytes, gauge: int, dropped: dict[str, int]
) -> None:
    async def lives() -> None:
        life = await one_life(tmp_path, {}, b"g:10|g")
        core = life.aggregator.core
        assert core is not None
        core.keep(kind, packet)
        life.killed()
        stored: Stored = {}
        life = await one_life(tmp_path, stored)
        life.send()
        assert [item["value"] for items in stored.values() for item in items] == [gauge]
        assert (dict(life.ledger.dropped), life.balance()) == (dropped, 0)
        life.killed()

    asyncio.run(lives())


def test_an_unfinished_line_counts_as_cut_and_what_was_lost_as_lost(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await one_life(tmp_path, {}, b"a:1|c")
        life.journal.unfinished(1)
        life.journal.unfinished(1)
        life.journal.unfinished(-1)
        life.journal.keep_lost("line_too_long", 2)
        life.killed()
        life = await one_life(tmp_path, {})
        assert dict(life.ledger.dropped) == {"line_cut": 1, "line_too_long": 2}
        assert (life.ledger.recovered, life.balance()) == (4, 0)
        life.killed()

    asyncio.run(lives())


def test_a_clean_stop_leaves_nothing_to_redo(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await one_life(tmp_path, {}, b"a:1|c")
        await life.close_window()
        life.journal.close()
        life.spool.close()
        assert not (tmp_path / "journal").exists()

    asyncio.run(lives())


def test_the_weight_of_histograms_is_that_of_the_samples(tmp_path: Path) -> None:
    async def lives() -> None:
        stored: Stored = {}
        life = await one_life(tmp_path, stored, *[b"t:%d|ms" % value for value in range(100)])
        life.killed()
        life = await one_life(tmp_path, stored)
        life.send()
        total, count, merged = sums(stored)["t"]
        assert (int(total), int(count), sum(histogram.decode(merged).values())) == (4950, 100, 100 * UNIT)
        assert {item["recorded_at"] for items in stored.values() for item in items} == {"2026-02-15T00:00:00Z"}
        life.killed()

    asyncio.run(lives())

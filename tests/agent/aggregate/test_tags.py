"""Series with tags in the agent: each is counted apart, and a flood of tags costs detail and no sample."""

import pytest

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE, MaybeCore
from agent.aggregate.earlier import MAX_WINDOWS
from agent.aggregate.window import Window
from agent.ledger import Ledger
from protocol.limits import MAX_AGE_SECONDS, MAX_CLOCK_SKEW_SECONDS
from protocol.numbers import UNIT
from protocol.statsd_tags import TagRules
from protocol.tags import OVERFLOW

NOW = 1_700_000_000
each_core = pytest.mark.parametrize("core", [None, CORE], ids=["plain", "compiled"])
Sums = dict[tuple[str, str | None], int]
"""Whole values by name and tags."""


class Windows:
    """An aggregator and its ledger, which must balance after each window."""

    def __init__(self, core: MaybeCore, max_names: int = 100, rules: TagRules | None = None) -> None:
        self.ledger = Ledger()
        options = AggregateOptions(max_names, tags=rules or TagRules())
        self.aggregator = Aggregator(options, self.ledger, core)

    def close(self, text: bytes, start: int = NOW) -> tuple[Sums, dict[int, Sums]]:
        """The sums of the open window with these lines, and those of earlier windows by their start."""
        self.aggregator.feed(text)
        window = self.aggregator.close(start)
        sums = self.take(window)
        earlier = {one.start: self.take(one) for one in window.earlier}
        assert (self.ledger.balance(), self.ledger.in_window) == (0, 0)
        return sums, earlier

    def take(self, window: Window) -> Sums:
        sums: Sums = {}
        for item, samples, _ in window.items:
            self.ledger.acknowledged += samples
            assert item.recorded_at == window.start
            sums[item.name, item.tags] = sums.get((item.name, item.tags), 0) + item.value // UNIT
        return sums


@each_core
def test_series_of_a_name_are_counted_apart_whatever_the_order_of_tags(core: MaybeCore) -> None:
    sums, _ = Windows(core).close(b"a:1|c|#x:1,y:2\na:2|c|#y:2,x:1\na;y=2;x=1:4|c\na:8|c|#x:1\na:16|c\nb:3|ms|#x:1")
    assert sums == {("a", "x:1,y:2"): 7, ("a", "x:1"): 8, ("a", None): 16, ("b", "x:1"): 3}


@each_core
@pytest.mark.parametrize("kind", [b"c", b"ms", b"s", b"g"])
def test_beyond_the_cap_of_a_name_its_overflow_takes_the_samples(core: MaybeCore, kind: bytes) -> None:
    windows = Windows(core, max_names=30)  # of which one name may have three
    lines = [b"bad:1|%b|#id:%d" % (kind, number) for number in range(50)] + [b"good:1|%b|#id:1" % kind]
    sums, _ = windows.close(b"\n".join(lines))
    assert {tags for name, tags in sums if name == "bad"} == {"id:0", "id:1", "id:2", OVERFLOW}
    assert sums["good", "id:1"] == 1
    assert (windows.ledger.dropped, windows.ledger.notes["series_over_cap"]) == ({}, 47)
    if kind in {b"c", b"ms"}:
        assert sum(value for (name, _), value in sums.items() if name == "bad") == 50


@each_core
def test_a_flood_of_tags_leaves_room_for_new_names(core: MaybeCore) -> None:
    windows = Windows(core, max_names=10)
    flood = b"\n".join(b"bad%d:1|c|#id:%d" % (number % 5, number) for number in range(1_000))
    sums, _ = windows.close(flood + b"\n" + b"\n".join(b"good%d:1|c" % number for number in range(5)))
    assert sum(sums.values()) == 1_005
    assert all(sums[f"good{number}", None] == 1 for number in range(5))
    assert windows.aggregator.live_series() == windows.aggregator.live_names() == 0
    assert windows.close(b"good:1|c|#id:1")[0] == {("good", "id:1"): 1}


@each_core
def test_series_whose_values_are_all_refused_take_no_room(core: MaybeCore) -> None:
    windows = Windows(core, max_names=1)
    windows.close(b"a:9999999999999999|g")
    windows.aggregator.feed(b"a:+9999999999999999|g\n" * 5)
    windows.aggregator.settle()
    sums, _ = windows.close(b"b:1|c")
    assert (sums, windows.ledger.dropped) == ({("b", None): 1}, {"out_of_range": 5})


@each_core
def test_gauges_with_tags_keep_their_values_apart_over_a_restart(core: MaybeCore) -> None:
    windows = Windows(core)
    windows.aggregator.restore_gauges({"a#x:1": "5", "a": "7", "a#x": "1", "a#y:1,x:2": "1", "a b#x:1": "1"})
    sums, _ = windows.close(b"a;x=1:+1|g\na:+1|g\na;x=2:+1|g")
    assert sums == {("a", "x:1"): 6, ("a", None): 8, ("a", "x:2"): 1}
    assert windows.ledger.notes["gauge_state_bad"] == 3


@each_core
def test_tags_of_the_host_are_on_everything(core: MaybeCore) -> None:
    rules = TagRules("drop", (("host", "web-1"),))
    sums, _ = Windows(core, rules=rules).close(b"a:1|c\na:2|c|#env:prod\nb:1|g\nc;host=x:x|s")
    assert sums == {("a", "host:web-1"): 3, ("b", "host:web-1"): 1, ("c", "host:web-1"): 1}


@each_core
def test_tags_are_appended_when_asked(core: MaybeCore) -> None:
    lines = b"a:1|c|#k:v\na:1|c|#k:w\na:1|c|#k:v\na;k=v:4|c\na:7|g|#x:y\na.x.y:+1|g\na:2|g|#x:y"
    sums, _ = Windows(core, rules=TagRules("append")).close(lines)
    assert sums == {("a.k.v", None): 6, ("a.k.w", None): 1, ("a.x.y", None): 2}


@each_core
def test_a_value_with_a_time_counts_in_the_window_of_its_time(core: MaybeCore) -> None:
    lines = b"a:1|c|T%d\na:2|c|T%d\na:4|c|#x:1|T%d\na:8|c\na:16|ms|T%d" % (NOW - 60, NOW - 51, NOW - 60, NOW)
    sums, earlier = Windows(core).close(lines)
    assert sums == {("a", None): 8}
    assert earlier == {NOW - 60: {("a", None): 3, ("a", "x:1"): 4}, NOW: {("a", None): 16}}


@each_core
def test_a_gauge_with_a_time_leaves_the_last_value_alone(core: MaybeCore) -> None:
    windows = Windows(core)
    sums, earlier = windows.close(b"a:5|g\na:-7|g|T%d" % (NOW - 60))
    assert (sums, earlier) == ({("a", None): 5}, {NOW - 60: {("a", None): -7}})
    assert windows.close(b"a:+1|g")[0] == {("a", None): 6}


@each_core
@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (NOW + 10 - MAX_AGE_SECONDS, None),
        (NOW - MAX_AGE_SECONDS, "timestamp_too_old"),
        (0, "timestamp_too_old"),
        (NOW + 10 + MAX_CLOCK_SKEW_SECONDS, None),
        (NOW + 20 + MAX_CLOCK_SKEW_SECONDS, "timestamp_in_future"),
        (10**30, "timestamp_in_future"),
    ],
)
def test_a_time_that_the_service_does_not_take_is_dropped(core: MaybeCore, time: int, reason: str | None) -> None:
    windows = Windows(core)
    _, earlier = windows.close(b"a:1:2|ms|T%d\nb:x|s|T%d\nc:1|g|T%d" % (time, time, time))
    assert dict(windows.ledger.dropped) == ({} if reason is None else {reason: 4})
    assert len(earlier) == (reason is None)


@each_core
def test_the_number_of_windows_at_once_is_bounded(core: MaybeCore) -> None:
    windows = Windows(core)
    lines = [b"a:1:1|c|T%d" % (NOW - 10 * number) for number in range(MAX_WINDOWS + 5)]
    _, earlier = windows.close(b"\n".join(lines))
    assert (len(earlier), dict(windows.ledger.dropped)) == (MAX_WINDOWS, {"timestamps_over_cap": 10})
    assert len(windows.close(lines[-1])[1]) == 1

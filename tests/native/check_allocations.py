"""When memory is out: an error, nothing torn, lost or leaked. Each allocation in turn is the one that fails.

Runs in a process with the sanitized cores only, see ``run``; the leaks are looked for at its end.
"""

import gc
import json
import socket
import weakref
from array import array
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

import pytest

from central.store.base import Row
from protocol.histogram import encode
from protocol.item import Item
from protocol.numbers import UNIT
from tests.native.sanitized import AGENT, CENTRAL, load, spec_of, with_failing_allocation

HUGE: Final = 999_999_999_999
COUNTED: Final = [
    *(b"a:1|c", b"b:%d|c" % HUGE, b"b:%d|c" % HUGE, b"d:0.00000000000001|c"),
    *(b"t:1:2|ms", b"p:1" + b":1" * 98 + b"|ms"),
    *(b"s:x|s", b"s:y|s", b"s:x|s", b"g:1|g", b"g:2|g", b"h:3|g", b"g:4|g"),
]
LINES: Final = [*COUNTED, b"odd", b"e:1e1|g"]
SUMS: Final = [
    ("a", 1, 1, 10**6, 10**6, 10**6, False, b""),
    ("b", 2, 2, 2 * HUGE * 10**6, HUGE * 10**6, HUGE * 10**6, False, b""),
    ("d", 1, 1, 10_000, 10_000, 10_000, True, b""),
    ("t", 1, 2, 3 * 10**6, 10**6, 2 * 10**6, False, encode({924: UNIT, 1052: UNIT})),
    ("p", 1, 99, 99 * 10**6, 10**6, 10**6, False, encode({924: 99 * UNIT})),
    ("s", 3, 3, 2, array("I", [2, 1]).tobytes(), 0, False, b"x\ny"),
    ("g", 2, 2, 0, 0, 0, False, b""),
]
LEFT: Final = b"odd\nh:3|g\ng:4|g\ne:1e1|g\n"
FORMS: Final = {b"ms": 1, b"g": 2, b"s": 4}


class Meaning:
    def __init__(self, name: bytes) -> None:
        self.name = name.decode()


@pytest.fixture
def meanings() -> Iterator[weakref.WeakSet[Meaning]]:
    """All that were learned; none is left in the end."""
    alive = weakref.WeakSet[Meaning]()
    yield alive
    gc.collect()
    assert not alive


def each_in_turn(core: Any, prepare: Callable[[], tuple[Callable[[], Any], Callable[[Any], None]]]) -> None:
    """Let each allocation fail of what ``prepare`` gives first; what it gives second looks at the result."""
    gc.disable()  # a collection may begin in the middle, and the memory that it lacks is no fault of the core
    try:
        for nth in count(1):
            call, check = prepare()
            reached, result = with_failing_allocation(core, nth, call)
            check(result)
            if not reached:
                assert nth > 1
                return
    finally:
        gc.enable()


def new_core(alive: weakref.WeakSet[Meaning]) -> Any:
    def learn(name: bytes, tail: bytes) -> tuple[int, object, int]:
        meaning = Meaning(name)
        alive.add(meaning)
        return 10**12, meaning, FORMS.get(tail, 0)

    return AGENT.Core(learn)


def seen(taken: Any) -> tuple[list[tuple[Any, ...]], bytes]:
    return [(meaning.name, *numbers) for meaning, *numbers in taken[0]], taken[1]


def test_a_core_is_made_or_not(meanings: weakref.WeakSet[Meaning]) -> None:
    def prepare() -> Any:
        def check(core: Any) -> None:
            if core is not None:
                core.feed(b"\n".join(LINES))
                assert seen(core.take()) == (SUMS, LEFT)

        return lambda: new_core(meanings), check

    each_in_turn(AGENT, prepare)


@pytest.mark.parametrize("names", [0, 1, 256, 512])
@pytest.mark.parametrize("long", [0, 20_000])
def test_what_feed_does_not_count_can_be_fed_again(meanings: weakref.WeakSet[Meaning], names: int, long: int) -> None:
    """Lines are counted or left alone up to the one that had no memory."""
    before = b"".join(b"before.%d:1|c\n" % number for number in range(names))
    lines = [*LINES, b"x" * long] if long else LINES

    def prepare() -> Any:
        core = new_core(meanings)
        core.feed(before)
        core.take()

        def check(_: object) -> None:
            sums, left = core.take()
            done = sum(one[1] for one in sums) + left.count(b"\n")
            core.feed(b"\n".join(lines[done:]))
            again, more = core.take()
            assert sum(one[1] for one in again) + more.count(b"\n") == len(lines) - done
            core.feed(b"\n".join(lines))
            assert seen(core.take()) == (SUMS, LEFT + b"".join(line + b"\n" for line in lines[len(LINES) :]))

        return lambda: core.feed(b"\n".join(lines)), check

    each_in_turn(AGENT, prepare)


def test_take_that_fails_takes_nothing(meanings: weakref.WeakSet[Meaning]) -> None:
    def prepare() -> Any:
        core = new_core(meanings)
        core.feed(b"\n".join(LINES))
        return core.take, lambda taken: check(core, taken)

    def check(core: Any, taken: Any) -> None:
        assert seen(taken or core.take()) == (SUMS, LEFT)
        assert seen(core.take()) == ([], b"")

    each_in_turn(AGENT, prepare)


@pytest.mark.parametrize("place", range(len(SUMS)))
def test_a_series_that_could_not_be_given_stays_the_next(meanings: weakref.WeakSet[Meaning], place: int) -> None:
    def prepare() -> Any:
        core = new_core(meanings)
        core.feed(b"\n".join(LINES))
        sums, left = core.take()
        first = [next(sums) for _ in range(place)]

        def check(one: Any) -> None:
            assert seen(([*first, *([one] if one else []), *sums], left)) == (SUMS, LEFT)

        return lambda: next(sums), check

    each_in_turn(AGENT, prepare)


def test_a_datagram_is_counted_once_or_waits(meanings: weakref.WeakSet[Meaning]) -> None:
    """It is gone only when learning fails, and then the error says so."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def prepare() -> Any:
        core = new_core(meanings)
        core.feed(b"a:1|c")
        core.take()
        left.send(b"a:1|c")

        def check(_: object) -> None:
            core.read(right.fileno(), 2)
            assert seen(core.take()) == (SUMS[:1], b"")

        return lambda: core.read(right.fileno(), 2), check

    with left, right:
        each_in_turn(AGENT, prepare)


BODY: Final = json.dumps(
    {
        "metrics": [
            {"name": "a", "type": "counter", "value": 1, "tags": {"env": "prod", "host": "web-1"}},
            {"name": "b", "type": "value", "value": 12345678901.5, "count": 300000, "min": 300000, "max": 400000},
        ]
    }
).encode()
ITEMS: Final = [
    Item("a", "counter", 10_000, 10**10, tags="env:prod,host:web-1"),
    Item("b", "value", 123_456_789_015_000, 10**10, 3 * 10**9, 3 * 10**9, 4 * 10**9),
]
NOW: Final = 1_771_113_600
ROWS: Final = [
    (number % 7, NOW + number, number, None, None, None, None, number % 2 * (2**40 + number % 3))
    for number in range(3_000)
]


def test_items_are_made_all_or_none() -> None:
    def read() -> Any:
        return CENTRAL.items(BODY, Item, 0.0, 1e12, 10**10, 1_000)

    def check(items: Any) -> None:
        assert (items or read()) == ITEMS

    each_in_turn(CENTRAL, lambda: (read, check))


def test_spans_are_found_all_or_none() -> None:
    def check(found: Any) -> None:
        assert [json.loads(BODY[start:end])["name"] for start, end in found or CENTRAL.spans(BODY, 9)] == ["a", "b"]

    each_in_turn(CENTRAL, lambda: (lambda: CENTRAL.spans(BODY, 9), check))


def test_lines_are_written_all_or_none() -> None:
    whole = CENTRAL.lines(ROWS, 5)
    assert len(whole[3]) > 65_536, "the text has to grow"

    def check(made: Any) -> None:
        assert made in (None, whole)

    each_in_turn(CENTRAL, lambda: (lambda: CENTRAL.lines(ROWS, 5), check))


def test_rows_of_items_are_made_or_not() -> None:
    metrics, ids, full = {"a": (7, "value")}, {(7, "x:1"): 9}, {7: 10}
    items = [Item("a", "value", HUGE, 5, None, None, None, None, tags) for tags in (None, "x:1", "x:2")]
    whole = CENTRAL.rows(items, Row, metrics, ids, full)
    assert [row.series_id for row in whole] == [0, 9, 10]

    def check_rows(made: Any) -> None:
        assert made in (None, whole)

    def check_missing(found: Any) -> None:
        assert found in (None, [(7, "x:2")])

    each_in_turn(CENTRAL, lambda: (lambda: CENTRAL.rows(items, Row, metrics, ids, full), check_rows))
    each_in_turn(CENTRAL, lambda: (lambda: CENTRAL.missing_series(items, metrics, ids), check_missing))


def test_columns_are_made_or_not() -> None:
    whole = CENTRAL.columns(ROWS)
    assert len(whole) == 64 * len(ROWS)

    def check(made: Any) -> None:
        assert made in (None, whole)

    each_in_turn(CENTRAL, lambda: (lambda: CENTRAL.columns(ROWS), check))


HISTOGRAMS: Final = [b"\x01\x02\x01", b"\x00\x04\x01", b"\x00\x04\x8f\x4e"]


def test_packed_hours_are_unpacked_or_not() -> None:
    hours = [b"\x00\x00\x00\x01x\x3b\x00\x00\x02yz", b"\x07\x00\x00\x01w"]
    whole = CENTRAL.unpack_minutes(hours)

    def check(found: Any) -> None:
        assert found in (None, whole)

    each_in_turn(CENTRAL, lambda: (lambda: CENTRAL.unpack_minutes(hours), check))


@pytest.mark.parametrize("call", [AGENT.Core.merge, CENTRAL.merge_histograms])
def test_histograms_are_merged_or_not(call: Any) -> None:
    core = AGENT if call is AGENT.Core.merge else CENTRAL

    def check(merged: Any) -> None:
        assert merged in (None, b"\x01\x02\x01\x01\x01")

    each_in_turn(core, lambda: (lambda: call(HISTOGRAMS), check))


def rank_as_two_windows(histograms: list[bytes]) -> Any:
    return CENTRAL.rank_histograms(histograms, array("q", [2, 1]).tobytes(), 95_000)


@pytest.mark.parametrize("call", [CENTRAL.decode_histograms, rank_as_two_windows])
def test_histograms_are_read_all_or_none(call: Any) -> None:
    whole = call(HISTOGRAMS)

    def check(found: Any) -> None:
        assert found in (None, whole)

    each_in_turn(CENTRAL, lambda: (lambda: call(HISTOGRAMS), check))


@pytest.mark.parametrize(("core", "package"), [(AGENT, "agent"), (CENTRAL, "central")], ids=["agent", "central"])
def test_a_module_is_loaded_or_not(core: Any, package: str) -> None:
    spec = spec_of(package)

    def check(module: Any) -> None:
        if module is not None:
            assert module.__name__ == spec.name

    each_in_turn(core, lambda: (lambda: load(spec), check))

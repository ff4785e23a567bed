"""The compiled core: what it counts and what it leaves alone."""

import errno
import gc
import socket
import weakref
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.ledger import Ledger
from agent.receive.datagrams import open_udp
from protocol.histogram import bucket_of, decode, encode
from protocol.numbers import UNIT

if TYPE_CHECKING:
    from agent.aggregate.core import Core

ONE = 10**18
"""What the core calls 1."""


def a_core(learn: Callable[[bytes, bytes], tuple[int, Any] | tuple[int, Any, int]]) -> "Core":
    assert CORE is not None, "not built: gcc and python3.11-dev, then make install"
    return CORE(learn)


class Meaning:
    """What a name means. It can be seen whether it is still there."""


def a_core_of_watched_meanings() -> "tuple[Core, list[weakref.ref[Meaning]]]":
    """A core that counts every name, and all meanings that it has learned so far."""
    kept: list[weakref.ref[Meaning]] = []

    def learn_new(name: bytes, tail: bytes) -> tuple[int, Meaning]:
        meaning = Meaning()
        kept.append(weakref.ref(meaning))
        return 10, meaning

    return a_core(learn_new), kept


def take(core: "Core") -> tuple[list[tuple[Any, ...]], bytes]:
    """What the core gives, with all numbers in 10^-18."""
    taken, left = core.take()
    split = [(*one[:3], one[3:6], one[6]) for one in taken]
    return [(*one, *(number * (1 if fine else 10**12) for number in numbers)) for *one, numbers, fine in split], left


def learn(name: bytes, tail: bytes) -> tuple[int, Any]:
    """Counters of values below 1,000 are counted, the rest is left alone."""
    return (1_000, (name, tail)) if tail.startswith(b"c") else (0, None)


@pytest.mark.parametrize(
    ("packet", "sums"),
    [
        (b"a:1|c", [(1, 1, ONE, ONE, ONE)]),
        (b"a:1|c\n\n\r\na:-2.5|c\r\n", [(2, 2, -3 * ONE // 2, -5 * ONE // 2, ONE)]),
        (b"a:1:+2:3.|c", [(1, 3, 6 * ONE, ONE, 3 * ONE)]),
        (b"a:.5|c", [(1, 1, ONE // 2, ONE // 2, ONE // 2)]),
        (b"a:-0|c", [(1, 1, 0, 0, 0)]),
        (b"a:000000000001|c", [(1, 1, ONE, ONE, ONE)]),
        (b"a:0.000000000000000001|c", [(1, 1, 1, 1, 1)]),
        (b"a:999.9999999999999999|c", [(1, 1, *[1000 * ONE - 100] * 3)]),
        (b"a:1|c|@0.1|#x:y", [(1, 1, ONE, ONE, ONE)]),
        (b":1|c", [(1, 1, ONE, ONE, ONE)]),
        (b"a\x00b:1|c\x00", [(1, 1, ONE, ONE, ONE)]),
    ],
)
def test_lines_in_usual_forms_are_counted(packet: bytes, sums: list[tuple[int, ...]]) -> None:
    core = a_core(learn)
    core.feed(packet)
    taken, left = take(core)
    assert ([one[1:] for one in taken], left) == (sums, b"")
    assert take(core) == ([], b"")


@pytest.mark.parametrize(
    "line",
    [
        b"a:1|g",
        b"a:1000|c",
        b"a:-1000|c",
        b"a:1:1000|c",
        b"a:1000000000000|c",
        b"a:0000000000001|c",
        b"a:0.0000000000000000001|c",
        b"a:1.0000000000000000000|c",
        b"a:12.000000000000000000|c",
        b"a:" + b"9" * 100 + b"|c",
        b"a:." + b"9" * 100 + b"|c",
        b"a:1e2|c",
        b"a:1:|c",
        b"a::1|c",
        b"a:|c",
        b"a:.|c",
        b"a:+|c",
        b"a:--1|c",
        b"a: 1|c",
        b"a:1_0|c",
        b"a:\xd9\xa1|c",
        b"a:1",
        b"a:1.",
        b"a:1:",
        b"a:-",
        b"a:",
        b":",
        b"a",
        b"|",
        b"a|b:1",
        b"\x00",
        b"n" * 1_024 + b":1|c",
        b"n:1|c" + b"x" * 65_500,
        b":" * 65_507,
        b"a:" + b"1:" * 32_000,
    ],
)
def test_lines_in_other_forms_are_stored_as_sent(line: bytes) -> None:
    core = a_core(learn)
    for packet in (line + b"\n", line + b"\r", line + b"\r\r\n\n" + line):
        core.feed(packet)
    assert core.left == len(line) * 4 + 7
    assert take(core) == ([], line + b"\n" + line + b"\r\n" + line + b"\r\r\n" + line + b"\n")
    assert core.left == 0


@pytest.mark.parametrize(("name", "counted"), [(b"aa", True), (b"aaa", False)])
def test_a_line_of_more_than_a_mebibyte_is_not_counted(name: bytes, counted: bool) -> None:
    """So that no total overflows, whatever the limit."""
    core = a_core(learn)
    samples = (1 << 19) - 2
    line = name + b":" + b":".join([b"1"] * samples) + b"|c"
    core.feed(line)
    assert len(line) == (1 << 20) + (not counted)
    assert take(core) == (
        ([((name, b"c"), 1, samples, samples * ONE, ONE, ONE)], b"") if counted else ([], line + b"\n")
    )


def test_a_series_of_a_hundred_million_samples_takes_no_more() -> None:
    core = a_core(learn)
    line = b"a:" + b":".join([b"1"] * 500_000) + b"|c"
    for _ in range(202):
        core.feed(line)
    assert take(core) == ([((b"a", b"c"), 200, 10**8, 10**8 * ONE, ONE, ONE)], (line + b"\n") * 2)


def test_a_name_and_a_tail_are_learned_once() -> None:
    asked = []

    def ask(name: bytes, tail: bytes) -> tuple[int, Any]:
        asked.append((name, tail))
        return learn(name, tail)

    core = a_core(ask)
    for _ in range(3):
        core.feed(b"a:1|c\na:2|g\na:1|c|#t\nab:1|c\nab:1|\na:1|bc")
        assert [one[0] for one in take(core)[0]] == [(b"a", b"c"), (b"a", b"c|#t"), (b"ab", b"c")]
    assert asked == [(b"a", b"c"), (b"a", b"g"), (b"a", b"c|#t"), (b"ab", b"c"), (b"ab", b""), (b"a", b"bc")]


def test_sums_go_beyond_64_bits() -> None:
    core = a_core(lambda name, tail: (10**16, name))
    for _ in range(1_000):
        core.feed(b"a:999999999999.999999|c\nb:-999999999999.999999|c\n" * 20)
    high = 999_999_999_999_999_999 * 10**12
    assert take(core)[0] == [
        (b"a", 20_000, 20_000, 20_000 * high, high, high),
        (b"b", 20_000, 20_000, -20_000 * high, -high, -high),
    ]


@pytest.mark.parametrize("answer", [None, (1,), ("x", 1), (1, 2, True, 4)])
def test_a_bad_answer_of_learn_is_an_error_and_changes_nothing(answer: Any) -> None:
    answers = [answer]
    core = a_core(lambda name, tail: answers.pop() if answers else (10, name))
    with pytest.raises(TypeError):
        core.feed(b"a:1|c")
    core.feed(b"a:1|c")
    assert take(core) == ([(b"a", 1, 1, ONE, ONE, ONE)], b"")


def test_an_error_of_learn_is_raised() -> None:
    def fail(name: bytes, tail: bytes) -> tuple[int, Any]:
        raise ValueError(name)

    with pytest.raises(ValueError, match="a"):
        a_core(fail).feed(b"a:1|c")


def test_learn_cannot_feed_the_core() -> None:
    calls: list[Callable[[], object]] = []
    core = a_core(lambda name, tail: (1, calls[0]()))
    with open_udp("127.0.0.1", 0) as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"b:1|c", sock.getsockname())
        for call in (lambda: core.feed(b"b:1|c"), core.take, lambda: core.read(sock.fileno(), 1)):
            calls[:] = [call]
            with pytest.raises(RuntimeError, match="not reentrant"):
                core.feed(b"a:1|c")
        assert sock.recv(10) == b"b:1|c", "a datagram that may not be counted stays in the socket"


@pytest.mark.parametrize("threshold", range(1, 8))
def test_a_line_fed_by_a_finalizer_within_take_is_counted_once(threshold: int) -> None:
    """``take`` makes objects, and the collector may run whatever a finalizer does at each of them."""

    class Circle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            core.feed(b"a:1|c")

    core = a_core(learn)
    core.feed(b"a:1|c")
    no_free_list = [(number, number) for number in range(3_000)]
    usual = gc.get_threshold()
    gc.collect()
    gc.disable()
    Circle()
    gc.set_threshold(threshold)
    gc.enable()
    try:
        sums, _ = core.take()
    finally:
        gc.set_threshold(*usual)
    del no_free_list
    first = [one[1] for one in sums]
    gc.collect()
    assert sum(first) + sum(one[1] for one in take(core)[0]) == 2


@pytest.mark.parametrize("bad", [{"learn": learn}, {"learn": learn, "more": 1}])
def test_a_core_takes_no_keyword_arguments(bad: dict[str, Any]) -> None:
    assert CORE is not None
    with pytest.raises(TypeError):
        CORE(**bad)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        CORE(learn, **bad)


def test_only_bytes_are_fed() -> None:
    with pytest.raises(TypeError):
        a_core(learn).feed("a:1|c")  # type: ignore[arg-type]


def test_an_aggregator_with_a_core_can_be_collected() -> None:
    aggregator = Aggregator(AggregateOptions(), Ledger(), CORE)
    aggregator.feed(b"a:1|c")
    gone = weakref.ref(aggregator)
    del aggregator
    gc.collect()
    assert gone() is None


def test_sums_outlive_the_core_and_release_every_meaning() -> None:
    core, kept = a_core_of_watched_meanings()
    core.feed(b"a:1|c\nb:2|c\nc:3|c")
    sums, _ = core.take()
    assert next(sums)[1:] == (1, 1, 1_000_000, 1_000_000, 1_000_000, False, b"")
    core.feed(b"b:5|c")
    del core
    gc.collect()
    assert [one() is None for one in kept] == [True, False, False]
    assert next(sums)[3] == 2_000_000, "what comes after the take is not in it"
    del sums
    assert [one() is None for one in kept] == [True, True, True]


@pytest.mark.parametrize("made", range(6))
@pytest.mark.parametrize("looked_at", range(6))
def test_sums_dropped_half_way_release_every_meaning(made: int, looked_at: int) -> None:
    core, kept = a_core_of_watched_meanings()
    core.feed(b"\n".join(b"%d:1|c" % number for number in range(made)))
    sums, _ = core.take()
    assert len(list(islice(sums, looked_at))) == min(made, looked_at)
    del sums, core
    assert [one() for one in kept] == [None] * made


def test_the_collector_does_not_visit_sums() -> None:
    """Because that would take several ms for 100,000 of them."""
    core = a_core(learn)
    core.feed(b"a:1|c")
    assert not gc.is_tracked(core.take()[0])


def test_datagrams_are_read_in_batches() -> None:
    core = a_core(learn)
    with open_udp("127.0.0.1", 0) as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(100):
            sender.sendto(b"a:%02d|c" % number, sock.getsockname())
        sender.sendto(b"", sock.getsockname())
        sender.sendto(b"x" * 65_507, sock.getsockname())
        assert core.read(sock.fileno(), 10) == (10, 60, 0)
        packets, length, fault = core.read(sock.fileno(), 1_000)
        assert (length, fault) == (packets * 6, 0)
        rest = 100 - 10 - packets
        assert core.read(sock.fileno(), 1_000) == (rest + 2, rest * 6 + 65_507, errno.EAGAIN)
        assert core.read(sock.fileno(), 1) == (0, 0, errno.EAGAIN)
        closed = sock.fileno()
    assert core.read(closed, 1) == (0, 0, errno.EBADF)
    assert take(core) == ([((b"a", b"c"), 100, 100, 4_950 * ONE, 0, 99 * ONE)], b"x" * 65_507 + b"\n")


def test_a_core_without_room_for_buckets_leaves_lines_and_begins_anew() -> None:
    """Names of two samples far apart, with 64 more: each needs counts from the smallest to the largest bucket."""
    core = a_core(lambda name, tail: (10**12, name, True))
    values = b":".join([b"-900000000000", b"900000000000", *[b"1"] * 64])
    for number in range(1_000):
        core.feed(b"n%d:%b|ms" % (number, values))
    taken, left = core.take()
    series = list(taken)
    assert 500 < len(series) < 1_000
    assert len(series) + left.count(b"\n") == 1_000
    assert {decode(one[-1])[bucket_of(UNIT)] for one in series} == {64 * UNIT}
    core.feed(b"n999:1:2|ms")
    ((*_, histogram),) = core.take()[0]
    assert histogram == encode({bucket_of(UNIT): UNIT, bucket_of(2 * UNIT): UNIT})


@pytest.mark.parametrize("first", [1, 64, 65])
@pytest.mark.parametrize("more", [0, 1, 63, 64, 65, 200])
def test_a_histogram_has_every_sample_however_many_came_at_once(first: int, more: int) -> None:
    """Samples are noted 64 at a time, and the range of what is counted grows meanwhile."""
    core = a_core(lambda name, tail: (10**12, name, True))
    values = [number * number % 9_973 - 500 for number in range(first + more)]
    core.feed(b"t:" + b":".join(b"%d" % value for value in values[:first]) + b"|ms")
    for value in values[first:]:
        core.feed(b"t:%d|ms" % value)
    ((*_, histogram),) = core.take()[0]
    counted = Counter(bucket_of(value * UNIT) for value in values)
    assert histogram == encode({bucket: samples * UNIT for bucket, samples in counted.items()})

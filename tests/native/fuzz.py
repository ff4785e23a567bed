"""``python -m tests.native.fuzz (--rounds N | --seconds N) [--seed N] [--first N]``: random input for the cores.

The sanitizers judge the memory. Plain Python, and a model of single steps, judge what comes out. A round depends on its
number and the seed alone, so --first repeats one that failed. It works only in a process that ``run`` started.
"""

import argparse
import gc
import socket
import sys
import time
import weakref
from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count, islice
from random import Random
from typing import Any, Final

from tests.native import sanitized  # first: it puts the cores where the next ones look for them

# isort: split
from agent.aggregate.aggregator import AggregateOptions
from central.ingest.spans import find_spans
from central.store.mysql.rows import lines
from protocol.statsd_tags import TagRules
from tests.agent.aggregate.test_core_agrees import counts
from tests.central.ingest import test_single
from tests.central.ingest.test_submission import NOW, outcome
from tests.native import fuzz_inputs
from tests.native.fuzz_journal import journals
from tests.native.model import SET, Key, Model, Sums, form_of, limit_of


class Meaning:
    """What stands for a name and a tail."""

    def __init__(self, key: Key) -> None:
        self.key = key


class Steps:
    """The agent's core beside the model; core, learning and sums form a circle, which the collector has to see."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.alive = weakref.WeakSet[Meaning]()
        self.core = sanitized.AGENT.Core(self.learn)
        self.model = Model()
        self.waiting: list[tuple[Iterator[Any], list[Sums]]] = []

    def learn(self, name: bytes, tail: bytes) -> tuple[int, Meaning, int]:
        """For the core."""
        limit = limit_of(tail)
        if limit is None:
            raise ValueError(tail)
        meaning = Meaning((name, tail))
        self.alive.add(meaning)
        return limit, meaning, form_of(tail)

    def feed(self) -> None:
        """Give both a packet."""
        text = fuzz_inputs.packet(self.dice)
        self._same_end(self.model.feed(text), lambda: self.core.feed(text))

    def read(self) -> None:
        """Give both a datagram."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with here, there:
            text = fuzz_inputs.packet(self.dice)[:60_000]
            here.send(text)
            self._same_end(self.model.feed(text), lambda: self.core.read(there.fileno(), 2))

    def forget(self) -> None:
        """Forget all names, as at a reload."""
        self.core.forget()
        self.take()

    def release(self) -> None:
        """Release some of what was forgotten."""
        self.core.release(self.dice.choice((0, 1, 1_000)))

    def take(self) -> None:
        """Take from both; the sums are looked at later."""
        sums, left = self.core.take()
        expected, expected_left = self.model.take()
        assert left == expected_left
        self.waiting.append((sums, expected))

    def look(self) -> None:
        """Look at some sums, and drop the others."""
        if self.waiting:
            sums, expected = self.waiting.pop(self.dice.randrange(len(self.waiting)))
            some = self.dice.choice((0, 1, 2, len(expected) + 1))
            assert [_exact(one) for one in islice(sums, some)] == expected[:some]

    def _same_end(self, fine: bool, call: Callable[[], object]) -> None:
        try:
            call()
        except ValueError:
            assert not fine
        else:
            assert fine
        assert self.core.left == len(self.model.left)


def steps(dice: Random) -> None:
    """The agent's core fed, read into, taken from and looked at in any order."""
    both = Steps(dice)
    alive = both.alive
    for _ in range(dice.randrange(1, 12)):
        dice.choice((both.feed, both.feed, both.read, both.take, both.forget, both.release, both.look))()
    del both
    gc.collect()
    assert not alive


def windows(dice: Random) -> None:
    """Windows with the core and without: the same items and the same ledger."""
    options = AggregateOptions(
        prefix="p.", tags=TagRules(dice.choice(("keep", "drop", "append"))), gauges=dice.choice(("delta", "absolute"))
    )
    packets = [[fuzz_inputs.packet(dice) for _ in range(dice.randrange(5))] for _ in range(dice.randrange(1, 3))]
    assert counts(sanitized.AGENT.Core, packets, options) == counts(None, packets, options)


def bodies(dice: Random) -> None:
    """The body of a batch or of one metric, with the core and without: the same items or the same refusal."""
    for kind in test_single.KINDS * 5:
        body, now = fuzz_inputs.single(dice), NOW + dice.choice((0, 0.5, 86_400, -10))
        assert test_single.outcome(body, kind, sanitized.CENTRAL, now) == test_single.outcome(body, kind, None, now)
    for _ in range(10):
        body, now = fuzz_inputs.body(dice), NOW + dice.choice((0, 0.5, 86_400, -10))
        assert outcome(body, sanitized.CENTRAL, now) == outcome(body, None, now)
        for cut in (body, body[: dice.randrange(len(body) + 1)]):
            most = dice.randrange(1, 9)
            assert find_spans(cut, most, sanitized.CENTRAL) == find_spans(cut, most, None)


def groups(dice: Random) -> None:
    """A group's rows with the core and without: the same text. The core leaves what does not fit, and nothing else."""
    rows, base, group_id = fuzz_inputs.rows(dice), fuzz_inputs.base(dice), dice.randbytes(16)
    fits = all(-(2**63) <= number < 2**63 for row in rows for number in row[:6] if number is not None)
    in_time = all(-62_135_596_800 <= row.recorded_at <= 253_402_300_799 for row in rows)
    made = sanitized.CENTRAL.lines(rows, base)
    assert (sanitized.CENTRAL.columns(rows) is not None) == fits
    assert (made is not None) == (fits and in_time and 0 <= base <= 2**64 - max(len(rows), 1))
    if in_time:
        assert lines(group_id, rows, sanitized.CENTRAL) == lines(group_id, rows, None)


KINDS: Final[tuple[Callable[[Random], None], ...]] = (steps, windows, bodies, groups, journals)


def main() -> int:
    """Fuzz; 0 when nothing was found, and then the last line says how much was tried."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    sanitized.watch_for_leaks()
    end = time.monotonic() + given.seconds
    for number in count(given.first):
        if number - given.first == given.rounds or (given.rounds is None and time.monotonic() >= end):
            break
        kind = KINDS[number % len(KINDS)]
        print(f"round {number} ({kind.__name__}): --seed {given.seed} --first {number} --rounds 1", flush=True)
        kind(Random(f"{given.seed} {number}"))
    if sanitized.leaks():
        return 1
    print(f"{number - given.first} rounds from seed {given.seed}, nothing found")
    return 0


def _exact(one: Any) -> Sums:
    meaning, lines, samples, *numbers, fine, histogram = one
    if form_of(meaning.key[1]) == SET:
        members, times, _ = numbers
        counted = zip(array("I", times), histogram.split(b"\n"), strict=True)
        texts = b"\n".join(b"%d %b" % one for one in counted)
        return meaning.key, lines, samples, Fraction(members), Fraction(), Fraction(), texts
    total, low, high = (Fraction(number, 10**18 if fine else 10**6) for number in numbers)
    return meaning.key, lines, samples, total, low, high, histogram


if __name__ == "__main__":
    sys.exit(main())

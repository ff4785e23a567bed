"""How many names the compiled core learns, and how it forgets them."""

import gc
import weakref
from typing import Any

import pytest

from tests.agent.aggregate.test_core import ONE, a_core, a_core_of_watched_meanings, learn, take


def test_a_full_core_does_not_count_new_names_and_learns_again_later() -> None:
    core = a_core(learn)
    for first in range(0, 140_000, 500):
        core.feed(b"\n".join(b"name.%d:1|c" % number for number in range(first, first + 500)))
    taken, left = take(core)
    assert 100_000 < len(taken) < 140_000
    assert len(taken) + left.count(b"\n") == 140_000
    assert {one[1:] for one in taken} == {(1, 1, ONE, ONE, ONE)}
    core.feed(b"name.139999:1|c\n" * 2)
    assert take(core) == ([((b"name.139999", b"c"), 2, 2, 2 * ONE, ONE, ONE)], b"")


def test_the_names_own_bytes_are_bounded_too() -> None:
    core = a_core(learn)
    for number in range(20_000):
        core.feed(b"%d.%b:1|c" % (number, b"n" * 1_000))
    taken, left = take(core)
    assert 10_000 < len(taken) < 20_000
    assert len(taken) + left.count(b"\n") == 20_000


@pytest.mark.parametrize("at_once", [1, 2, 3, 5])
def test_what_a_take_forgets_is_released_later(at_once: int) -> None:
    core, kept = a_core_of_watched_meanings()
    for forgotten in range(2):
        core.feed(b"a:1|c\nb:2|c\nc:3|c")
        core.forget()
        core.take()
        assert sum(one() is not None for one in kept) == 3, "what was forgotten before is gone at once"
        assert len(kept) == 3 * (forgotten + 1)
    for alive in range(3 - at_once, 0, -at_once):
        assert core.release(at_once)
        assert sum(one() is not None for one in kept) == alive
    assert not core.release(at_once)
    assert not core.release(at_once)
    assert not any(one() for one in kept)


def test_a_core_with_forgotten_meanings_can_be_collected() -> None:
    class Circle:
        core: Any

        def learn(self, name: bytes, tail: bytes) -> tuple[int, Any]:
            return 10, self

    circle = Circle()
    gone = weakref.ref(circle)
    circle.core = a_core(circle.learn)
    circle.core.feed(b"a:1|c\nb:1|c\nc:1|c")
    circle.core.forget()
    circle.core.take()
    del circle
    gc.collect()
    assert gone() is None


def test_one_call_learns_500_names_and_leaves_the_others() -> None:
    core = a_core(learn)
    lines = [b"name.%d:1|c" % number for number in range(1_200)]
    expected = [(500, 700), (1_000, 200), (1_200, 0)]
    for counted, left in expected:
        core.feed(b"\n".join(lines))
        taken, text = take(core)
        assert (len(taken), text) == (counted, b"".join(line + b"\n" for line in lines[counted:]))
        assert text.count(b"\n") == left

"""central/breaker.py, as a table of what happened and what may pass."""

from central.redis_link import Breaker
from tests.central.redis_help import Ticks


def test_it_opens_with_a_failure_lets_one_try_a_pause_and_closes_with_a_success() -> None:
    ticks = Ticks()
    breaker = Breaker(1.0, ticks)
    assert [breaker.try_pass() for _ in range(3)] == [True] * 3
    assert (breaker.bad(), breaker.bad(), breaker.open, breaker.opened) == (True, False, True, 1)
    assert [breaker.try_pass() for _ in range(3)] == [False] * 3
    ticks.now += 1
    assert [breaker.try_pass() for _ in range(3)] == [True, False, False]
    ticks.now += 0.9
    assert not breaker.try_pass()
    ticks.now += 0.1
    assert breaker.try_pass()
    assert (breaker.good(), breaker.good(), breaker.open) == (True, False, False)
    assert [breaker.try_pass() for _ in range(3)] == [True] * 3


def test_a_failure_while_open_makes_the_pause_begin_again() -> None:
    ticks = Ticks()
    breaker = Breaker(1.0, ticks)
    breaker.bad()
    ticks.now += 0.9
    breaker.bad()
    ticks.now += 0.9
    assert not breaker.try_pass()
    assert breaker.opened == 1

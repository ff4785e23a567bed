"""runtime/plausible_clock.py: a jump is believed only after it has lasted."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from runtime.plausible_clock import GRACE_SECONDS, TOLERANCE_SECONDS, PlausibleClock, Reading

DAY = 86_400.0
START = 1_771_113_600.0


@dataclass
class Clocks:
    """A wall clock that somebody sets, and the seconds that pass whatever they do."""

    ahead: float = 0.0
    passed: float = 0.0
    jumps: list[float] = field(default_factory=list)

    def wall(self) -> float:
        return START + self.passed + self.ahead

    def ticks(self) -> float:
        return 1_000.0 + self.passed

    def clock(self) -> PlausibleClock:
        return PlausibleClock(self.wall, self.ticks, on_jump=self.jumps.append)


def live(clock: PlausibleClock, clocks: Clocks, seconds: float, step: float = 60.0) -> Reading:
    """Let time pass, looking at the clock every minute."""
    reading = clock.read()
    while seconds > 0:
        clocks.passed += min(step, seconds)
        seconds -= step
        reading = clock.read()
    return reading


def test_a_new_process_waits_for_the_grace_time() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    assert clock.read() == (START, GRACE_SECONDS)
    assert live(clock, clocks, GRACE_SECONDS - 1) == (START + GRACE_SECONDS - 1, 1)
    assert live(clock, clocks, 1) == (START + GRACE_SECONDS, 0)
    assert clocks.jumps == []


def test_a_jump_forth_and_back_is_never_followed() -> None:
    for ahead in (10 * DAY, -10 * DAY, 40_000 * DAY, TOLERANCE_SECONDS + 1, -TOLERANCE_SECONDS - 1):
        clocks = Clocks()
        clock = clocks.clock()
        live(clock, clocks, GRACE_SECONDS)
        clocks.ahead = ahead
        assert live(clock, clocks, 3, step=0.5) == (clocks.wall() - ahead, GRACE_SECONDS - 3)
        clocks.ahead = 0
        assert live(clock, clocks, 3, step=0.5) == (clocks.wall(), GRACE_SECONDS - 3)
        assert live(clock, clocks, GRACE_SECONDS).wait == 0
        assert clocks.jumps == [ahead, -ahead]


def test_a_jump_that_lasts_is_followed_after_the_grace_time() -> None:
    for ahead in (10 * DAY, -10 * DAY):
        clocks = Clocks()
        clock = clocks.clock()
        live(clock, clocks, 2 * GRACE_SECONDS)
        clocks.ahead = ahead
        assert live(clock, clocks, GRACE_SECONDS - 60).now == clocks.wall() - ahead
        assert live(clock, clocks, 60) == (clocks.wall(), 0)


def test_each_jump_begins_the_grace_time_anew() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    live(clock, clocks, GRACE_SECONDS)
    for ahead in (DAY, 2 * DAY, -DAY, 5 * DAY):
        clocks.ahead = ahead
        reading = live(clock, clocks, GRACE_SECONDS - 60)
        assert (reading.now, reading.wait > 0) == (clocks.wall() - ahead, True)


def test_a_slewed_clock_is_followed() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    for _ in range(100):
        clocks.ahead += TOLERANCE_SECONDS / 2
        live(clock, clocks, 600, step=600)
    assert clock.read() == (clocks.wall(), 0)
    assert clocks.jumps == []


@given(
    st.lists(
        st.tuples(st.floats(-20 * DAY, 20 * DAY), st.floats(0.1, GRACE_SECONDS - 1)),
        max_size=8,
    )
)
def test_no_chain_of_short_jumps_moves_the_clock(jumps: list[tuple[float, float]]) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    live(clock, clocks, GRACE_SECONDS)
    for ahead, seconds in jumps:
        clocks.ahead = ahead
        clock.read()
        live(clock, clocks, seconds, step=seconds)
        clocks.ahead = 0
        assert abs(clock() - clocks.wall()) < 2 * TOLERANCE_SECONDS

"""A fleet as a steady stream: spread over the interval, paced after an outage, the present first. All simulated."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.forward.backoff import LONGEST, backoff
from agent.forward.outcome import Allowance
from agent.forward.schedule import PAST_WINDOWS, Schedule, share_of
from agent.spool.index import IndexEntry, Order

INTERVAL = 10
HOSTS = 1_000
EVER = float("inf")


def entry(start: int, part: int = 0) -> IndexEntry:
    """A batch of a window; in names, and so in the index, starts are after 1970."""
    return IndexEntry(f"{start + 10**10:012d}-{part:05d}", start, 1, 100)


def index_of(*entries: IndexEntry) -> Order:
    index = Order()
    for one in entries:
        index.add(one)
    return index


def longest(low: float, high: float) -> float:
    return high


def sends(
    schedule: Schedule, index: Order, now: float, until: float, latest: float = EVER
) -> Iterator[tuple[float, IndexEntry]]:
    """What goes out from ``now`` to before ``until``, each send taking no time."""
    while now < until:
        chosen = schedule.choose(index, latest, now)
        if chosen is None:
            wait = schedule.wait(index, latest, now)
            now = until if wait is None else now + max(wait, 1e-6)
            continue
        schedule.took(chosen, now)
        index.remove(chosen)
        yield now, chosen


class Host:
    """One agent that closes a window every interval, and a service that takes what it sends while it is up."""

    def __init__(self, name: str) -> None:
        self.index = Order()
        self.schedule = Schedule(INTERVAL, share_of(name), Random(name).uniform)
        self.back_at = 0.0
        """When it tries again after the outage."""
        self._random = Random(name)
        self._failures = 0

    def try_in_vain(self, until: float) -> None:
        """Fail, and wait as an agent does, until after ``until``."""
        while self.back_at <= until:
            self._failures += 1
            self.back_at += backoff(self._failures, self._random.uniform)

    def close(self, now: int) -> None:
        self.schedule.closed(now - INTERVAL, now)
        self.index.add(entry(now - INTERVAL))


def fleet(windows: int, outage: int) -> tuple[Counter[int], Counter[int], int]:
    """Requests in each second, and of them those of the present, of HOSTS agents; the last second with a backlog.

    Central is away for the first ``outage`` windows, and then takes all that comes.
    """
    hosts = [Host(f"web{number}.example.com") for number in range(HOSTS)]
    arrivals, present, late = Counter[int](), Counter[int](), 0
    for number in range(1, windows + 1):
        opened = number * INTERVAL
        for host in hosts:
            host.close(opened)
            if number <= outage:
                host.try_in_vain(opened + INTERVAL)
                continue
            begin = max(opened, host.back_at)
            for at, sent in sends(host.schedule, host.index, begin, opened + INTERVAL):
                arrivals[int(at)] += 1
                if sent.start >= opened - 2 * INTERVAL:
                    present[int(at)] += 1
                else:
                    late = max(late, int(at))
    return arrivals, present, late


def test_a_share_is_always_the_same_and_within_the_interval() -> None:
    shares = [share_of(f"host{number}") for number in range(HOSTS)]
    assert shares == [share_of(f"host{number}") for number in range(HOSTS)]
    assert 0 <= min(shares) < 0.01
    assert 0.99 < max(shares) < 1


@pytest.mark.parametrize(
    "pattern", ["web{}", "web{}.example.com", "10.0.0.{}", "ip-10-0-{}-7 0123456789abcdef", "{:08x}"]
)
def test_a_thousand_hosts_do_not_arrive_in_one_second(pattern: str) -> None:
    """100 are due in each of ten seconds on average; chance alone would exceed 140 once in 30,000 fleets."""
    seconds = Counter(int(share_of(pattern.format(number)) * INTERVAL) for number in range(HOSTS))
    assert set(seconds) == set(range(INTERVAL))
    assert max(seconds.values()) <= 140
    assert min(seconds.values()) >= 60


def test_in_quiet_times_a_fleet_is_a_steady_stream() -> None:
    arrivals, _, late = fleet(windows=6, outage=0)
    seconds = [arrivals[second] for second in range(2 * INTERVAL, 6 * INTERVAL)]
    assert max(seconds) <= 140
    assert late == 0


def test_after_an_outage_a_fleet_comes_back_at_the_stated_pace() -> None:
    """Twenty windows away: a fleet without pace would send 20,000 requests in the first second."""
    outage = 20
    arrivals, present, late = fleet(windows=outage + 12, outage=outage)
    first = (outage + 1) * INTERVAL
    steady = HOSTS / INTERVAL
    assert max(arrivals.values()) <= 1.5 * (1 + PAST_WINDOWS) * steady
    back = first + LONGEST + outage * INTERVAL / PAST_WINDOWS
    assert back - 2 * INTERVAL <= late <= back + 2 * INTERVAL, "a quarter of the outage, once the last has tried again"
    for number in range(outage + 8, outage + 12):
        window = sum(present[second] for second in range(number * INTERVAL, (number + 1) * INTERVAL))
        assert window >= HOSTS, "every host's present goes within its interval"


# --- one host


def test_a_window_is_sent_when_this_hosts_time_has_come_and_then_whole() -> None:
    schedule, index = Schedule(INTERVAL, 0.25, longest), index_of(entry(0), entry(0, 1), entry(0, 2))
    schedule.closed(0, 100.0)
    assert schedule.choose(index, EVER, 102.4) is None
    assert schedule.wait(index, EVER, 102.0) == 0.5
    assert [at for at, _ in sends(schedule, index, 100.0, 110.0)] == [102.5] * 3
    assert schedule.wait(index, EVER, 103.0) is None


def test_present_and_past_take_turns_one_past_window_at_a_time() -> None:
    past = [entry(start) for start in range(-50, 0, INTERVAL)]
    index = index_of(*past, entry(0), entry(0, 1))
    schedule = Schedule(INTERVAL, 0.5, lambda low, high: (low + high) / 2)
    schedule.started(100.0)
    schedule.closed(0, 100.0)
    assert [(at, sent.start) for at, sent in sends(schedule, index, 100.0, 110.0)] == [
        (101.25, -50),
        (103.75, -10),
        (105.0, 0),
        (105.0, 0),
        (106.25, -40),
        (108.75, -20),
    ]


def test_a_window_of_the_past_goes_whole() -> None:
    index = index_of(*(entry(start, part) for start in (0, INTERVAL) for part in range(3)))
    schedule = Schedule(INTERVAL, 0.0, longest)
    assert [(at, sent.start) for at, sent in sends(schedule, index, 0.0, 9.0)] == [(0.0, 0)] * 3 + [(3.75, 10)] * 3


def test_a_window_that_always_fails_does_not_block_the_others() -> None:
    """A batch that central cannot digest, in the oldest window."""
    index = index_of(*(entry(start) for start in range(0, 50, INTERVAL)))
    schedule, now, sent = Schedule(INTERVAL, 0.0, longest), 0.0, set[int]()
    for _ in range(40):
        chosen = schedule.choose(index, EVER, now)
        if chosen is not None:
            schedule.took(chosen, now)
            if chosen.start == 0:
                schedule.failed()
            else:
                index.remove(chosen)
                sent.add(chosen.start)
        now += 1.0
    assert sent == {10, 20, 30, 40}


def test_a_bad_batch_in_the_middle_of_a_large_present_lets_the_rest_pass() -> None:
    index = index_of(*(entry(0, part) for part in range(5)))
    schedule, sent = Schedule(INTERVAL, 0.0, longest), set[str]()
    schedule.closed(0, 0.0)
    for _ in range(12):
        chosen = schedule.choose(index, EVER, 1.0)
        assert chosen is not None
        schedule.took(chosen, 1.0)
        if chosen.name.endswith("2"):
            schedule.failed()
        else:
            index.remove(chosen)
            sent.add(chosen.name[-1])
    assert sent == {"0", "1", "3", "4"}


@pytest.mark.parametrize(
    ("remaining", "next_at"),
    [(1_000, 3.75), (500, 3.75), (499, 40.0), (0, 40.0)],
)
def test_the_second_half_of_a_keys_minute_is_for_the_present(remaining: int, next_at: float) -> None:
    index = index_of(*(entry(start) for start in (-20, -10)))
    schedule = Schedule(INTERVAL, 0.0, longest)
    (at, sent) = next(sends(schedule, index, 0.0, 1.0))
    assert (at, sent.start) == (0.0, -20)
    schedule.allowed(Allowance(1_000, remaining, 30), 0.0)
    schedule.closed(0, 5.0)
    index.add(entry(0))
    assert schedule.wait(index, EVER, 0.0) == min(next_at, 5.0)
    later = {sent.start: at for at, sent in sends(schedule, index, 0.0, 100.0)}
    assert later == {-10: next_at, 0: 5.0}


@pytest.mark.parametrize("step", [-365 * 86_400, -3_600, -INTERVAL, 3_600, 365 * 86_400])
def test_a_step_of_the_clock_delays_no_window_that_may_be_sent(step: int) -> None:
    """Starts jump, the steady clock does not: what was before goes as the past, what is new on time."""
    index = index_of(entry(0), entry(0, 1))
    schedule = Schedule(INTERVAL, 0.5, longest)
    schedule.closed(0, 100.0)
    index.add(entry(step))
    schedule.closed(step, 110.0)
    assert {sent.start: at for at, sent in sends(schedule, index, 110.0, 130.0)} == {0: 110.0, step: 115.0}


def test_windows_of_the_services_future_are_left_out() -> None:
    index = index_of(entry(0), entry(3_600))
    schedule = Schedule(INTERVAL, 0.0, longest)
    schedule.closed(3_600, 0.0)
    assert [sent.start for _, sent in sends(schedule, index, 0.0, 100.0, latest=10.0)] == [0]
    assert schedule.wait(index, 10.0, 100.0) is None


def test_after_hurry_every_window_is_due() -> None:
    index = index_of(*(entry(start) for start in range(0, 60, INTERVAL)))
    schedule = Schedule(INTERVAL, 0.9, longest)
    schedule.started(0.0)
    schedule.closed(50, 0.0)
    schedule.allowed(Allowance(10, 0, 60), 0.0)
    schedule.hurry()
    assert len(list(sends(schedule, index, 0.0, 1e-9))) == 6


# --- whatever happens


@given(
    st.lists(st.tuples(st.sampled_from(["close", "old", "fail", "low", "wait"]), st.integers(-6, 6)), max_size=60),
    st.floats(0, 1, exclude_max=True),
)
def test_whatever_happens_everything_that_may_be_sent_is_sent(events: list[tuple[str, int]], share: float) -> None:
    """Windows close in any order, old ones come back, attempts fail, keys run low: then all goes well, and all goes."""
    schedule, index, now, part = Schedule(INTERVAL, share, longest), Order(), 0.0, 0
    for what, number in events:
        start, part = number * INTERVAL, part + 1
        if what == "close":
            schedule.closed(start, now)
        if what in {"close", "old"}:
            index.add(entry(start, part))
        if what == "low":
            schedule.allowed(Allowance(100, 1, 30), now)
        if what == "fail" and (chosen := schedule.choose(index, EVER, now)) is not None:
            schedule.took(chosen, now)
            schedule.failed()
        now += abs(number) + 0.5
    waiting = len(index)
    left = list(sends(schedule, index, now, now + 90 + waiting * 1.5 * INTERVAL))
    assert len(left) == waiting
    assert len(index) == 0
    assert schedule.wait(index, EVER, now) is None

"""From spool to central against a scripted central, with a time that does not pass by itself."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from agent.attempts import Attempts
from agent.clock import CentralClock
from agent.forward.forwarder import Forwarder, Pace
from agent.forward.outcome import Reply
from agent.spool.batch_file import file_name
from tests.agent.fakes import (
    FULL,
    NETWORK,
    NOW,
    EventLog,
    FailingDisk,
    ScriptedCentral,
    a_batch,
    ours,
    page,
    refused,
    stored,
)
from tests.agent.ledgers import Bench

HOUR = 3_600


async def test_a_batch_is_sent_and_forgotten(bench: Bench, tmp_path: Path) -> None:
    await bench.put(1)
    await bench.until_empty()
    assert bench.central.stored == {a_batch(1).id: a_batch(1, start=NOW - 990).body()}
    assert (bench.ledger.acknowledged, bench.ledger.in_spool) == (6, 0)
    assert list((tmp_path / "queue").iterdir()) == []
    assert bench.forwarder.trouble is None


async def test_the_oldest_batch_goes_first_then_newest_and_oldest_by_turns(bench: Bench) -> None:
    await bench.put(1, 2, 3, 4, 5)
    await bench.until_empty()
    assert bench.ids() == [1, 5, 2, 4, 3]


@pytest.mark.parametrize(
    "failure",
    [
        NETWORK,
        refused(408, "TIMEOUT"),
        page(425),
        refused(429, "RATE_LIMITED"),
        page(500),
        page(502),
        refused(503, "SERVICE_UNAVAILABLE"),
        page(200),  # a captive portal
        ours(200, {"success": True}),
        stored(2),  # not of this batch
        page(301),
        page(404),
        page(400),
    ],
)
async def test_without_acknowledgement_the_same_id_and_bytes_are_sent_again(
    bench: Bench, failure: Reply | Exception
) -> None:
    await bench.put(1)
    bench.central.answers = [failure] * 3
    await bench.until_empty()
    assert bench.ids() == [1, 1, 1, 1]
    assert bench.ledger.acknowledged == 6
    assert bench.forwarder.counts.retries == 3
    assert bench.events == [bench.events[0], "forwarding_again"], "a line for a change, none for a retry"


async def test_back_off_grows_to_a_minute_and_starts_anew_after_a_success(bench: Bench) -> None:
    await bench.put(1)
    bench.central.answers = [NETWORK] * 8
    delays = []
    for _ in range(10):
        delays.append(await bench.forwarder.step())
        bench.time.pass_by(delays[-1] or 0)
    assert delays == [0, 2, 4, 8, 16, 32, 60, 60, 60, 0]
    await bench.put(2)
    bench.central.answers = [NETWORK]
    assert await bench.forwarder.step() == 2


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [("17", 17), ("0", 1), ("9999", 300), ("Sun, 15 Feb 2026 00:00:30 GMT", 30), ("nonsense", 2), (None, 2)],
)
async def test_retry_after_sets_the_wait_within_bounds(bench: Bench, retry_after: str | None, delay: float) -> None:
    await bench.put(1)
    await bench.forwarder.step()  # asks the time
    bench.central.answers = [refused(429, "RATE_LIMITED", retry_after=retry_after)]
    assert await bench.forwarder.step() == delay


async def test_a_retry_after_date_is_measured_by_the_services_clock(bench: Bench) -> None:
    await bench.put(1)
    await bench.forwarder.step()
    bench.time.wall += HOUR
    bench.central.answers = [refused(503, "X", date=None, retry_after="Sun, 15 Feb 2026 00:00:30 GMT")]
    assert await bench.forwarder.step() == 30


@pytest.mark.parametrize(("asked", "longest"), [("2", 4), ("17", 27)])
async def test_a_retry_after_is_spread_over_hosts(tmp_path: Path, asked: str, longest: float) -> None:
    """Retry-After ends at the same moment for all hosts of a key: each adds up to an interval, or as much again."""
    bench = Bench(tmp_path, interval=10)
    await bench.put(1)
    await bench.forwarder.step()
    bench.central.answers = [refused(429, "RATE_LIMITED", retry_after=asked)]
    assert await bench.forwarder.step() == longest
    bench.close()


async def test_the_last_window_waits_its_turn_and_a_backlog_goes_at_its_pace(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, interval=10, share=0.5)
    await bench.put(1, 2, 3)
    bench.forwarder.window_closed(NOW - 1_000 + 40)
    await bench.put(4)
    sent: list[tuple[float, int]] = []
    start = bench.time.steady
    while (delay := await bench.forwarder.step()) is not None or (delay := bench.forwarder.idle_seconds()) is not None:
        sent += [(bench.time.steady - start, number) for number in bench.ids()[len(sent) :]]
        bench.time.pass_by(delay)
    assert sent == [(0, 1), (3.75, 3), (5, 4), (7.5, 2)]
    bench.close()


async def test_a_backlog_leaves_half_of_the_keys_minute_to_the_present(tmp_path: Path) -> None:
    bench = Bench(tmp_path, interval=10)
    await bench.put(1, 2)
    answer = stored(3)._replace(rate_limit="100", rate_remaining="49", rate_reset="20")
    bench.central.answers = [answer]
    assert [await bench.forwarder.step() for _ in range(3)] == [0, 0, None]
    assert bench.forwarder.idle_seconds() == 30, "the next minute, and up to an interval more"
    bench.close()


async def test_a_key_refused_for_an_hour_loses_nothing_and_is_reported_once(bench: Bench) -> None:
    await bench.put(1, 2)
    bench.central.answers = [refused(401, "UNAUTHORIZED"), refused(403, "FORBIDDEN")] * 30
    start = bench.time.steady
    while bench.time.steady < start + HOUR:
        bench.time.pass_by(await bench.forwarder.step() or 0)
    assert len(bench.ids()) == 60, "slowly"
    assert bench.ledger.in_spool == 12
    assert bench.forwarder.trouble is not None
    assert bench.forwarder.trouble.action == "hold"
    await bench.until_empty()
    assert bench.ledger.acknowledged == 12


async def test_a_rotated_key_is_used_without_a_restart(bench: Bench) -> None:
    await bench.put(1)
    bench.central.answers = [refused(401, "UNAUTHORIZED")]
    bench.central.new_keys = 1
    await bench.forwarder.step()
    assert await bench.forwarder.step() == 0
    await bench.until_empty()
    assert bench.events == ["hold", "forwarding_again"]


async def test_a_batch_refused_for_good_becomes_a_dead_letter_others_are_sent(bench: Bench, tmp_path: Path) -> None:
    await bench.put(1, 2, 3)
    bench.central.answers = [refused(400, "INVALID_JSON")]
    await bench.until_empty()
    assert len(bench.central.stored) == 2
    assert bench.ledger.dropped == Counter(dead_letter=6)
    (dead,) = (tmp_path / "dead").iterdir()
    assert "INVALID_JSON" in dead.name
    assert bench.events == ["dead_letter"]


async def test_a_batch_that_always_fails_does_not_stop_the_others(bench: Bench) -> None:
    await bench.put(1, 2, 3, 4)
    poison = a_batch(1).id

    def fail_one(batch_id: str, body: bytes) -> Reply:
        return page(500) if batch_id == poison else bench.central.store(batch_id, body)

    bench.central.answers = [fail_one] * 20
    while len(bench.spool.index) > 1:
        await bench.go_on()
    assert len(bench.central.stored) == 3


async def test_rejected_items_are_counted_with_their_samples(bench: Bench) -> None:
    await bench.put(1)
    bench.central.answers = [stored(3, [(0, "METRIC_TYPE_CONFLICT"), (2, "METRIC_TYPE_CONFLICT")])]
    await bench.until_empty()
    assert bench.ledger.acknowledged == 2
    assert bench.ledger.dropped == Counter(rejected_METRIC_TYPE_CONFLICT=4)


async def test_a_lost_answer_stores_nothing_twice(bench: Bench) -> None:
    await bench.put(1)

    def store_and_cut(batch_id: str, body: bytes) -> Reply:
        bench.central.store(batch_id, body)
        raise NETWORK

    bench.central.answers = [store_and_cut]
    await bench.until_empty()
    assert bench.ids() == [1, 1]
    assert bench.central.samples() == Counter(n0=2, n1=2, n2=2)


async def test_a_damaged_file_is_reported_and_the_next_one_sent(bench: Bench, tmp_path: Path) -> None:
    await bench.put(1, 2)
    (tmp_path / "queue" / file_name(a_batch(1, start=NOW - 990))).write_bytes(b"")
    await bench.until_empty()
    assert bench.ids() == [2]
    assert bench.ledger.dropped == Counter(spool_corrupt=6)
    assert bench.events == ["batch_corrupt"]


# 413


async def test_a_batch_too_large_is_halved_until_it_fits(bench: Bench) -> None:
    await bench.put(1, items=9)

    def two_at_most(batch_id: str, body: bytes) -> Reply:
        large = len(json.loads(body)["metrics"]) > 2
        return page(413) if large else bench.central.store(batch_id, body)

    bench.central.answers = [two_at_most] * 30
    await bench.until_empty()
    assert bench.ledger.acknowledged == 18
    assert bench.central.samples() == Counter({f"n{i}": 2 for i in range(9)})
    assert bench.forwarder.counts.retries == 0


async def test_a_single_item_too_large_is_a_dead_letter(bench: Bench) -> None:
    await bench.put(1, items=3)

    def not_n1(batch_id: str, body: bytes) -> Reply:
        return page(413) if b'"n1"' in body else bench.central.store(batch_id, body)

    bench.central.answers = [not_n1] * 10
    await bench.until_empty()
    assert bench.ledger.dropped == Counter(dead_letter=2)
    assert bench.ledger.acknowledged == 4


async def test_a_split_that_the_disk_refuses_is_finished_before_it_is_sent(tmp_path: Path) -> None:
    disk = FailingDisk()
    bench = Bench(tmp_path, disk)
    await bench.put(1)
    await bench.forwarder.step()
    bench.central.answers = [page(413)]
    disk.fault = FULL
    assert await bench.forwarder.step() == 2
    bench.time.pass_by(2)
    assert await bench.forwarder.step() == 4
    disk.fault = None
    await bench.until_empty()
    assert sorted(asked.partition(".")[2] for asked in bench.central.asked if asked != "health") == ["", "0", "1"]
    assert (bench.ledger.acknowledged, bench.ledger.balance()) == (6, 0)
    bench.close()


# The loop


async def test_run_waits_for_the_delay_and_wakes_for_new_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    paused = asyncio.Event()
    pauses: list[float | None] = []

    async def pause(seconds: float | None, wake: asyncio.Event) -> None:
        pauses.append(seconds)
        if seconds is None:
            paused.set()
            await wake.wait()
        else:
            bench.time.pass_by(seconds)

    forwarder = Forwarder(bench.spool, bench.central, bench.clock, Pace(pause, lambda low, high: high), EventLog())
    running = asyncio.create_task(forwarder.run(Attempts(EventLog())))
    await paused.wait()
    paused.clear()
    bench.central.answers = [NETWORK]
    await bench.put(1)
    forwarder.wake()
    await paused.wait()
    assert pauses == [None, 2, None]
    assert bench.ledger.acknowledged == 6
    running.cancel()
    bench.close()


async def test_finish_sends_what_it_can_and_stops_at_the_first_failure(bench: Bench) -> None:
    await bench.put(1, 2, 3)
    bench.central.answers = [bench.central.store, NETWORK]
    await bench.forwarder.finish()
    assert bench.ids() == [1, 3]
    await bench.forwarder.finish()
    assert bench.ledger.acknowledged == 18


async def test_an_attempt_cut_off_leaves_the_batch_in_place(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    sending = asyncio.Event()

    class SlowCentral(ScriptedCentral):
        async def post(self, batch_id: str, body: bytes, types: str = "") -> Reply:
            sending.set()
            return await asyncio.Future()

    slow = SlowCentral(bench.time)
    clock = CentralClock(lambda: bench.time.wall, lambda: bench.time.steady)
    forwarder = Forwarder(bench.spool, slow, clock, Pace(), EventLog())
    await bench.put(1)
    running = asyncio.create_task(forwarder.run(Attempts(EventLog())))
    await sending.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.spool.index.pinned is None
    assert (bench.ledger.in_spool, bench.ledger.balance()) == (6, 0)
    bench.close()


async def test_pause_ends_by_time_or_by_wake() -> None:
    pace = Pace()
    await pace.pause(0.001, asyncio.Event())
    woken = asyncio.Event()
    woken.set()
    await pace.pause(None, woken)
    assert 1 <= pace.uniform(1, 2) <= 2

"""Forwarding by central's clock: a wrong one here delays and never loses."""

import json
from collections import Counter
from pathlib import Path

import pytest

from agent.attempts import Attempts
from agent.forward.outcome import Reply
from protocol.limits import MAX_AGE_SECONDS
from tests.agent.fakes import (
    NETWORK,
    NOW,
    EventLog,
    IdleError,
    page,
    refused,
    stored,
)
from tests.agent.ledgers import Bench

HOUR = 3_600


async def test_the_time_is_asked_first_and_then_comes_with_the_answers(bench: Bench) -> None:
    await bench.put(1, 2)
    await bench.until_empty()
    assert bench.central.asked[0] == "health"
    assert bench.central.asked.count("health") == 1
    bench.time.pass_by(HOUR)
    await bench.put(3)
    await bench.until_empty()
    assert bench.central.asked.count("health") == 2, "after a long silence it is asked again"


async def test_an_idle_agent_does_not_ask_for_the_time(bench: Bench) -> None:
    assert await bench.forwarder.step() is None
    assert bench.central.asked == []


async def test_an_agent_an_hour_ahead_loses_nothing_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wall_ahead=HOUR)
    await bench.put(1, 2, start=NOW + HOUR - 30)  # windows by this host's clock

    def refuse_the_future(batch_id: str, body: bytes) -> Reply:
        recorded = json.loads(body)["metrics"][0]["recorded_at"]
        assert recorded.startswith("2026-02-15T00:59"), recorded
        assert bench.central.now() >= NOW + HOUR - 25, "it would have been refused"
        return bench.central.store(batch_id, body)

    bench.central.answers = [refuse_the_future] * 9
    assert await bench.forwarder.step() == 0  # learns the time
    assert await bench.forwarder.step() is None
    assert bench.forwarder.held() == 2
    assert bench.clock.ahead() == HOUR
    assert bench.events == ["held_for_clock"]
    with pytest.raises(IdleError):
        await bench.forwarder.run(Attempts(EventLog()))
    assert bench.ledger.acknowledged == 12
    assert bench.events[-1] == "held_no_more"
    assert max(bench.time.pauses) <= 60, "asks the time every minute meanwhile"
    assert (bench.ledger.balance(), sum(bench.ledger.dropped.values())) == (0, 0)
    bench.spool.close()


@pytest.mark.parametrize(
    ("skew", "ahead", "held"), [("0", 1, 1), (None, 5, 0), (None, 6, 1), ("60", 60, 0), ("60", 61, 1)]
)
async def test_batches_that_this_service_calls_future_are_held(
    bench: Bench, skew: str | None, ahead: int, held: int
) -> None:
    bench.central.health_answer = lambda: stored(0)._replace(clock_skew=skew)
    await bench.put(1, start=NOW + ahead - 10)
    while await bench.forwarder.step() is not None:
        pass
    assert (bench.forwarder.held(), bench.ids()) == (held, [1] * (1 - held))


async def test_an_answer_to_a_batch_gives_the_services_allowed_skew(bench: Bench) -> None:
    bench.central.answers = [
        lambda batch_id, body: bench.central.store(batch_id, body)._replace(clock_skew="0"),
    ]
    await bench.put(1)
    await bench.until_empty()
    await bench.put(2, start=NOW - 18)  # 2 s ahead
    assert await bench.forwarder.step() is None
    assert bench.forwarder.held() == 1


async def test_batches_of_the_past_flow_while_those_of_the_future_are_held(bench: Bench) -> None:
    await bench.put(1, 2)
    await bench.put(3, start=NOW + HOUR)
    while await bench.forwarder.step() is not None:
        pass
    assert bench.ids() == [1, 2]
    assert bench.forwarder.held() == 1


async def test_a_clock_set_right_frees_what_was_held(bench: Bench) -> None:
    bench.central.offset = -HOUR
    await bench.put(1)
    assert await bench.forwarder.step() == 0
    assert await bench.forwarder.step() is None
    bench.central.offset = 0
    bench.time.pass_by(61)
    await bench.until_empty()
    assert bench.ledger.acknowledged == 6


async def test_an_agent_an_hour_behind_is_fine(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wall_ahead=-HOUR)
    await bench.put(1, start=NOW - HOUR)
    await bench.until_empty()
    assert bench.ledger.acknowledged == 6
    bench.spool.close()


async def test_batches_older_than_seven_days_by_the_services_clock_expire(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wall_ahead=30 * 86_400)
    await bench.put(1, start=NOW - MAX_AGE_SECONDS)
    await bench.put(2, start=NOW - MAX_AGE_SECONDS - 60)
    await bench.forwarder.step()
    assert await bench.forwarder.step() == 0
    assert bench.ids() == [1]
    assert not bench.ledger.dropped, "the time has not been known for long enough"
    await bench.until_empty()
    assert bench.ids() == [1]
    assert bench.time.steady >= 1_000 + HOUR
    assert bench.ledger.dropped == Counter(spool_age=6)
    bench.spool.close()


async def test_a_short_jump_of_the_services_clock_loses_nothing(bench: Bench) -> None:
    """Ten days ahead and back: what waits is not too old, and is sent when the time is right again."""
    for _ in range(HOUR // 60 + 1):
        bench.time.pass_by(60)
        await bench.forwarder.step()
    await bench.put(1)
    await bench.until_empty()
    bench.central.offset = 10 * 86_400
    bench.time.pass_by(HOUR)
    await bench.put(2, 3, start=NOW)
    assert await bench.forwarder.step() == 0, "its answer had a time"
    assert await bench.forwarder.step() is None
    assert (bench.ledger.in_spool, sum(bench.ledger.dropped.values())) == (12, 0)
    bench.central.offset = 0
    bench.time.pass_by(HOUR // 4)
    await bench.until_empty()
    assert bench.ledger.acknowledged == 18


async def test_nothing_expires_before_the_service_has_given_its_time(bench: Bench) -> None:
    await bench.put(1, start=NOW - 30 * 86_400)

    def unreachable() -> Reply:
        raise NETWORK

    bench.central.health_answer = unreachable
    assert await bench.forwarder.step() == 2
    bench.central.health_answer = lambda: page(200, NOW)
    assert await bench.forwarder.step() == 0
    bench.central.answers = [page(200, NOW)]
    assert await bench.forwarder.step() == 4
    assert bench.ledger.in_spool == 6


@pytest.mark.parametrize("date", [None, NOW])
async def test_batches_are_sent_although_a_proxy_blocks_health(bench: Bench, date: float | None) -> None:
    bench.central.health_answer = lambda: page(404, date)
    await bench.put(1)
    await bench.until_empty()
    assert bench.ids() == [1]
    assert bench.clock.sure, "a batch's answer had the time"


async def test_another_server_in_place_of_the_service_is_rarely_asked(bench: Bench) -> None:
    await bench.put(1)
    await bench.until_empty()
    bench.central.health_answer = lambda: page(200)
    await bench.put(2, start=NOW + 2 * HOUR)
    bench.time.pass_by(HOUR)
    assert [await bench.forwarder.step() for _ in range(2)] == [0, None]


async def test_a_wrong_path_in_central_url_kills_no_batch(bench: Bench) -> None:
    bench.central.health_answer = lambda: refused(404, "NOT_FOUND")
    await bench.put(1)
    assert await bench.forwarder.step() == 2
    assert bench.ids() == []
    assert bench.forwarder.trouble is not None
    assert "CENTRAL_URL" in bench.forwarder.trouble.message

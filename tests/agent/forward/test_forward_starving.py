"""No batch holds up another: each that does not go through rests by itself."""

import pytest

from agent.forward.outcome import Reply
from tests.agent.fakes import NETWORK, NOW, a_batch, page, refused
from tests.agent.ledgers import Bench


@pytest.mark.parametrize(("bad", "good"), [(2, 10), (20, 40)])
@pytest.mark.parametrize(
    "failure",
    [
        page(403),
        page(401),
        page(429),
        page(404),
        page(302),
        page(200),
        page(503)._replace(retry_after="30"),
        page(403)._replace(retry_after="300"),
        refused(500, "INTERNAL_ERROR"),
        page(502),
        NETWORK,
    ],
)
async def test_batches_that_always_fail_do_not_block_others(
    bench: Bench, failure: Reply | Exception, bad: int, good: int
) -> None:
    """They are the oldest and the newest of what waits, and the others lie between them."""
    half = bad // 2
    numbers = range(1, bad + good + 1)
    await bench.put(*numbers, start=NOW - 10_000)
    never = {f"{number:032x}" for number in (*numbers[:half], *numbers[-half:])}

    def fail_some(batch_id: str, body: bytes) -> Reply:
        if batch_id not in never:
            return bench.central.store(batch_id, body)
        if isinstance(failure, Exception):
            raise failure
        return failure

    bench.central.answers = [fail_some] * 10_000
    start = bench.time.steady
    while len(bench.central.stored) < good:
        await bench.go_on()
    grows = isinstance(failure, Exception) or failure.status >= 502
    assert bench.time.steady - start <= (210 if bad == 2 else 3_600 if grows else 10 * bad)
    assert bench.ledger.in_spool == 6 * bad


async def test_a_batch_that_always_fails_is_reported_once_and_shown(bench: Bench) -> None:
    await bench.put(1)

    def never(batch_id: str, body: bytes) -> Reply:
        return page(403) if batch_id == a_batch(1).id else bench.central.store(batch_id, body)

    bench.central.answers = [never] * 10_000
    for number in range(2, 40):
        await bench.put(number)
        for _ in range(10):
            await bench.go_on()
    assert bench.events == ["wait_and_shout", "forwarding_again"]
    number, cause = bench.forwarder.stuck()
    assert number == 1
    assert "403" in cause


async def test_a_fault_of_the_agent_with_one_batch_does_not_stop_others(bench: Bench) -> None:
    await bench.put(1, 2, 3)

    def broken(batch_id: str, body: bytes) -> Reply:
        if batch_id == a_batch(1).id:
            raise KeyError("a bug")
        return bench.central.store(batch_id, body)

    bench.central.answers = [broken] * 10
    while len(bench.spool.index) > 1:
        await bench.go_on()
    assert bench.events[0] == "wait_and_shout"
    assert bench.forwarder.counts.answers["wait_and_shout", "fault"] >= 1
    bench.central.answers.clear()
    await bench.until_empty()
    assert bench.ledger.acknowledged == 18

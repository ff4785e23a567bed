"""The group commit with a spill: the line to the store is cut or held, and a real Redis fails."""

import asyncio
import json

import pytest

from central.errors import ApiError
from central.ingest.answers import Answer
from central.redis_link import PROBE_SECONDS
from central.store.base import OutcomeUnknown, Refused, StaleNames, StoreError
from central.write import group_commit
from protocol.item import Kind
from protocol.numbers import UNIT
from tests.central.spill_help import LATE_SECONDS, Process, World
from tests.central.write_help import REPLAYED, code, item, key_of, sent, sent_single, total
from tests.loop_time import skip


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


async def drained(process: Process) -> None:
    await process.up()
    await process.drain.round()
    assert not process.spill.holds


# --- the database is away


async def test_while_the_database_is_away_requests_are_acknowledged(all_of: World, one: Process) -> None:
    one.line.cut = True
    assert statuses(await one.send(*(sent(item(), key=f"k{number}") for number in range(20)))) == [201] * 20
    assert statuses(await one.send(sent(item()), sent_single("c", "counter"))) == [201] * 2
    counts = one.commits.counts
    assert (counts.spilled_requests, counts.spilled_points, counts.points) == (22, 22, 0)
    await drained(one)
    assert (await total(all_of.store), await total(all_of.store, "c")) == (21, 1)
    assert statuses(await one.send(sent(item()))) == [201]
    assert (counts.points, counts.spilled_points) == (1, 22)


async def test_once_it_is_known_to_be_away_nobody_asks_it(all_of: World, one: Process) -> None:
    one.line.go.clear()
    sending = asyncio.create_task(one.send(sent(item())))
    await one.line.entered.wait()
    skip(LATE_SECONDS)
    await sending
    assert one.store.down
    asked = one.store.outages
    one.line.entered.clear()
    one.line.cut = True
    assert statuses(await one.send(*(sent(item()) for _ in range(20)))) == [201] * 20
    assert (one.store.outages, one.line.entered.is_set()) == (asked, False)
    await drained(one)
    assert await total(all_of.store) == 21


async def test_redis_away_is_no_matter_while_the_database_is_there(all_of: World, one: Process) -> None:
    await all_of.server.kill()
    assert statuses(await one.send(sent(item(), key="k"), sent(item()))) == [201] * 2
    assert [answer.headers for answer in await one.send(sent(item(), key="k"))] == [REPLAYED]
    assert await total(all_of.store) == 2


async def test_both_away_is_503_and_nothing_is_stored(all_of: World, one: Process) -> None:
    one.line.cut = True
    await all_of.server.kill()
    (answer,) = await one.send(sent(item(), key="k"))
    assert (answer.status, code(answer), answer.headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "2")
    await all_of.server.start()
    one.ticks.now += PROBE_SECONDS
    assert [(answer.status, answer.headers) for answer in await one.send(sent(item(), key="k"))] == [(201, {})]
    await drained(one)
    assert await total(all_of.store) == 1


async def test_a_redis_that_may_forget_is_no_place_to_acknowledge_from(all_of: World, one: Process) -> None:
    one.line.cut = True
    await all_of.server.set(appendfsync="everysec")
    assert statuses(await one.send(sent(item()))) == [503]
    await all_of.server.set(appendfsync="always")
    assert statuses(await one.send(sent(item()))) == [201]


async def test_a_full_spill_is_503(all_of: World) -> None:
    one = all_of.process(max_bytes=600)
    one.line.cut = True
    answers = [answer for _ in range(5) for answer in await one.send(sent(item()))]
    assert sorted(set(statuses(answers))) == [201, 503]
    await drained(one)
    assert await total(all_of.store) == statuses(answers).count(201)


# --- keys


async def test_a_request_in_the_spill_is_answered_again_by_every_process(all_of: World, one: Process) -> None:
    other = all_of.process()
    for process in (one, other):
        process.line.cut = True
    partly = item(), {"name": "!"}
    (first,) = await one.send(sent(*partly, key="k"))
    assert json.loads(first.body)["rejected"] == 1
    for process in (one, other):
        (again,) = await process.send(sent(*partly, key="k"))
        assert again == Answer(201, first.body, REPLAYED)
        wanted = sent(*partly, key="k")
        assert await process.commits.replay(key_of(wanted), wanted.plain_body) == again
        (reused,) = await process.send(sent(item("b"), key="k"))
        assert (reused.status, code(reused)) == (400, "IDEMPOTENCY_KEY_REUSED")
    await all_of.server.kill()
    await all_of.server.start()
    (again,) = await all_of_again(all_of, partly)
    assert again == Answer(201, first.body, REPLAYED)
    await drained(one)
    await other.up()
    for process in (one, other):
        (again,) = await process.send(sent(*partly, key="k"))
        assert again == Answer(201, first.body, REPLAYED)
    assert await total(all_of.store) == 1


async def all_of_again(all_of: World, partly: tuple[object, ...]) -> list[Answer]:
    """The request once more, to a process that has just started without a database."""
    fresh = all_of.process()
    fresh.line.cut = True
    return await fresh.send(sent(*partly, key="k"))


async def test_while_the_spill_is_drained_a_request_in_it_is_answered_from_it(all_of: World, one: Process) -> None:
    one.line.cut = True
    await one.send(sent(item(), key="k"))
    await one.up()
    assert [answer.headers for answer in await one.send(sent(item(), key="k"))] == [REPLAYED]
    assert one.commits.counts.groups == 0
    await drained(one)
    assert await total(all_of.store) == 1


async def test_what_nobody_can_look_up_is_503(all_of: World, one: Process) -> None:
    one.line.cut = True
    await all_of.server.kill()
    wanted = sent(item(), key="k")
    with pytest.raises(ApiError) as caught:
        await one.commits.replay(key_of(wanted), wanted.plain_body)
    assert caught.value.status == 503


# --- doubt


@pytest.mark.parametrize("after", [False, True])
async def test_a_commit_in_doubt_before_an_outage_is_stored_once(all_of: World, one: Process, after: bool) -> None:
    await one.send(sent(item("first")))
    one.line.script = [(OutcomeUnknown("2013"), after), (OutcomeUnknown("2013"), False)]
    answers = await one.send(sent(item(), key="k"), sent(item()), sent(item(), key="l"))
    assert statuses(answers) == [201] * 3
    assert (one.commits.counts.unknown_outcomes, one.commits.counts.spilled_requests) == (2, 3)
    await drained(one)
    assert await total(all_of.store) == 3
    assert [answer.headers for answer in await one.send(sent(item(), key="k"))] == [REPLAYED]


async def test_a_commit_that_hangs_is_spilled_under_its_id_and_stored_once(all_of: World, one: Process) -> None:
    await all_of.process().send(sent(item("first")))
    await one.send(sent(item("first")))
    hold, holds = one.line.commit, asyncio.Event()

    async def held(*arguments: object, **options: object) -> None:
        one.line.go.clear()
        holds.set()
        await hold(*arguments, **options)

    one.line.commit = held  # type: ignore[method-assign]
    sending = asyncio.create_task(one.send(sent(item("first", 5 * UNIT), key="k")))
    await holds.wait()
    skip(LATE_SECONDS)
    (answer,) = await sending
    assert (answer.status, one.spill.holds) == (201, True)
    one.line.commit = hold  # type: ignore[method-assign]
    await drained(one)
    assert await total(all_of.store, "first") == 7


async def test_a_doubt_without_a_spill_is_asked_again_until_it_is_known(all_of: World, one: Process) -> None:
    await all_of.server.kill()
    one.line.script = [(OutcomeUnknown("2013"), True), (OutcomeUnknown("2013"), False), (StoreError("odd"), False)]
    assert statuses(await one.send(sent(item(), key="k"))) == [201]
    assert (await total(all_of.store), one.commits.counts.spilled_groups) == (1, 0)


# --- names


async def test_a_known_type_is_held_to_and_an_unknown_one_taken_as_declared(all_of: World, one: Process) -> None:
    await one.send(sent(item("a", kind="counter")))
    one.line.cut = True
    (answer, single) = await one.send(sent(item("a"), item("new")), sent_single("a", "value"))
    assert [entry["code"] for entry in json.loads(answer.body)["errors"]] == ["METRIC_TYPE_CONFLICT"]
    assert (single.status, code(single)) == (400, "METRIC_TYPE_CONFLICT")
    await drained(one)
    assert (await total(all_of.store, "a"), await total(all_of.store, "new")) == (1, 1)


@pytest.mark.parametrize(("kind", "stale"), [("value", 1), ("value", 2), ("counter", 0)])
async def test_after_a_deletion_elsewhere_names_are_resolved_again(all_of: World, kind: Kind, stale: int) -> None:
    one = all_of.process()
    one.line.version = 1
    await one.send(sent(item("a", kind=kind)))
    await all_of.store.names.delete("a")
    one.line.version = 2
    one.line.script = [(StaleNames("deleted"), False)] * stale
    (answer,) = await one.send(sent(item("a"), key="k"))
    assert (answer.status, json.loads(answer.body)["errors"]) == (201, [])
    assert (await all_of.store.names.find(["a"]))["a"].kind == "value"
    assert await total(all_of.store) == 1


async def test_a_wrong_type_stays_wrong_where_names_may_be_deleted_elsewhere(all_of: World, one: Process) -> None:
    one.line.version = 1
    await one.send(sent(item("a", kind="counter")))
    (answer,) = await one.send(sent_single("a", "value"))
    assert (answer.status, code(answer)) == (400, "METRIC_TYPE_CONFLICT")


async def test_an_id_that_another_process_stored_meanwhile_is_looked_up_again(all_of: World, one: Process) -> None:
    other = all_of.process()
    commit = one.line.commit

    async def beaten(*arguments: object, **options: object) -> None:
        one.line.commit = commit  # type: ignore[method-assign]
        await other.send(sent(item(), key="k"))
        raise Refused("duplicate id")

    one.line.commit = beaten  # type: ignore[method-assign]
    answers = await one.send(sent(item(), key="k"), sent(item("b")))
    assert [(answer.status, answer.headers) for answer in answers] == [(201, REPLAYED), (201, {})]
    assert (await total(all_of.store), await total(all_of.store, "b")) == (1, 1)


async def test_a_group_that_is_refused_again_and_again_is_run_one_by_one(all_of: World, one: Process) -> None:
    one.line.script = [(Refused("odd"), False)] * 6
    answers = await one.send(sent(item()), sent(item()), sent(item()))
    assert sorted(statuses(answers)) == [201, 201, 503]
    assert await total(all_of.store) == 2


# --- turns


async def test_a_change_that_does_not_end_sends_groups_to_the_spill(
    all_of: World, one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "SLOT_SECONDS", 0.01)
    release = asyncio.Event()
    change = asyncio.create_task(one.commits.exclusive(release.wait))
    await asyncio.sleep(0)
    assert statuses(await one.send(sent(item()))) == [201]
    assert one.commits.counts.spilled_groups == 1
    release.set()
    await change
    await drained(one)
    assert await total(all_of.store) == 1

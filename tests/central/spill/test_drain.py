"""central/spill/drain.py: what waits in the spill is stored exactly once, whatever fails meanwhile."""

import asyncio
import os

import pytest
from structlog.testing import capture_logs

from central.ingest.submission import Submission
from central.spill.drain import MAX_ROWS, Read, bunches, still_missing
from central.spill.record import SpilledGroup, SpilledRequest, decode
from central.spill.spill import SpillEntry
from central.store.base import (
    Caps,
    Group,
    IdGroup,
    NewName,
    OutcomeUnknown,
    Page,
    Remembered,
    RequestId,
    Row,
    StoreError,
    StoreUnavailable,
)
from central.store.plan import plan
from central.store.series import SeriesCaps
from protocol.histogram import bucket_of, encode, from_text, to_text
from protocol.item import Item
from protocol.numbers import UNIT
from protocol.tags import OVERFLOW
from tests.central.spill_help import Process, World
from tests.central.store_help import DAY, FAR, NOW, TODAY, as_rows, group, name, plain
from tests.central.write_help import item, sent, total

FIVES = to_text(encode({bucket_of(5 * UNIT): 2 * UNIT}))
"""The histogram of the value 5, twice."""


async def spill(process: Process, *submissions: Submission) -> None:
    """Send while the line is cut: all of it is acknowledged."""
    process.line.cut = True
    for submission in submissions:
        (answer,) = await process.send(submission)
        assert answer.status == 201
    await process.up()


async def left(process: Process) -> tuple[int, int, int]:
    """Entries, bytes and bad entries, as Redis says."""
    state = await process.spill.refresh()
    return state.entries, state.bytes, state.bad


# --- pure parts


def record(rows: int = 1, day: int = TODAY, *requests: SpilledRequest) -> SpilledGroup:
    points = [Item("a", "value", UNIT, NOW)] * rows
    return SpilledGroup(os.urandom(16), day, list(requests) or [SpilledRequest(1, points)])


def keyed(key: bytes, body: bytes = b"b") -> SpilledRequest:
    return SpilledRequest(1, [Item("a", "value", UNIT, NOW)], key * 16, body * 16)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1, 1, 1], [3]),
        ([MAX_ROWS], [1]),
        ([MAX_ROWS, 1], [1, 1]),
        ([MAX_ROWS - 1, 1, 1], [2, 1]),
        ([MAX_ROWS + 5, MAX_ROWS + 5], [1, 1]),
    ],
)
def test_entries_are_bunched_up_to_10_000_rows(sizes: list[int], expected: list[int]) -> None:
    reads = [Read(SpillEntry(b"1-1", 1, b""), record(size)) for size in sizes]
    assert [len(bunch) for bunch in bunches(reads)] == expected


def test_entries_of_two_days_are_not_bunched() -> None:
    reads = [Read(SpillEntry(b"1-1", 1, b""), record(1, day)) for day in (TODAY, TODAY, TODAY + 1, TODAY)]
    assert [len(bunch) for bunch in bunches(reads)] == [2, 1, 1]


def test_what_is_known_or_comes_twice_is_left_out() -> None:
    one, two = record(1, TODAY, keyed(b"x"), keyed(b"y")), record(1, TODAY, keyed(b"y"), keyed(b"z"))
    assert still_missing([one, two, one], {}) == ([one.id, two.id], [keyed(b"x"), keyed(b"y"), keyed(b"z")])
    known = {b"x" * 16: Remembered(b"b" * 16, None), two.id: Remembered(bytes(16), None)}
    assert still_missing([one, two], known) == ([one.id], [keyed(b"y")])


def test_a_key_with_another_body_is_stored_without_its_id() -> None:
    first, second = record(1, TODAY, keyed(b"x")), record(1, TODAY, keyed(b"x", b"c"))
    _, requests = still_missing([first, second], {})
    assert [(request.id, len(request.points)) for request in requests] == [(b"x" * 16, 1), (None, 1)]


# --- draining


async def test_what_was_spilled_is_stored_and_the_spill_is_empty(all_of: World, one: Process) -> None:
    await spill(one, sent(item(), item("b"), key="k"), sent(item(value=5 * UNIT)), sent(item("c", kind="counter")))
    assert (await total(all_of.store), one.spill.holds) == (0, True)
    await one.drain.round()
    assert [await total(all_of.store, text) for text in "abc"] == [6, 1, 1]
    assert await left(one) == (0, 0, 0)
    assert (one.drain.counts.entries, one.drain.counts.points, one.drain.counts.left_out) == (3, 4, 0)
    assert await all_of.server.client.keys("fiesta:{spill}:id:*") == []
    (answer,) = await one.send(sent(item(), item("b"), key="k"))
    assert answer.headers == {"Idempotency-Replayed": "true"}


async def test_summaries_and_the_largest_numbers_go_through_exactly(all_of: World, one: Process) -> None:
    most = 9_999_999_999_999_999
    await spill(one, sent({"name": "a", "type": "value", "value": -most, "count": 3, "min": -most, "max": most}))
    await one.drain.round()
    assert await total(all_of.store) == -most


async def test_an_empty_spill_costs_nothing(one: Process) -> None:
    one.line.cut = True
    await one.drain.round()
    assert one.store.down is False


async def test_while_the_store_is_away_everything_stays(all_of: World, one: Process) -> None:
    await spill(one, sent(item()))
    one.line.cut = True
    for _ in range(3):
        await one.drain.round()
    assert (await left(one))[0] == 1
    await one.up()
    await one.drain.round()
    assert (await left(one))[0] == 0
    assert await total(all_of.store) == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [OutcomeUnknown("2013"), StoreUnavailable("gone")])
async def test_a_drain_whose_commit_is_in_doubt_stores_once(
    all_of: World, one: Process, error: Exception, after: bool
) -> None:
    await spill(one, sent(item(), key="k"), sent(item()))
    one.line.script = [(error, after)]
    await one.drain.round()
    assert (await left(one))[0] == 2
    await one.up()
    await one.drain.round()
    assert (await left(one))[0] == 0
    assert await total(all_of.store) == 2


async def test_a_crash_between_commit_and_removal_stores_once(all_of: World, one: Process) -> None:
    await spill(one, sent(item(), key="k"), sent(item()))
    entries = await one.spill.read(b"")
    dump = [entry.content for entry in entries]
    await one.drain.round()
    for content in dump:  # as if they had never been removed
        await all_of.server.client.xadd("fiesta:{spill}:groups", {"group": content, "size": len(content)})
    await one.drain.round()
    assert (await left(one))[0] == 0
    assert (await total(all_of.store), one.drain.counts.left_out) == (2, 2)


async def test_a_redis_whose_memory_is_full_is_drained(all_of: World, one: Process) -> None:
    await all_of.server.client.xadd("fiesta:{spill}:groups", {"group": b"bad", "size": 0})
    await spill(one, sent(item()))
    await all_of.server.set(maxmemory="1mb")
    await one.drain.round()
    assert (await left(one), await total(all_of.store)) == ((0, 0, 1), 1)


async def test_a_request_that_its_client_sent_again_meanwhile_is_left_out(all_of: World) -> None:
    one, two = all_of.process(), all_of.process()
    again = sent(item(), key="k")
    assert again.request is not None
    await spill(one, sent(item(), key="k"), sent(item()))
    two.line.cut = True
    assert [answer.headers for answer in await two.send(again)] == [{"Idempotency-Replayed": "true"}]
    # A process that knows nothing of the spill stores it: what it commits is all that the drain can see of it.
    (stored,) = again.items
    metrics = await all_of.store.names.resolve([NewName(stored.name, stored.kind, 1)], Caps(10, 10), stored.recorded_at)
    row = Row(metrics[stored.name].id, stored.recorded_at, stored.value, None, None, None)
    known = RequestId(again.request.id, again.request.fingerprint, None)
    await all_of.store.commit(Group(bytes(16), stored.recorded_at // 86_400, [known], [row]))
    await one.drain.round()
    assert (await total(all_of.store), one.drain.counts.left_out) == (2, 1)


async def test_one_request_spilled_by_two_processes_is_stored_once(all_of: World) -> None:
    one, two = all_of.process(), all_of.process()
    wanted = sent(item(), key="k"), sent(item(), key="k")
    for process in (one, two):
        process.line.cut = True
    await asyncio.gather(one.send(wanted[0]), two.send(wanted[1]))
    for process in (one, two):
        await process.up()
    await asyncio.gather(one.drain.round(), two.drain.round())
    await one.drain.round()
    assert await total(all_of.store) == 1


async def test_one_batch_spilled_under_two_api_keys_is_stored_once(all_of: World) -> None:
    one, two = all_of.process(), all_of.process()
    key = "c0ffee5eaf00d1234567890abcdef012"
    first, again = sent(item(), key=key), sent(item(), key=key, key_id=2)
    one.line.cut = two.line.cut = True
    await asyncio.gather(one.send(first), two.send(again))
    assert [answer.headers for answer in await one.send(sent(item(), key=key, key_id=3))] == [
        {"Idempotency-Replayed": "true"}
    ]
    for process in (one, two):
        await process.up()
    await asyncio.gather(one.drain.round(), two.drain.round())
    await one.drain.round()
    assert [answer.headers for answer in await two.send(sent(item(), key=key, key_id=4))] == [
        {"Idempotency-Replayed": "true"}
    ]
    assert await total(all_of.store) == 1


async def test_two_processes_drain_one_at_a_time_and_the_lease_passes_on(all_of: World) -> None:
    one, two = all_of.process(), all_of.process()
    await spill(one, sent(item()))
    await one.drain.round()
    await spill(one, sent(item()))
    await two.drain.round()
    assert (two.drain.counts.entries, (await left(two))[0]) == (0, 1)
    await one.drain.close()
    await two.drain.round()
    assert (two.drain.counts.entries, await total(all_of.store)) == (1, 2)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x28\xb5\x2f\xfd\x00\x00"])
async def test_what_cannot_be_read_is_set_aside_and_holds_up_nothing(
    all_of: World, one: Process, content: bytes
) -> None:
    await all_of.server.client.xadd("fiesta:{spill}:groups", {"group": content, "size": 0})
    await all_of.server.client.xadd("fiesta:{spill}:groups", {"other": "thing"})
    await spill(one, sent(item()))
    await one.drain.round()
    assert await left(one) == (0, 0, 2)
    assert (await total(all_of.store), one.drain.counts.bad) == (1, 2)
    ((_, aside), _) = await all_of.server.client.xrange("fiesta:{spill}:groups:bad")
    assert (aside[b"group"], len(aside[b"reason"]) > 0) == (content, True)


async def test_what_the_store_refuses_stays_and_holds_up_nothing(all_of: World, one: Process) -> None:
    await spill(one, sent(item()), sent(item("b")))
    one.line.script = [(StoreError("odd"), False)] * 2
    await one.drain.round()
    assert ((await left(one))[0], one.drain.counts.postponed) == (1, 1)
    assert [await total(all_of.store, text) for text in "ab"] == [0, 1]
    await one.drain.round()
    assert ((await left(one))[0], await total(all_of.store)) == (0, 1)


async def test_a_name_that_has_another_type_by_then_is_kept_aside(all_of: World, one: Process) -> None:
    await spill(one, sent(item("a", kind="value"), item("b"), key="k"))
    await name(all_of.store, "a", "counter")
    await one.drain.round()
    assert await left(one) == (0, 0, 0)
    assert (await total(all_of.store, "b"), await all_of.store.count_rejected()) == (1, 1)
    assert one.drain.counts.rejected == 1


async def test_what_is_kept_aside_has_its_tags_and_its_histogram(all_of: World, one: Process) -> None:
    summary = {"count": 2, "min": 5, "max": 5, "histogram": FIVES, "tags": {"host": "b", "env": "é"}}
    await spill(one, sent({**item(kind="value"), **summary}, {**item(kind="value"), "tags": {"host": "a"}}))
    await name(all_of.store, "a", "counter")
    with capture_logs() as log:
        await one.drain.round()
    statement = "SELECT samples::INTEGER, min_value::INTEGER, tags, histogram FROM rejected_points ORDER BY tags"
    assert await all_of.store.engine.read(lambda cursor: cursor.execute(statement).fetchall()) == [
        (2, 5, "env:é,host:b", from_text(FIVES)),
        (None, None, "host:a", None),
    ]
    assert [(entry["points"], entry["example"]["tags"]) for entry in log if "example" in entry] == [(2, "env:é,host:b")]


async def test_tags_go_through_the_spill_and_get_their_series_there(all_of: World) -> None:
    one = all_of.process(series_caps=SeriesCaps(9, 2))
    tagged = [{**item(), "tags": {"host": host}} for host in ("a", "b", "a", "c", "d")]
    await spill(one, sent(*tagged, item(), key="k"))
    assert await all_of.store.series.count() == 0
    await one.drain.round()
    found = await all_of.store.names.find(["a"])
    series = await all_of.store.series.select(found["a"].id, [], 0, 9)
    tags = {0: ""} | {made.id: made.tags for made in series}
    groups = [IdGroup(key, found["a"].id, (key,)) for key in tags]
    sums = as_rows(await all_of.store.aggregate(groups, DAY, plan(*FAR, DAY)))
    assert {tags[bucket.metric_id]: bucket.total // UNIT for bucket in sums} == {
        **{"": 1, "host:a": 2, "host:b": 1},
        OVERFLOW: 2,
    }
    assert (await total(all_of.store), one.drain.counts.points, one.drain.counts.overflow_points) == (6, 6, 2)


async def test_a_name_over_the_cap_is_kept_aside(all_of: World) -> None:
    one = all_of.process(caps=Caps(1, 1))
    await spill(one, sent(item("a"), item("b"), item("a")))
    await one.drain.round()
    assert (await total(all_of.store, "a"), await all_of.store.count_rejected()) == (2, 1)


async def test_a_thousand_entries_take_few_commits(all_of: World, one: Process) -> None:
    await spill(one, *(sent(item(), key=f"k{number}") for number in range(300)))
    before = one.drain.counts.entries
    await one.drain.round()
    assert (one.drain.counts.entries - before, await total(all_of.store)) == (300, 300)
    assert (await left(one))[0] == 0


async def test_a_group_in_the_store_under_its_own_id_is_not_stored_again(all_of: World, one: Process) -> None:
    await spill(one, sent(item()), sent(item("b")))
    first = (await one.spill.read(b""))[0]
    metric = await name(all_of.store, "a")
    made = group([plain(metric, UNIT)])
    made.id = decode(first.content).id
    await all_of.store.commit(made)
    await one.drain.round()
    assert [await total(all_of.store, text) for text in "ab"] == [1, 1]


async def test_draining_and_writing_at_once_keeps_the_sum(all_of: World, one: Process) -> None:
    await spill(one, *(sent(item(), key=f"k{number}") for number in range(50)))
    answers, _ = await asyncio.gather(
        one.send(*(sent(item(), key=f"k{number}") for number in range(100))), one.drain.round()
    )
    assert {answer.status for answer in answers} == {201}
    await one.drain.round()
    assert (await total(all_of.store), (await left(one))[0]) == (100, 0)


async def test_it_drains_by_itself_once_started(all_of: World, one: Process) -> None:
    await spill(one, sent(item()))
    one.drain.start()
    while (await left(one))[0]:
        pass
    await one.drain.close()
    assert await total(all_of.store) == 1


async def test_the_store_judges_clashes_of_names_when_the_spill_is_drained(all_of: World) -> None:
    one = all_of.process()
    spilled = sent(item(kind="counter"), item(), item(), key="k")
    spilled.sent_as = ["counter", "timing", "gauge"]
    await spill(one, spilled)
    owned = sent(item())
    owned.sent_as = ["timing"]
    await one.send(owned)  # was in the store before
    await one.drain.round()
    found = await all_of.store.names.page(Page("", "", 9))
    assert [(listed.name, listed.owner, listed.clash_of) for listed in found] == [
        ("a", "timing", None),
        ("a.counter", "counter", "a"),
        ("a.gauge", "gauge", "a"),
    ]
    assert one.drain.counts.rejected == 0

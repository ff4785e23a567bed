"""central/write/group_commit.py: groups, failures, waiting, the end. test_group_commit_keys.py has the keys."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.errors import ApiError
from central.ingest.names import Names
from central.ingest.submission import Submission
from central.store.base import OutcomeUnknown, StoreError, StoreUnavailable
from central.store.duck.store import DuckStore
from central.write import group_commit
from central.write.group_commit import MAX_REQUESTS, MAX_ROWS, GroupCommit, pause_seconds
from protocol.item import Item
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, TODAY, Clock
from tests.central.write_help import REPLAYED, HeldStore, Writing, code, item, sent, total, write


@pytest.fixture
async def writing(tmp_path: Path) -> AsyncIterator[Writing]:
    async with write(tmp_path) as writing:
        yield writing


# --- groups


async def test_what_got_201_is_durable(writing: Writing, tmp_path: Path) -> None:
    store, commits = writing.store, writing.commits
    answer = await commits.submit(sent(item(value=3 * UNIT), item(value=4 * UNIT)))
    assert (answer.status, json.loads(answer.body)["accepted"], answer.headers) == (201, 2, {})
    await commits.close()
    await store.close()
    again = DuckStore(tmp_path)
    await again.open()
    assert await total(again) == 7
    await again.close()


async def test_what_comes_during_a_commit_is_committed_together(writing: Writing) -> None:
    await writing.hold()
    writing.add(*(sent(item()) for _ in range(50)))
    await writing.waiting(50)
    assert {answer.status for answer in await writing.answers()} == {201}
    assert writing.store.sizes() == [1, 50]
    assert await total(writing.store) == 50
    counts = writing.commits.counts
    assert (counts.groups, counts.requests, counts.points) == (2, 51, 51)
    assert {group.day for group in writing.store.groups} == {TODAY}


@pytest.mark.parametrize(
    ("rows", "took", "writers", "waiting", "pause"),
    [
        (64, 0.001, 1, 0, 0.004),
        (64, 0.005, 2, 0, 0.0),
        (499, 0.02, 2, 0, 0.0),
        (500, 0.02, 2, 0, 0.005),
        (10_000, 0.02, 2, 4_999, 0.005),
        (10_000, 0.02, 2, 5_000, 0.0),
        (10_000, 0.02, 1, 0, 0.0),
    ],
)
def test_a_writer_waits_for_those_who_were_answered(
    rows: int, took: float, writers: int, waiting: int, pause: float
) -> None:
    assert pause_seconds(rows, took, writers, waiting) == pytest.approx(pause)


async def test_a_group_has_at_most_256_requests(writing: Writing) -> None:
    await writing.hold()
    writing.add(*(sent(item()) for _ in range(MAX_REQUESTS + 44)))
    await writing.waiting(MAX_REQUESTS + 44)
    await writing.answers()
    assert writing.store.sizes() == [1, MAX_REQUESTS, 44]


async def test_a_group_has_at_most_10_000_rows(writing: Writing) -> None:
    await writing.hold()
    writing.add(*(sent(*[item()] * 900) for _ in range(12)))
    await writing.waiting(12)
    await writing.answers()
    assert writing.store.sizes() == [1, MAX_ROWS // 900 * 900, 12 * 900 - MAX_ROWS // 900 * 900]


async def test_a_batch_without_a_key_of_which_nothing_is_left_needs_no_group(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    answer = await commits.submit(sent({}))
    assert (answer.status, json.loads(answer.body)["rejected"], store.groups) == (201, 1, [])


# --- failures


async def test_only_the_offender_of_a_failed_group_fails(writing: Writing) -> None:
    await writing.hold()
    good = [sent(item(), key=f"k{number}") for number in range(5)]
    offender = Submission(1, [Item("bad", "value", MAX_UNITS + 1, NOW)], [0], 1)
    writing.add(*good[:2], offender, *good[2:])
    await writing.waiting(6)
    answers = await writing.answers()
    assert [answer.status for answer in answers] == [201, 201, 503, 201, 201, 201]
    assert answers[2].headers["Retry-After"] == "2"
    assert (await total(writing.store), await total(writing.store, "bad")) == (5, 0)
    assert writing.commits.counts.failed_groups == 2


async def test_a_failed_group_counts_its_replays_once(writing: Writing) -> None:
    await writing.hold()
    writing.add(sent(item(), key="old"))
    await writing.answers()
    await writing.hold()
    offender = Submission(1, [Item("bad", "value", MAX_UNITS + 1, NOW)], [0], 1)
    writing.add(sent(item(), key="old"), offender, sent(item(), key="new"))
    await writing.waiting(3)
    answers = await writing.answers()
    assert [(answer.status, answer.headers == REPLAYED) for answer in answers] == [
        (201, True),
        (503, False),
        (201, False),
    ]
    assert (await total(writing.store), writing.commits.counts.replays) == (2, 1)


async def test_an_unavailable_store_is_503_for_the_whole_group(writing: Writing) -> None:
    await writing.hold()
    writing.store.script = [(StoreUnavailable("no file"), False)] * 2
    writing.add(*(sent(item(), key=f"k{number}") for number in range(5)))
    await writing.waiting(5)
    answers = await writing.answers()
    assert [(answer.status, code(answer)) for answer in answers] == [(503, "SERVICE_UNAVAILABLE")] * 5
    assert len(writing.store.groups) == 2
    assert await total(writing.store) == 0
    assert (await writing.commits.submit(sent(item(), key="k0"))).headers == {}
    assert await total(writing.store) == 1


@pytest.mark.parametrize(
    ("script", "commits_run"),
    [
        ([(OutcomeUnknown("2013"), False)], 2),
        ([(OutcomeUnknown("2013"), True)], 2),
        ([(OutcomeUnknown("2013"), True), (OutcomeUnknown("2013"), True)], 3),
        ([(OutcomeUnknown("2013"), True), (StoreUnavailable("gone"), False)], 3),
        ([(OutcomeUnknown("2013"), False), (StoreError("odd"), False), (OutcomeUnknown("2013"), False)], 4),
    ],
)
async def test_a_commit_in_doubt_is_asked_again_and_stored_once(
    writing: Writing, script: list[tuple[Exception, bool]], commits_run: int
) -> None:
    store, commits = writing.store, writing.commits
    store.script = list(script)
    answer = await commits.submit(sent(item(), key="k"))
    assert (answer.status, answer.headers) == (201, {})
    assert len(store.groups) == commits_run
    assert len({group.id for group in store.groups}) == 1
    assert commits.counts.unknown_outcomes == sum(isinstance(error, OutcomeUnknown) for error, _ in script)
    assert await total(store) == 1
    assert (await commits.submit(sent(item(), key="k"))).headers == REPLAYED


async def test_names_that_cannot_be_made_are_503(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    await store.close()
    answer = await commits.submit(sent(item()))
    assert (answer.status, code(answer)) == (503, "SERVICE_UNAVAILABLE")
    assert store.groups == []


async def test_a_crash_is_500_without_a_traceback_and_the_next_group_goes_on(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    store.script = [(ZeroDivisionError("secret"), False)]
    answer = await commits.submit(sent(item(), key="k"))
    assert (answer.status, code(answer), b"secret" in answer.body) == (500, "INTERNAL_ERROR", False)
    assert (await commits.submit(sent(item(), key="k"))).headers == {}


# --- waiting


@pytest.mark.parametrize(("bound", "most"), [("MAX_WAITING_ROWS", 7), ("MAX_WAITING_REQUESTS", 3)])
async def test_requests_beyond_a_bound_are_turned_away_and_the_rest_goes_on(
    writing: Writing, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(group_commit, bound, most)
    await writing.hold()
    writing.add(sent(item(), item()), sent(item(), item(), key="k1"), sent(item(), item()))
    await writing.waiting(3)
    with pytest.raises(ApiError) as caught:
        await writing.commits.submit(sent(item(), item(), key="k2"))
    assert (caught.value.status, caught.value.code) == (503, "SERVICE_UNAVAILABLE")
    assert (caught.value.headers, "nothing was stored" in caught.value.message) == ({"Retry-After": "2"}, True)
    writing.add(sent(item(), item(), key="k1"))  # what is in flight is joined and takes no room
    assert [answer.status for answer in await writing.answers()] == [201] * 4
    assert (await total(writing.store), writing.commits.counts.turned_away) == (6, 1)
    assert (await writing.commits.submit(sent(item(), item(), key="k2"))).headers == {}


@pytest.mark.parametrize("script", [[], [(OutcomeUnknown("2013"), True)]])
async def test_a_wait_that_is_too_long_is_503_and_the_retry_gets_the_replay(
    tmp_path: Path, script: list[tuple[Exception, bool]]
) -> None:
    async with write(tmp_path, wait_seconds=0.01) as writing:
        await writing.hold()
        writing.store.script = list(script)
        first = await writing.commits.submit(sent(item(), key="k"))
        joined = await writing.commits.submit(sent(item(), key="k"))
        for late in (first, joined):
            assert (late.status, code(late)) == (503, "SERVICE_UNAVAILABLE")
            assert "Idempotency-Key" in json.loads(late.body)["error"]["message"]
        assert writing.commits.counts.turned_away >= 2
        writing.store.go.set()
        while (answer := await writing.commits.submit(sent(item(), key="k"))).status == 503:
            pass
        assert (answer.status, answer.headers) == (201, REPLAYED)
        assert await total(writing.store) == 1


async def test_a_client_that_went_away_leaves_its_request_to_be_stored_once(writing: Writing) -> None:
    await writing.hold()
    writing.add(sent(item(), key="k"), sent(item(), key="k"))
    await writing.waiting(1)
    gone = writing.tasks.pop(0)
    gone.cancel()
    (answer,) = await writing.answers()
    assert (answer.status, gone.cancelled(), await total(writing.store)) == (201, True, 1)


# --- between groups, and the end


async def test_exclusive_work_runs_between_two_groups(writing: Writing) -> None:
    await writing.hold()
    order: list[str] = []

    async def work() -> int:
        order.append(f"work after {len(writing.store.groups)} groups")
        writing.add(sent(item()))
        await writing.waiting(2)
        order.append(f"still {len(writing.store.groups)} groups")
        return 5

    exclusive = asyncio.create_task(writing.commits.exclusive(work))
    writing.add(sent(item()))
    await writing.waiting(1)
    assert order == []
    writing.store.go.set()
    assert await exclusive == 5
    assert order == ["work after 1 groups", "still 1 groups"]
    assert [answer.status for answer in await writing.answers()] == [201, 201]


async def test_a_name_deleted_between_groups_takes_no_waiting_point_along(writing: Writing) -> None:
    await writing.commits.submit(sent(item("a", kind="counter")))
    await writing.hold()

    async def delete() -> None:
        await writing.store.names.delete("a")
        writing.names.forget("a")

    exclusive = asyncio.create_task(writing.commits.exclusive(delete))
    writing.add(sent(item("a")))
    await writing.waiting(1)
    assert [answer.status for answer in await writing.answers()] == [201]
    await exclusive
    assert (await writing.store.names.find(["a"]))["a"].kind == "value"
    assert await total(writing.store) == 1


async def test_the_store_tidies_up_after_each_group_and_once_when_nobody_writes(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "IDLE_SECONDS", 0.01)
    for _ in range(2):
        await writing.commits.submit(sent(item()))
        while await writing.store.tidied.get():
            pass  # idle before the request came
        assert await writing.store.tidied.get() is True
    assert writing.store.tidied.empty()


async def test_close_commits_what_waits_and_takes_nothing_more(writing: Writing) -> None:
    await writing.hold()
    writing.add(*(sent(item(), key=f"k{number}") for number in range(3)))
    await writing.waiting(3)
    closing = asyncio.create_task(writing.commits.close())
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as caught:
        await writing.commits.submit(sent(item()))
    assert caught.value.status == 503
    assert [answer.status for answer in await writing.answers()] == [201] * 3
    await closing
    assert await total(writing.store) == 3


async def test_close_ends_its_loops_and_raises_what_broke_one_off(tmp_path: Path) -> None:
    class Broken(HeldStore):
        async def tidy(self, *, idle: bool) -> None:
            raise RuntimeError("a fault of ours")

    store = Broken(tmp_path, Clock())
    await store.open()
    commits = GroupCommit(store, Names(store, CAPS, SERIES_CAPS))
    commits.start()
    assert (await commits.submit(sent(item()))).status == 201
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await commits.close()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("group-commit")] == []
    await store.close()


async def test_close_without_start_is_nothing(tmp_path: Path) -> None:
    store = HeldStore(tmp_path, Clock())
    await GroupCommit(store, Names(store, CAPS, SERIES_CAPS)).close()
    await store.close()

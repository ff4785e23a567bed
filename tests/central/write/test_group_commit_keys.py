"""central/write/group_commit.py: a request with a key is stored once, and a retry gets the first answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.errors import ApiError
from central.ingest.answers import Answer
from central.ingest.submission import batch
from tests.central.store_help import NOW
from tests.central.write_help import REPLAYED, Writing, code, item, key_of, sent, sent_single, total, write


@pytest.fixture
async def writing(tmp_path: Path) -> AsyncIterator[Writing]:
    async with write(tmp_path) as writing:
        yield writing


# --- keys


async def test_ten_at_once_with_one_key_store_one_copy(writing: Writing) -> None:
    await writing.hold()
    writing.add(*(sent(item(), key="k") for _ in range(10)))
    await writing.waiting(1)
    answers = await writing.answers()
    assert [answer.status for answer in answers] == [201] * 10
    assert [answer.headers for answer in answers] == [{}] + [REPLAYED] * 9
    assert len({answer.body for answer in answers}) == 1
    assert await total(writing.store) == 1
    assert writing.commits.counts.replays == 9


async def test_a_stored_key_gives_the_first_answer_and_stores_nothing(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    first = await commits.submit(sent(item(), key="k"))
    second = await commits.submit(sent(item(), key="k"))
    assert second == Answer(201, first.body, REPLAYED)
    assert (store.sizes(), await total(store), commits.counts.replays) == ([1], 1, 1)


async def test_one_key_of_two_key_rows_is_two_requests(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    for key_id in (1, 2):
        assert (await commits.submit(sent(item(), key="k", key_id=key_id))).headers == {}
    assert await total(store) == 2


async def test_replays_and_new_requests_mix_in_a_group(writing: Writing) -> None:
    await writing.hold()
    writing.add(sent(item(), key="old"))
    await writing.answers()
    await writing.hold()
    writing.add(*(sent(item(), key=key) for key in ("old", "new", "old")))
    await writing.waiting(2)
    answers = await writing.answers()
    assert [(answer.status, answer.headers) for answer in answers] == [(201, REPLAYED), (201, {}), (201, REPLAYED)]
    assert await total(writing.store) == 2


async def test_a_key_in_flight_with_another_body_is_refused(writing: Writing) -> None:
    await writing.hold()
    writing.add(sent(item(), key="k"))
    await writing.waiting(1)
    with pytest.raises(ApiError) as caught:
        await writing.commits.submit(sent(item("b"), key="k"))
    assert (caught.value.status, caught.value.code) == (400, "IDEMPOTENCY_KEY_REUSED")
    assert caught.value.details == {"field": "Idempotency-Key"}
    assert [answer.status for answer in await writing.answers()] == [201]


async def test_a_stored_body_is_replayed_beside_another_one_in_flight(writing: Writing) -> None:
    wanted = sent(item(), key="k")
    first = await writing.commits.submit(wanted)
    await writing.hold()
    writing.add(sent(item("b"), key="k"))  # its look-up was before the first one was stored
    await writing.waiting(1)
    again = sent(item(), key="k")
    assert await writing.commits.replay(key_of(again), again.plain_body) == Answer(201, first.body, REPLAYED)
    assert await writing.commits.submit(again) == Answer(201, first.body, REPLAYED)
    (other,) = await writing.answers()
    assert (other.status, code(other)) == (400, "IDEMPOTENCY_KEY_REUSED")
    assert (await total(writing.store), await total(writing.store, "b")) == (1, 0)


async def test_a_stored_key_with_another_body_is_refused(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    await commits.submit(sent(item(), key="k"))
    answer = await commits.submit(sent(item("b"), key="k"))
    assert (answer.status, code(answer)) == (400, "IDEMPOTENCY_KEY_REUSED")
    assert await total(store, "b") == 0


async def test_a_partly_rejected_batch_is_replayed_as_it_was_answered(
    writing: Writing,
) -> None:
    store, commits = writing.store, writing.commits
    await commits.submit(sent(item("b", kind="counter")))
    wanted = item("a"), item("b"), {"name": "!"}
    first = await commits.submit(sent(*wanted, key="k"))
    assert [entry["code"] for entry in json.loads(first.body)["errors"]] == ["METRIC_TYPE_CONFLICT", "VALIDATION_ERROR"]

    async def delete() -> None:
        await store.names.delete("b")
        writing.names.forget("b")

    await commits.exclusive(delete)
    assert await commits.submit(sent(*wanted, key="k")) == Answer(201, first.body, REPLAYED)
    assert (await total(store, "a"), await total(store, "b")) == (1, 0)


async def test_a_stored_batch_is_replayed_though_its_items_are_too_old_now(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    first = await commits.submit(sent(item(), key="k"))
    late = sent(item(), key="k")
    rejected = batch({"metrics": [item() | {"recorded_at": "2020-01-01"}]}, 1, NOW, 5)
    rejected.request = late.request
    assert await commits.submit(rejected) == Answer(201, first.body, REPLAYED)
    assert await total(store) == 1


async def test_a_batch_all_rejected_is_remembered_with_its_key(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    first = await commits.submit(sent({}, key="k"))
    assert (first.status, json.loads(first.body)["rejected"]) == (201, 1)
    assert await commits.submit(sent({}, key="k")) == Answer(201, first.body, REPLAYED)
    assert [(len(group.rows), len(group.ids)) for group in store.groups] == [(0, 1)]


async def test_a_single_of_the_wrong_type_is_refused_and_not_remembered(writing: Writing) -> None:
    store, commits = writing.store, writing.commits
    await commits.submit(sent_single("a", "counter"))
    wanted = sent_single("a", "value", key="k")
    answer = await commits.submit(wanted)
    assert (answer.status, code(answer)) == (400, "METRIC_TYPE_CONFLICT")
    assert await store.find_requests([key_of(wanted).id]) == {}
    await store.names.delete("a")
    writing.names.forget("a")
    answer = await commits.submit(sent_single("a", "value", key="k"))
    assert (answer.status, answer.headers) == (201, {})


# --- replay, which the web layer asks before it refuses a time


async def test_replay_answers_what_is_stored_or_in_flight_and_nothing_else(writing: Writing) -> None:
    await writing.hold()
    wanted = sent(item(), key="k")
    request = key_of(wanted)
    assert await writing.commits.replay(request, wanted.plain_body) is None
    writing.add(wanted)
    await writing.waiting(1)
    joined = asyncio.create_task(writing.commits.replay(request, wanted.plain_body))
    (first,) = await writing.answers()
    assert await joined == Answer(201, first.body, REPLAYED)
    assert await writing.commits.replay(request, wanted.plain_body) == Answer(201, first.body, REPLAYED)


async def test_replay_refuses_another_body_in_flight_or_stored(writing: Writing) -> None:
    await writing.hold()
    wanted = sent(item(), key="k")
    writing.add(wanted)
    await writing.waiting(1)
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            await writing.commits.replay(key_of(wanted)._replace(fingerprint=bytes(16)), wanted.plain_body)
        assert caught.value.code == "IDEMPOTENCY_KEY_REUSED"
        await writing.answers()


async def test_replay_says_503_while_the_store_cannot_be_asked(tmp_path: Path) -> None:
    wanted = sent(item(), key="k")
    async with write(tmp_path) as before:
        await before.commits.submit(wanted)
    async with write(tmp_path) as writing:  # nothing is in memory now: the store has to be asked
        await writing.store.close()
        with pytest.raises(ApiError) as caught:
            await writing.commits.replay(key_of(wanted), wanted.plain_body)
        assert caught.value.status == 503

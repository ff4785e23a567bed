"""Idempotency-Key through real HTTP: the same request again stores nothing and gets the first answer."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from multidict import CIMultiDict

from central.app import Outside
from central.store.base import Group, OutcomeUnknown, StoreUnavailable
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, Clock, Overlay, Reply, faulty, running

COUNTER = "/api/metrics/counter"
VALUE = "/api/metrics/value"
BATCH = "/api/metrics/batch"
DAY = 86_400
ITEM = {"name": "a", "type": "counter", "value": 1}
REUSED = (400, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key")


def is_replay(reply: Reply) -> bool:
    assert reply.headers.get("Idempotency-Replayed") in (None, "true")
    return "Idempotency-Replayed" in reply.headers


async def send(central: Central, path: str, body: Any, idempotency_key: str = "k", **options: Any) -> Reply:
    headers = {"Idempotency-Key": idempotency_key, **options.pop("headers", {})}
    return await central.post(path, body, headers=headers, **options)


# --- replays


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COUNTER, '{"name":"a"}'),
        (VALUE, '{"name":"a","value":0.1}'),
        (BATCH, '{"metrics":[{"name":"a","type":"counter","value":1}]}'),
        (BATCH, '{"metrics":[{"name":"a","type":"counter","value":1},7,{"name":"b"}]}'),
        (BATCH, '{"metrics":[7]}'),
    ],
)
async def test_the_same_request_again_gets_the_first_answer_and_stores_nothing(
    central: Central, path: str, body: str
) -> None:
    first = await send(central, path, body)
    again = [await send(central, path, body) for _ in range(3)]
    assert (first.status, is_replay(first)) == (201, False)
    assert [(reply.status, reply.text, is_replay(reply)) for reply in again] == [(201, first.text, True)] * 3
    assert await central.total("a", "count") == ("a" in body)


async def test_a_replay_is_what_was_answered_then_and_not_what_would_be_now(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_MAX_NAMES": "1"}) as central:
        await central.value("a", "1")
        first = await send(central, BATCH, {"metrics": [ITEM, {**ITEM, "name": "b"}]})
        assert [error["code"] for error in first.json["errors"]] == ["METRIC_TYPE_CONFLICT", "TOO_MANY_METRICS"]
        await central.ask("DELETE", "/api/admin/metrics/a")
        again = await send(central, BATCH, {"metrics": [ITEM, {**ITEM, "name": "b"}]})
        assert (again.text, is_replay(again)) == (first.text, True)
        assert (await central.ask("GET", "/api/metrics")).json["data"] == []


async def test_a_replay_survives_a_restart(tmp_path: Path) -> None:
    body = {"metrics": [ITEM, 7]}
    async with running(tmp_path) as central:
        first = await send(central, BATCH, body)
    async with running(tmp_path) as central:
        again = await send(central, BATCH, body)
        assert (again.text, is_replay(again)) == (first.text, True)
        assert await central.total("a") == 1


async def test_the_decoded_body_counts_and_not_how_it_was_packed(central: Central) -> None:
    body = b'{"name":"a"}'
    replies = [
        await send(central, COUNTER, body),
        await send(central, COUNTER, gzip.compress(body), headers={"Content-Encoding": "gzip"}),
        await send(central, COUNTER, zstandard.compress(body), headers={"Content-Encoding": "zstd"}),
    ]
    assert [is_replay(reply) for reply in replies] == [False, True, True]


async def test_without_a_key_every_request_is_a_new_one(central: Central) -> None:
    for _ in range(3):
        assert not is_replay(await central.counter("a"))
    assert await central.total("a") == 3


# --- what is another request


async def test_the_same_key_with_another_body_or_path_is_refused(central: Central) -> None:
    assert (await send(central, COUNTER, '{"name":"a"}')).status == 201
    for path, body in [
        (COUNTER, '{"name":"b"}'),
        (COUNTER, '{"name":"a"} '),
        (VALUE, '{"name":"a","value":1}'),
        (BATCH, {"metrics": [ITEM]}),
        (BATCH, {"metrics": [7]}),
    ]:
        assert (await send(central, path, body)).error == REUSED, (path, body)
    assert await central.total("a") == 1


async def test_the_same_key_and_body_on_another_path_is_refused(central: Central) -> None:
    body = '{"name":"a","value":1}'
    assert (await send(central, COUNTER, body)).status == 201
    assert (await send(central, VALUE, body)).error == REUSED


async def test_another_api_key_has_ids_of_its_own(central: Central) -> None:
    _, other = await central.new_key("ingest")
    for key in ("", other):
        assert not is_replay(await send(central, COUNTER, '{"name":"a"}', key=key))
    assert not is_replay(await send(central, COUNTER, '{"name":"a"}', "K"))
    assert await central.total("a") == 3


DRAWN = "c0ffee5eaf00d1234567890abcdef012"


@pytest.mark.parametrize(
    ("path", "body"), [(BATCH, {"metrics": [ITEM, 7]}), (COUNTER, {"name": "a"}), (VALUE, {"name": "a", "value": 1})]
)
async def test_a_request_sent_again_under_a_new_api_key_is_a_replay(tmp_path: Path, path: str, body: Any) -> None:
    async with running(tmp_path) as central:
        old_id, old = await central.new_key("ingest")
        first = await send(central, path, body, DRAWN, key=old)
        _, fresh = await central.new_key("ingest")
        assert (await central.ask("DELETE", f"/api/admin/keys/{old_id}")).status == 200
        for _ in range(2):
            again = await send(central, path, body, DRAWN, key=fresh)
            assert (again.status, again.text, is_replay(again)) == (201, first.text, True)
    async with running(tmp_path) as central:
        assert is_replay(await send(central, path, body, DRAWN, key=fresh))
        assert await central.total("a") == 1


async def test_no_api_key_is_answered_from_or_blocked_by_what_another_sent(central: Central) -> None:
    _, other = await central.new_key("ingest")
    assert not is_replay(await send(central, BATCH, {"metrics": [ITEM]}, DRAWN))
    assert (await send(central, BATCH, {"metrics": [{**ITEM, "value": 5}]}, DRAWN)).error == REUSED
    other_body = await send(central, BATCH, {"metrics": [{**ITEM, "value": 9}]}, DRAWN, key=other)
    assert (other_body.status, is_replay(other_body)) == (201, False)
    for short in ("1", "00000000-0000-0000-0000-000000000000"):
        for key in ("", other):
            assert not is_replay(await send(central, BATCH, {"metrics": [ITEM]}, short, key=key))
    assert await central.total("a") == 1 + 9 + 4


async def test_two_api_keys_with_one_batch_at_once_store_it_once(tmp_path: Path) -> None:
    made, outside = gated()
    async with running(tmp_path, outside=outside) as central:
        keys = [(await central.new_key("ingest"))[1] for _ in range(3)]
        first = asyncio.create_task(send(central, BATCH, {"metrics": [ITEM]}, DRAWN, key=keys[0]))
        await made[0].arrived.wait()
        others = [asyncio.create_task(send(central, BATCH, {"metrics": [ITEM]}, DRAWN, key=key)) for key in keys]
        made[0].before.set()
        made[0].after.set()
        replies = await asyncio.gather(first, *others)
        assert [(reply.status, is_replay(reply)) for reply in replies] == [(201, False), *[(201, True)] * 3]
        assert await central.total("a") == 1


async def test_a_rotated_api_key_keeps_its_ids(central: Central) -> None:
    key_id, old = await central.new_key("ingest")
    assert not is_replay(await send(central, COUNTER, '{"name":"a"}', key=old))
    fresh = (await central.ask("POST", f"/api/admin/keys/{key_id}/rotate")).json["data"]["key"]
    assert is_replay(await send(central, COUNTER, '{"name":"a"}', key=fresh))
    assert await central.total("a") == 1


async def test_only_a_201_is_remembered(tmp_path: Path) -> None:
    class Failing(Overlay):
        fails = True

        async def commit(self, group: Group, *, again: bool = False) -> None:
            if self.fails:
                self.fails = False
                raise StoreUnavailable("not now")
            await self.real.commit(group, again=again)

    async with running(tmp_path, outside=faulty(Failing)) as central:
        await_503 = await send(central, COUNTER, '{"name":"a"}')
        assert await_503.error == (503, "SERVICE_UNAVAILABLE", None)
        assert not is_replay(await send(central, COUNTER, '{"name":"a"}'))
        assert (await send(central, COUNTER, '{"name":"a b"}', "bad")).status == 400
        assert (await send(central, COUNTER, '{"name":"a"}', "bad")).status == 201
        assert (await send(central, VALUE, '{"name":"a","value":1}', "conflict")).status == 400
        assert (await send(central, VALUE, '{"name":"b","value":1}', "conflict")).status == 201
        assert await central.total("a") == 2


# --- the header


@pytest.mark.parametrize("good", ["k", "K" * 255, "a b", "!~", "7d1f6c0e-2b1f-4c43-9c57-0d7f5f6a1e21"])
async def test_a_good_header_is_any_printable_ascii(central: Central, good: str) -> None:
    assert (await send(central, COUNTER, '{"name":"a"}', good)).status == 201
    assert is_replay(await send(central, COUNTER, '{"name":"a"}', good))


@pytest.mark.parametrize("bad", ["", "k" * 256, "clé", "☃", "a\tb"])
@pytest.mark.parametrize("path", [COUNTER, VALUE, BATCH])
async def test_a_bad_header_is_refused_and_named(central: Central, path: str, bad: str) -> None:
    reply = await send(central, path, {"name": "a", "value": 1, "metrics": [ITEM]}, bad)
    assert reply.error == (400, "VALIDATION_ERROR", "Idempotency-Key")
    assert "printable ASCII" in reply.message


@pytest.mark.parametrize("path", [COUNTER, VALUE, BATCH])
async def test_two_headers_are_refused_though_they_be_alike(central: Central, path: str) -> None:
    for second in ("one", "two"):
        headers = CIMultiDict([("X-API-Key", central.key), ("Idempotency-Key", "one"), ("Idempotency-Key", second)])
        async with central.http.post(central.url + path, data=b'{"name":"a","value":1}', headers=headers) as answer:
            error = (await answer.json())["error"]
        assert (answer.status, error["details"]["field"]) == (400, "Idempotency-Key")
        assert "more than one Idempotency-Key header" in error["message"]


# --- at the same time


async def test_ten_at_once_with_one_key_are_one_copy_and_ten_201s(central: Central) -> None:
    replies = await asyncio.gather(*(send(central, BATCH, {"metrics": [ITEM, 7]}) for _ in range(10)))
    assert {(reply.status, reply.text) for reply in replies} == {(201, replies[0].text)}
    assert sum(map(is_replay, replies)) == 9
    assert await central.total("a", "count") == 1


class Gated(Overlay):
    """Commits wait at a gate, then commit, then wait at another before their caller hears of it."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.arrived, self.before = asyncio.Event(), asyncio.Event()
        self.committed, self.after = asyncio.Event(), asyncio.Event()

    async def commit(self, group: Group, *, again: bool = False) -> None:
        self.arrived.set()
        await self.before.wait()
        await self.real.commit(group, again=again)
        self.committed.set()
        await self.after.wait()

    def open(self) -> None:
        self.before.set()
        self.after.set()


def gated() -> tuple[list[Gated], Outside]:
    made: list[Gated] = []

    def wrap(store: Any) -> Gated:
        made.append(Gated(store))
        return made[-1]

    return made, faulty(wrap)


async def test_one_in_flight_is_waited_for_and_never_a_conflict(tmp_path: Path) -> None:
    made, outside = gated()
    async with running(tmp_path, outside=outside) as central:
        first = asyncio.create_task(send(central, COUNTER, '{"name":"a"}'))
        await made[0].arrived.wait()
        assert (await send(central, COUNTER, '{"name":"b"}')).error == REUSED
        second = asyncio.create_task(send(central, COUNTER, '{"name":"a"}'))
        made[0].before.set()
        await made[0].committed.wait()
        third = asyncio.create_task(send(central, COUNTER, '{"name":"a"}'))
        made[0].after.set()
        replies = await asyncio.gather(first, second, third)
        assert [(reply.status, is_replay(reply)) for reply in replies] == [(201, False), (201, True), (201, True)]
        assert await central.total("a") == 1


# --- the connection is cut


async def cut(central: Central, body: bytes, then: Callable[[], Awaitable[Any]]) -> None:
    """Send a whole request with the key ``k``, wait for ``then`` and close without reading a byte."""
    host, port = central.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {BATCH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {central.key}\r\nIdempotency-Key: k\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    await then()
    writer.transport.abort()


@pytest.mark.parametrize("moment", ["arrived", "committed"])
async def test_a_connection_cut_before_the_answer_is_no_loss_and_no_double(tmp_path: Path, moment: str) -> None:
    made, outside = gated()
    body = b'{"metrics":[{"name":"a","type":"counter","value":1},7]}'
    async with running(tmp_path, outside=outside) as central:
        made_at: Callable[[], Awaitable[Any]] = lambda: getattr(made[0], moment).wait()  # noqa: E731
        if moment == "committed":
            made[0].before.set()
        await cut(central, body, made_at)
        made[0].open()
        await made[0].committed.wait()
        reply = await send(central, BATCH, body)
        assert (reply.status, is_replay(reply)) == (201, True)
        assert (reply.json["accepted"], reply.json["rejected"]) == (1, 1)
        assert await central.total("a", "count") == 1


async def test_clients_that_hang_up_at_once_store_once_when_they_come_back(central: Central) -> None:
    body = b'{"metrics":[{"name":"a","type":"counter","value":1}]}'

    async def nothing() -> None:
        return None

    for _ in range(5):
        await cut(central, body, nothing)
    assert (await send(central, BATCH, body)).status == 201
    assert is_replay(await send(central, BATCH, body))
    assert await central.total("a", "count") == 1


async def test_a_commit_whose_outcome_is_unknown_is_answered_once_it_is_known(tmp_path: Path) -> None:
    class InDoubt(Overlay):
        attempts = 0

        async def commit(self, group: Group, *, again: bool = False) -> None:
            InDoubt.attempts += 1
            assert again == (InDoubt.attempts > 1)
            if InDoubt.attempts == 1:
                await self.real.commit(group)
                raise OutcomeUnknown("the connection to the disk was lost")
            await self.real.commit(group, again=again)

    async with running(tmp_path, outside=faulty(InDoubt)) as central:
        assert not is_replay(await send(central, COUNTER, '{"name":"a"}'))
        assert is_replay(await send(central, COUNTER, '{"name":"a"}'))
        assert InDoubt.attempts == 2
        assert await central.total("a", "count") == 1
        assert await central.meter("fiesta_commits_unknown_total") == 1


# --- late retries


@pytest.mark.parametrize("path", [COUNTER, BATCH])
async def test_a_late_retry_of_a_stored_request_is_answered(tmp_path: Path, path: str) -> None:
    clock = Clock()
    recorded_at = format_time(int(clock.now) - 6 * DAY)
    item = {"name": "a", "value": 1, "recorded_at": recorded_at}
    body: dict[str, Any] = item if path == COUNTER else {"metrics": [{**item, "type": "counter"}]}
    async with running(tmp_path, outside=Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)) as central:
        first = await send(central, path, body)
        assert first.json.get("rejected", 0) == 0
        clock.now += 7 * DAY
        again = await send(central, path, body)
        assert (again.status, again.text, is_replay(again)) == (201, first.text, True)
        fresh = await send(central, path, body, "another")
        assert "TIMESTAMP_TOO_OLD" in fresh.text
        assert not is_replay(fresh)
        other = {**body, "name": "b"} if path == COUNTER else {"metrics": [{**ITEM, "recorded_at": recorded_at}, 7]}
        assert (await send(central, path, other)).error == REUSED


async def test_a_late_retry_of_one_in_flight_waits_for_it(tmp_path: Path) -> None:
    made, outside = gated()
    clock = Clock()
    body = {"name": "a", "recorded_at": format_time(int(clock.now) - 6 * DAY)}
    outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH, wrap_store=outside.wrap_store)
    async with running(tmp_path, outside=outside) as central:
        first = asyncio.create_task(send(central, COUNTER, body))
        await made[0].arrived.wait()
        clock.now += 7 * DAY
        second = asyncio.create_task(send(central, COUNTER, body))
        made[0].open()
        assert [is_replay(reply) for reply in await asyncio.gather(first, second)] == [False, True]


async def test_a_late_retry_while_the_store_is_down_is_a_503_and_no_refusal(tmp_path: Path) -> None:
    class Forgetful(Overlay):
        async def find_requests(self, ids: Any) -> Any:
            raise StoreUnavailable("not now")

    async with running(tmp_path, outside=faulty(Forgetful)) as central:
        reply = await send(central, COUNTER, {"name": "a", "recorded_at": "2020-01-01"})
        assert reply.error == (503, "SERVICE_UNAVAILABLE", None)

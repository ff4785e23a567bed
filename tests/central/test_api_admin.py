"""Keys, scopes, rate limits and the admin API through real HTTP: PRD 3.2 with DESIGN's decisions."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from central.auth import MAX_QUEUE_PER_ID, new_key
from central.store.base import KeyRow, StoreUnavailable
from protocol.limits import MAX_BODY_BYTES
from tests.central.harness import QUICK_HASH, Central, Clock, Overlay, faulty, running

KEYS = "/api/admin/keys"
UNAUTHORIZED = (401, "UNAUTHORIZED", None)
FORBIDDEN = (403, "FORBIDDEN", None)
GUARDED = [
    ("POST", "/api/metrics/counter", "ingest"),
    ("POST", "/api/metrics/value", "ingest"),
    ("POST", "/api/metrics/batch", "ingest"),
    ("GET", "/api/metrics/aggregate", "query"),
    ("GET", "/api/metrics", "query"),
    ("GET", KEYS, "admin"),
    ("POST", KEYS, "admin"),
    ("DELETE", f"{KEYS}/999", "admin"),
    ("POST", f"{KEYS}/999/rotate", "admin"),
    ("DELETE", "/api/admin/metrics/nobody", "admin"),
    ("GET", "/api/admin/backup", "admin"),
]


# --- who gets in


async def test_without_a_valid_key_every_endpoint_says_401(central: Central) -> None:
    bad = [
        None,
        "x",
        "k" * 73,
        "k" * 8000,
        "schlüssel-é",
        new_key().text,
        central.key[:16] + "A" * 43,
        central.key + "x",
    ]
    for method, path, _ in GUARDED:
        for key in bad:
            reply = await central.ask(method, path, key=key, data=b"{")
            assert reply.error == UNAUTHORIZED, (method, path, key)
            assert reply.headers["WWW-Authenticate"] == "ApiKey"
            assert "RateLimit-Limit" not in reply.headers


async def test_an_empty_key_header_is_no_key(central: Central) -> None:
    async with central.http.get(f"{central.url}/api/metrics", headers={"X-API-Key": ""}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_a_key_in_the_query_or_as_a_bearer_token_is_no_key(central: Central) -> None:
    assert (await central.ask("GET", f"/api/metrics?key={central.key}", key=None)).error == UNAUTHORIZED
    headers = {"Authorization": f"Bearer {central.key}"}
    assert (await central.ask("GET", "/api/metrics", key=None, headers=headers)).error == UNAUTHORIZED


@pytest.mark.parametrize("scope", ["ingest", "query", "admin"])
async def test_a_key_may_do_what_its_scope_says_and_nothing_else(central: Central, scope: str) -> None:
    _, key = await central.new_key(scope)
    for method, path, needed in GUARDED:
        reply = await central.ask(method, path, key=key, data=b"{")
        if needed == scope:
            assert reply.status not in (401, 403), (method, path)
        else:
            assert reply.error == FORBIDDEN, (method, path)
            assert f"lacks the scope '{needed}'; it has {scope}" in reply.message


async def test_unknown_paths_and_methods_are_told_before_any_key_is_asked_for(central: Central) -> None:
    for path in ("/nowhere", "/api", "/api/metrics/nothing", f"{KEYS}/x", "/api/metrics/counter/", "//", "/api/admin"):
        reply = await central.ask("GET", path, key=None)
        assert reply.error == (404, "NOT_FOUND", None), path
    for method, path, allowed in [
        ("GET", "/api/metrics/counter", "POST"),
        ("DELETE", "/api/metrics/batch", "POST"),
        ("POST", "/api/metrics", "GET, HEAD"),
        ("PUT", KEYS, "GET, HEAD, POST"),
        ("GET", f"{KEYS}/1", "DELETE"),
        ("POST", "/api/admin/backup", "GET"),
        ("POST", "/health", "GET, HEAD"),
        ("OPTIONS", "/api/metrics", "GET, HEAD"),
        ("PURGE", "/metrics", "GET, HEAD"),
    ]:
        reply = await central.ask(method, path, key=None)
        assert reply.error == (405, "METHOD_NOT_ALLOWED", None), (method, path)
        assert reply.headers["Allow"] == allowed
        assert allowed in reply.message


# --- making, listing, revoking, rotating


async def test_a_new_key_is_shown_once_and_may_ingest_and_query_unless_told(central: Central) -> None:
    reply = await central.post(KEYS, {"name": "checkout"})
    made = reply.json["data"]
    assert (reply.status, reply.json["success"]) == (201, True)
    assert re.fullmatch(r"gf_[a-z0-9]{12}_[A-Za-z0-9_-]{43}", made["key"])
    assert made["key"].startswith(made["prefix"] + "_")
    assert (made["name"], made["scopes"], made["rate_limit"]) == ("checkout", ["ingest", "query"], 1000)
    assert made["revoked_at"] is None
    assert (await central.counter("a", key=made["key"])).status == 201

    listed = await central.ask("GET", KEYS)
    assert listed.json["data"][-1] == {name: value for name, value in made.items() if name != "key"}
    assert made["key"] not in listed.text
    assert "$2b$" not in listed.text


async def test_a_key_is_made_with_the_scopes_and_the_limit_asked_for(central: Central) -> None:
    made = (await central.post(KEYS, {"name": "n", "scopes": ["query", "admin", "query"], "rate_limit": 3})).json[
        "data"
    ]
    assert (made["scopes"], made["rate_limit"]) == (["admin", "query"], 3)
    assert (await central.ask("GET", KEYS, key=made["key"])).headers["RateLimit-Limit"] == "3"


async def test_a_bad_body_for_a_key_is_refused_and_its_field_named(central: Central) -> None:
    table: dict[str, tuple[int, str, str]] = {
        "": (400, "INVALID_JSON", "body"),
        "[]": (400, "VALIDATION_ERROR", "body"),
        "7": (400, "VALIDATION_ERROR", "body"),
        "null": (400, "VALIDATION_ERROR", "body"),
        "{}": (400, "VALIDATION_ERROR", "name"),
        '{"name":""}': (400, "VALIDATION_ERROR", "name"),
        '{"name":7}': (400, "VALIDATION_ERROR", "name"),
        '{"name":"a\\nb"}': (400, "VALIDATION_ERROR", "name"),
        '{"name":"a\\u0000"}': (400, "VALIDATION_ERROR", "name"),
        '{"name":"%s"}' % ("n" * 256): (400, "VALIDATION_ERROR", "name"),
        '{"name":"n","rate_limit":0}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","rate_limit":-1}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","rate_limit":1.5}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","rate_limit":true}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","rate_limit":"5"}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","rate_limit":1e99}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","rate_limit":99999999999999999999}': (400, "VALIDATION_ERROR", "rate_limit"),
        '{"name":"n","scopes":[]}': (400, "VALIDATION_ERROR", "scopes"),
        '{"name":"n","scopes":"admin"}': (400, "VALIDATION_ERROR", "scopes"),
        '{"name":"n","scopes":["root"]}': (400, "VALIDATION_ERROR", "scopes"),
        '{"name":"n","scopes":["query","query","query","query"]}': (400, "VALIDATION_ERROR", "scopes"),
        '{"name":"n","scope":["query"]}': (400, "VALIDATION_ERROR", "scope"),
        '{"name":"n","":1}': (400, "VALIDATION_ERROR", ""),
    }
    assert {sent: (await central.post(KEYS, sent)).error for sent in table} == table
    assert len((await central.ask("GET", KEYS)).json["data"]) == 1
    assert (await central.post(KEYS, b" " * (MAX_BODY_BYTES + 1))).error == (413, "BODY_TOO_LARGE", "body")


async def test_a_name_of_a_key_may_be_any_text(central: Central) -> None:
    for name in ("Ünïcode ☃ 🔑", "'; DROP TABLE api_keys; --", "<script>alert(1)</script>", "n" * 255):
        reply = await central.post(KEYS, {"name": name})
        assert reply.json["data"]["name"] == name
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_revoked_key_is_dead_at_once_and_stays_listed(central: Central) -> None:
    key_id, key = await central.new_key("ingest")
    assert (await central.counter("a", key=key)).status == 201
    reply = await central.ask("DELETE", f"{KEYS}/{key_id}")
    assert (reply.status, reply.json) == (200, {"success": True, "message": "Key revoked"})
    assert (await central.counter("a", key=key)).error == UNAUTHORIZED
    row = (await central.ask("GET", KEYS)).json["data"][-1]
    assert (row["id"], row["revoked_at"] is not None) == (key_id, True)
    assert (await central.ask("DELETE", f"{KEYS}/{key_id}")).status == 200
    assert (await central.ask("POST", f"{KEYS}/{key_id}/rotate")).error == (404, "NOT_FOUND", "id")


async def test_a_rotated_key_has_a_new_secret_and_everything_else_as_before(central: Central) -> None:
    key_id, old = await central.new_key("ingest", rate_limit=77)
    assert (await central.counter("a", key=old)).status == 201
    reply = await central.ask("POST", f"{KEYS}/{key_id}/rotate")
    fresh = reply.json["data"]
    assert (reply.status, fresh["id"], fresh["rate_limit"], fresh["scopes"]) == (201, key_id, 77, ["ingest"])
    assert fresh["key"][:16] == old[:16]
    assert (await central.counter("a", key=old)).error == UNAUTHORIZED
    assert (await central.counter("a", key=fresh["key"])).status == 201


async def test_a_key_that_is_not_there_is_a_404(central: Central) -> None:
    for key_id in ("0", "999", "9" * 18):
        assert (await central.ask("DELETE", f"{KEYS}/{key_id}")).error == (404, "NOT_FOUND", "id")
        assert (await central.ask("POST", f"{KEYS}/{key_id}/rotate")).error == (404, "NOT_FOUND", "id")
    for key_id in ("-1", "1.5", "x", "9" * 19, "%00"):
        assert (await central.ask("DELETE", f"{KEYS}/{key_id}")).error == (404, "NOT_FOUND", None)


# --- deleting a metric


async def test_a_deleted_name_is_gone_with_its_points_and_may_come_back_with_the_other_type(central: Central) -> None:
    await central.counter("typo", "5")
    await central.counter("kept", "5")
    reply = await central.ask("DELETE", "/api/admin/metrics/typo")
    assert (reply.status, reply.json["data"]) == (200, {"name": "typo"})
    assert await central.total("typo") == 0
    assert await central.total("kept") == 5
    assert (await central.value("typo", "2")).status == 201
    assert await central.total("typo") == 2
    assert (await central.ask("GET", "/api/metrics?prefix=t")).json["data"] == [{"name": "typo", "type": "value"}]


async def test_a_name_that_is_not_there_cannot_be_deleted(central: Central) -> None:
    for name in ("nobody", "a%20b", "%00", "%FF", "%F0%9F%94%91", "n" * 300, "'%20OR%201=1"):
        reply = await central.ask("DELETE", f"/api/admin/metrics/{name}")
        assert reply.error == (404, "NOT_FOUND", "name"), name


async def test_a_name_deleted_while_others_write_to_it_never_mixes_old_and_new(central: Central) -> None:
    async def write() -> None:
        for _ in range(20):
            assert (await central.counter("a")).status == 201

    async def delete() -> None:
        for _ in range(5):
            assert (await central.ask("DELETE", "/api/admin/metrics/a")).status in (200, 404)

    await central.counter("a")
    await asyncio.gather(*(write() for _ in range(5)), delete())
    assert await central.total("a", "sum") == await central.total("a", "count") <= 101
    await central.ask("DELETE", "/api/admin/metrics/a")
    assert await central.total("a") == 0


# --- backup


async def test_a_backup_taken_while_writes_go_on_opens_and_agrees(central: Central, tmp_path: Path) -> None:
    for number in range(5):
        await central.batch(*({"name": f"n{i}", "type": "value", "value": 2} for i in range(200)))
        await central.counter("before", str(number))
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            assert (await central.counter("during", "3")).status == 201

    writers = [asyncio.create_task(write()) for _ in range(4)]
    async with central.http.get(f"{central.url}/api/admin/backup", headers={"X-API-Key": central.key}) as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        copy = await answer.read()
    stop.set()
    await asyncio.gather(*writers)
    assert len(copy) == answer.content_length
    assert not list(central.folder.glob("backup-*"))

    folder = tmp_path / "restored"
    folder.mkdir()
    (folder / "fiesta.duckdb").write_bytes(copy)
    async with running(folder, {"METRICS_ADMIN_KEY": "k" * 40}) as restored:
        assert await restored.total("before") == 10
        assert [await restored.total(f"n{i}") for i in (0, 199)] == [10, 10]
        assert await restored.total("during") == 3 * await restored.total("during", "count")
        assert (await restored.counter("a", key=central.key)).status == 201  # the keys came along


async def test_two_backups_at_once_are_two_copies(central: Central) -> None:
    await central.counter("a")
    replies = await asyncio.gather(
        *(central.http.get(f"{central.url}/api/admin/backup", headers={"X-API-Key": central.key}) for _ in range(2))
    )
    copies = [await reply.read() for reply in replies]
    assert [reply.status for reply in replies] == [200, 200], copies
    assert all(len(copy) > 10_000 for copy in copies)


# --- rate limits


async def test_beyond_its_limit_a_key_gets_429_until_the_next_minute(tmp_path: Path) -> None:
    clock = Clock(1_800_000_015.0)
    async with running(tmp_path, outside=Outside(clock=clock, bcrypt_cost=QUICK_HASH)) as central:
        _, key = await central.new_key("ingest", "query", rate_limit=3)
        items = [{"name": "a", "type": "counter", "value": 1}] * 10
        replies = [
            await central.counter("a", key=key),
            await central.batch(*items, key=key),
            await central.ask("GET", "/api/metrics", key=key),
            await central.counter("a", key=key),
            await central.ask("GET", "/api/metrics", key=key),
        ]
        assert [reply.status for reply in replies] == [201, 201, 200, 429, 429]
        assert [reply.headers["RateLimit-Remaining"] for reply in replies] == ["2", "1", "0", "0", "0"]
        assert {reply.headers["RateLimit-Limit"] for reply in replies} == {"3"}
        assert {reply.headers["RateLimit-Reset"] for reply in replies} == {"45"}
        assert replies[3].error == (429, "RATE_LIMITED", None)
        assert replies[3].headers["Retry-After"] == "45"
        assert "3 requests a minute; try again in 45 s" in replies[3].message
        assert (await central.counter("a")).status == 201  # another key
        clock.now += 45
        assert (await central.counter("a", key=key)).status == 201
        assert await central.meter("fiesta_points_stored_total") == 13


async def test_refused_requests_count_too_and_say_what_is_left(tmp_path: Path) -> None:
    outside = Outside(clock=Clock(1_800_000_000.0), bcrypt_cost=QUICK_HASH)
    async with running(tmp_path, outside=outside) as central:
        _, key = await central.new_key("ingest", rate_limit=10)
        bodies = ("{", '{"name":"a b"}', b" " * (MAX_BODY_BYTES + 1), '{"name":"a"}')
        replies = [await central.post("/api/metrics/counter", body, key=key) for body in bodies]
        assert [reply.status for reply in replies] == [400, 400, 413, 201]
        assert [reply.headers["RateLimit-Remaining"] for reply in replies] == ["9", "8", "7", "6"]
        assert "RateLimit-Remaining" not in (await central.ask("GET", "/api/metrics", key=key)).headers  # 403


async def test_the_default_limit_is_a_setting(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_RATE_LIMIT_DEFAULT": "5"}) as central:
        made = (await central.post(KEYS, {"name": "n"})).json["data"]
        assert made["rate_limit"] == 5


# --- floods and a store that is down


async def test_floods_of_bad_keys_do_not_block_good_ones(tmp_path: Path) -> None:
    gate = asyncio.Event()
    arrived = asyncio.Event()

    class SlowToFind(Overlay):
        """Asked for an unknown id, it does not answer until the gate opens."""

        async def find_key(self, public_id: str) -> KeyRow | None:
            row: KeyRow | None = await self.real.find_key(public_id)
            if row is None:
                arrived.set()
                await gate.wait()
            return row

    async with running(tmp_path, outside=faulty(SlowToFind)) as central:
        _, good = await central.new_key("ingest")
        _, attacked = await central.new_key("ingest")
        assert (await central.counter("a", key=good)).status == 201
        before = await central.meter("fiesta_key_verifications_total")
        unknown = [asyncio.create_task(central.counter("a", key=new_key().text)) for _ in range(200)]
        guessed = [asyncio.create_task(central.counter("a", key=f"{attacked[:16]}{i:043}")) for i in range(100)]
        await arrived.wait()
        replies = await asyncio.gather(*(central.counter("a", key=good) for _ in range(50)))
        assert {reply.status for reply in replies} == {201}
        assert not any(task.done() for task in unknown)
        gate.set()
        assert {reply.status for reply in await asyncio.gather(*unknown)} == {401}
        answers = [reply.status for reply in await asyncio.gather(*guessed)]
        assert set(answers) <= {401, 503}
        compared = await central.meter("fiesta_key_verifications_total") - before
        assert answers.count(401) == compared >= MAX_QUEUE_PER_ID
        assert (await central.counter("a", key=attacked)).status == 201
        assert await central.total("a") == 52


async def test_while_the_store_is_down_known_keys_are_good_and_answers_are_503(tmp_path: Path) -> None:
    class Breakable(Overlay):
        down = False

        def __getattr__(self, name: str) -> Any:
            if not Breakable.down or name in ("tidy", "close"):
                return getattr(self.real, name)

            async def fail(*_: Any, **__: Any) -> Any:
                raise StoreUnavailable("the disk is gone")

            return fail

    ticks = Clock(0.0)
    outside = replace(faulty(Breakable), ticks=ticks)
    async with running(tmp_path, outside=outside) as central:
        _, key = await central.new_key("ingest", "query", "admin")
        _, unseen = await central.new_key("ingest")
        assert (await central.counter("a", key=key)).status == 201
        Breakable.down = True
        ticks.now += 3600
        asked = [
            await central.counter("a", key=key),
            await central.batch({"name": "b", "type": "counter", "value": 1}, key=key),
            await central.query("a", "sum", key=key),
            await central.ask("GET", "/api/metrics", key=key),
            await central.ask("GET", KEYS, key=key),
            await central.post(KEYS, {"name": "n"}, key=key),
            await central.ask("DELETE", f"{KEYS}/1", key=key),
            await central.ask("POST", f"{KEYS}/1/rotate", key=key),
            await central.ask("DELETE", "/api/admin/metrics/a", key=key),
            await central.ask("GET", "/api/admin/backup", key=key),
            await central.counter("a", key=unseen),
        ]
        assert [reply.error for reply in asked] == [(503, "SERVICE_UNAVAILABLE", None)] * len(asked)
        assert all(int(reply.headers["Retry-After"]) > 0 for reply in asked)
        ready = await central.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json["success"], ready.json["dependencies"]) == (
            503,
            False,
            {"store": "the disk is gone"},
        )
        assert (await central.ask("GET", "/health", key=None)).status == 200
        Breakable.down = False
        assert (await central.counter("a", key=key)).status == 201
        assert (await central.ask("GET", "/ready", key=None)).status == 200
        assert await central.total("a") == 2


async def test_a_fault_of_ours_is_a_500_that_shows_no_traceback(tmp_path: Path) -> None:
    class Broken(Overlay):
        async def aggregate(self, *_: Any) -> Any:
            raise ZeroDivisionError("secret detail")

        async def commit(self, *_: Any, **__: Any) -> None:
            raise ZeroDivisionError("secret detail")

    async with running(tmp_path, outside=faulty(Broken)) as central:
        stored = await central.counter("a")
        assert stored.error == (500, "INTERNAL_ERROR", None)
        asked = await central.query("a", "sum")
        assert asked.error == (500, "INTERNAL_ERROR", None)
        assert "secret" not in stored.text + asked.text
        assert await central.meter('fiesta_requests_total{route="/api/metrics/aggregate",status="500"}') == 1

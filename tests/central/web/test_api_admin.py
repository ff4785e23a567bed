"""Keys, scopes, rate limits and the admin API through real HTTP: PRD 3.2 with DESIGN's decisions."""

import asyncio
import re
from pathlib import Path

import pytest

from central.access.auth import new_key
from protocol.limits import MAX_BODY_BYTES
from tests.central.harness import Central, Overlay, faulty, running

UNSEEN = ("001b", "0085", "200b", "200f", "202e", "2028", "2066", "061c", "feff")
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
    ("PATCH", f"{KEYS}/999", "admin"),
    ("POST", f"{KEYS}/999/rotate", "admin"),
    ("DELETE", "/api/admin/metrics/nobody", "admin"),
    ("GET", "/api/admin/backup", "admin"),
]


async def test_an_admin_endpoint_refuses_a_parameter_that_it_does_not_know(central: Central) -> None:
    known = {("DELETE", f"{KEYS}/999"): "force", ("PATCH", f"{KEYS}/999"): "force"}
    more = [("GET", "/api/admin/retention"), ("POST", "/api/admin/retention/run"), ("GET", "/api/agents")]
    guarded = [(method, path) for method, path, scope in GUARDED if scope == "admin"]
    for method, path in (*guarded, *more, ("POST", "/api/admin/retention/restore")):
        reply = await central.ask(method, f"{path}?pretty=1", data=b'{"rate_limit":1}')
        assert reply.error == (400, "VALIDATION_ERROR", "pretty"), (method, path)
        assert known.get((method, path), "unknown parameter 'pretty'") in reply.message


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
        ("GET", f"{KEYS}/1", "DELETE, PATCH"),
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
    changing = {"key", "last_used_at", "requests_this_minute", "requests_last_minute"}
    shown = {name: value for name, value in made.items() if name not in changing}
    assert listed.json["data"][-1].items() >= shown.items()
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
        '{"name":"   "}': (400, "VALIDATION_ERROR", "name"),
        '{"name":7}': (400, "VALIDATION_ERROR", "name"),
        '{"name":"a\\nb"}': (400, "VALIDATION_ERROR", "name"),
        **{f'{{"name":"a\\u{code}b"}}': (400, "VALIDATION_ERROR", "name") for code in UNSEEN},
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
    messages = {sent: (await central.post(KEYS, sent)).message for sent in table}
    assert not [text for text in messages.values() if re.search("Input should|String should|NewKeyBody|Field", text)]
    assert messages["{}"] == "name is required"
    assert messages['{"name":"n","rate_limit":1.5}'] == "rate_limit must be a whole number from 1 to 1000000000"
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


async def test_a_deleted_name_is_gone_and_may_come_back_with_the_other_type(central: Central) -> None:
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


async def test_ingest_goes_on_while_the_points_of_a_deleted_name_are_removed(tmp_path: Path) -> None:
    removing, go = asyncio.Event(), asyncio.Event()

    class SlowToRemove(Overlay):
        async def purge(self) -> None:
            removing.set()
            await go.wait()

    async with running(tmp_path, outside=faulty(lambda real: Overlay(real, names=SlowToRemove(real.names)))) as central:
        assert (await central.counter("a", "5")).status == 201
        deleting = asyncio.create_task(central.ask("DELETE", "/api/admin/metrics/a"))
        await removing.wait()
        assert (await central.value("a", "7")).status == 201
        assert await central.total("a") == 7
        assert not deleting.done()
        go.set()
        assert (await deleting).status == 200
        assert await central.total("a") == 7


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
        assert "RateLimit-Remaining" in answer.headers
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

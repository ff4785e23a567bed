"""Changes, expiry, last use and the last admin key through real HTTP."""

from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from protocol.times import format_time, parse_time
from tests.central.harness import QUICK_HASH, Central, Clock, running

KEYS = "/api/admin/keys"
NOON = parse_time("2026-10-26T12:00:00Z")
LAST = (409, "LAST_ADMIN_KEY", "id")


async def listed(central: Central, key_id: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = (await central.ask("GET", KEYS)).json["data"]
    return next(row for row in rows if row["id"] == key_id)


async def test_limit_and_scopes_of_a_key_can_be_changed(central: Central) -> None:
    key_id, key = await central.new_key("ingest")
    assert (await central.counter("a", key=key)).headers["RateLimit-Limit"] == "1000"
    reply = await central.ask("PATCH", f"{KEYS}/{key_id}", data='{"rate_limit": 7}')
    assert (reply.status, reply.json["data"]["rate_limit"]) == (200, 7)
    assert (await central.counter("a", key=key)).headers["RateLimit-Limit"] == "7"
    await central.ask("PATCH", f"{KEYS}/{key_id}", data='{"scopes": ["query"]}')
    assert (await central.counter("a", key=key)).error == (403, "FORBIDDEN", None)
    assert (await central.ask("GET", "/api/metrics", key=key)).headers["RateLimit-Limit"] == "7"


async def test_a_bad_change_is_refused_and_named(central: Central) -> None:
    key_id, _ = await central.new_key("ingest")
    table = {
        "{}": "body",
        "[]": "body",
        '{"name":"n"}': "name",
        '{"rate_limit":0}': "rate_limit",
        '{"scopes":[]}': "scopes",
        '{"scopes":["root"]}': "scopes",
        '{"expires_at":"soon"}': "expires_at",
        '{"expires_at":1800000000}': "expires_at",
        '{"expires_at":"2020-01-01"}': "expires_at",
    }
    for sent, field in table.items():
        reply = await central.ask("PATCH", f"{KEYS}/{key_id}", data=sent)
        assert reply.error == (400, "VALIDATION_ERROR", field), sent
    assert (await central.ask("PATCH", f"{KEYS}/{key_id}?force=1", data="{}")).error[2] == "body"
    assert (await central.ask("DELETE", f"{KEYS}/{key_id}?force=1")).error == (400, "VALIDATION_ERROR", "force")
    assert (await central.ask("PATCH", f"{KEYS}/999", data='{"rate_limit":1}')).error == (404, "NOT_FOUND", "id")
    await central.ask("DELETE", f"{KEYS}/{key_id}")
    assert (await central.ask("PATCH", f"{KEYS}/{key_id}", data='{"rate_limit":1}')).error == (404, "NOT_FOUND", "id")


async def test_a_key_expires_to_the_second_and_can_be_given_more_time(tmp_path: Path) -> None:
    clock = Clock(NOON)
    async with running(tmp_path, outside=Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)) as central:
        made = (await central.post(KEYS, {"name": "n", "expires_at": format_time(NOON + 60)})).json["data"]
        assert made["expires_at"] == format_time(NOON + 60)
        clock.now = NOON + 59
        assert (await central.counter("a", key=made["key"])).status == 201
        clock.now = NOON + 60
        reply = await central.counter("a", key=made["key"])
        assert reply.error == (401, "UNAUTHORIZED", None)
        assert f"expired at {format_time(NOON + 60)}" in reply.message
        await central.ask("PATCH", f"{KEYS}/{made['id']}", data='{"expires_at": null}')
        assert (await central.counter("a", key=made["key"])).status == 201


async def test_the_list_says_when_a_key_was_last_used_also_after_a_restart(tmp_path: Path) -> None:
    clock = Clock(NOON)
    outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)
    async with running(tmp_path, outside=outside) as central:
        key_id, key = await central.new_key("ingest")
        assert (await listed(central, key_id))["last_used_at"] is None
        clock.now = NOON + 5
        await central.counter("a", key=key)
        clock.now = NOON + 9
        assert (await listed(central, key_id))["last_used_at"] == format_time(NOON + 5)
    async with running(tmp_path, outside=outside) as central:
        assert (await listed(central, key_id))["last_used_at"] == format_time(NOON + 5)


async def test_the_list_says_how_many_requests_count_against_the_limit(tmp_path: Path) -> None:
    clock = Clock(NOON)
    async with running(tmp_path, outside=Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)) as central:
        key_id, key = await central.new_key("ingest", rate_limit=2)
        for status in (201, 201, 429):
            assert (await central.counter("a", key=key)).status == status
        clock.now = NOON + 60
        await central.counter("a", key=key)
        shown = await listed(central, key_id)
        assert (shown["requests_this_minute"], shown["requests_last_minute"], shown["rate_limit"]) == (1, 3, 2)


@pytest.mark.parametrize("change", [None, '{"scopes": ["query"]}', '{"expires_at": "2999-01-01"}'])
async def test_the_last_admin_key_goes_only_by_force(central: Central, change: str | None) -> None:
    (admin,) = (await central.ask("GET", KEYS)).json["data"]
    path, method = f"{KEYS}/{admin['id']}", "DELETE" if change is None else "PATCH"
    refused = await central.ask(method, path, data=change)
    assert refused.error == LAST
    assert "force=true" in refused.message
    used = ("last_used_at", "requests_this_minute", "requests_last_minute")
    assert (await listed(central, admin["id"])) | dict.fromkeys(used) == admin | dict.fromkeys(used)
    assert (await central.ask(method, f"{path}?force=true", data=change)).status == 200


async def test_an_admin_key_goes_where_another_one_lasts(central: Central) -> None:
    (admin,) = (await central.ask("GET", KEYS)).json["data"]
    _, other = await central.new_key("admin")
    assert (await central.ask("DELETE", f"{KEYS}/{admin['id']}", key=other)).status == 200


async def test_with_a_given_admin_key_the_last_row_may_go(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_ADMIN_KEY": "k" * 40}) as central:
        (admin,) = (await central.ask("GET", KEYS, key="k" * 40)).json["data"]
        assert (await central.ask("DELETE", f"{KEYS}/{admin['id']}", key="k" * 40)).status == 200

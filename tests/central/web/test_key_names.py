"""A key that may use only some names, and every way to read or write another name with it, on both stores.

Two services have the same names that the key may use. One has foreign names besides, in every place where an answer
could show them. Whatever the key asks, both must give the same answer: so it tells nothing of a foreign name, not even
whether there is one.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from aiohttp import web

from central.access.prefixes import CHECKED
from central.app import Outside
from central.store.base import KeyRow
from central.web.routes import application
from tests.central.harness import QUICK_HASH, Central, Clock, Reply, running
from tests.central.mysql_help import environ_of
from tests.central.web.key_names_help import FOREIGN, READS
from tests.servers import MariaDB

KEYS: Final = "/api/admin/keys"
LIMITS: Final = ["shop.", "web-1", "pay.t"]
NOW: Final = 1_771_150_000.0
NOT_ALLOWED: Final = (403, "NAME_NOT_ALLOWED", "name")
TYPES: Final = "Metrics-Statsd-Types"


class Asked(NamedTuple):
    """A request. ``body`` is JSON after a POST to /api, else a form."""

    method: str
    address: str
    body: str | None = None


class Worlds(NamedTuple):
    """The service with foreign names, the one without, and a limited key of each. ``stores`` is behind their backs."""

    full: Central
    bare: Central
    keys: tuple[str, str]
    stores: list[Any]

    async def both(self, asked: "Asked") -> tuple[Reply, Reply]:
        """The answers of both services to the limited key."""
        return await ask(self.full, asked, self.keys[0]), await ask(self.bare, asked, self.keys[1])


@pytest.fixture(params=["embedded", "mysql"])
async def worlds(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Worlds]:
    stores: list[Any] = []

    def seen(store: Any) -> Any:
        stores.append(store)
        return store

    async with AsyncExitStack() as stack:
        made = []
        for name in ("full", "bare"):
            environ = {"METRICS_RATE_LIMIT_DEFAULT": "1000000000"}
            if request.param == "mysql":
                mariadb: MariaDB = request.getfixturevalue("mariadb")
                environ |= environ_of(mariadb, stack.enter_context(mariadb.database(f"names_{name}")))
            clock = Clock(NOW)
            outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH, wrap_store=seen)
            made.append(await stack.enter_async_context(running(tmp_path / name, environ, outside=outside)))
        full, bare = made
        await fill(full, foreign=True)
        await fill(bare, foreign=False)
        keys = [(await one.new_key("ingest", "query", names=LIMITS))[1] for one in made]
        yield Worlds(full, bare, (keys[0], keys[1]), stores)


async def ask(central: Central, asked: Asked, key: str = "") -> Reply:
    kind = "application/json" if asked.address.startswith("/api") else "application/x-www-form-urlencoded"
    headers = {"Content-Type": kind} if asked.body is not None else {}
    return await central.ask(asked.method, asked.address, key=key, data=asked.body, headers=headers)


async def total(central: Central, name: str) -> Decimal:
    """The sum of all points."""
    span = {"start": "2026-02-14T00:00:00Z", "end": "2026-02-17T00:00:00Z"}
    reply = await central.query(name, "sum", **span)
    return sum((Decimal(point["value"]) for point in reply.json["data"]), Decimal(0))


def counter(name: str, value: int = 1, **tags: str) -> dict[str, Any]:
    return {"name": name, "type": "counter", "value": value, "tags": tags}


async def fill(central: Central, *, foreign: bool) -> None:
    if foreign:
        tags = {"secret": "secret-1", "env": "hidden"}
        reply = await central.batch(
            *(counter(name, 7, **tags) for name in FOREIGN), counter("pay"), headers={TYPES: "c" * 12}
        )
        assert reply.json["rejected"] == 0
    own = [counter(name, env="prod") for name in ("shop.orders", "shop.eu.orders", "web-1.up")]
    value = {"name": "shop.ms", "type": "value", "value": 5, "tags": {"env": "prod", "host": "a"}}
    assert (await central.batch(*own, value)).json["rejected"] == 0
    # Where pay is a counter's name, its timing is stored as pay.timing, which the key may use. It may not use pay.
    timing = {"name": "pay" if foreign else "pay.timing", "type": "value", "value": 1}
    assert (await central.batch(timing, headers={TYPES: "t"})).status == 201


# --- reading

SAME: Final = ("Content-Type", "Content-Length", "Metrics-Unknown", "Metrics-Complete", "Vary")


def shown(reply: Reply) -> tuple[object, ...]:
    return reply.status, reply.text, [reply.headers.get(name) for name in SAME]


BOUNDS: Final = {
    "central.graphite.paths.MOST_NAMES": 5,
    "central.graphite.paths.MOST_SERIES": 4,
    "central.graphite.fetch.MOST_LINES": 40,
    "central.graphite.name_tree.MOST_LOOKED_AT": 40,
    "central.web.query.MOST_MATCHED": 5,
    "central.web.listing.MOST_MATCHED": 5,
    "central.web.graphite.MOST_FOUND": 100,
}
"""Bounds that the key's own names and series reach, and with the foreign ones exceed."""


@pytest.mark.parametrize("bounds", [{}, BOUNDS], ids=["within the bounds", "at the bounds"])
async def test_no_answer_depends_on_a_foreign_name(
    worlds: Worlds, bounds: Mapping[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, most in bounds.items():
        monkeypatch.setattr(place, most)
    tried, seen = set(), set()
    for method, route, address, form in READS:
        asked = Asked(method, address, form)
        full, bare = await worlds.both(asked)
        assert shown(full) == shown(bare), asked
        assert full.status < 500
        tried.add((method, route))
        if (method, route) not in seen and shown(await ask(worlds.full, asked)) != shown(await ask(worlds.bare, asked)):
            seen.add((method, route))
    assert tried == CHECKED - WRITES
    # A key for all names does see a difference everywhere, or this test would prove nothing.
    without_names = {("GET", f"/graphite/{path}") for path in ("functions", "version", "events/get_data")}
    assert tried - seen == without_names


# --- writing

WRITES: Final = {("POST", f"/api/metrics/{kind}") for kind in ("counter", "value", "batch")}


async def listed(central: Central) -> list[str]:
    return [one["name"] for one in (await central.ask("GET", "/api/metrics?limit=1000")).json["data"]]


async def test_no_foreign_name_is_made_or_written(worlds: Worlds) -> None:
    before = await listed(worlds.full)
    totals = [await total(worlds.full, name) for name in FOREIGN]
    assert totals == [7] * len(FOREIGN)
    for name in (*FOREIGN, "pay", "new", "shop", "Shop.orders", "web-", "pay.", "shop.orders,web.orders"):
        for kind in ("counter", "value"):
            sent = Asked("POST", f"/api/metrics/{kind}", json.dumps({"name": name, "value": 1}))
            for reply in await worlds.both(sent):
                assert reply.error in {NOT_ALLOWED, (400, "INVALID_NAME", "name")}, sent
    assert [await total(worlds.full, name) for name in FOREIGN] == totals
    assert await listed(worlds.full) == before
    assert await worlds.full.meter('fiesta_items_rejected_total{code="NAME_NOT_ALLOWED"}') > len(FOREIGN)


@pytest.mark.parametrize("unusual", [False, True], ids=["compiled", "item by item"])
async def test_of_a_batch_only_items_of_the_key_are_stored(worlds: Worlds, unusual: bool) -> None:
    items = [
        counter("shop.new", 3),
        counter("web.new"),
        counter("shop.orders", 4),
        counter("pay", 9),
        counter("web.orders"),
    ]
    if unusual:
        items.append({"name": "no name!"})
    for types in ("cccccc", "gccctc"):  # a gauge and a timing under names that counters own
        sent = {TYPES: types[: len(items)], "Idempotency-Key": types}
        for again in (False, True):
            for central, key in zip((worlds.full, worlds.bare), worlds.keys, strict=True):
                reply = await central.batch(*items, key=key, headers=sent)
                codes = [(one["index"], one["code"]) for one in reply.json["errors"]]
                assert (reply.status, [code for code in codes if code[0] in {1, 3, 4}]) == (
                    201, [(index, "NAME_NOT_ALLOWED") for index in (1, 3, 4)],
                )  # fmt: skip
                assert (reply.headers.get("Idempotency-Replayed") == "true") is again
    for central in (worlds.full, worlds.bare):
        assert not {"web.new"} & set(await listed(central))
        assert await total(central, "shop.orders") == 1 + 4 + 4
    assert await total(worlds.full, "web.orders") == 7
    assert await total(worlds.full, "pay") == 1


# --- what such a key may not do at all


async def test_each_route_checks_names_is_closed_or_needs_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of routes itself is asked, so a new route is closed, or somebody must add it here or in CHECKED.

    The API makes no such key with scope admin. The store is changed behind its back.
    """
    apps: list[web.Application] = []
    stores: list[Any] = []

    def seen(*given: Any) -> web.Application:
        apps.append(application(*given))
        return apps[-1]

    def kept(store: Any) -> Any:
        stores.append(store)
        return store

    monkeypatch.setattr("central.app.application", seen)
    closed, checked, shown_to_all = set(), set(), set()
    clock = Clock(NOW)
    outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH, wrap_store=kept)
    async with running(tmp_path, outside=outside) as central:
        await fill(central, foreign=True)
        key_id, _ = await central.new_key("ingest", "query", names=LIMITS)
        every_scope = frozenset({"ingest", "query", "admin"})
        await stores[0].keys.change(key_id, partial(KeyRow._replace, scopes=every_scope), int(NOW))
        key = (await central.ask("POST", f"{KEYS}/{key_id}/rotate")).json["data"]["key"]
        for route in apps[0].router.routes():
            assert route.resource is not None
            method, path = route.method, route.resource.canonical
            if ("GET" if method == "HEAD" else method, path) in CHECKED:
                checked.add((method, path))
                continue
            reply = await central.ask(method, path.format_map(GIVEN), key=key)
            if path in NO_KEY:
                shown_to_all.add(path)
                assert reply.status == (404 if path == "/page/{file}" else 200)
                assert not [text for text in ("web.orders", "zzz.orders", "secret-1") if text in reply.text], path
                continue
            closed.add((method, path))
            assert reply.status == 403, (method, path)
            assert method == "HEAD" or "for keys that may use all names" in reply.message
        assert await total(central, "web.orders") == 7
    assert checked >= CHECKED
    assert shown_to_all == NO_KEY
    assert {
        ("GET", "/api/metrics/export"),
        ("DELETE", "/api/admin/metrics/{name}"),
        ("GET", "/api/agents"),
        ("POST", "/api/admin/keys"),
    } <= closed


GIVEN: Final = {"name": "web.orders", "id": "1", "key": "env", "tag": "env", "file": "none"}
"""What stands in the path of a request for each part of a route that varies."""
NO_KEY: Final = {"/health", "/ready", "/metrics", "/openapi.json", "/", "/docs", "/page/{file}"}
"""The routes that everybody may ask. They show no name."""


# --- keys


async def test_the_names_of_a_key_are_listed_and_changed(central: Central) -> None:
    key_id, key = await central.new_key("ingest", "query", names=["web.", "shop.", "shop.eu.", "web."])
    row = next(one for one in (await central.ask("GET", KEYS)).json["data"] if one["id"] == key_id)
    assert row["names"] == ["shop.", "web."]  # in order, and each once
    assert (await central.counter("a", key=key)).error == NOT_ALLOWED
    assert (await central.counter("shop.a", key=key)).status == 201
    for names, wanted in (
        (["a"], {"a": 201, "shop.a": 403}),
        (None, {"a": 201, "shop.a": 201}),
        (["shop.a"], {"a": 403, "shop.a": 201}),
    ):
        reply = await central.ask("PATCH", f"{KEYS}/{key_id}", json={"names": names})
        assert (reply.status, reply.json["data"]["names"]) == (200, names)
        assert {name: (await central.counter(name, key=key)).status for name in wanted} == wanted
    assert (await central.ask("PATCH", f"{KEYS}/{key_id}", json={"rate_limit": 9})).json["data"]["names"] == ["shop.a"]
    fresh = (await central.ask("POST", f"{KEYS}/{key_id}/rotate")).json["data"]
    assert fresh["names"] == ["shop.a"]
    assert (await central.counter("a", key=fresh["key"])).error == NOT_ALLOWED


@pytest.mark.parametrize(
    "names", [[], "shop.", ["*"], ["shop. "], [""], [7], ["a," * 2], ["x" * 256], [f"a{n}" for n in range(21)]]
)
async def test_bad_names_of_a_key_are_refused(central: Central, names: Any) -> None:
    assert (await central.post(KEYS, {"name": "n", "names": names})).error == (400, "VALIDATION_ERROR", "names")


async def test_an_admin_key_has_no_limit_of_names(central: Central) -> None:
    wrong = (400, "VALIDATION_ERROR", "names")
    assert (await central.post(KEYS, {"name": "n", "scopes": ["admin"], "names": ["shop."]})).error == wrong
    limited, _ = await central.new_key("query", names=["shop."])
    assert (await central.ask("PATCH", f"{KEYS}/{limited}", json={"scopes": ["admin"]})).error == wrong
    admin, _ = await central.new_key("admin")
    assert (await central.ask("PATCH", f"{KEYS}/{admin}", json={"names": ["shop."]})).error == wrong
    assert (await central.ask("PATCH", f"{KEYS}/{admin}", json={"names": ["shop."], "scopes": ["query"]})).status == 200

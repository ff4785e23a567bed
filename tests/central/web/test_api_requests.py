"""Ids of requests, and the log lines about slow and failed requests, through a real server."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from central.log import BURST
from central.store.base import StoreUnavailable
from central.store.buckets import Buckets
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, Log, Overlay, Reply, faulty, now_text, running
from tests.central.web.test_api_service import exchange

ALL_SLOW = Outside(bcrypt_cost=QUICK_HASH, slow_seconds=0.0)


class NoQueries(Overlay):
    """A store that answers no query."""

    async def aggregate(self, *_: Any, **__: Any) -> Buckets:
        raise StoreUnavailable("the disk is on fire")


class Broken(Overlay):
    """A store with a fault of ours in it."""

    async def aggregate(self, *_: Any, **__: Any) -> Buckets:
        raise RuntimeError("a fault of ours")


async def query(central: Central, names: str, request_id: str, **span: str) -> Reply:
    """A query with an id, over the last day unless the arguments say otherwise."""
    last_day = {"start": now_text(-86_400), "end": now_text(60)}
    asked = {**last_day, **span, "name": names, "operation": "sum", "window": "1h"}
    headers = {"X-Request-Id": request_id}
    return await central.ask("GET", "/api/metrics/aggregate", headers=headers, params=asked)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/api/metrics", 200),
        ("GET", "/api/metrics/aggregate", 400),
        ("GET", "/api/admin/backup", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/api/metrics", 405),
    ],
)
async def test_every_answer_has_the_id_that_was_sent_or_one_of_ours(
    central: Central, method: str, path: str, status: int
) -> None:
    answer = await central.ask(method, path, headers={"X-Request-Id": "order-4711"})
    assert (answer.status, answer.headers["X-Request-Id"]) == (status, "order-4711")
    ours = {(await central.ask(method, path)).headers["X-Request-Id"] for _ in range(3)}
    assert len(ours) == 3
    refused = await central.ask(method, path, key="gf_nonsense", headers={"X-Request-Id": "order-4711"})
    assert refused.headers["X-Request-Id"] == "order-4711"


@pytest.mark.parametrize("sent", [b"a b", b"a\tb", b'"', b"x" * 200, b"\xff\xfe", b"<script>", b"%0d%0aSet-Cookie:x"])
async def test_an_id_that_could_do_harm_is_replaced(central: Central, sent: bytes) -> None:
    answer = await exchange(
        central, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: " + sent + b"\r\n\r\n"
    )
    head = answer.split(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 200")
    assert head.count(b"X-Request-Id: ") == 1
    assert sent not in head
    assert b"Cookie" not in head


async def test_what_is_no_http_is_answered_in_our_shape_without_what_was_sent(central: Central, log: Log) -> None:
    for sent in (b"GET /health HTTP/1.1\r\nHost: x\r\nX-API-Key s3cret\r\n\r\n", b"s3cret\r\n\r\n"):
        head, body = (await exchange(central, sent)).split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 400"), head
        assert b"X-Request-Id: " in head
        assert json.loads(body)["error"]["code"] == "VALIDATION_ERROR"
        assert b"s3cret" not in body
    assert "s3cret" not in log.getvalue()


async def test_a_slow_query_is_one_line_with_its_plan(tmp_path: Path, log: Log) -> None:
    day = int(time.time()) // 86_400 * 86_400 - 86_400

    def at(clock: str) -> str:
        return f"{format_time(day)[:10]}T{clock}Z"

    async with running(tmp_path, outside=ALL_SLOW) as central:
        await central.batch({"name": "a", "type": "counter", "value": 1, "recorded_at": at("01:30:30")})
        span = {"start": at("00:30:30"), "end": at("03:00:00")}
        answer = await query(central, "a,b", "q1", **span)
        assert answer.status == 200, answer.text
    (event,) = log.events("slow_query")
    assert event["seconds"] >= 0
    assert {name: event[name] for name in event if name not in {"seconds", "timestamp"}} == {
        "event": "slow_query",
        "level": "warning",
        "request_id": "q1",
        "method": "GET",
        "route": "/api/metrics/aggregate",
        "status": 200,
        "names": ["a", "b"],
        "names_in_all": 2,
        "operation": "sum",
        "window": "1h",
        **span,
        "segments": [
            f"raw {at('00:30:30')} {at('00:31:00')}",
            f"minute {at('00:31:00')} {at('01:00:00')}",
            f"hour {at('01:00:00')} {at('03:00:00')}",
        ],
        "rows": 1,
    }
    assert log.events("slow_request")[0]["route"] == "/api/metrics/batch"


async def test_a_quick_request_leaves_no_line(tmp_path: Path, log: Log) -> None:
    async with running(tmp_path, outside=Outside(bcrypt_cost=QUICK_HASH, slow_seconds=60.0)) as central:
        for name in ("a", "a b"):
            await central.counter(name)
        await central.query("a", "sum")
        await central.ask("GET", "/api/metrics", key=None)
    assert not re.findall(r'"event": "(?:slow|request)_\w+"', log.getvalue())


async def test_a_request_that_failed_is_one_line_with_its_cause(tmp_path: Path, log: Log) -> None:
    async with running(tmp_path, outside=faulty(NoQueries)) as central:
        await central.counter("a")
        answer = await query(central, "a", "q2")
        assert answer.status == 503
    (event,) = log.events("request_failed")
    assert (event["status"], event["request_id"], event["names"], event["rows"]) == (503, "q2", ["a"], None)
    assert "the disk is on fire" in event["answer"]


async def test_a_crash_is_told_with_its_traceback_and_id_and_never_floods(tmp_path: Path, log: Log) -> None:
    async with running(tmp_path, outside=faulty(Broken)) as central:
        await central.counter("a")
        for number in range(BURST + 5):
            answer = await query(central, "a", f"q{number}")
            assert answer.error == (500, "INTERNAL_ERROR", None)
            assert "fault of ours" not in answer.text
    crashes = log.events("request_crashed")
    assert [event["request_id"] for event in crashes] == [f"q{number}" for number in range(BURST)]
    assert "RuntimeError: a fault of ours" in crashes[0]["exception"]

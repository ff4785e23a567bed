"""central/web/bodies.py: a body takes only its share of the event loop and of memory."""

import asyncio
import gzip
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from central.web import bodies
from central.web.bodies import Bodies
from central.web.counts import RequestCounts
from protocol.limits import MAX_BODY_BYTES, MAX_EXPANDED_BYTES
from tests.central.harness import Central

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BATCH = "/api/metrics/batch"
GZIP = {"Content-Encoding": "gzip"}
BOMB = gzip.compress(b'{"metrics":[' + b"[]," * 2_700_000 + b"[]]}")


async def judged(sent: bytes, headers: dict[str, str], *, quick: bool) -> list[str]:
    """Who judged a body: the event loop or another thread, quickly or not."""
    by: list[str] = []
    loop = threading.get_ident()

    def judge(name: str, answer: Any) -> Any:
        by.append(f"{name} {'on the loop' if threading.get_ident() == loop else 'beside it'}")
        return answer

    async def handle(request: web.Request) -> web.Response:
        await Bodies(RequestCounts().busy).decode(
            request, 1, lambda _: judge("work", 1), lambda _: judge("quick", 1 if quick else None)
        )
        return web.Response()

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/", handle)
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    async with (
        TestClient(server) as client,
        client.post("/", data=sent, headers=headers) as answer,
    ):
        assert answer.status == 200
    return by


@pytest.mark.parametrize(
    ("length", "quick", "by"),
    [
        (bodies.SHORT, True, ["work on the loop"]),
        (bodies.SHORT + 1, True, ["quick on the loop"]),
        (bodies.SHORT + 1, False, ["quick on the loop", "work beside it"]),
        (bodies.QUICK, False, ["quick on the loop", "work beside it"]),
        (bodies.QUICK + 1, True, ["work beside it"]),
        (MAX_EXPANDED_BYTES, True, ["work beside it"]),
    ],
)
async def test_only_what_is_short_or_soon_done_is_judged_on_the_event_loop(
    length: int, quick: bool, by: list[str]
) -> None:
    assert await judged(gzip.compress(b" " * length), GZIP, quick=quick) == by
    if length <= MAX_BODY_BYTES:
        assert await judged(b" " * length, {}, quick=quick) == by


async def test_a_bomb_of_items_is_refused_for_their_number(central: Central) -> None:
    for _ in range(3):
        refused = await central.post(BATCH, BOMB, headers=GZIP)
        assert refused.error == (400, "BATCH_TOO_LARGE", "metrics")
        assert "100000 or more" in refused.message


@pytest.mark.parametrize(
    "item",
    [b"[" + b"[]," * 1_000_000 + b"[]]", b'{"name":"' + b"\\u0041" * 500_000 + b'"}', b"9" * 3_000_000],
    ids=["lists", "escapes", "digits"],
)
async def test_an_item_that_is_much_too_long_is_rejected_alone(central: Central, item: bytes) -> None:
    good = json.dumps({"name": "beside", "type": "counter", "value": 1}).encode()
    body = b'{"metrics":[%s,%s,%s]}' % (good, item, good)
    reply = await central.post(BATCH, gzip.compress(body), headers=GZIP)
    assert (reply.status, reply.json["accepted"], reply.json["rejected"]) == (201, 2, 1)
    assert "an item may have 131072 bytes" in reply.json["errors"][0]["message"]


@pytest.mark.parametrize("path", ["/api/metrics/counter", "/api/metrics/value", "/api/admin/keys", BATCH])
async def test_a_long_body_that_is_no_batch_is_refused_for_its_length(central: Central, path: str) -> None:
    refused = await central.post(path, gzip.compress(b'{"name":[' + b"[]," * 1_000_000 + b"[]]}"), headers=GZIP)
    assert refused.error == (400, "VALIDATION_ERROR", "body")


async def slow_body(central: Central, key: str) -> Connection:
    """A request whose body, of a MiB, has begun."""
    address = urlsplit(central.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {BATCH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"
    writer.write(head.encode() + b" ")
    await writer.drain()
    return reader, writer


async def finish(connection: Connection) -> bytes:
    """The first line of the answer to a request whose body comes to its end: blanks, which are no JSON."""
    reader, writer = connection
    writer.write(b" " * (MAX_BODY_BYTES - 1))
    return await reader.readline()


async def test_bodies_that_do_not_come_are_bounded_by_key(central: Central) -> None:
    _, other = await central.new_key("ingest")
    room = bodies.MAX_ARRIVING_OF_ONE_KEY // MAX_BODY_BYTES
    connections = [await slow_body(central, central.key) for _ in range(room)]
    reader, writer = await slow_body(central, central.key)
    # The one that came last gets its answer at once; the test waits for the others.
    answers = [asyncio.create_task(found.readline()) for found, _ in (*connections, (reader, writer))]
    done, waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [b"HTTP/1.1 503 Service Unavailable\r\n"]
    for task in waiting:
        task.cancel()
    assert await central.meter("fiesta_busy_total") == 1
    assert (await central.counter("c")).status == 201, "a body that comes with its head waits for nothing"
    beside = await slow_body(central, other)
    assert (await finish(beside)).startswith(b"HTTP/1.1 400 ")
    for _, opened in (*connections, (reader, writer), beside):
        opened.close()
        await opened.wait_closed()

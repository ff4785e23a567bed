"""The local HTTP port, for real."""

import asyncio
from contextlib import suppress

import aiohttp
import pytest

from agent.http import local_pages, respond, serve
from agent.report import Snapshot
from tests.agent.test_report import FINE, but


async def at_once() -> None:
    """Nothing to wait for."""


@pytest.mark.parametrize(
    ("snapshot", "status", "healthy"),
    [(FINE, 200, "healthy"), (but(spool_overflowing=True), 503, "unhealthy")],
)
async def test_the_three_pages(snapshot: Snapshot, status: int, healthy: str) -> None:
    server, port = await serve(local_pages(lambda: snapshot), "127.0.0.1", 0, at_once)
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert "fiesta_agent_samples_received_total 100.0" in await answer.text()
        async with session.get(f"{base}/health") as answer:
            assert answer.status == status
            body = await answer.json()
            assert body["status"] == healthy
            assert len(body["reasons"]) == (status != 200)
        async with session.get(f"{base}/status") as answer:
            assert (await answer.json())["received"] == 100
        async with session.get(f"{base}/nothing") as answer:
            assert answer.status == 404
    server.close()


async def test_a_port_in_use_is_an_oserror() -> None:
    server, port = await serve(local_pages(lambda: FINE), "127.0.0.1", 0, at_once)
    with pytest.raises(OSError, match="in use"):
        await serve(local_pages(lambda: FINE), "127.0.0.1", port, at_once)
    server.close()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"GET /health?x=1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b"HEAD /health HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b"POST /health HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed\r\n"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n"),
        (b"GET /health\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"\xff\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
    ],
)
def test_any_request_has_an_answer(head: bytes, says: bytes) -> None:
    answer = respond(local_pages(lambda: FINE), head)
    assert answer.startswith(says)
    assert answer.endswith(b"\r\n\r\n") is head.startswith(b"HEAD")


async def test_who_asks_nothing_or_without_end_is_not_waited_for() -> None:
    server, port = await serve(local_pages(lambda: FINE), "127.0.0.1", 0, at_once)
    for sent in (b"GET /", b"x" * 100_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        if writer.can_write_eof():
            writer.write_eof()
        with suppress(ConnectionError):  # closed before all was read
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    server.close()

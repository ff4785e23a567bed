"""The local HTTP port, for real."""

import asyncio
import socket
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from agent.receive.streams import open_tcp
from agent.telemetry.local_http import LocalPort, Page, local_pages, respond, serve
from agent.telemetry.snapshot import Snapshot
from tests.agent.telemetry.test_snapshot import FINE, but
from tests.patience import PATIENCE


async def at_once() -> None:
    """Nothing to wait for."""


@pytest.mark.parametrize(
    ("snapshot", "status", "healthy"),
    [(FINE, 200, "healthy"), (but(spool_overflowing=True), 503, "unhealthy")],
)
async def test_the_three_pages(snapshot: Snapshot, status: int, healthy: str) -> None:
    server = serve(local_pages(lambda: snapshot), "127.0.0.1", 0, at_once)
    base = f"http://127.0.0.1:{server.port}"
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
    await server.close()


async def test_a_port_in_use_is_an_oserror() -> None:
    server = serve(local_pages(lambda: FINE), "127.0.0.1", 0, at_once)
    with pytest.raises(OSError, match="in use"):
        serve(local_pages(lambda: FINE), "127.0.0.1", server.port, at_once)
    await server.close()


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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("127.0.0.1:9126", 200), ("localhost:9126", 200), ("LOCALHOST.", 200), ("[::1]:9126", 200), ("", 403)),
        *(("evil.example:9126", 403), ("127.0.0.1.evil.example", 403), ("localhost\r\nHost: evil.example", 403)),
    ],
)
async def test_a_request_with_another_hosts_name_is_refused(host: str, status: int) -> None:
    server = serve(local_pages(lambda: FINE), "127.0.0.1", 0, at_once)
    answer = await ask(server.port, f"Host: {host}\r\n")
    assert int(answer.split(b" ", 2)[1]) == status
    await server.close()


async def test_localhost_answers_on_both_loopback_addresses() -> None:
    server = serve(local_pages(lambda: FINE), "localhost", 0, at_once)
    for address in ("127.0.0.1", "::1"):
        reader, writer = await asyncio.open_connection(address, server.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    await server.close()


async def test_a_port_for_other_hosts_answers_to_any_name() -> None:
    server = serve(local_pages(lambda: FINE), "0.0.0.0", 0, at_once)
    assert (await ask(server.port, "Host: web1.internal:9126\r\n")).startswith(b"HTTP/1.1 200")
    await server.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def ask(port: int, headers: str = "") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /health HTTP/1.1\r\n{headers}\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_silent_connections_do_not_keep_others_out() -> None:
    server = LocalPort([open_tcp("127.0.0.1", 0)], partial(respond, local_pages(lambda: FINE)), at_once, room=4)
    before = descriptors()
    with ExitStack() as stack:
        idle = []
        for _ in range(20):
            idle.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port))))
            assert (await ask(server.port)).startswith(b"HTTP/1.1 200")
        assert descriptors() - before <= 20 + 4
        for one in idle[:16]:
            assert one.recv(1) == b"", "the oldest make room"
    await server.close()


async def test_a_client_that_does_not_read_the_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.telemetry.local_http.REQUEST_SECONDS", 0.2)
    pages = {"/large": lambda: Page(200, "text/plain", b"x" * (32 << 20))}
    server = serve(pages, "127.0.0.1", 0, at_once)
    before = descriptors()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            for held in (True, False):
                while (descriptors() == before + 2) is not held:  # noqa: ASYNC110 - looked at in every turn
                    await asyncio.sleep(0)
    await server.close()


async def test_an_agent_that_counts_for_long_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds bound what the client does, and not how long a busy host takes for our part."""
    loop = asyncio.get_running_loop()
    real = loop.time

    async def count() -> None:
        monkeypatch.setattr(loop, "time", lambda: real() + 1_000)
        for _ in range(3):  # what is due by that time comes first
            await asyncio.sleep(0)

    server = serve(local_pages(lambda: FINE), "127.0.0.1", 0, count)
    assert (await ask(server.port)).startswith(b"HTTP/1.1 200")
    await server.close()


async def test_the_answer_arrives_although_the_client_sent_more() -> None:
    server = serve(local_pages(lambda: FINE), "127.0.0.1", 0, at_once)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /health HTTP/1.1\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000)
    assert (await reader.read()).startswith(b"HTTP/1.1 405")
    writer.close()
    await writer.wait_closed()
    await server.close()


async def test_a_silent_or_endless_request_is_closed() -> None:
    server = serve(local_pages(lambda: FINE), "127.0.0.1", 0, at_once)
    for sent in (b"GET /", b"x" * 100_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        if writer.can_write_eof():
            writer.write_eof()
        with suppress(ConnectionError):  # closed before all was read
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
    await server.close()

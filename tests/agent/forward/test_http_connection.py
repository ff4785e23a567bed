"""One HTTP connection, against servers that say exactly what a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.forward.http_connection import IDLE_SECONDS, MAX_HEADERS, HttpConnection, Reply

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers requests in turn with given bytes; b"" closes the connection. Counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self.url = ""
        self.connections = 0
        self.heads: list[bytes] = []
        self._answers = list(answers)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._answers:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self._answers.pop(0)
                writer.write(answer.removesuffix(b"CLOSE"))
                if not answer or answer.endswith(b"CLOSE"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[Server]:
    one = Server(*answers)
    async with await asyncio.start_server(one.answer, "127.0.0.1", 0) as server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


async def ask(connection: HttpConnection) -> Reply:
    return await asyncio.wait_for(connection.request("GET", "/x", {}), 10)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (PLAIN, 200, b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", 200, b"hi"),
        (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + PLAIN, 200, b"hi"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: y\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 503, b""),
        (b"HTTP/1.1 200 OK\r\n\r\nhi, whateverCLOSE", 200, b"hi, whatever"),
        (b"HTTP/1.0 200 OK\r\n\r\nhiCLOSE", 200, b"hi"),
    ],
)
async def test_an_answer_is_read_whole(answer: bytes, status: int, body: bytes) -> None:
    async with serving(answer) as server:
        connection = HttpConnection(server.url)
        reply = await ask(connection)
        await connection.close()
    assert (reply.status, reply.body) == (status, body)
    assert "link" not in reply.headers


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhiCLOSE", ConnectionError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhiCLOSE", ConnectionError),
        (b"HTTP/1.1 200 OK\r\nX: CLOSE", ConnectionError),
        (b"SSH-2.0-OpenSSH\r\n", ValueError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ValueError),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", ValueError),
    ],
)
async def test_a_torn_or_false_answer_is_an_error_and_the_next_request_starts_anew(
    answer: bytes, error: type[Exception]
) -> None:
    async with serving(answer, PLAIN) as server:
        connection = HttpConnection(server.url)
        with pytest.raises(error):
            await ask(connection)
        assert (await ask(connection)).body == b"hi"
        await connection.close()
    assert server.connections == 2


async def test_one_connection_is_kept() -> None:
    async with serving(PLAIN, PLAIN, PLAIN) as server:
        connection = HttpConnection(server.url)
        for _ in range(3):
            await ask(connection)
        await connection.close()
        await connection.close()
    assert server.connections == 1


@pytest.mark.parametrize(
    ("first", "wait"),
    [
        (PLAIN, IDLE_SECONDS + 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 0.0),
        (PLAIN + b"CLOSE", 0.0),
    ],
)
async def test_a_connection_that_idled_or_was_closed_is_not_used_again(first: bytes, wait: float) -> None:
    now = [0.0]
    async with serving(first, PLAIN) as server:
        connection = HttpConnection(server.url, now=lambda: now[0])
        await ask(connection)
        now[0] += wait
        if first.endswith(b"CLOSE"):
            assert connection._open is not None
            assert await connection._open[0].read() == b""  # the end has come in
        await ask(connection)
        await connection.close()
    assert server.connections == 2


async def test_a_request_that_is_given_up_takes_its_connection_along() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", PLAIN) as server:
        connection = HttpConnection(server.url)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.request("GET", "/x", {}), 0.05)
        assert (await ask(connection)).body == b"hi"
        await connection.close()
    assert server.connections == 2


async def test_a_request_is_as_the_standard_wants_it() -> None:
    async with serving(PLAIN, PLAIN) as server:
        connection = HttpConnection(f"{server.url}/base/")
        await connection.request("POST", "/x?y=1", {"A": "b"}, b"")
        await connection.request("GET", "/x", {})
        await connection.close()
    host = server.url.removeprefix("http://").encode()
    assert server.heads == [
        b"POST /base/x?y=1 HTTP/1.1\r\nHost: %b\r\nA: b\r\nContent-Length: 0\r\n\r\n" % host,
        b"GET /base/x HTTP/1.1\r\nHost: %b\r\n\r\n" % host,
    ]

"""One HTTP connection, against servers that say exactly what a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from agent.forward.http_answer import MAX_ANSWER_BYTES, MAX_HEAD_BYTES, MAX_HEADERS
from agent.forward.http_connection import IDLE_SECONDS, LARGEST_AGE_SECONDS, HttpConnection, HttpReply
from tests.patience import PATIENCE

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers requests in turn with given bytes; b"" closes the connection. Counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self.url = ""
        self.connections = 0
        self.heads: list[bytes] = []
        self._answers = list(answers)
        self.closed = asyncio.Event()
        """A connection has been closed by us, and the other side had its turn to see it."""

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
            with suppress(OSError):
                await reader.read()  # until the other side has seen the end and closed, too
            self.closed.set()


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[Server]:
    one = Server(*answers)
    async with await asyncio.start_server(one.answer, "127.0.0.1", 0) as server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


async def ask(connection: HttpConnection) -> HttpReply:
    return await asyncio.wait_for(connection.request("GET", "/x", {}), PATIENCE)


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
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD_BYTES, ValueError),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 20), ValueError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b" " * (MAX_ANSWER_BYTES + 1), ValueError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", ValueError),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + PLAIN, ValueError),
        (b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", ValueError),
        (b"\r\n" + PLAIN, ValueError),
        (b"hello" + PLAIN, ValueError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", ValueError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nhi", ValueError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi", ValueError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi", ValueError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi", ValueError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhiCLOSE", ConnectionError),
    ],
)
async def test_a_torn_answer_is_an_error_and_the_next_request_starts_anew(
    answer: bytes, error: type[Exception]
) -> None:
    async with serving(answer, PLAIN) as server:
        connection = HttpConnection(server.url)
        with pytest.raises(error):
            await ask(connection)
        assert (await ask(connection)).body == b"hi"
        await connection.close()
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" + PLAIN, 503, b""),
        (PLAIN + b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 200, b"hi"),
        (PLAIN + PLAIN + PLAIN, 200, b"hi"),
        (PLAIN + b"HTTP/1.1 2", 200, b"hi"),
        (PLAIN + b"garbage", 200, b"hi"),
        (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n" + PLAIN, 304, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PLAIN, 200, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" + PLAIN, 503, b""),
        (b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" + PLAIN, 503, b""),
    ],
)
async def test_only_the_first_whole_answer_counts(answer: bytes, status: int, body: bytes) -> None:
    async with serving(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew") as server:
        connection = HttpConnection(server.url)
        reply = await ask(connection)
        assert (reply.status, reply.body) == (status, body)
        assert (await ask(connection)).body == b"new", "and not what was left over"
        await connection.close()
    assert server.connections == 2


async def test_an_answer_that_comes_while_nothing_was_asked_ends_the_connection() -> None:
    """It comes in a read of its own, behind the answer to the first request."""
    first, ended = asyncio.Event(), asyncio.Event()

    async def say_too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN)
        if not ended.is_set():
            await first.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            ended.set()
        writer.close()

    async with await asyncio.start_server(say_too_much, "127.0.0.1", 0) as server:
        connection = HttpConnection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await ask(connection)
        first.set()
        await asyncio.wait_for(ended.wait(), PATIENCE)
        assert (await ask(connection)).body == b"hi"
        await connection.close()


@pytest.mark.parametrize(("status", "counts"), [(201, False), (413, True)])
async def test_a_2xx_before_the_request_was_sent_is_an_error(status: int, counts: bool) -> None:
    async def interrupt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(interrupt, "127.0.0.1", 0) as server:
        connection = HttpConnection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        request = connection.request("POST", "/x", {}, b"x" * (64 << 20))
        if counts:
            assert (await asyncio.wait_for(request, PATIENCE)).status == status
        else:
            with pytest.raises(ValueError, match="before the request was sent"):
                await asyncio.wait_for(request, PATIENCE)
        ended.set()
        await connection.close()


async def test_a_trailer_is_no_header() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nDate: never\r\n\r\n"
    async with serving(answer) as server:
        connection = HttpConnection(server.url)
        assert "date" not in (await ask(connection)).headers
        await connection.close()


async def test_one_connection_is_used_again() -> None:
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
        (PLAIN, LARGEST_AGE_SECONDS + 1),
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
            await server.closed.wait()
        assert (await ask(connection)).body == b"hi"
        await connection.close()
    assert server.connections == 2


async def test_a_busy_connection_is_opened_again_after_its_largest_age() -> None:
    now = [0.0]
    async with serving(*[PLAIN] * 8) as server:
        connection = HttpConnection(server.url, now=lambda: now[0])
        for _ in range(8):
            await ask(connection)
            now[0] += 60
        await connection.close()
    assert server.connections == 2


async def test_a_cancelled_request_closes_its_connection() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", PLAIN) as server:
        connection = HttpConnection(server.url)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.request("GET", "/x", {}), 0.05)
        assert (await ask(connection)).body == b"hi"
        await connection.close()
    assert server.connections == 2


async def test_a_request_follows_the_standard() -> None:
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

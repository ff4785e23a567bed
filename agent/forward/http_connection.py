"""One HTTP/1.1 connection to one server. It stays open and carries one request at a time.

We do not use aiohttp's client, because it would take a third of the memory that an agent may use.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from agent.forward.dial import Dialer, Trust
from agent.forward.http_answer import Answer

IDLE_SECONDS: Final = 70.0
"""We close a connection that was idle for longer, before a proxy (nginx: after 75 s) closes it during a request.
It is longer than the longest flush interval, so that a connection carries more than one batch."""
LARGEST_AGE_SECONDS: Final = 300.0
"""After that time a new connection is made, so the name is resolved and the authorities are read again."""


class HttpReply(NamedTuple):
    """An answer. Names of headers are in lower case; when a name comes more than once, the last value is here."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpConnection:
    """The first request opens the connection, and later ones open it again when needed. Call ``close`` at the end."""

    def __init__(
        self,
        url: str,
        trust: Trust | None = None,
        now: Callable[[], float] = time.monotonic,
        dial: Callable[[str, int, Trust | None], Dialer] = Dialer,
    ) -> None:
        parsed = urlsplit(url)
        secure = parsed.scheme == "https"
        self._dialer = dial(parsed.hostname or "", parsed.port or (443 if secure else 80), trust if secure else None)
        self._host = parsed.netloc
        self._base = parsed.path.rstrip("/")
        self._now = now
        self._open: _Link | None = None
        self._opened = 0.0
        self._used = 0.0

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> HttpReply:
        """Send and wait for the whole answer. There is no time limit here: the caller sets one.

        Raises OSError (also for TLS faults) when there is no connection or it ends too early. Raises ValueError when
        the answer is not HTTP or is too long.
        """
        link = await self._connect()
        try:
            answer = await link.exchange(self._head(method, path, headers, len(body)) + body)
            answer.check_order()
        except BaseException:  # also when the caller's time limit ends it
            self._dialer.failed()
            await self.close()
            raise
        self._dialer.worked()
        self._used = self._now()
        if not answer.keeps_alive:
            await self.close()
        return HttpReply(answer.status, answer.headers, bytes(answer.body))

    async def close(self) -> None:
        """Close at once. You may call it more than once."""
        if self._open is not None:
            link, self._open = self._open, None
            await link.close()

    async def _connect(self) -> "_Link":
        now = self._now()
        stale = now - self._used > IDLE_SECONDS or now - self._opened > LARGEST_AGE_SECONDS
        if self._open is not None and (stale or not self._open.usable):
            await self.close()
        if self._open is None:
            self._open = await self._dialer.open(_Link)
            self._opened = now
        return self._open

    def _head(self, method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"{method} {self._base}{path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


class _Link(asyncio.Protocol):
    """The bytes of a connection. They belong to the awaited answer; bytes that nobody awaits end the connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.usable = True
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiting: asyncio.Future[Answer] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer. Raises OSError and ValueError like HttpConnection.request."""
        transport = self._transport
        if transport is None or not self.usable:
            raise ConnectionResetError("the connection was closed before the request")
        self._answer = Answer(sent=lambda: not transport.get_write_buffer_size())
        self._waiting = asyncio.get_running_loop().create_future()
        transport.write(request)
        return await self._waiting

    async def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()
            await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or self._waiting.done():
            self.usable = False  # there is no request that these bytes could answer
            if self._transport is not None:
                self._transport.abort()
            return
        try:
            answer.take(data)
        except ValueError as error:
            self._give_up(error)
        else:
            if answer.whole:
                self._waiting.set_result(answer)

    def eof_received(self) -> None:
        self.usable = False
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if error is not None:
            self._give_up(error)
        self._end()
        if not self._lost.done():
            self._lost.set_result(None)

    def _end(self) -> None:
        if self._answer is None or self._waiting.done():
            return
        try:
            self._answer.end()
        except ConnectionError as error:
            self._give_up(error)
        else:
            self._waiting.set_result(self._answer)

    def _give_up(self, error: Exception) -> None:
        self.usable = False
        if self._answer is not None and not self._waiting.done():
            self._waiting.set_exception(error)

"""One HTTP/1.1 connection to one server, kept alive, one request at a time.

aiohttp's client alone would take a third of the memory that an agent may use.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from agent.forward.dial import Dialer, Trust
from agent.forward.http_answer import Answer

IDLE_SECONDS: Final = 70.0
"""One connection lasts over the longest flush interval. When idle for longer it is closed by us, before a proxy
(nginx: after 75 s) closes it under a request."""
LARGEST_AGE_SECONDS: Final = 300.0
"""Then the name is resolved again, and the authorities are read again."""


class Reply(NamedTuple):
    """An answer; names of headers are in lower case, of several with one name the last is there."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpConnection:
    """Opened by the first request and again when it must be. ``close`` it at the end."""

    def __init__(
        self,
        url: str,
        trust: Trust | None = None,
        now: Callable[[], float] = time.monotonic,
        dial: Callable[[str, int, Trust | None], Dialer] = Dialer,
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._dialer = dial(parts.hostname or "", parts.port or (443 if secure else 80), trust if secure else None)
        self._named = parts.netloc
        self._base = parts.path.rstrip("/")
        self._now = now
        self._open: _Link | None = None
        self._opened = 0.0
        self._used = 0.0

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send and wait for the whole answer.

        Raises OSError (also of TLS) when there is no connection or it ends too early, ValueError when the
        answer is no HTTP, or longer than any of ours. It waits for ever: the caller sets the time.
        """
        link = await self._connect()
        try:
            answer = await link.exchange(self._head(method, path, headers, len(body)) + body)
            answer.check_order()
        except BaseException:  # also when the caller's time is over
            self._dialer.failed()
            await self.close()
            raise
        self._dialer.worked()
        self._used = self._now()
        if not answer.keeps_alive:
            await self.close()
        return Reply(answer.status, answer.headers, bytes(answer.body))

    async def close(self) -> None:
        """At once. May be called again."""
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
        lines = [f"{method} {self._base}{path} HTTP/1.1", f"Host: {self._named}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


class _Link(asyncio.Protocol):
    """The bytes of a connection. They are of the answer that is awaited; where none is, the connection is no good."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.usable = True
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiting: asyncio.Future[Answer] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer. Raises OSError and ValueError, as HttpConnection.request."""
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
            self.usable = False  # nobody asked
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

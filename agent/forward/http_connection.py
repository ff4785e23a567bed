"""One HTTP/1.1 connection to one server, kept alive, one request at a time.

aiohttp's client alone would take a third of the memory that an agent may use. What can go wrong in an
answer's bytes is left to the parser, httptools.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

MAX_ANSWER_BYTES: Final = 4 << 20
"""A batch of which every item is refused has an answer of some 200 kB; what is longer is not ours."""
MAX_HEADERS: Final = 200
IDLE_SECONDS: Final = 70.0
"""One connection lasts over the longest flush interval. When idle for longer it is closed by us, before a proxy
(nginx: after 75 s) closes it under a request."""
_CHUNK: Final = 65_536


class Reply(NamedTuple):
    """An answer; names of headers are in lower case, of several with one name the last is there."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpConnection:
    """Opened by the first request and again when it must be. ``close`` it at the end."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None, now: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._named = parts.netloc
        self._base = parts.path.rstrip("/")
        self._tls = tls if parts.scheme == "https" else None
        self._now = now
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send and wait for the whole answer, which is cut off where it is longer than any of ours.

        Raises OSError (also of TLS) when there is no connection or it ends too early, ValueError when the
        answer is no HTTP. It waits for ever: the caller sets the time.
        """
        reader, writer = await self._connect()
        try:
            writer.write(self._head(method, path, headers, len(body)) + body)
            await writer.drain()
            answer = _Answer()
            while not answer.whole:
                answer.take(await reader.read(_CHUNK))
        except BaseException:
            await self.close()
            raise
        self._used = self._now()
        if not answer.keeps_alive:
            await self.close()
        return Reply(answer.status(), answer.headers, bytes(answer.body))

    async def close(self) -> None:
        """At once. May be called again."""
        if self._open is not None:
            writer, self._open = self._open[1], None
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open is not None and (self._open[0].at_eof() or self._now() - self._used > IDLE_SECONDS):
            await self.close()
        if self._open is None:
            self._open = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return self._open

    def _head(self, method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"{method} {self._base}{path} HTTP/1.1", f"Host: {self._named}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


class _Answer:
    """What httptools calls back, until the answer is whole; those before the last, as 100, are passed over."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.whole = False
        self.keeps_alive = False
        self._has_head = False
        self._lines = 0
        self._parser = HttpResponseParser(self)

    def take(self, data: bytes) -> None:
        """Raises ConnectionError when there is no more of an answer that is not whole, ValueError when it is none."""
        if not data:
            if not self._ends_with_the_connection():
                raise ConnectionResetError("the connection was closed before the answer was whole")
            self.whole = True
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise ValueError(f"the answer is not HTTP: {error}") from None
        if len(self.body) > MAX_ANSWER_BYTES:
            self.whole, self.keeps_alive = True, False

    def status(self) -> int:
        return int(self._parser.get_status_code())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        if self._lines > MAX_HEADERS:
            raise ValueError("the answer has headers without end")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        if self.status() < 200:
            self.headers.clear()
            self._has_head = False
        else:
            self.whole = True
            self.keeps_alive = self._parser.should_keep_alive()

    def _ends_with_the_connection(self) -> bool:
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self._has_head and not framed

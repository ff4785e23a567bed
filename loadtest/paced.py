"""A small HTTP/1.1 client that costs little: raw bytes out, status and length in.

Paced, it sends at a fixed rate whether or not answers come (open loop), so that a stall shows in the
latencies; unpaced, each connection sends its next request when the last one is answered.
"""

import asyncio
import ssl
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

from tests.proxies import TLS

_HEAD_END: Final = b"\r\n\r\n"
_CERTIFICATE: Final = TLS / "cert.pem"
"""That of the tests' proxies."""


@dataclass(slots=True)
class Result:
    """What came back: answers by status, latencies in seconds, seconds in all."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Answers by status. 0 stands for a connection that ended without an answer."""
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """A latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, result: Result, idle: "deque[_Connection]") -> None:
        self._result = result
        self._idle = idle
        self._buffer = b""
        self._sent_at: float | None = None
        """When the request was due whose answer this connection waits for."""
        self.answered = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._idle.append(self)

    def send(self, data: bytes, due: float) -> None:
        self._sent_at = due
        self.answered.clear()
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_HEAD_END)
        if head < 0:
            return
        lower = self._buffer[:head].lower()
        at = lower.index(b"content-length:") + 15
        length = int(lower[at : lower.find(b"\r\n", at) if b"\r\n" in lower[at:] else None])
        if len(self._buffer) < head + 4 + length:
            return
        self._count(int(self._buffer[9:12]))
        self._buffer = b""
        self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        self._count(0)

    def _count(self, status: int) -> None:
        if self._sent_at is not None:
            self._result.statuses[status] += 1
            self._result.latencies.append(time.perf_counter() - self._sent_at)
            self._sent_at = None
            self.answered.set()


def post(url: str, path: str, key: str, body: bytes, extra: str = "") -> bytes:
    """The bytes of a POST."""
    host = urlsplit(url).netloc
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


async def paced(url: str, request: bytes, *, rate: float, seconds: float, connections: int) -> Result:
    """Send ``request`` ``rate`` times per second. A latency counts from when the request was due."""
    result, idle = Result(), deque[_Connection]()
    open_connections = await _connect(url, result, idle, connections)
    start = time.perf_counter()
    sent, total = 0, int(rate * seconds)
    while sent < total:
        due = start + sent / rate
        now = time.perf_counter()
        if due > now:
            await asyncio.sleep(min(due - now, 0.001))
            continue
        if not idle:
            if now > start + seconds + 30:
                raise RuntimeError(f"{total - sent} requests could not be sent: no connection is free")
            await asyncio.sleep(0.0005)
            continue
        idle.popleft().send(request, due)
        sent += 1
    await _all_answered(open_connections, result, total)
    result.seconds = time.perf_counter() - start
    return result


async def closed_loop(url: str, requests: Sequence[bytes], *, connections: int) -> Result:
    """Send every request once over so many connections, each waiting for its answer."""
    result, idle = Result(), deque[_Connection]()
    open_connections = await _connect(url, result, idle, connections)
    todo = deque(requests)
    start = time.perf_counter()

    async def run(connection: _Connection) -> None:
        while todo:
            connection.send(todo.popleft(), time.perf_counter())
            await connection.answered.wait()

    await asyncio.gather(*(run(connection) for connection in open_connections))
    result.seconds = time.perf_counter() - start
    for connection in open_connections:
        connection.transport.close()
    return result


async def _connect(url: str, result: Result, idle: deque[_Connection], connections: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    host, port = where.hostname or "127.0.0.1", where.port or 80
    tls = ssl.create_default_context(cafile=_CERTIFICATE) if where.scheme == "https" else None
    made = [
        await loop.create_connection(lambda: _Connection(result, idle), host, port, ssl=tls) for _ in range(connections)
    ]
    return [connection for _, connection in made]


async def _all_answered(connections: list[_Connection], result: Result, total: int) -> None:
    for _ in range(2000):
        if len(result.latencies) >= total:
            break
        await asyncio.sleep(0.005)
    for connection in connections:
        connection.transport.close()

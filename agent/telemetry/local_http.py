"""The local HTTP port: /metrics, /health and /status. It only reads."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from agent.receive.sockets import open_each
from agent.receive.streams import open_tcp
from agent.telemetry.snapshot import AgentCollector, Snapshot, health, notices, status
from runtime.addresses import is_loopback, may_mean_loopback

REQUEST_SECONDS: Final = 10.0
"""The time that a client has to send its request, and again to take the answer."""
MAX_CONNECTIONS: Final = 32
"""Open connections: a few scrapers and a person. agent.receive.sockets reserves more descriptors than this."""
MAX_HEAD: Final = 16_384
NO_ROOM_SECONDS: Final = 1.0
"""Seconds until the next accept when the process has no free descriptor."""
_HOST: Final = re.compile(rb"^host[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_JSON: Final = "application/json; charset=utf-8"


class Page(NamedTuple):
    """An answer: its status, its type and its body."""

    status: int
    type: str
    body: bytes


Pages = Mapping[str, Callable[[], Page]]


def local_pages(take: Callable[[], Snapshot]) -> Pages:
    """The three pages by path; ``take`` is called once for each request."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(take))

    def healthy() -> Page:
        snapshot = take()
        reasons = health(snapshot)
        answer = {"status": "unhealthy" if reasons else "healthy", "reasons": reasons, "notices": notices(snapshot)}
        return _json(503 if reasons else 200, answer)

    return {
        "/metrics": lambda: Page(200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        "/health": healthy,
        "/status": lambda: _json(200, status(take())),
    }


class LocalPort:
    """Answers one request per connection. At most ``room`` connections are open; one more ends the oldest.

    So no client can keep others out or take the descriptors of the rest of the agent. ``answer`` returns the bytes for
    the head of a request. ``before`` is awaited before each answer. A client has REQUEST_SECONDS to ask and again to
    take the answer; the time of ``before`` does not count.
    """

    def __init__(
        self,
        socks: Sequence[socket.socket],
        answer: Callable[[bytes], bytes],
        before: Callable[[], Awaitable[None]],
        room: int = MAX_CONNECTIONS,
    ) -> None:
        self.port: Final[int] = socks[0].getsockname()[1]
        self._socks = socks
        self._respond = answer
        self._before = before
        self._room = room
        self._open: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._accepting = [asyncio.create_task(self._accept(sock)) for sock in socks]

    async def close(self) -> None:
        """End all connections and close the port."""
        tasks = [*self._accepting, *self._open]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in self._socks:
            sock.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError:  # the usual cause: the process has no free descriptor
                await asyncio.sleep(NO_ROOM_SECONDS)
                continue
            while len(self._open) >= self._room:
                oldest = next(iter(self._open))
                oldest.cancel()
                await asyncio.wait([oldest])
                self._open.pop(oldest, None)
            sock.setblocking(False)
            task = loop.create_task(self._answer(sock))
            self._open[task] = None
            task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _answer(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock, suppress(TimeoutError, OSError):  # a client that does not ask or read gets no answer
            async with asyncio.timeout(REQUEST_SECONDS):
                head = b""
                while b"\r\n\r\n" not in head:
                    data = await loop.sock_recv(sock, MAX_HEAD)
                    head += data
                    if not data or len(head) > MAX_HEAD:
                        return
            await self._before()
            async with asyncio.timeout(REQUEST_SECONDS):
                await loop.sock_sendall(sock, self._respond(head))
                sock.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(sock, MAX_HEAD):
                    pass  # a close with unread data would lose the answer


def serve(pages: Pages, host: str, port: int, before: Callable[[], Awaitable[None]]) -> LocalPort:
    """Listen and answer on the running loop, until you close it. Raises OSError.

    On a loopback ``host``, a request that names another host is refused, because a page in a browser sent it.
    """
    answer = partial(respond, pages, loopback=host if is_loopback(host) else None)
    return LocalPort(open_each(host, port, open_tcp), answer, before)


def respond(pages: Pages, head: bytes, *, loopback: str | None = None) -> bytes:
    """The whole answer to a request. ``head`` is the request up to the empty line. The connection closes after it.

    ``loopback`` is the host that we listen on when only programs of this host can reach it, else None.
    """
    first, _, headers = head.partition(b"\r\n")
    method, _, rest = first.decode("latin-1").partition(" ")
    hosts = [found[1].decode("latin-1") for found in _HOST.finditer(headers)]
    path = rest.partition(" ")[0].partition("?")[0]
    if not rest.endswith((" HTTP/1.1", " HTTP/1.0")):
        page = _json(400, {"error": "this is not HTTP/1.1"})
    elif loopback is not None and not all(may_mean_loopback(asked, loopback) for asked in hosts):
        page = _json(403, {"error": f"this is {loopback}; ask for it by that name, or for localhost"})
    elif path not in pages:
        page = _json(404, {"error": f"there are {', '.join(pages)}"})
    elif method not in {"GET", "HEAD"}:
        page = _json(405, {"error": "only GET and HEAD"})
    else:
        page = pages[path]()
    lines = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}",
        f"Content-Type: {page.type}",
        f"Content-Length: {len(page.body)}",
        *(["Allow: GET, HEAD"] if page.status == 405 else []),
        "Connection: close\r\n\r\n",
    )
    return "\r\n".join(lines).encode("latin-1") + (b"" if method == "HEAD" else page.body)


def _json(status_code: int, body: object) -> Page:
    return Page(status_code, _JSON, json.dumps(body).encode())

"""The local HTTP port: /metrics, /health and /status. Reads, and changes nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from agent.report import AgentCollector, Snapshot, health, status

REQUEST_SECONDS: Final = 10.0
"""Who has not asked by then is not waited for."""
_JSON: Final = "application/json; charset=utf-8"
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


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
        reasons = health(take())
        answer = {"status": "unhealthy" if reasons else "healthy", "reasons": reasons}
        return _json(503 if reasons else 200, answer)

    return {
        "/metrics": lambda: Page(200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        "/health": healthy,
        "/status": lambda: _json(200, status(take())),
    }


async def serve(
    pages: Pages, host: str, port: int, before: Callable[[], Awaitable[None]]
) -> tuple[asyncio.Server, int]:
    """Listen; returns the server, to be closed by the caller, and the port. ``before`` is awaited before each answer.

    Raises OSError.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                await before()
                writer.write(respond(pages, head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who does not ask, or does not listen, gets no answer
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host, port)
    return server, int(server.sockets[0].getsockname()[1])


def respond(pages: Pages, head: bytes) -> bytes:
    """The whole answer to a request of which ``head`` is all up to the empty line. One request a connection."""
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if not rest.endswith((" HTTP/1.1", " HTTP/1.0")):
        page = _json(400, {"error": "this is not HTTP/1.1"})
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

"""Runs the application. It answers requests that are not valid HTTP itself: aiohttp's answer would quote the request,
and perhaps a key in it.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from aiohttp import HttpVersion11, web
from aiohttp import http_exceptions as faults
from aiohttp.hdrs import EXPECT as EXPECT_HEADER
from aiohttp.web_protocol import RequestHandler

from central.errors import ApiError, invalid, unavailable
from central.request_id import HEADER, RequestIds
from central.web.connections import LARGE, Connections
from central.web.middleware import ASKED_BY, ENDS_WITH_CLIENT, SERVER, error_response
from protocol.item import Fault

MAX_LINE: Final = 32_768
"""The most bytes of the request line."""
MAX_HEADER: Final = 16_384
"""The most bytes of one header."""
TLS: Final = "tls"
EXPECT: Final = "expect"
CONTINUE: Final = "100-continue"
KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (faults.BadHttpMethod, "method"),
    (faults.BadStatusLine, "request_line"),
    (faults.InvalidURLError, "url"),
    (faults.LineTooLong, "too_long"),
    (Exception, "message"),
)
"""Why a request was not valid HTTP: the first entry that fits, or TLS or EXPECT."""
_HELLO: Final = "Received HTTPS"
"""aiohttp's error message begins with this if a client speaks TLS to a plain HTTP port."""
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_log = structlog.get_logger(__name__)


class Runner(web.AppRunner):
    """An AppRunner with our own class of connections. ``unreadable`` counts requests that were not valid HTTP."""

    def __init__(
        self, app: web.Application, unreadable: Counter[str], connections: Connections, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self.connections = connections
        unreadable.update(dict.fromkeys((TLS, EXPECT, *dict(KINDS).values()), 0))
        self._unreadable = unreadable

    async def cleanup(self) -> None:
        """Close all connections."""
        await super().cleanup()
        self.connections.close()

    def require_tls(self, context: ssl.SSLContext) -> None:
        """Let each connection begin with a TLS handshake. Call it after ``setup``, before a site is started."""
        cast(_Server, self.server).tls = context

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        cast(_Server, server).unreadable = self._unreadable
        cast(_Server, server).held = self.connections
        server.request_handler = self._expects_what_we_know(server.request_handler)
        return server

    def _expects_what_we_know(self, handler: Handler) -> Handler:
        """``handler`` after a check of the Expect header. aiohttp's check quotes it, and fails if it is not UTF-8."""

        asked = self.connections.asked

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            asked(cast(_Peer, request.protocol))
            expected = request.headers.get(EXPECT_HEADER)
            if expected is None or expected.lower() == CONTINUE or request.version < HttpVersion11:
                return await handler(request)
            self._unreadable[EXPECT] += 1
            _log.info("request_is_no_http", reason=EXPECT, cause="Expect", peer=request.remote)
            fault = Fault("VALIDATION_ERROR", "Expect", "Expect must be 100-continue, or left out")
            response = error_response(invalid(fault))
            response.headers.update({HEADER: RequestIds().begin(request.headers.get(HEADER)), "Server": SERVER})
            return response

        return handle


class _Server(web.Server):
    unreadable: Counter[str]
    held: Connections
    tls: ssl.SSLContext | None = None

    def __call__(self) -> RequestHandler:
        peer = _Peer(self, loop=self._loop, **self._kwargs)
        return peer if self.tls is None else cast(RequestHandler, _Handshake(peer, self.tls, self.held))


class _Handshake(asyncio.Protocol):
    """A connection before it speaks TLS. It is one of all, and its handshake has the time of a head.

    The event loop would do the handshake itself, and tell us of the connection only then.
    """

    def __init__(self, peer: RequestHandler, tls: ssl.SSLContext, held: Connections) -> None:
        self._peer = peer
        self._tls = tls
        self._held = held
        self._transport: asyncio.Transport | None = None
        self._securing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come. Nothing is read until the handshake reads it."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()
        self._held.opened(self)
        self._securing = asyncio.get_running_loop().create_task(self._shake_hands(self._transport))

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        secured: asyncio.Transport | None = None
        try:
            start = asyncio.get_running_loop().start_tls
            secured = await start(transport, self._peer, self._tls, server_side=True)
        except OSError:  # its own fault, which is counted where it is found, or it was ended
            transport.abort()
        finally:
            self._held.lost(self)
        if secured is not None:
            self._peer.connection_made(secured)

    def end(self) -> None:
        """See connections.Peer."""
        if self._transport is not None:
            self._transport.abort()

    def has_begun(self) -> bool:
        """See connections.Peer. It waits for no other request."""
        return True


class _Peer(RequestHandler):
    """A connection of a client."""

    __slots__ = ("_held",)

    def __init__(self, manager: _Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._held = manager.held

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._held.opened(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. The time limit of a head starts at its first byte."""
        super().data_received(data)
        if self._waiter is not None and not self._waiter.done():  # the head is not complete yet
            self._held.head_begun(self)

    def end(self) -> None:
        """See connections.Peer."""
        if self.transport is not None:
            self.transport.abort()

    def has_begun(self) -> bool:
        """See connections.Peer.

        Only the parser knows, and it does not tell. So it gets empty lines: between two requests it skips them
        (RFC 9112, 2.2), and within a head they end it or are a fault.
        """
        if self._waiter is None or self._parser is None:  # it reads the rest of a body, or has gone
            return False
        try:
            messages, _, _ = self._parser.feed_data(b"\r\n\r\n")
        except faults.HttpProcessingError:
            return True
        return bool(messages)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, or a 503 if there is no room for another large answer that its client may not read."""
        size = len(resp.body) if isinstance(resp, web.Response) and isinstance(resp.body, bytes) else 0
        key_id = request.get(ASKED_BY, 0) if size > LARGE else 0
        if size > LARGE and not self._held.try_take_room(key_id, size):
            size, refused = 0, "too many answers for this key, or for all, are not read yet; read them first"
            resp = error_response(unavailable(refused))
        self._held.answering(self)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._held.answered(self)
            if size > LARGE:
                self._held.give_room(key_id, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol. If the request only reads, this cancels its work."""
        self._held.lost(self)
        request, task = self._current_request, self._task_handler
        super().connection_lost(exc)
        if task is not None and request is not None and request.get(ENDS_WITH_CLIENT):
            task.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that is not valid HTTP, and close the connection. The log does not quote the request."""
        request_id = RequestIds().begin(None)
        if status == HTTPStatus.BAD_REQUEST:
            self._count_unreadable(_reason(exc), type(exc).__name__, request)
            error = ApiError(400, "VALIDATION_ERROR", _message(exc))
        else:
            super().handle_error(request, status, exc, message)
            error = ApiError(500, "INTERNAL_ERROR", "the service failed; its log says why")
        response = error_response(error)
        response.headers.update({HEADER: request_id, "Server": SERVER})
        response.force_close()
        return response

    def _count_unreadable(self, reason: str, cause: str, request: web.BaseRequest) -> None:
        """Count and log a request that reaches no handler."""
        cast(_Server, self._manager).unreadable[reason] += 1
        _log.info("request_is_no_http", reason=reason, cause=cause, peer=request.remote)


def _reason(error: BaseException | None) -> str:
    if isinstance(error, faults.BadHttpMethod) and error.message.startswith(_HELLO):
        return TLS
    return next((kind for fault, kind in KINDS if isinstance(error, fault)), "message")


def _message(error: BaseException | None) -> str:
    if isinstance(error, faults.LineTooLong):
        return (
            f"the request line may have {MAX_LINE} bytes and each header {MAX_HEADER}, and this one is longer; "
            "ask for fewer names at once"
        )
    if _reason(error) == TLS:
        return "this port speaks plain HTTP and not TLS; use http://, or set METRICS_TLS_CERT and METRICS_TLS_KEY"
    what = type(error).__name__ if error is not None else "BadHttpMessage"
    return f"this is not a valid HTTP request ({what})"

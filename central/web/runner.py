"""Runs the application. What is no HTTP is answered in our own shape: aiohttp's answer quotes it, and with it a key."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from central.errors import ApiError, invalid
from central.request_id import HEADER, RequestIds
from central.web.service import SERVER, error_response
from protocol.batch import Fault

MAX_LINE: Final = 32_768
"""Bytes of the request line."""
MAX_HEADER: Final = 16_384
"""Bytes of one header."""


class Runner(web.AppRunner):
    """An AppRunner whose connections are of our kind."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Peer(self, loop=self._loop, **self._kwargs)


class _Peer(RequestHandler):
    """A connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer and close. The logger's record is one line without what was sent (central.log)."""
        request_id = RequestIds().begin(None)
        super().handle_error(request, status, exc, message)
        if status == HTTPStatus.BAD_REQUEST:
            error = ApiError(400, "VALIDATION_ERROR", _told(exc))
        else:
            error = ApiError(500, "INTERNAL_ERROR", "something broke here; it is logged")
        response = error_response(error)
        response.headers.update({HEADER: request_id, "Server": SERVER})
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; aiohttp's own to an Expect, which comes before any handler, in our shape."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = error_response(
                invalid(Fault("VALIDATION_ERROR", "Expect", "Expect must be 100-continue, or left out"))
            )
            resp.headers[HEADER] = RequestIds().begin(request.headers.get(HEADER))
        return await super().finish_response(request, resp, start_time)


def _told(error: BaseException | None) -> str:
    if isinstance(error, LineTooLong):
        return (
            f"the request line may have {MAX_LINE} bytes and each header {MAX_HEADER}; this is longer: "
            "ask for fewer names at once"
        )
    what = type(error).__name__ if error is not None else "BadHttpMessage"
    return f"this is no HTTP request that can be read ({what})"

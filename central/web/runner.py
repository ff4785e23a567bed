"""Runs the application. What is no HTTP is answered in our own shape: aiohttp's answer quotes it, and with it a key."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from central.errors import ApiError
from central.request_id import HEADER, RequestIds
from central.web.service import error_response


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
            what = type(exc).__name__ if exc is not None else "BadHttpMessage"
            error = ApiError(400, "VALIDATION_ERROR", f"this is no HTTP request that can be read ({what})")
        else:
            error = ApiError(500, "INTERNAL_ERROR", "something broke here; it is logged")
        response = error_response(error)
        response.headers[HEADER] = request_id
        response.force_close()
        return response

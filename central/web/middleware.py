"""The middleware around every request: errors as JSON, counts, slow requests in the log, CORS headers."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.hdrs import CACHE_CONTROL, DATE
from aiohttp.hdrs import SERVER as SERVER_HEADER
from multidict import istr

from central.errors import ApiError
from central.ingest.answers import refused
from central.request_id import HEADER, RequestIds
from central.web.counts import RequestCounts
from central.web.open_requests import OpenRequests
from protocol.limits import ACCEPTS_HEADER, HISTOGRAMS, TAGS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SLOW_SECONDS: Final = 0.5
"""A request that takes longer is logged. The PRD promises this time for reads."""
ABOUT: Final[web.RequestKey[Callable[[], dict[str, Any]]]] = web.RequestKey("about")
"""A handler sets this function, which returns fields for the log line about a slow or failed request."""
ENDS_WITH_CLIENT: Final[web.RequestKey[bool]] = web.RequestKey("ends_with_client")
"""Set for a request that only reads. Its work is cancelled when the client goes away."""
ASKED_BY: Final[web.RequestKey[int]] = web.RequestKey("asked_by")
"""The id of the key that the request was sent with."""
JSON: Final = "application/json; charset=utf-8"
SERVER: Final = "fiesta-central"
"""The Server header. It does not reveal the versions of our libraries."""
_SNIFF: Final = istr("X-Content-Type-Options")
_ACCEPTS: Final = istr(ACCEPTS_HEADER)
_ACCEPTED: Final = f"{HISTOGRAMS}, {TAGS}"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MiddlewareOptions:
    """The origins whose pages may read answers, and after how many seconds a request is slow."""

    cors_origins: tuple[str, ...] = ()
    slow_seconds: float = SLOW_SECONDS


def error_response(error: ApiError) -> web.Response:
    """An error as a response."""
    answer = refused(error)
    return web.Response(status=answer.status, body=answer.body, headers={**answer.headers, "Content-Type": JSON})


def middleware(settings: MiddlewareOptions, counts: RequestCounts, open_requests: OpenRequests) -> Any:
    """The middleware: it turns errors into JSON answers, counts requests, and adds CORS headers for listed origins."""

    request_ids = RequestIds()

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = request_ids.begin(request.headers.get(HEADER))
        try:
            with open_requests:
                response = await handler(request)
        except ApiError as error:
            response = error_response(error)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            response = _no_such_route(settings.cors_origins, request, error)
            error.__traceback__ = (
                None  # the request keeps this error, which would keep the request: see Auth on circles
            )
        except ConnectionError:  # the client went away in the middle of its own request
            raise
        except Exception:
            _log.exception("request_crashed", method=request.method, path=request.path)
            response = error_response(ApiError(500, "INTERNAL_ERROR", "the service failed; its log says why"))
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "none"
        seconds = time.perf_counter() - started
        counts.requests[route, response.status] += 1
        counts.seconds[route].observe(seconds)
        if seconds >= settings.slow_seconds or response.status >= 500:
            _log_request(request, route, response, seconds)
        if open_requests.closing:
            response.force_close()
        if not response.prepared:
            response.headers[HEADER] = request_id
        if settings.cors_origins and not response.prepared:
            _allow_origin(settings.cors_origins, request, response)
        return response

    return handle


def _log_request(request: web.Request, route: str, response: web.StreamResponse, seconds: float) -> None:
    """Log a request that was slow or that failed. A 503 of /ready is not a failed request."""
    fields = {"method": request.method, "route": route, "status": response.status, "seconds": round(seconds, 4)}
    if (about := request.get(ABOUT)) is not None:
        fields |= about()
    if response.status >= 500 and route.startswith("/api/"):
        body = response.body if isinstance(response, web.Response) else None
        _log.error("request_failed", **fields, answer=body.decode()[:300] if isinstance(body, bytes) else None)
    elif response.status < 500:
        _log.warning("slow_request" if about is None else "slow_query", **fields)


def careful(doubtful: Callable[[], bool]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Add headers to every answer: browsers must not guess its type, nor cache it unless the answer allows that.

    While the clock is ``doubtful``, no answer has a Date. Otherwise agents would follow a wrong time.
    """

    async def handle(_: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.setdefault(_SNIFF, "nosniff")
        headers.setdefault(CACHE_CONTROL, "no-store")
        headers[SERVER_HEADER] = SERVER
        headers[_ACCEPTS] = _ACCEPTED
        if doubtful():
            headers.pop(DATE, None)

    return handle


def _no_such_route(
    cors_origins: tuple[str, ...], request: web.Request, error: web.HTTPNotFound | web.HTTPMethodNotAllowed
) -> web.StreamResponse:
    """The answer for an unknown path or method: 404, 405, or 204 for a CORS preflight of a listed origin."""
    if isinstance(error, web.HTTPNotFound):
        return error_response(ApiError(404, "NOT_FOUND", "there is nothing at this path; /docs lists all paths"))
    if request.method == "OPTIONS" and request.headers.get("Origin") in cors_origins:
        return web.Response(status=204)
    allowed = ", ".join(sorted(error.allowed_methods))
    message = f"this path does not accept {request.method[:20]}; it accepts {allowed}"
    return error_response(ApiError(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": allowed}))


def _allow_origin(cors_origins: tuple[str, ...], request: web.Request, response: web.StreamResponse) -> None:
    # Set this for every origin. Otherwise a cache could give one origin the answer for another.
    response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), "Origin")))
    origin = request.headers.get("Origin")
    if origin not in cors_origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, PATCH, DELETE"
    response.headers["Access-Control-Allow-Headers"] = (
        "X-API-Key, Idempotency-Key, Metrics-Statsd-Types, X-Request-Id, Content-Type, Content-Encoding"
    )
    response.headers["Access-Control-Expose-Headers"] = (
        "Idempotency-Replayed, Metrics-Accepts, Metrics-Clock-Skew, Metrics-Complete, Metrics-Renamed, "
        "Metrics-Unknown, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id"
    )
    response.headers["Access-Control-Max-Age"] = "600"

"""What every request passes: errors as JSON, CORS, the key, its scope and its limit."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from central.access.auth import Auth, Key
from central.access.limit import Decision, Limiter
from central.errors import ApiError
from central.histogram import SECONDS, Histogram
from central.ingest.answers import Answer, refused
from central.ingest.names import Names
from central.redis_services import RedisServices
from central.request_id import HEADER, RequestIds
from central.retention import Retention
from central.store.base import Store
from central.write.group_commit import GroupCommit

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Endpoint = Callable[[web.Request, Key], Awaitable[Answer]]
BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive."""
SLOW_SECONDS: Final = 0.5
"""A request that takes longer is told of in the log: the PRD's promise for reads."""
ABOUT: Final[web.RequestKey[Callable[[], dict[str, Any]]]] = web.RequestKey("about")
"""What a handler has to say about its request, should the log want it."""
JSON: Final = "application/json; charset=utf-8"
SERVER: Final = "fiesta-central"
"""Instead of the versions of what it is made from."""
_log = structlog.get_logger(__name__)


class OpenRequests:
    """The requests being answered. A stop lets them end first: aiohttp reads no more of a body once it is told to."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.closing = False

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def end(self, seconds: float) -> None:
        """Wait until none is open, at most ``seconds``. From now on each answer closes its connection."""
        self.closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()


@dataclass(frozen=True)
class Service:
    """What the handlers work with. Made by central.app, which owns it all."""

    store: Store
    auth: Auth
    limiter: Limiter
    names: Names
    commits: GroupCommit
    retention: Retention
    data_dir: Path
    skew: float
    rate_limit_default: int
    redis: RedisServices
    cors_origins: tuple[str, ...] = ()
    clock: Callable[[], float] = time.time
    body_seconds: float = BODY_SECONDS
    slow_seconds: float = SLOW_SECONDS
    request_ids: RequestIds = field(default_factory=RequestIds)
    open_requests: OpenRequests = field(default_factory=OpenRequests)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answers by route and status; the ``items`` rejected in batches by code are in ``rejected``."""
    rejected: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    """What was no HTTP at all, by why; TLS handshakes that failed are in ``handshakes``."""
    handshakes: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(lambda: Histogram(SECONDS)))
    """From the request's head to its answer, by route."""


def gated(service: Service, scope: str, endpoint: Endpoint) -> Handler:
    """``endpoint`` behind key, limit and scope; its answer as a response. Every request with a good key counts."""
    auth, limiter, clock = service.auth, service.limiter, service.clock

    async def handle(request: web.Request) -> web.StreamResponse:
        key = await auth.authenticate(request.headers.get("X-API-Key"))
        decision = await limiter.hit(key.id, key.rate_limit, clock())
        try:
            _check(key, scope, decision)
            answer = await endpoint(request, key)
        except ApiError as error:
            answer = refused(error)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Content-Type": JSON, **decision.headers(), **answer.headers},
        )

    return handle


def _check(key: Key, scope: str, decision: Decision) -> None:
    """Raises ApiError: 429 beyond the limit, 403 without the scope."""
    if not decision.allowed:
        message = f"this key may send {decision.limit} requests a minute; try again in {decision.reset} s"
        raise ApiError(429, "RATE_LIMITED", message)
    if scope not in key.scopes:
        message = f"this key lacks the scope {scope!r}; it has {', '.join(sorted(key.scopes))}"
        raise ApiError(403, "FORBIDDEN", message)


def error_response(error: ApiError) -> web.Response:
    """An error as a response."""
    answer = refused(error)
    return web.Response(status=answer.status, body=answer.body, headers={**answer.headers, "Content-Type": JSON})


def middleware(service: Service) -> Any:
    """Errors become JSON answers, requests are counted, listed origins get their CORS headers."""

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = service.request_ids.begin(request.headers.get(HEADER))
        try:
            with service.open_requests:
                response = await handler(request)
        except ApiError as error:
            response = error_response(error)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            response = _no_such_route(service, request, error)
        except ConnectionError:  # the client went away in the middle of its own request
            raise
        except Exception:
            _log.exception("request_crashed", method=request.method, path=request.path)
            response = error_response(ApiError(500, "INTERNAL_ERROR", "something broke here; it is logged"))
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "none"
        seconds = time.perf_counter() - started
        service.requests[route, response.status] += 1
        service.seconds[route].observe(seconds)
        if seconds >= service.slow_seconds or response.status >= 500:
            _tell(request, route, response, seconds)
        if service.open_requests.closing:
            response.force_close()
        if not response.prepared:
            response.headers[HEADER] = request_id
        if service.cors_origins and not response.prepared:
            _allow_origin(service, request, response)
        return response

    return handle


def _tell(request: web.Request, route: str, response: web.StreamResponse, seconds: float) -> None:
    """One line on a request that was slow or that we failed; a probe of /ready has failed nobody."""
    facts = {"method": request.method, "route": route, "status": response.status, "seconds": round(seconds, 4)}
    if (about := request.get(ABOUT)) is not None:
        facts |= about()
    if response.status >= 500 and route.startswith("/api/"):
        body = response.body if isinstance(response, web.Response) else None
        _log.error("request_failed", **facts, answer=body.decode()[:300] if isinstance(body, bytes) else None)
    elif response.status < 500:
        _log.warning("slow_request" if about is None else "slow_query", **facts)


async def careful(_: web.Request, response: web.StreamResponse) -> None:
    """Just before any answer goes: no browser guesses its type, and none keeps it unless it says otherwise itself."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = SERVER


def _no_such_route(
    service: Service, request: web.Request, error: web.HTTPNotFound | web.HTTPMethodNotAllowed
) -> web.StreamResponse:
    """404 and 405 in our shape; a preflight of a listed origin passes."""
    if isinstance(error, web.HTTPNotFound):
        return error_response(ApiError(404, "NOT_FOUND", "there is nothing at this path; /docs lists all paths"))
    if request.method == "OPTIONS" and request.headers.get("Origin") in service.cors_origins:
        return web.Response(status=204)
    allowed = ", ".join(sorted(error.allowed_methods))
    message = f"{request.method[:20]} is not for this path; it takes {allowed}"
    return error_response(ApiError(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": allowed}))


def _allow_origin(service: Service, request: web.Request, response: web.StreamResponse) -> None:
    # For every origin, or a cache gives one the answer of another.
    response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), "Origin")))
    origin = request.headers.get("Origin")
    if origin not in service.cors_origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
    response.headers["Access-Control-Allow-Headers"] = (
        "X-API-Key, Idempotency-Key, X-Request-Id, Content-Type, Content-Encoding"
    )
    response.headers["Access-Control-Expose-Headers"] = (
        "Idempotency-Replayed, Metrics-Complete, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
        "X-Request-Id"
    )
    response.headers["Access-Control-Max-Age"] = "600"

"""The check before an endpoint: the key, its scope and its rate limit."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import BasicAuth, web
from aiohttp.hdrs import AUTHORIZATION, CONTENT_TYPE
from multidict import istr

from central.access.auth import Auth, Key
from central.access.limit import Decision, Limiter
from central.access.prefixes import check_endpoint
from central.access.refusals import Refusals
from central.access.uses import KeyUses
from central.errors import ApiError, unauthorized
from central.ingest.answers import Answer, refused
from central.web.compression import LARGE, compressed
from central.web.middleware import ASKED_BY, JSON, Handler
from protocol.times import format_time

_KEY: Final = istr("X-API-Key")
Endpoint = Callable[[web.Request, Key], Awaitable[Answer]]


class Gate:
    """Lets requests through to an endpoint. Every request with a valid key counts against the key's limit."""

    def __init__(
        self, auth: Auth, limiter: Limiter, uses: KeyUses, refusals: Refusals, clock: Callable[[], float]
    ) -> None:
        self._auth = auth
        self._uses = uses
        self._limiter = limiter
        self._refusals = refusals
        self._clock = clock

    def __call__(self, scope: str, endpoint: Endpoint, *, basic: bool = False) -> Handler:
        """The handler that checks a request and then calls ``endpoint``.

        With ``basic``, the key may also come as the password of basic authentication, with any user name.
        """
        auth, limiter, uses, clock = self._auth, self._limiter, self._uses, self._clock
        refusals = self._refusals

        async def handle(request: web.Request) -> web.StreamResponse:
            now = clock()
            try:
                text = _one_key(request) or (_password(request) if basic else None)
                key = auth.known(text) or await auth.authenticate(text, request.remote)
                _check_expiry(key, now)
            except ApiError:
                await refusals.wait()
                raise
            request[ASKED_BY] = key.id
            uses.note(key.id, now)
            decision = await limiter.hit(key.id, key.rate_limit, now)
            if not decision.allowed:
                await refusals.wait()
            try:
                _check(key, scope, decision)
                if key.prefixes:
                    check_endpoint(key.prefixes, request.method, _path(request))
                answer = await endpoint(request, key)
            except ApiError as error:
                answer = refused(error)
            if len(answer.body) >= LARGE:
                answer = await compressed(answer, ",".join(request.headers.getall("Accept-Encoding", ())))
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers={CONTENT_TYPE: JSON, **decision.headers(), **answer.headers},
            )

        return handle


def _path(request: web.Request) -> str:
    """The path as the table of routes has it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _one_key(request: web.Request) -> str | None:
    """The X-API-Key header. Raises ApiError if there are two: a proxy might check one, and we the other."""
    given = request.headers.getall(_KEY, None)
    if given is None:
        return None
    if len(given) > 1:
        raise unauthorized("the request has more than one X-API-Key header; send one")
    return given[0]


def _password(request: web.Request) -> str | None:
    """The password of basic authentication. Raises ApiError if the header is none of it, or if there are two."""
    given = request.headers.getall(AUTHORIZATION, [])
    if not given:
        return None
    try:
        (header,) = given
        password: str = BasicAuth.decode(header).password
    except ValueError:
        message = "send one Authorization header with basic authentication, whose password is your API key"
        raise unauthorized(message) from None
    return password


def _check_expiry(key: Key, now: float) -> None:
    """Raises ApiError 401 for a key that has expired."""
    if key.expires_at is not None and key.expires_at <= now:
        raise unauthorized(f"this API key expired at {format_time(key.expires_at)}; ask an operator for a new one")


def _check(key: Key, scope: str, decision: Decision) -> None:
    """Raise ApiError 429 over the limit, or 403 if the key lacks the scope."""
    if not decision.allowed:
        message = f"this key may send {decision.limit} requests per minute; try again in {decision.reset} s"
        raise ApiError(429, "RATE_LIMITED", message)
    if scope not in key.scopes:
        message = f"this key lacks the scope {scope!r}; it has {', '.join(sorted(key.scopes))}"
        raise ApiError(403, "FORBIDDEN", message)

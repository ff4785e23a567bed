"""POST /api/metrics/counter, /value and /batch."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from multidict import istr

from central.access.auth import Key
from central.errors import invalid, unavailable
from central.ingest.answers import SINGLE_ANSWERS, Answer
from central.ingest.body import decode_json, expand, too_large
from central.ingest.submission import RequestKey, Submission, batch_of, request_key, single
from central.web.service import Service
from protocol.item import Fault, Kind
from protocol.limits import MAX_BODY_BYTES

_TIME_CODES: Final = frozenset({"TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE"})
_LARGE: Final = 65_536
_KEY: Final = istr("Idempotency-Key")


async def read_body(service: Service, request: web.Request) -> bytes:
    """The body, expanded, within both bounds. Raises ApiError, also when it takes too long to come."""
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise too_large()
    try:
        # The application's client_max_size is MAX_BODY_BYTES. A body that is here already needs no timer.
        if request.content.is_eof():
            body = await request.read()
        else:
            async with asyncio.timeout(service.body_seconds):
                body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large() from None
    except TimeoutError:
        raise unavailable(f"the body did not arrive within {service.body_seconds:g} s; send it again") from None
    encoding = ", ".join(request.headers.getall("Content-Encoding", ()))
    if not encoding:
        return body
    if len(body) < _LARGE:
        return expand(body, encoding)
    return await asyncio.get_running_loop().run_in_executor(None, expand, body, encoding)


def single_endpoint(service: Service, kind: Kind) -> Callable[[web.Request, Key], Any]:
    """The handler of one counter or value."""
    path = f"/api/metrics/{kind}"
    plain = SINGLE_ANSWERS[kind]

    async def handle(request: web.Request, key: Key) -> Answer:
        body = await read_body(service, request)
        wanted = _request_key(request, key, path, body)
        try:
            submission = single(decode_json(body), kind, key.id, service.clock(), service.skew)
        except Fault as fault:
            # A retry of what was stored long ago is too old by now, and is answered all the same.
            if wanted is not None and fault.code in _TIME_CODES:
                answer = await service.commits.replay(wanted, lambda: plain)
                if answer is not None:
                    return answer
            service.rejected[fault.code] += 1
            raise invalid(fault) from None
        submission.request = wanted
        return await _submit(service, submission)

    return handle


def batch_endpoint(service: Service) -> Callable[[web.Request, Key], Any]:
    """The handler of a batch. Its ids are looked up with its group, so its times need no look-up before."""

    async def handle(request: web.Request, key: Key) -> Answer:
        body = await read_body(service, request)
        wanted = _request_key(request, key, "/api/metrics/batch", body)
        submission = batch_of(body, key.id, service.clock(), service.skew)
        submission.request = wanted
        return await _submit(service, submission)

    return handle


def _request_key(request: web.Request, key: Key, path: str, body: bytes) -> RequestKey | None:
    """The ids of a request. Raises ApiError also for two keys: which of them its retry has nobody can know."""
    given = request.headers.getall(_KEY, None)
    if given is None:
        return None
    if len(given) > 1:
        raise invalid(Fault("VALIDATION_ERROR", _KEY, "Idempotency-Key was given more than once; send one"))
    return request_key(key.id, given[0], path, body)


async def _submit(service: Service, submission: Submission) -> Answer:
    answer = await service.commits.submit(submission)
    if submission.rejected and "Idempotency-Replayed" not in answer.headers:
        for entry in submission.rejected:
            service.rejected[entry.fault.code] += 1
    return answer

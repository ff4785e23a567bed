"""POST /api/metrics/counter, /value and /batch."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from multidict import istr

from central.access.auth import Key
from central.errors import invalid
from central.ingest.answers import SINGLE_ANSWERS, Answer
from central.ingest.body import decode_json
from central.ingest.submission import RequestKey, Submission, batch_of, request_key, single
from central.web.bodies import ReadBody
from central.web.gate import Endpoint
from central.write.group_commit import GroupCommit
from protocol.item import Fault, Kind

_TIME_CODES: Final = frozenset({"TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE"})
_KEY: Final = istr("Idempotency-Key")


@dataclass(frozen=True, slots=True)
class IngestEndpoints:
    """``clock`` is UTC seconds, ``skew`` the seconds that a time may lie in the future. ``rejected`` counts by code."""

    commits: GroupCommit
    read_body: ReadBody
    clock: Callable[[], float]
    skew: float
    rejected: Counter[str]

    def single(self, kind: Kind) -> Endpoint:
        """The handler of one counter or value."""
        path = f"/api/metrics/{kind}"
        plain = SINGLE_ANSWERS[kind]

        async def handle(request: web.Request, key: Key) -> Answer:
            body = await self.read_body(request)
            wanted = _request_key(request, key, path, body)
            try:
                submission = single(decode_json(body), kind, key.id, self.clock(), self.skew)
            except Fault as fault:
                # A retry of what was stored long ago is too old by now, and is answered all the same.
                if wanted is not None and fault.code in _TIME_CODES:
                    answer = await self.commits.replay(wanted, lambda: plain)
                    if answer is not None:
                        return answer
                self.rejected[fault.code] += 1
                raise invalid(fault) from None
            submission.request = wanted
            return await self._submit(submission)

        return handle

    async def batch(self, request: web.Request, key: Key) -> Answer:
        """The handler of a batch. Its ids are looked up with its group, so its times need no look-up before."""
        body = await self.read_body(request)
        wanted = _request_key(request, key, "/api/metrics/batch", body)
        submission = batch_of(body, key.id, self.clock(), self.skew)
        submission.request = wanted
        return await self._submit(submission)

    async def _submit(self, submission: Submission) -> Answer:
        answer = await self.commits.submit(submission)
        if submission.rejected and "Idempotency-Replayed" not in answer.headers:
            for entry in submission.rejected:
                self.rejected[entry.fault.code] += 1
        return answer


def _request_key(request: web.Request, key: Key, path: str, body: bytes) -> RequestKey | None:
    """The ids of a request. Raises ApiError also for two keys: which of them its retry has nobody can know."""
    given = request.headers.getall(_KEY, None)
    if given is None:
        return None
    if len(given) > 1:
        raise invalid(Fault("VALIDATION_ERROR", _KEY, "Idempotency-Key was given more than once; send one"))
    return request_key(key.id, given[0], path, body)

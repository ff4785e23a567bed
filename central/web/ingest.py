"""POST /api/metrics/counter, /value and /batch."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web
from multidict import istr

from central.access.auth import Key
from central.access.prefixes import NOT_ALLOWED, Prefixes, check_names, covers, foreign_name
from central.errors import CLOCK_IN_DOUBT, invalid, unavailable
from central.fleet.agents import Agents
from central.ingest.answers import SINGLE_ANSWERS, Answer
from central.ingest.submission import RequestKey, Submission, batch_of, everyday_batch, request_key, single
from central.web.bodies import Bodies
from central.web.gate import Endpoint
from central.write.group_commit import GroupCommit
from protocol.item import Fault, Kind
from protocol.limits import SKEW_HEADER
from protocol.report import REPORT_HEADER
from protocol.statsd_types import TYPES_HEADER

_TIME_CODES: Final = frozenset({"TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE"})
_KEY: Final = istr("Idempotency-Key")
_TYPES: Final = istr(TYPES_HEADER)
_REPORT: Final = istr(REPORT_HEADER)


@dataclass(frozen=True, slots=True)
class IngestEndpoints:
    """The endpoints that receive metrics.

    ``clock`` is UTC seconds. ``skew`` is how many seconds a time may lie in the future. ``rejected`` counts items by
    error code. While the clock is ``doubtful`` each request is refused with 503.
    """

    commits: GroupCommit
    bodies: Bodies
    clock: Callable[[], float]
    skew: int
    rejected: Counter[str]
    doubtful: Callable[[], bool]
    agents: Agents

    def single(self, kind: Kind) -> Endpoint:
        """The handler of one counter or value."""
        path = f"/api/metrics/{kind}"
        plain = SINGLE_ANSWERS[kind]

        def made_of(request: web.Request, key: Key, body: bytes) -> tuple[RequestKey | None, Submission | Fault]:
            idempotency = _request_key(request, key, path, body)
            try:
                return idempotency, single(body, kind, key.id, self._now(), self.skew)
            except Fault as fault:
                return idempotency, fault

        async def handle(request: web.Request, key: Key) -> Answer:
            idempotency, made = await self.bodies.decode(request, key.id, partial(made_of, request, key))
            if isinstance(made, Fault):
                # The request may be a retry: stored in time then, too old now. It gets the answer of the first try.
                if idempotency is not None and made.code in _TIME_CODES:
                    answer = await self.commits.replay(idempotency, lambda: plain)
                    if answer is not None:
                        return self._with_skew(answer)
                self.rejected[made.code] += 1
                raise invalid(made) from None
            if key.prefixes and not covers(key.prefixes, name := made.items[0].name):
                self.rejected[NOT_ALLOWED] += 1
                check_names(key.prefixes, [name])
            made.request = idempotency
            return await self._submit(made)

        return handle

    async def batch(self, request: web.Request, key: Key) -> Answer:
        """The handler of a batch. Unlike ``single``, it needs no look-up for old times: the group looks up its ids."""
        path = "/api/metrics/batch"
        types = request.headers.getall(_TYPES, None)
        reports = request.headers.getall(_REPORT, None)
        reported = None if reports is None else self.agents.take_report(reports, key.id)

        def complete(made: Submission, idempotency: RequestKey | None) -> Submission:
            made.request = idempotency
            if key.prefixes:
                _keep_to(key.prefixes, made)
            if types is not None:
                made.say_types(",".join(types))
            return made

        def work(body: bytes) -> Submission:
            idempotency = _request_key(request, key, path, body)
            return complete(batch_of(body, key.id, self._now(), self.skew), idempotency)

        def quick(body: bytes) -> Submission | None:
            made = everyday_batch(body, key.id, self._now(), self.skew)
            return None if made is None else complete(made, _request_key(request, key, path, body))

        answer = await self._submit(await self.bodies.decode(request, key.id, work, quick))
        return answer if reported is None else reported.answered(request.headers.get(_KEY, ""), answer)

    async def _submit(self, submission: Submission) -> Answer:
        answer = await self.commits.submit(submission)
        if submission.rejected and "Idempotency-Replayed" not in answer.headers:
            for entry in submission.rejected:
                self.rejected[entry.fault.code] += 1
        return self._with_skew(answer)

    def _now(self) -> float:
        """UTC seconds. Raises ApiError while the clock is in doubt: items could be stored under a wrong time."""
        now = self.clock()
        if self.doubtful():
            raise unavailable(CLOCK_IN_DOUBT)
        return now

    def _with_skew(self, answer: Answer) -> Answer:
        """The answer with the clock skew header. An agent needs it to hold back points that are still in the future."""
        return Answer(answer.status, answer.body, {**answer.headers, SKEW_HEADER: str(self.skew)})


def _keep_to(prefixes: Prefixes, made: Submission) -> None:
    """Reject the items whose names the key does not cover. A longer name for a clash begins with the item's own."""
    foreign = {at: item.name for at, item in enumerate(made.items) if not covers(prefixes, item.name)}
    made.reject({at: foreign_name(prefixes, name) for at, name in foreign.items()})


def _request_key(request: web.Request, key: Key, path: str, body: bytes) -> RequestKey | None:
    """The ids of a request with an Idempotency-Key; else None. Raises ApiError if the header is bad or given twice."""
    given = request.headers.getall(_KEY, None)
    if given is None:
        return None
    if len(given) > 1:
        raise invalid(Fault("VALIDATION_ERROR", _KEY, "the request has more than one Idempotency-Key header; send one"))
    return request_key(key.id, given[0], path, body)

"""Requests that wait for their group: who waits for each, and how a repeated request is answered."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from central.errors import ApiError
from central.ingest.answers import Answer, recorded, refused
from central.ingest.submission import RequestKey, Submission
from central.store.base import Remembered


@dataclass(slots=True, eq=False)
class Waiting:
    """A submission that waits. The first waiter sent it; the others sent the same Idempotency-Key later."""

    submission: Submission
    waiters: list[asyncio.Future[Answer]]
    answered: bool = False

    def finish(self, answer: Answer) -> int:
        """Give every waiter the answer. Returns how many got it as a replay."""
        self.answered = True
        first = self.waiters[0]
        if not first.done():
            first.set_result(answer)
        others = self.waiters[1:]
        if not others:
            return 0
        if answer.status == 201:
            answer = recorded(answer.body, replayed=True)
        for waiter in others:
            if not waiter.done():
                waiter.set_result(answer)
        return len(others) if answer.status == 201 else 0

    def known_answer(self, known: Mapping[bytes, Remembered]) -> Answer | None:
        """The answer if the request is among the known ones; else None."""
        request = self.submission.request
        found = None if request is None else next((known[given] for given in request.ids if given in known), None)
        if request is None or found is None:
            return None
        try:
            return replayed(request, found, self.submission.plain_body)
        except ApiError as error:
            return refused(error)


def replayed(request: RequestKey, found: Remembered, plain_body: Callable[[], bytes]) -> Answer:
    """The first answer again. Raises ApiError if the key came with another body before."""
    if found.fingerprint != request.fingerprint:
        raise reused()
    return recorded(plain_body() if found.answer is None else found.answer, replayed=True)


def reused() -> ApiError:
    """400: the same Idempotency-Key for two different requests."""
    return ApiError(
        400,
        "IDEMPOTENCY_KEY_REUSED",
        "this Idempotency-Key came before with another path or body; make a new key for each new request",
        details={"field": "Idempotency-Key"},
    )

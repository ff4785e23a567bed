"""The answers of the ingest endpoints as bytes. Plain functions make them, so a replay gets the same bytes."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from central.errors import ApiError, invalid
from protocol.item import Fault
from protocol.statsd_types import RENAMED_HEADER, shown

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
REPLAYED: Final = "Idempotency-Replayed"
SINGLE_ANSWERS: Final = {
    "counter": b'{"success":true,"message":"Counter metric recorded"}',
    "value": b'{"success":true,"message":"Value metric recorded"}',
}
_ACCEPTED: Final = b'{"success":true,"accepted":'


class Answer(NamedTuple):
    """A response: its status, its JSON body, and headers in addition to the usual ones."""

    status: int
    body: bytes
    headers: dict[str, str]


class RejectedItem(NamedTuple):
    """An item of a batch that was not stored. ``text`` is its entry in the answer, as JSON.

    The text is made when the item is checked, because a long body is checked in a thread, and the answer is made on the
    event loop.
    """

    place: int
    name: str | None
    fault: Fault
    text: bytes


def rejected_item(place: int, name: str | None, fault: Fault) -> RejectedItem:
    """The item at ``place`` of its batch, counted from 0."""
    fault.__traceback__ = fault.__context__ = None  # they refer to a frame that refers to the fault: a circle
    error = {"index": place, "name": name, "code": fault.code, "message": fault.message}
    return RejectedItem(place, name, fault, _encode(error).encode())


def recorded(body: bytes, *, replayed: bool = False, renamed: Sequence[str] = ()) -> Answer:
    """201 for items that are durable. ``renamed`` lists the names of items that were stored under another name."""
    headers = {REPLAYED: "true"} if replayed else {}
    if renamed:
        headers[RENAMED_HEADER] = shown(renamed)
    return Answer(201, body, headers)


def refused(error: ApiError) -> Answer:
    """The answer for an error. UTF-8 cannot hold half of a surrogate pair, so that is written as a JSON escape."""
    body = json.dumps(error.body(), ensure_ascii=False).encode(errors="backslashreplace")
    return Answer(error.status, body, error.headers)


def refused_item(fault: Fault) -> Answer:
    """The answer to a single metric that broke a rule."""
    return refused(invalid(fault))


def batch_body(items: int, rejected: Sequence[RejectedItem]) -> bytes:
    """The body of a batch's 201: how many items were accepted, and an error for each item that was not."""
    if not rejected:
        return _ACCEPTED + b'%d,"rejected":0,"errors":[]}' % items
    head = _ACCEPTED + b'%d,"rejected":%d,"errors":[' % (items - len(rejected), len(rejected))
    return head + b",".join([entry.text for entry in rejected]) + b"]}"


def accepted_in(body: bytes) -> int:
    """How many items the body of a batch's 201 says were accepted."""
    return int(body.removeprefix(_ACCEPTED).partition(b",")[0])


def is_replay(answer: Answer) -> bool:
    """Whether the answer repeats the first one."""
    return REPLAYED in answer.headers

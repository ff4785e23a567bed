"""The format of a group in the spill. It holds names and not ids, so that any process can store it later.

JSON in one zstd frame with a checksum: ``redis-cli`` and ``zstd -d`` show it to a person. Everything was decided at
receipt: times, defaults, what was rejected. Pure.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import zstandard

from central.ingest.group import request_ids
from central.ingest.submission import RequestKey, Submission
from central.store.base import RequestId
from protocol.item import Item
from protocol.statsd import MetricType

VERSION: Final = 1
MAX_BYTES: Final = 256 << 20


class BadRecord(Exception):
    """The entry is not a group of this version. The message says what is wrong."""


class SpilledRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request's share: the API key's row, its points, and what its Idempotency-Key is remembered by."""

    key: int
    points: list[Item]
    id: bytes | None = None
    fingerprint: bytes | None = None
    answer: bytes | None = None
    """The body of the 201, where it is not the plain one."""
    sent_as: list[MetricType | None] | None = None
    """What each point was on its StatsD line; None where that is said of none, and in entries of earlier versions."""
    shared: bytes | None = None
    """The second id (submission.RequestKey); None in entries of earlier versions."""

    @property
    def remembered(self) -> list[RequestId]:
        """What the request is remembered by in the store."""
        if self.id is None or self.fingerprint is None:
            return []
        ids = (self.id, self.shared)
        return [RequestId(given, self.fingerprint, self.answer) for given in ids if given is not None]


class SpilledGroup(msgspec.Struct, frozen=True):
    """A group: its id, and the day (since the epoch) under which ids are stored."""

    id: bytes
    day: int
    requests: list[SpilledRequest]
    version: int = VERSION

    @property
    def rows(self) -> int:
        """Points in it."""
        return sum(len(request.points) for request in self.requests)


def spilled(group_id: bytes, day: int, submissions: Iterable[Submission]) -> SpilledGroup:
    """The record of a group."""
    return SpilledGroup(group_id, day, [_request(submission) for submission in submissions])


def encode(group: SpilledGroup) -> bytes:
    """The entry of a group."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(msgspec.json.encode(group))


def decode(entry: bytes) -> SpilledGroup:
    """The group of an entry. Raises BadRecord."""
    try:
        text = zstandard.ZstdDecompressor().decompress(entry, max_output_size=MAX_BYTES)
        group = msgspec.json.decode(text, type=SpilledGroup)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise BadRecord(str(error)) from error
    if group.version != VERSION:
        raise BadRecord(f"its version is {group.version}, this program reads {VERSION}")
    ids = [
        group.id,
        *(value for request in group.requests for value in (request.id, request.fingerprint, request.shared)),
    ]
    if any(value is not None and len(value) != 16 for value in ids):
        raise BadRecord("an id has not 16 bytes")
    return group


def submission_of(request: SpilledRequest) -> Submission:
    """The request as it was, for names to be settled; ``places`` lead back to its points."""
    count = len(request.points)
    submission = Submission(request.key, list(request.points), list(range(count)), count, sent_as=request.sent_as)
    if request.id is not None and request.fingerprint is not None:
        submission.request = RequestKey(request.id, request.fingerprint, request.shared)
    return submission


def _request(submission: Submission) -> SpilledRequest:
    ids = request_ids(submission)
    if not ids:
        return SpilledRequest(submission.key_id, submission.items, sent_as=submission.sent_as)
    shared = ids[1].id if len(ids) > 1 else None
    return SpilledRequest(submission.key_id, submission.items, *ids[0], submission.sent_as, shared)

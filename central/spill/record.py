"""The format of a group in the spill. It holds names and not ids, so that any process can store it later. Pure.

The format is JSON in one zstd frame with a checksum: you can read it with ``redis-cli`` and ``zstd -d``. Times,
defaults and rejected items were decided when the request arrived.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import zstandard
from msgspec import structs

from central.ingest.group import request_ids
from central.ingest.submission import RequestKey, Submission
from central.store.base import RequestId
from protocol.item import Item
from protocol.statsd import MetricType

VERSION: Final = 1
_FIRST_FIELDS: Final = Item._fields.index("histogram")
"""The number of fields that a point had in the first version of this format."""
MAX_BYTES: Final = 256 << 20


class BadRecord(Exception):
    """The entry is not a group of this version. The message says what is wrong."""


class SpilledRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request's share of a group: the API key's row, the points, and the ids of its Idempotency-Key."""

    key: int
    points: list[Item]
    id: bytes | None = None
    fingerprint: bytes | None = None
    answer: bytes | None = None
    """The body of the 201, if it is not the plain one."""
    sent_as: list[MetricType | None] | None = None
    """Each point's StatsD type; None if the request did not say any, and in entries of earlier versions."""
    shared: bytes | None = None
    """The second id (submission.RequestKey); None in entries of earlier versions."""

    @property
    def remembered(self) -> list[RequestId]:
        """The ids under which the store remembers the request."""
        if self.id is None or self.fingerprint is None:
            return []
        ids = (self.id, self.shared)
        return [RequestId(given, self.fingerprint, self.answer) for given in ids if given is not None]


class SpilledGroup(msgspec.Struct, frozen=True):
    """A group: its id, the day under which its ids are stored (days since the epoch), and its requests."""

    id: bytes
    day: int
    requests: list[SpilledRequest]
    version: int = VERSION

    @property
    def rows(self) -> int:
        """The number of points."""
        return sum(len(request.points) for request in self.requests)


def spilled(group_id: bytes, day: int, submissions: Iterable[Submission]) -> SpilledGroup:
    """The record of a group."""
    return SpilledGroup(group_id, day, [_request(submission) for submission in submissions])


def encode(group: SpilledGroup) -> bytes:
    """The entry of a group. Fields that a point does not have are left out at its end.

    So earlier versions of the service can read the points that they know.
    """
    requests = [structs.replace(request, points=list(map(_short, request.points))) for request in group.requests]
    text = msgspec.json.encode(structs.replace(group, requests=requests))
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text)


def decode(entry: bytes) -> SpilledGroup:
    """The group of an entry. Raises BadRecord."""
    try:
        text = zstandard.ZstdDecompressor().decompress(entry, max_output_size=MAX_BYTES)
        group = msgspec.json.decode(text, type=SpilledGroup)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise BadRecord(str(error)) from error
    if group.version != VERSION:
        raise BadRecord(f"its version is {group.version}; this program reads version {VERSION}")
    ids = [
        group.id,
        *(value for request in group.requests for value in (request.id, request.fingerprint, request.shared)),
    ]
    if any(value is not None and len(value) != 16 for value in ids):
        raise BadRecord("an id does not have 16 bytes")
    return group


def submission_of(request: SpilledRequest) -> Submission:
    """The request as a submission, so that its names can be resolved. Its ``places`` are indexes of its points."""
    count = len(request.points)
    submission = Submission(request.key, list(request.points), list(range(count)), count, sent_as=request.sent_as)
    if request.id is not None and request.fingerprint is not None:
        submission.request = RequestKey(request.id, request.fingerprint, request.shared)
    return submission


def _short(item: Item) -> tuple[object, ...]:
    """The fields of a point, without a histogram and tags if it has none."""
    length = len(item)
    while length > _FIRST_FIELDS and item[length - 1] is None:
        length -= 1
    return item[:length]


def _request(submission: Submission) -> SpilledRequest:
    ids = request_ids(submission)
    if not ids:
        return SpilledRequest(submission.key_id, submission.items, sent_as=submission.sent_as)
    shared = ids[1].id if len(ids) > 1 else None
    return SpilledRequest(submission.key_id, submission.items, *ids[0], submission.sent_as, shared)

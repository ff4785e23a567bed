"""From a decoded body to a submission for the group commit: validation, pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, NamedTuple

from central.compiled import CORE
from central.errors import ApiError, invalid
from central.ingest.answers import SINGLE_ANSWERS, Answer, RejectedItem, batch_body, recorded, refused_item
from central.ingest.body import decode_json
from protocol.item import Fault, Item, Kind, parse_item, parse_single
from protocol.limits import MAX_AGE_SECONDS, MAX_BATCH_ITEMS, MAX_IDEMPOTENCY_KEY

ITEM_CODES: Final = (
    *("VALIDATION_ERROR", "INVALID_NAME", "INVALID_VALUE", "INVALID_TIMESTAMP"),
    *("TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE", "METRIC_TYPE_CONFLICT", "TOO_MANY_METRICS"),
)
"""Every code that one item can be rejected with."""
_NAME_ECHO: Final = 255


class RequestKey(NamedTuple):
    """A request with an Idempotency-Key: hashes of (key row, key) and of (path, decoded body)."""

    id: bytes
    fingerprint: bytes


@dataclass(slots=True)
class Submission:
    """One request's share of a group: what to store, and how to answer once that is durable.

    ``places`` are the items' indexes in the batch; None where they are the items' own.
    """

    key_id: int
    items: list[Item]
    places: list[int] | None
    total: int
    kind: Kind | None = None
    request: RequestKey | None = None
    rejected: list[RejectedItem] = field(default_factory=list)

    def plain_body(self) -> bytes:
        """The body of the 201 when nothing was rejected."""
        return batch_body(self.total, ()) if self.kind is None else SINGLE_ANSWERS[self.kind]

    def body(self) -> bytes:
        """The body of the 201, given what was rejected."""
        return batch_body(self.total, self.rejected) if self.kind is None else self.plain_body()

    def answer(self) -> Answer:
        """What to say now that the accepted items are durable."""
        if self.kind is not None and self.rejected:
            return refused_item(self.rejected[0].fault)
        return recorded(self.body())

    def remembers(self) -> bool:
        """Whether the request will be remembered: it has a key and its answer is a 201."""
        return self.request is not None and not (self.kind is not None and self.rejected)

    def reject(self, faults: dict[int, Fault]) -> None:
        """Take out the items at these positions."""
        places: Sequence[int] = range(len(self.items)) if self.places is None else self.places
        for position, fault in faults.items():
            self.rejected.append(RejectedItem(places[position], self.items[position].name, fault))
        self.rejected.sort(key=lambda entry: entry.place)
        keep = [position for position in range(len(self.items)) if position not in faults]
        self.items = [self.items[position] for position in keep]
        self.places = [places[position] for position in keep]


def single(raw: Any, kind: Kind, key_id: int, now: float, skew: float) -> Submission:
    """A counter or a value. Raises Fault."""
    return Submission(key_id, [parse_single(raw, kind, now, skew)], None, 1, kind)


def batch(raw: Any, key_id: int, now: float, skew: float) -> Submission:
    """A batch: items that break a rule are rejected one by one. Raises ApiError when it is no batch at all."""
    if type(raw) is not dict or "metrics" not in raw:
        raise invalid(Fault("VALIDATION_ERROR", "metrics", 'the body must be a JSON object {"metrics": [...]}'))
    if len(raw) > 1:
        unknown = ", ".join(sorted(repr(name[:80]) for name in raw if name != "metrics")[:10])
        field_name = min(name for name in raw if name != "metrics")[:80]
        raise invalid(Fault("VALIDATION_ERROR", field_name, f"unknown field {unknown}; allowed is metrics"))
    metrics = raw["metrics"]
    if type(metrics) is not list or not metrics:
        raise invalid(Fault("VALIDATION_ERROR", "metrics", f"metrics must be a list of 1 to {MAX_BATCH_ITEMS} items"))
    if len(metrics) > MAX_BATCH_ITEMS:
        raise ApiError(
            400,
            "BATCH_TOO_LARGE",
            f"a batch holds at most {MAX_BATCH_ITEMS} items, this one {len(metrics)}; send it in parts",
            details={"field": "metrics"},
        )
    submission = Submission(key_id, [], [], len(metrics))
    items, places = submission.items, []
    for index, entry in enumerate(metrics):
        try:
            items.append(parse_item(entry, now, skew))
            places.append(index)
        except Fault as fault:
            name = entry.get("name") if type(entry) is dict else None
            submission.rejected.append(RejectedItem(index, name[:_NAME_ECHO] if type(name) is str else None, fault))
    submission.places = places
    return submission


def batch_of(body: bytes, key_id: int, now: float, skew: float, core: ModuleType | None = CORE) -> Submission:
    """A batch's body: by the compiled core, where there is one and nothing in it is unusual. Raises ApiError."""
    if core is not None:
        items = core.items(body, Item, now - MAX_AGE_SECONDS, now + skew, int(now), MAX_BATCH_ITEMS)
        if items is not None:
            return Submission(key_id, items, None, len(items))
    return batch(decode_json(body), key_id, now, skew)


def request_key(key_id: int, header: str | None, path: str, body: bytes) -> RequestKey | None:
    """The ids of a request with an Idempotency-Key header, None without. Raises ApiError for a bad header."""
    if header is None:
        return None
    if not (0 < len(header) <= MAX_IDEMPOTENCY_KEY and header.isascii() and header.isprintable()):
        raise ApiError(
            400,
            "VALIDATION_ERROR",
            f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters",
            details={"field": "Idempotency-Key"},
        )
    return RequestKey(
        hashlib.blake2b(b"%d\0%s" % (key_id, header.encode()), digest_size=16).digest(),
        hashlib.blake2b(path.encode() + b"\0" + body, digest_size=16).digest(),
    )

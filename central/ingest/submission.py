"""Validates a decoded body and makes a submission for the group commit. Pure."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeVar

from central.compiled import CORE
from central.errors import ApiError, invalid
from central.ingest.answers import (
    SINGLE_ANSWERS,
    Answer,
    RejectedItem,
    batch_body,
    recorded,
    refused_item,
    rejected_item,
)
from central.ingest.body import MAX_SHORT_BYTES, decode_json, decode_short
from central.ingest.spans import COUNTED, Span, find_spans
from protocol.item import Fault, Item, Kind, parse_item, parse_single
from protocol.limits import MAX_AGE_SECONDS, MAX_BATCH_ITEMS, MAX_IDEMPOTENCY_KEY
from protocol.statsd import MetricType
from protocol.statsd_types import KIND_OF, TYPES_HEADER, from_letters

_NAME_ECHO: Final = 255
T = TypeVar("T")


_RANDOM: Final = re.compile(r"[0-9a-f]{32}(?:\.[01])*|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
"""An agent's batch id, which may end with the halves of its splits; or a UUID. Two senders never choose the same one
by chance."""
_FEW_DIGITS: Final = 8
"""A key with fewer different digits is not random: 32 random digits have so few once in 100 million times."""


class RequestKey(NamedTuple):
    """The ids of a request with an Idempotency-Key.

    ``id`` is a hash of the API key's row and the Idempotency-Key, ``fingerprint`` a hash of the path and the decoded
    body. ``shared`` is a second id, only for random keys: a hash of Idempotency-Key, path and body. It is the same for
    every API key.
    """

    id: bytes
    fingerprint: bytes
    shared: bytes | None = None

    @property
    def ids(self) -> tuple[bytes, ...]:
        """The ids under which the store finds and remembers the request."""
        return (self.id,) if self.shared is None else (self.id, self.shared)


@dataclass(slots=True)
class Submission:
    """One request's share of a group: what to store, and how to answer once that is durable.

    ``places`` are the items' indexes in the batch; None if no item was left out. ``sent_as`` is each item's StatsD
    type; None if the request did not say any.
    """

    key_id: int
    items: list[Item]
    places: list[int] | None
    total: int
    kind: Kind | None = None
    request: RequestKey | None = None
    sent_as: list[MetricType | None] | None = None
    renamed: list[str] = field(default_factory=list)
    """Names under which items are stored because another StatsD type owns their own name."""
    rejected: list[RejectedItem] = field(default_factory=list)

    def plain_body(self) -> bytes:
        """The body of the 201 when nothing was rejected."""
        return batch_body(self.total, ()) if self.kind is None else SINGLE_ANSWERS[self.kind]

    def body(self) -> bytes:
        """The body of the 201, with the rejected items."""
        return batch_body(self.total, self.rejected) if self.kind is None else self.plain_body()

    def answer(self) -> Answer:
        """The answer, once the accepted items are durable."""
        if self.kind is not None and self.rejected:
            return refused_item(self.rejected[0].fault)
        return recorded(self.body(), renamed=self.renamed)

    def remembers(self) -> bool:
        """Whether the store will remember the request: it has an Idempotency-Key and its answer is a 201."""
        return self.request is not None and not (self.kind is not None and self.rejected)

    def reject(self, faults: dict[int, Fault]) -> None:
        """Move the items at these positions to ``rejected``, each with its fault."""
        if not faults:
            return
        places: Sequence[int] = range(len(self.items)) if self.places is None else self.places
        for position, fault in faults.items():
            self.rejected.append(rejected_item(places[position], self.items[position].name, fault))
        self.rejected.sort(key=lambda entry: entry.place)
        left = [position for position in range(len(self.items)) if position not in faults]
        self.items = [self.items[position] for position in left]
        self.places = [places[position] for position in left]
        if self.sent_as is not None:
            self.sent_as = [self.sent_as[position] for position in left]

    def say_types(self, header: str) -> None:
        """Set the items' StatsD types from the header. Reject each item whose counter/value type does not fit.

        Raises ApiError if the header does not fit the batch.
        """
        try:
            sent_as = from_letters(header, self.total)
        except ValueError as error:
            raise invalid(Fault("VALIDATION_ERROR", TYPES_HEADER, f"{TYPES_HEADER} {error}")) from None
        places: Sequence[int] = range(self.total) if self.places is None else self.places
        self.sent_as = [sent_as[place] for place in places]
        self.reject(
            {
                position: Fault(
                    "VALIDATION_ERROR",
                    "type",
                    f"a {statsd_type} has the type {KIND_OF[statsd_type]!r}, not {item.kind!r}",
                )
                for position, (item, statsd_type) in enumerate(zip(self.items, self.sent_as, strict=True))
                if statsd_type is not None and KIND_OF[statsd_type] != item.kind
            }
        )


def single(body: bytes, kind: Kind, key_id: int, now: float, skew: float) -> Submission:
    """The submission of the body of one counter or one value. Raises Fault and ApiError."""
    return Submission(key_id, [single_item(body, kind, now, skew)], None, 1, kind)


def single_item(body: bytes, kind: Kind, now: float, skew: float, core: ModuleType | None = CORE) -> Item:
    """The item of the body of one counter or one value, by the compiled core, or by plain Python if it is unusual.

    Raises Fault and ApiError.
    """
    item = None if core is None else core.single(body, Item, kind, now - MAX_AGE_SECONDS, now + skew, int(now))
    return parse_single(decode_short(body), kind, now, skew) if item is None else item


def batch(raw: Any, key_id: int, now: float, skew: float) -> Submission:
    """The submission of a batch. Items that break a rule are rejected. Raises ApiError if ``raw`` is not a batch."""
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
        raise _too_many(len(metrics))
    return _judged(metrics, lambda entry: entry, key_id, now, skew)


def everyday_batch(
    body: bytes, key_id: int, now: float, skew: float, core: ModuleType | None = CORE
) -> Submission | None:
    """The submission of a batch's body by the compiled core. None without a core, or if the body is unusual."""
    if core is None:
        return None
    items = core.items(body, Item, now - MAX_AGE_SECONDS, now + skew, int(now), MAX_BATCH_ITEMS)
    return None if items is None else Submission(key_id, items, None, len(items))


def batch_of(body: bytes, key_id: int, now: float, skew: float, core: ModuleType | None = CORE) -> Submission:
    """The submission of a batch's body: by the compiled core, or item by item if the body is unusual.

    Items are counted before any object is made of them. Raises ApiError.
    """
    made = everyday_batch(body, key_id, now, skew, core)
    if made is not None:
        return made
    match find_spans(body, MAX_BATCH_ITEMS, core):
        case "torn":
            raise ApiError(400, "INVALID_JSON", "the body ends before its batch does", details={"field": "body"})
        case int(count):
            raise _too_many(count)
        case "other" | []:
            return batch(decode_short(body), key_id, now, skew)
        case spans:
            return _judged(spans, partial(_decoded, body), key_id, now, skew)


def _decoded(body: bytes, span: Span) -> Any:
    """Decode an item. Raises Fault if it is too long, and ApiError if it is not JSON."""
    start, end = span
    if end - start > MAX_SHORT_BYTES:
        message = f"an item may have {MAX_SHORT_BYTES} bytes; this one has {end - start}"
        raise Fault("VALIDATION_ERROR", "metrics", message)
    return decode_json(body[start:end])


def _judged(entries: Sequence[T], decode: Callable[[T], object], key_id: int, now: float, skew: float) -> Submission:
    submission = Submission(key_id, [], [], len(entries))
    items, places = submission.items, []
    for index, entry in enumerate(entries):
        raw = None
        try:
            raw = decode(entry)
            items.append(parse_item(raw, now, skew))
            places.append(index)
        except Fault as fault:
            name = raw.get("name") if type(raw) is dict else None
            submission.rejected.append(rejected_item(index, name[:_NAME_ECHO] if type(name) is str else None, fault))
    submission.places = places
    return submission


def _too_many(count: int) -> ApiError:
    more = " or more" if count == COUNTED * MAX_BATCH_ITEMS else ""
    message = f"a batch may have at most {MAX_BATCH_ITEMS} items; this one has {count}{more}; send several batches"
    return ApiError(400, "BATCH_TOO_LARGE", message, details={"field": "metrics"})


def request_key(key_id: int, header: str | None, path: str, body: bytes) -> RequestKey | None:
    """The ids of a request with an Idempotency-Key header; None without one. Raises ApiError for a bad header."""
    if header is None:
        return None
    if not (0 < len(header) <= MAX_IDEMPOTENCY_KEY and header.isascii() and header.isprintable()):
        raise ApiError(
            400,
            "VALIDATION_ERROR",
            f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters",
            details={"field": "Idempotency-Key"},
        )
    own = hashlib.blake2b(b"%d\0%s" % (key_id, header.encode()), digest_size=16).digest()
    fingerprint = hashlib.blake2b(path.encode() + b"\0" + body, digest_size=16).digest()
    if not _RANDOM.fullmatch(header) or len(set(header.lower()) - set("-.")) < _FEW_DIGITS:
        return RequestKey(own, fingerprint)
    # The shared id is a hash that includes the whole body. So a client that retries with a new API key stores nothing
    # twice. And no client can learn of, or block, another client's request without having its body.
    shared = hashlib.blake2b(header.encode() + b"\0" + fingerprint, digest_size=16, person=b"any API key").digest()
    return RequestKey(own, fingerprint, shared)

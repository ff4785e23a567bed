"""One item on the wire between a sender and central, and the rules that it must meet.

    {"name": "api.requests", "type": "counter", "value": 12.5,
     "count": 3, "min": 1, "max": 10.25,            all three or none: a pre-aggregated summary
     "histogram": "AYCJA...",                        how the samples of a summary of a value are spread
     "tags": {"env": "prod"},                        see protocol.tags
     "recorded_at": "2026-02-15T00:00:00Z"}

Numbers inside are units of protocol.numbers. The rules are PRD 4.1 and 4.3 with DESIGN's decisions.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from protocol.histogram import bounds_of, bucket_of, decode, from_text, to_text
from protocol.limits import MAX_AGE_SECONDS
from protocol.names import NAME_RULE, is_name
from protocol.numbers import UNIT, to_units, units_to_text
from protocol.tags import check_tags, parse_tags
from protocol.times import format_time, parse_time

Kind = Literal["counter", "value"]

ITEM_CODES: Final = (
    *("VALIDATION_ERROR", "INVALID_NAME", "INVALID_VALUE", "INVALID_TIMESTAMP", "INVALID_HISTOGRAM"),
    *("INVALID_TAGS", "TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE", "METRIC_TYPE_CONFLICT", "TOO_MANY_METRICS"),
    "NAME_NOT_ALLOWED",
)
"""Every error code that central may give for one item."""
SINGLE_FIELDS: Final = frozenset({"name", "value", "recorded_at", "tags"})
_WHOLE_END: Final = 10**16
_REMEMBERED_TAGS: Final = 512
"""Many series have the same tags. Those of one take 10 kB at most."""
_NO_HISTOGRAM: Final = "only a metric of type 'value' has a histogram; leave it out"
_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
ITEM_FIELDS: Final = SINGLE_FIELDS | {"type", "count", "min", "max", "histogram"}


class Fault(Exception):
    """Input that breaks a rule: the error code, the field at fault and a sentence for the sender."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message


class Item(NamedTuple):
    """A sample, or a summary of ``weight`` samples whose sum is ``value``. Numbers are units.

    ``weight`` (the wire's ``count``), ``low`` and ``high`` (``min``, ``max``) are None for a plain sample.
    ``recorded_at`` is in whole seconds. ``histogram`` says how the samples of a summary are spread, as bytes of
    protocol.histogram, None where that is not known. ``tags`` is the text of protocol.tags, None for no tags.
    """

    name: str
    kind: Kind
    value: int
    recorded_at: int
    weight: int | None = None
    low: int | None = None
    high: int | None = None
    histogram: bytes | None = None
    tags: str | None = None


_item: Final = tuple.__new__
"""Item without its Python-level constructor, which costs as much as the rest of a plain item's fields."""


def parse_item(raw: object, now: float, skew: float) -> Item:
    """One item of a batch. ``raw`` is decoded JSON with floats as Decimal. Raises Fault."""
    if type(raw) is not dict:
        raise Fault("VALIDATION_ERROR", "metrics", "an item must be a JSON object with name, type and value")
    if not ITEM_FIELDS.issuperset(raw):
        raise _unknown(raw, ITEM_FIELDS)
    kind = raw.get("type")
    if kind != "counter" and kind != "value":
        raise Fault("VALIDATION_ERROR", "type", "type is required and must be 'counter' or 'value'")
    name = _name(raw)
    if "value" not in raw:
        raise Fault("VALIDATION_ERROR", "value", "value is required")
    value = _number(raw, "value")
    recorded_at = _recorded_at(raw, now, skew)
    tags = _tags(raw) if "tags" in raw else None
    if "count" in raw or "min" in raw or "max" in raw:
        summary = _summary(raw)
        histogram = _histogram(raw, kind, *summary) if "histogram" in raw else None
        return _item(Item, (name, kind, value, recorded_at, *summary, histogram, tags))
    if "histogram" in raw:
        needs = "a histogram needs count, min and max beside it" if kind == "value" else _NO_HISTOGRAM
        raise Fault("VALIDATION_ERROR", "histogram", needs)
    return _item(Item, (name, kind, value, recorded_at, None, None, None, None, tags))


def parse_single(raw: object, kind: Kind, now: float, skew: float) -> Item:
    """The body of POST /api/metrics/counter or /value. The default value of a counter is 1. Raises Fault."""
    if type(raw) is not dict:
        raise Fault("VALIDATION_ERROR", "body", "the body must be a JSON object with at least a name")
    if not SINGLE_FIELDS.issuperset(raw):
        raise _unknown(raw, SINGLE_FIELDS)
    name = _name(raw)
    if "value" in raw:
        value = _number(raw, "value")
    elif kind == "counter":
        value = UNIT
    else:
        raise Fault("VALIDATION_ERROR", "value", "value is required")
    recorded_at = _recorded_at(raw, now, skew)
    return Item(name, kind, value, recorded_at, tags=_tags(raw) if "tags" in raw else None)


def item_to_json(item: Item, when: str) -> str:
    """The JSON object of an item, exact to the last digit. ``when`` is its ``recorded_at`` as text (format_time)."""
    name, kind, value, _, weight, low, high, histogram, tags = item
    summary = ""
    if weight is not None and low is not None and high is not None:
        summary = f',"count":{units_to_text(weight)},"min":{units_to_text(low)},"max":{units_to_text(high)}'
    if histogram is not None:
        summary += f',"histogram":"{to_text(histogram)}"'
    if tags is not None:
        summary += f',"tags":{_tags_to_json(tags)}'
    return f'{{"name":"{name}","type":"{kind}","value":{units_to_text(value)}{summary},"recorded_at":"{when}"}}'


@lru_cache(maxsize=_REMEMBERED_TAGS)
def _tags_to_json(tags: str) -> str:
    return _to_json(parse_tags(tags))


def _unknown(raw: Mapping[str, Any], allowed: frozenset[str]) -> Fault:
    names = sorted(raw.keys() - allowed)
    listed = ", ".join(repr(name[:80]) for name in names[:10])
    return Fault(
        "VALIDATION_ERROR",
        names[0][:80],
        f"unknown field {listed}; allowed are {', '.join(sorted(allowed))}",
    )


def _name(raw: Mapping[str, Any]) -> str:
    name = raw.get("name")
    if type(name) is str and is_name(name):
        return name
    if "name" not in raw:
        raise Fault("VALIDATION_ERROR", "name", "name is required")
    raise Fault("INVALID_NAME", "name", f"name {NAME_RULE}")


def _number(raw: Mapping[str, Any], field: str) -> int:
    number = raw[field]
    if type(number) is int and -_WHOLE_END < number < _WHOLE_END:
        return number * UNIT
    if type(number) is not int and type(number) is not Decimal:
        raise Fault("INVALID_VALUE", field, f"{field} must be a JSON number")
    try:
        return to_units(number)
    except ValueError as error:
        raise Fault("INVALID_VALUE", field, f"{field} {error}") from None


def _recorded_at(raw: Mapping[str, Any], now: float, skew: float) -> int:
    if "recorded_at" not in raw:
        return int(now)
    text = raw["recorded_at"]
    if type(text) is not str:
        raise Fault("INVALID_TIMESTAMP", "recorded_at", "recorded_at must be an ISO 8601 string, or left out")
    try:
        seconds = parse_time(text)
    except ValueError as error:
        raise Fault("INVALID_TIMESTAMP", "recorded_at", f"recorded_at {error}") from None
    if seconds < now - MAX_AGE_SECONDS:
        raise Fault(
            "TIMESTAMP_TOO_OLD",
            "recorded_at",
            f"recorded_at {format_time(seconds)} is older than 7 days; the server's time is {format_time(int(now))}",
        )
    if seconds > now + skew:
        raise Fault(
            "TIMESTAMP_IN_FUTURE",
            "recorded_at",
            f"recorded_at {format_time(seconds)} is in the future; the server's time is {format_time(int(now))}",
        )
    return seconds


def _tags(raw: Mapping[str, Any]) -> str | None:
    try:
        return check_tags(raw["tags"])
    except ValueError as error:
        raise Fault("INVALID_TAGS", "tags", f"tags {error}") from None


def _summary(raw: Mapping[str, Any]) -> tuple[int, int, int]:
    for field in ("count", "min", "max"):
        if field not in raw:
            raise Fault("VALIDATION_ERROR", field, f"a summary has count, min and max together; {field} is missing")
    count, low, high = _number(raw, "count"), _number(raw, "min"), _number(raw, "max")
    if count <= 0:
        raise Fault("INVALID_VALUE", "count", "count must be greater than 0")
    if low > high:
        raise Fault("INVALID_VALUE", "min", "min must not be greater than max")
    return count, low, high


def _histogram(raw: Mapping[str, Any], kind: Kind, count: int, low: int, high: int) -> bytes:
    """The bytes of a summary's histogram, which holds ``count`` samples from ``low`` to ``high``."""
    if kind != "value":
        raise Fault("VALIDATION_ERROR", "histogram", _NO_HISTOGRAM)
    text = raw["histogram"]
    if type(text) is not str:
        raise Fault("INVALID_HISTOGRAM", "histogram", "histogram must be a string of base64url")
    try:
        encoded = from_text(text)
        samples = decode(encoded)
    except ValueError as error:
        raise Fault("INVALID_HISTOGRAM", "histogram", f"histogram {error}") from None
    weight = sum(samples.values())
    if weight != count:
        message = f"histogram holds {units_to_text(weight)} samples, but count is {units_to_text(count)}"
        raise Fault("INVALID_HISTOGRAM", "histogram", message)
    buckets = list(samples)
    for name, value, bucket in (("min", low, buckets[0]), ("max", high, buckets[-1])):
        if bucket_of(value) != bucket:
            first, last = map(units_to_text, bounds_of(bucket))
            end = "first" if name == "min" else "last"
            message = f"histogram's {end} bucket is {first} to {last}, but {name} is {units_to_text(value)}"
            raise Fault("INVALID_HISTOGRAM", "histogram", message)
    return encoded

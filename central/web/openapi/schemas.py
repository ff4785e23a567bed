"""The schemas of what is sent and answered: components/schemas of the description.

Every function returns a new value, so that no caller can change the description of another.
"""

from typing import Final

from central.access.auth import SCOPES
from central.access.prefixes import MOST_PREFIXES
from central.web.openapi.agents import agent_schema
from central.web.openapi.components import (
    CODES,
    MAX_RATE_LIMIT,
    NAME_PATTERN,
    TAG_VALUE_PATTERN,
    TIME_PATTERN,
    Json,
    record,
    schema,
    success,
)
from protocol.limits import MAX_BATCH_ITEMS
from protocol.statsd_types import KIND_OF
from protocol.tags import KEY_RULE, MAX_KEY_LENGTH, MAX_TAGS, MAX_VALUE_LENGTH, VALUE_RULE

_BOUND: Final = 10**16


def schemas() -> Json:
    """components/schemas."""
    return {**_sent_schemas(), **_answer_schemas(), **_admin_schemas()}


def _sent_schemas() -> Json:
    number = {
        "type": "number",
        "exclusiveMinimum": -_BOUND,
        "exclusiveMaximum": _BOUND,
        "description": "An exact decimal of up to 16 + 4 digits. More than four decimals are rounded half to even.",
    }
    name = {"type": "string", "pattern": NAME_PATTERN, "description": "Letters, digits, '.', '_', '-'. Case matters."}
    recorded_at = {
        "type": "string",
        "pattern": TIME_PATTERN,
        "description": "ISO 8601 with any offset, or UTC. At most 7 days ago, not in the future. Default: now.",
    }
    kind = {"type": "string", "enum": ["counter", "value"], "description": "A name keeps its type for ever."}
    counted = {**number, "description": f"Default 1. {number['description']}"}
    summary = {
        "count": {
            **number,
            "exclusiveMinimum": 0,
            "description": "How many samples value is the sum of. Needs min and max.",
        },
        "min": {**number, "description": "The smallest of these samples."},
        "max": {**number, "description": "The largest of these samples."},
    }
    histogram = {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]{4,}$",
        "contentEncoding": "base64url",
        "description": "How the samples of a value's summary are spread over their values, so that it has percentiles. "
        "The weights of its buckets add up to count. protocol/histogram.py describes the bytes.",
    }
    tags = {
        "type": "object",
        "maxProperties": MAX_TAGS,
        "propertyNames": {"pattern": rf"^[A-Za-z_][A-Za-z0-9_./-]{{0,{MAX_KEY_LENGTH - 1}}}$"},
        "additionalProperties": {"type": "string", "maxLength": MAX_VALUE_LENGTH, "pattern": TAG_VALUE_PATTERN},
        "description": f"Key and value of each tag. A key {KEY_RULE}. A value {VALUE_RULE}.",
    }
    items = {"type": "array", "minItems": 1, "maxItems": MAX_BATCH_ITEMS, "items": schema("Item")}
    items["description"] = "Samples, and summaries of several samples, in any mix."
    return {
        "Counter": record({"name": name}, {"value": counted, "tags": tags, "recorded_at": recorded_at}, closed=True),
        "Value": record({"name": name, "value": number}, {"tags": tags, "recorded_at": recorded_at}, closed=True),
        "Item": {
            **record(
                {"name": name, "type": kind, "value": number},
                {**summary, "histogram": histogram, "tags": tags, "recorded_at": recorded_at},
                closed=True,
            ),
            "dependentRequired": {field: sorted(summary.keys() - {field}) for field in (*summary, "histogram")},
            "if": {"properties": {"type": {"const": "counter"}}},
            "then": {"properties": {"histogram": False}},
            "description": "A sample; or, with count, min and max, a summary of several samples whose sum is value.",
        },
        "Batch": record({"metrics": items}, closed=True),
    }


def _answer_schemas() -> Json:
    return {
        "Recorded": success({"message": {"type": "string"}}),
        "BatchResult": success(
            {
                "accepted": {"type": "integer", "minimum": 0, "description": "Items that are durable now."},
                "rejected": {"type": "integer", "minimum": 0},
                "errors": {"type": "array", "items": schema("ItemError"), "description": "One per rejected item."},
            }
        ),
        "ItemError": record(
            {
                "index": {"type": "integer", "minimum": 0, "description": "The item's index in metrics, from 0."},
                "name": {"type": ["string", "null"]},
                "code": {"type": "string", "enum": list(CODES)},
                "message": {"type": "string"},
            }
        ),
        "Error": {
            **record(
                {
                    "success": {"type": "boolean", "const": False},
                    "error": record(
                        {
                            "code": {"type": "string", "enum": list(CODES)},
                            "message": {"type": "string", "description": "What is wrong and what would be right."},
                            "details": {"type": "object", "description": "field names the field that is wrong."},
                        }
                    ),
                }
            ),
            "x-codes": {code: entry._asdict() for code, entry in CODES.items()},
        },
    }


def _key_fields(scopes: Json, names: Json, limit: Json) -> Json:
    return {
        "id": {"type": "integer", "minimum": 1},
        "name": {"type": "string"},
        "prefix": {"type": "string", "description": "The public part of the key."},
        "scopes": scopes,
        "names": names,
        "rate_limit": limit,
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": ["string", "null"], "format": "date-time", "description": "null: never."},
        "last_used_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When the key was last used. Up to a minute late if the service has several processes.",
        },
        "requests_this_minute": {
            "type": "integer",
            "minimum": 0,
            "description": "Requests that count against the limit, as far as the answering process knows.",
        },
        "requests_last_minute": {"type": "integer", "minimum": 0, "description": "The same of the minute before."},
        "revoked_at": {"type": ["string", "null"], "format": "date-time"},
    }


def _admin_schemas() -> Json:
    scopes = {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string", "enum": list(SCOPES)}}
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_RATE_LIMIT, "description": "Requests per minute."}
    key_name = {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": r"^[^\x00-\x1f\x7f]+$",
        "description": "Who uses it; any text without control characters.",
    }
    names = {
        "type": ["array", "null"],
        "minItems": 1,
        "maxItems": MOST_PREFIXES,
        "items": {"type": "string", "pattern": NAME_PATTERN},
        "description": "The key may use only names that begin with one of these; null: all names.",
    }
    key = _key_fields(scopes, names, limit)
    expires = {"type": ["string", "null"], "pattern": TIME_PATTERN, "description": "A future time; null: never."}
    return {
        "Key": record(key),
        "FreshKey": record({**key, "key": {"type": "string", "description": "The key itself. It is shown only now."}}),
        "NewKey": record(
            {"name": key_name},
            {
                "rate_limit": {**limit, "type": ["integer", "null"]},
                "scopes": {**scopes, "type": ["array", "null"], "description": "Default: ingest and query."},
                "names": names,
                "expires_at": expires,
            },
            closed=True,
        ),
        "KeyChange": {
            **record({}, {"rate_limit": limit, "scopes": scopes, "names": names, "expires_at": expires}, closed=True),
            "minProperties": 1,
            "description": "Only the given fields are changed.",
        },
        "Metric": _metric_schema(),
        "Agent": agent_schema(),
        **_retention_schemas(),
    }


def _metric_schema() -> Json:
    """A name in the list."""
    number = {"type": ["number", "null"]}
    moment = {"type": "string", "format": "date-time"}
    return record(
        {"name": {"type": "string"}, "type": {"type": "string", "enum": ["counter", "value"]}},
        {
            "statsd_type": {
                "type": "string",
                "enum": list(KIND_OF),
                "description": "The StatsD type that owns the name, if an agent sent it.",
            },
            "clash_of": {
                "type": "string",
                "description": "The name under which these samples were sent. Another StatsD type owns it.",
            },
            "first_seen": {**moment, "description": "When the service first took the name."},
            "last_seen": {
                **moment,
                "type": ["string", "null"],
                "description": "The last minute with data; the last hour if it is over a day ago; null without data.",
            },
            "age_seconds": {"type": ["integer", "null"], "minimum": 0, "description": "How long ago last_seen is."},
            "last_value": {
                **number,
                "description": "Of that minute, the sum of a counter or the average of a value. null if it is over a "
                "day ago.",
            },
            "tags": {"type": "array", "items": {"type": "string"}, "description": "The keys of its tags."},
            "sparkline": {
                "type": "array",
                "items": number,
                "description": "The last 24 hours: sums of a counter, averages of a value, null without data.",
            },
        },
    )


def _retention_schemas() -> Json:
    days = {"type": "integer", "minimum": 0}
    count = {"type": "integer", "minimum": 0}

    def moment(text: str) -> Json:
        return {"type": ["string", "null"], "format": "date-time", "description": text}

    return {
        "Retention": record(
            {
                "retention_days": days,
                "grace_days": days,
                "line": moment("Points before this time are hidden; null: none."),
                "drop_line": moment("Points before this time are removed; null: none."),
                "held_until": moment("Until this time the daily run does not move the line; null: no hold."),
                "last_run": moment("When the last run ended."),
                "log": {"type": "array", "items": schema("RetentionEntry"), "description": "The newest 50 first."},
            }
        ),
        "RetentionEntry": record(
            {
                "at": {"type": "string", "format": "date-time"},
                "action": {"type": "string", "enum": ["hide", "restore", "drop"]},
                "line": {"type": "string", "format": "date-time"},
                "actor": {"type": "string", "description": "daily, or the key that asked for it."},
                "rows": {**count, "description": "Rows removed."},
                "parts": {**count, "description": "Partitions or slices removed."},
            }
        ),
        "Restore": record(
            {},
            {"days": {"type": ["integer", "null"], "minimum": 1, "maximum": 36_500, "description": "Default: all."}},
            closed=True,
        ),
    }

"""The parts of the API description that endpoints share: error codes, references, headers, answers.

Every function returns a new value, so that no caller can change the description of another.
"""

from typing import Any, Final, NamedTuple

from central.query.formats import COMPLETE_HEADER, UNKNOWN_HEADER
from protocol.limits import MAX_BATCH_ITEMS, MAX_BODY_BYTES, MAX_EXPANDED_BYTES, MAX_IDEMPOTENCY_KEY, MAX_NAME_LENGTH
from protocol.report import PROCESS_HEADER, REPORT_HEADER
from protocol.statsd_types import MAX_RENAMED, RENAMED_HEADER, TYPES_HEADER
from protocol.tags import MAX_TAGS

Json = dict[str, Any]

MAX_RATE_LIMIT: Final = 1_000_000_000
NAME_PATTERN: Final = rf"^[A-Za-z0-9._-]{{1,{MAX_NAME_LENGTH}}}$"
NAMES_PATTERN: Final = rf"^[A-Za-z0-9._-]{{1,{MAX_NAME_LENGTH}}}(,[A-Za-z0-9._-]{{1,{MAX_NAME_LENGTH}}})*$"
TAG_VALUE_PATTERN: Final = r"^[^,|=;\x00-\x1f\x7f-\x9f]*$"
_CLOCK: Final = r"([01][0-9]|2[0-3])"
TIME_PATTERN: Final = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    rf"([Tt ]{_CLOCK}:[0-5][0-9](:[0-5][0-9]([.,][0-9]{{1,9}})?)?([Zz]|[+-]{_CLOCK}(:?[0-5][0-9])?)?)?$"
)


class Code(NamedTuple):
    """An error code: its HTTP status, and a text that says what it means and what to do."""

    status: int
    meaning: str


CODES: Final = {
    "VALIDATION_ERROR": Code(400, "A field, parameter or header is missing, unknown, given twice or not valid."),
    "INVALID_JSON": Code(400, "The body is not JSON in UTF-8, or nested too deeply."),
    "INVALID_NAME": Code(400, f"A name is not 1 to {MAX_NAME_LENGTH} characters of A-Z, a-z, 0-9, '.', '_' and '-'."),
    "INVALID_VALUE": Code(400, "A number is not a JSON number, or is outside ±9999999999999999.9999."),
    "INVALID_HISTOGRAM": Code(400, "A histogram cannot be read, or does not fit count, min and max."),
    "INVALID_TAGS": Code(400, f"Tags are no object of texts, more than {MAX_TAGS}, or a key or value breaks a rule."),
    "INVALID_TIMESTAMP": Code(400, "A time is not ISO 8601, or its date does not exist."),
    "TIMESTAMP_TOO_OLD": Code(400, "recorded_at is older than 7 days."),
    "TIMESTAMP_IN_FUTURE": Code(400, "recorded_at is in the future by more than METRICS_CLOCK_SKEW_SECONDS."),
    "METRIC_TYPE_CONFLICT": Code(400, "The name exists with the other type; a name keeps its type."),
    "TOO_MANY_METRICS": Code(400, "The name is new, and the number of names has reached its cap."),
    "BATCH_TOO_LARGE": Code(400, f"The batch has more than {MAX_BATCH_ITEMS:,} items: send several batches."),
    "IDEMPOTENCY_KEY_REUSED": Code(400, "This Idempotency-Key came before with another body or path: use a new one."),
    "RANGE_TOO_LARGE": Code(400, "The answer would have too many windows; the message says which window fits."),
    "UNAUTHORIZED": Code(401, "The request has no API key, more than one, or no valid one."),
    "FORBIDDEN": Code(
        403,
        "The key lacks the scope that this endpoint needs, or may use only some names and the endpoint needs all; or a "
        "path without a key was asked for under a foreign Host.",
    ),
    "NAME_NOT_ALLOWED": Code(403, "The key may use only names with certain prefixes, and this is none of them."),
    "NOT_FOUND": Code(404, "There is no such path, key or metric."),
    "METHOD_NOT_ALLOWED": Code(405, "The path accepts other methods; the Allow header names them."),
    "LAST_ADMIN_KEY": Code(
        409, "After this, no admin key would stay valid: make another one first, or send force=true."
    ),
    "BODY_TOO_LARGE": Code(
        413, f"The body is over {MAX_BODY_BYTES >> 20} MiB as sent, or over {MAX_EXPANDED_BYTES >> 20} MiB expanded."
    ),
    "UNSUPPORTED_ENCODING": Code(
        415,
        "The body's Content-Encoding is not gzip, zstd or identity; the Accept-Encoding header names the valid ones.",
    ),
    "RATE_LIMITED": Code(429, "The key has used all its requests for this minute; try again after Retry-After."),
    "INTERNAL_ERROR": Code(
        500, "The service failed. Nothing was acknowledged; try again with the same Idempotency-Key."
    ),
    "SERVICE_UNAVAILABLE": Code(
        503, "The service is busy or not ready; try again after Retry-After with the same Idempotency-Key."
    ),
}

ERRORS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    413: "BodyTooLarge",
    415: "UnsupportedEncoding",
    429: "RateLimited",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def schema(name: str) -> Json:
    """A reference to a schema."""
    return ref("schemas", name)


def record(required: Json, optional: Json | None = None, *, closed: bool = False) -> Json:
    """An object with these properties. With ``closed``, it may have no others."""
    made: Json = {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}
    return {**made, "additionalProperties": False} if closed else made


def success(properties: Json, optional: Json | None = None) -> Json:
    """The body of a successful answer: ``success`` and these properties."""
    return record({"success": {"type": "boolean", "const": True}, **properties}, optional)


def headers() -> Json:
    """components/headers."""
    seconds = {"schema": {"type": "integer", "minimum": 0}}
    return {
        "Idempotency-Replayed": {
            "description": "true if this is the answer to an earlier request and nothing was stored again.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Metrics-Clock-Skew": {
            "description": "How many seconds recorded_at may lie in the service's future (METRICS_CLOCK_SKEW_SECONDS).",
            **seconds,
        },
        COMPLETE_HEADER: {
            "description": "false while acknowledged points wait in the spill and are not in the answer yet.",
            "schema": {"type": "string", "enum": ["false"]},
        },
        UNKNOWN_HEADER: {
            "description": "The names in the query that do not exist, separated by commas.",
            "schema": {"type": "string"},
        },
        RENAMED_HEADER: {
            "description": (
                "The names under which items were stored because another StatsD type owns their own name, separated "
                f"by commas; at most {MAX_RENAMED}. A replay does not have this header."
            ),
            "schema": {"type": "string"},
        },
        PROCESS_HEADER: {
            "description": f"The process that answered a batch with {REPORT_HEADER}: 16 hex digits, new at each start.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        },
        "Retry-After": {"description": "Seconds to wait before the next try.", **seconds},
        "RateLimit-Limit": {"description": "Requests per minute for this key.", **seconds},
        "RateLimit-Remaining": {"description": "Requests left for this minute.", **seconds},
        "RateLimit-Reset": {"description": "Seconds until the next minute starts.", **seconds},
        "WWW-Authenticate": {"description": "ApiKey.", "schema": {"type": "string"}},
        "X-Request-Id": {
            "description": "The id that the request had in this header, or a new one. The service's log has it too.",
            "schema": {"type": "string"},
        },
    }


def idempotency_key(example: str) -> Json:
    """The header that makes a retry harmless."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": (
            "A new text for each request, such as a UUID. For 8 days, a request with the same key and body gets the "
            "first answer, and nothing is stored again. Without this header, a retry may count twice."
        ),
        "schema": {"type": "string", "pattern": rf"^[ -~]{{1,{MAX_IDEMPOTENCY_KEY}}}$"},
        "example": example,
    }


def statsd_types() -> Json:
    """The header with the StatsD types of a batch's items."""
    return {
        "name": TYPES_HEADER,
        "in": "header",
        "required": False,
        "description": (
            "The StatsD type of each item: one letter per item, in order: c (counter), t (timing), g (gauge), s (set) "
            "or - (none). The first type that arrives owns a name. Items of another type are stored under the name "
            "plus .counter, .timing, .gauge or .set, and are not rejected. The agent sends this header."
        ),
        "schema": {"type": "string", "pattern": "^[ctgs-]*$"},
        "example": "ct",
    }


def agent_report() -> Json:
    """The header with what an agent says of itself."""
    return {
        "name": REPORT_HEADER,
        "in": "header",
        "required": False,
        "description": (
            "What an agent says of itself, as JSON. The agent sends this header, and GET /api/agents shows it. If "
            "the service cannot read it, it ignores it."
        ),
        "schema": {"type": "string"},
    }


def rate_headers() -> Json:
    """The RateLimit headers of an answer to a known key."""
    return {name: ref("headers", name) for name in ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")}


def id_header() -> Json:
    """The header that every answer has."""
    return {"X-Request-Id": ref("headers", "X-Request-Id")}


def responses() -> Json:
    """components/responses: an error answer per status."""
    made = {}
    for status, name in ERRORS.items():
        codes = {code: entry for code, entry in CODES.items() if entry.status == status}
        extra = {**id_header(), **(rate_headers() if status == 429 else {})}
        if status in (429, 503):
            extra["Retry-After"] = ref("headers", "Retry-After")
        if status == 401:
            extra["WWW-Authenticate"] = ref("headers", "WWW-Authenticate")
        made[name] = {
            "description": " ".join(f"{code}: {entry.meaning}" for code, entry in codes.items()),
            "content": {"application/json": {"schema": schema("Error"), "example": _error_example(next(iter(codes)))}},
            "headers": extra,
        }
    return made


def _error_example(code: str) -> Json:
    details = {"field": "value"} if code == "VALIDATION_ERROR" else {}
    message = "value is required" if details else CODES[code].meaning
    return {"success": False, "error": {"code": code, "message": message, "details": details}}

"""A table of all endpoints: path, description, parameters, body, answers, and an example of each."""

from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple

from central.query.formats import FORMATS
from central.query.parameters import FILLS, LIST_LIMIT, LIST_MOST, OPERATIONS
from central.store.plan import MAX_WINDOWS_PER_ANSWER, MAX_WINDOWS_PER_NAME, WINDOWS
from central.web.openapi import components
from central.web.openapi.components import Json, ref, schema, success
from protocol.limits import SKEW_HEADER
from protocol.statsd_types import RENAMED_HEADER

_TEXT: Final[Json] = {"type": "string"}
_MESSAGE: Final[Json] = {"message": _TEXT}
_KEY: Final[Json] = {
    "id": 2,
    "name": "checkout",
    "prefix": "gf_q7w3k9x2m5ab",
    "scopes": ["ingest", "query"],
    "rate_limit": 1000,
    "created_at": "2026-02-15T00:00:00Z",
    "expires_at": None,
    "last_used_at": "2026-02-15T09:30:12Z",
    "revoked_at": None,
}
_FRESH_KEY: Final[Json] = {**_KEY, "key": f"gf_q7w3k9x2m5ab_{'x' * 43}"}


class Endpoint(NamedTuple):
    """A method of a path. Its key needs ``scope``; None means no key. ``answers`` are the successful ones by status."""

    tag: str
    method: str
    path: str
    id: str
    summary: str
    text: str
    answers: Json
    scope: str | None = None
    parameters: tuple[Json, ...] = ()
    body: Json | None = None


_admin: Final = partial(Endpoint, "Admin", scope="admin")


def endpoints() -> list[Endpoint]:
    """All endpoints, in the order of the reference."""
    return [*_ingest(), _aggregate(), _list(), *_keys(), *_upkeep(), *_retention(), *_service()]


def _ingest() -> list[Endpoint]:
    def post(kind: str, summary: str, text: str, example: Json, answer: Json) -> Endpoint:
        is_batch = kind == "batch"
        stored = _json(
            "The items are durable.", schema("BatchResult" if is_batch else "Recorded"), {"success": True, **answer}
        )
        stored["headers"] = {name: ref("headers", name) for name in ("Idempotency-Replayed", SKEW_HEADER)}
        parameters = [components.idempotency_key(f"order-4711-{kind}")]
        if is_batch:
            stored["headers"][RENAMED_HEADER] = ref("headers", RENAMED_HEADER)
            parameters.append(components.statsd_types())
        name = kind.capitalize()
        return Endpoint(
            "Ingest",
            "post",
            f"/api/metrics/{kind}",
            f"record{name}",
            summary,
            f"{text} The body may be compressed: Content-Encoding gzip or zstd.",
            {"201": stored},
            "ingest",
            tuple(parameters),
            _body(name, example),
        )

    batch = [
        {"name": "api.requests", "type": "counter", "value": 3},
        {"name": "db.query_time", "type": "value", "value": 30.5, "count": 3, "min": 8, "max": 12.75},
    ]
    return [
        post(
            "counter",
            "Count something",
            "Adds value to a counter. Without value it adds 1.",
            {"name": "api.requests", "value": 1},
            {"message": "Counter metric recorded"},
        ),
        post(
            "value",
            "Record a measurement",
            "Records one measured value: a duration, a size, a temperature.",
            {"name": "db.query_time", "value": 12.75},
            {"message": "Value metric recorded"},
        ),
        post(
            "batch",
            "Send many at once",
            "Sends 1 to 1,000 items. The valid items are stored together. Each invalid item gets an error. "
            "The answer is 201 even if all items are rejected, so check rejected.",
            {"metrics": batch},
            {"accepted": 2, "rejected": 0, "errors": []},
        ),
    ]


def _aggregate() -> Endpoint:
    time = {"type": "string", "pattern": components.TIME_PATTERN}
    names = {"type": "string", "pattern": components.NAMES_PATTERN}
    points = {"type": "array", "items": schema("Point")}
    answer = {
        "metric": {**_TEXT, "description": "The names, separated by commas."},
        "operation": _enum(OPERATIONS),
        "window": _enum(WINDOWS),
        "data": {
            "description": "The windows of the name. For several names: an object with the windows of each name.",
            "oneOf": [points, {"type": "object", "additionalProperties": points}],
        },
    }
    data = [
        {"timestamp": "2026-02-15T00:00:00Z", "value": 1500},
        {"timestamp": "2026-02-15T01:00:00Z", "value": 1450.25},
    ]
    partly = {
        "type": "boolean",
        "const": False,
        "description": "Only while acknowledged points wait in the spill. They are not in the answer yet.",
    }
    near = {"type": "array", "items": _TEXT, "description": "Similar names that exist; for the first three names."}
    unknown = {
        "type": "array",
        "description": "Only if names do not exist.",
        "items": components.record({"name": _TEXT, "near": near}),
    }
    zone = {**_TEXT, "description": "Only if the query has tz: the time zone of the windows."}
    example = {"success": True, "metric": "api.requests", "operation": "sum", "window": "1h", "data": data}
    windows = _json("The windows.", success(answer, {"complete": partly, "unknown": unknown, "tz": zone}), example)
    lines = "".join(f"api.requests,{point['timestamp']},{point['value']}\r\n" for point in data)
    windows["content"]["text/csv"] = {"schema": _TEXT, "example": f"name,timestamp,value\r\n{lines}"}
    windows["headers"] = {name: ref("headers", name) for name in ("Metrics-Complete", "Metrics-Unknown")}
    return Endpoint(
        "Query",
        "get",
        "/api/metrics/aggregate",
        "aggregate",
        "Aggregate by time window",
        "Computes the operation for each window of start <= time < end. Windows are aligned to UTC. A window's "
        "timestamp is its start, which may be before start. Windows without data are left out unless fill is given. "
        "A window that the range cuts, or that has not ended, is marked as partial. At most "
        f"{MAX_WINDOWS_PER_NAME:,} windows per name and {MAX_WINDOWS_PER_ANSWER:,} per answer. An unknown name has "
        "no data. The answer is JSON; or CSV with format=csv or Accept: text/csv. Errors are always JSON.",
        {"200": windows},
        "query",
        (
            _parameter("name", names, "A name, or several separated by commas.", "api.requests"),
            _parameter("operation", _enum(OPERATIONS), "avg is sum / count, rounded to four decimals.", "sum"),
            _parameter("window", _enum(WINDOWS), "The width of a window.", "1h"),
            _parameter("start", time, "The start of the range, rounded up to a second.", "2026-02-15T00:00:00Z"),
            _parameter("end", time, "The end, not included. May be in the future.", "2026-02-16T00:00:00Z"),
            _optional("fill", _enum(FILLS), "Adds windows without data, with the value 0 or null (in CSV: empty)."),
            _optional("tz", _TEXT, "The IANA time zone for windows of hours and days, such as Europe/Berlin."),
            _optional("format", _enum(FORMATS), "The format of the answer. Default: what Accept prefers, else json."),
        ),
    )


def _list() -> Endpoint:
    some_name = {"type": "string", "pattern": components.NAME_PATTERN.replace("{1,", "{0,")}
    limit = {"type": "integer", "minimum": 1, "maximum": LIST_MOST, "default": LIST_LIMIT}
    page = {"data": {"type": "array", "items": schema("Metric")}, "next": {"type": ["string", "null"]}}
    example = {"success": True, "data": [{"name": "api.requests", "type": "counter"}], "next": None}
    return Endpoint(
        "Query",
        "get",
        "/api/metrics",
        "listMetrics",
        "List metrics",
        "Lists names in byte order. If next is not null, send it as after to get the next page.",
        {"200": _json("A page of names.", success(page), example)},
        "query",
        (
            _optional("prefix", some_name, "Only names that start with this text."),
            _optional("limit", limit, f"The most names in the answer. Default: {LIST_LIMIT}."),
            _optional("after", some_name, "Only names after this one."),
            _optional("clashes", {"type": "boolean", "default": False}, "Only names with clash_of."),
        ),
    )


def _keys() -> list[Endpoint]:
    path = "/api/admin/keys"
    key_id = {**_parameter("id", {"type": "integer", "minimum": 1}, "The key's id.", 2), "in": "path"}
    listed = success({"data": {"type": "array", "items": schema("Key")}})
    fresh = success({**_MESSAGE, "data": schema("FreshKey")})

    def made(message: str) -> Json:
        example = {"success": True, "message": message, "data": _FRESH_KEY}
        return {"201": _json("The key. It is shown only now.", fresh, example)}

    created = made("Key created; it is shown only now")
    rotated = made("Key rotated; the old key is invalid, and the new one is shown only now")
    revoked = _json("Revoked.", success(_MESSAGE), {"success": True, "message": "Key revoked"})
    all_keys = _json("The keys.", listed, {"success": True, "data": [_KEY]})
    new_key = _body("NewKey", {"name": "checkout", "scopes": ["ingest", "query"], "rate_limit": 1000})
    once = "Only this answer shows the key. The service keeps only a hash of it."
    secrets = "Lists all keys without their secrets, including revoked keys."
    soon = "The key stops working within 30 seconds. This cannot be undone."
    rotation = (
        "Gives the key a new secret. The old one stops working within 30 seconds. Name, scopes, limit and remembered "
        "requests stay."
    )
    one = f"{path}/{{id}}"
    example = {"success": True, "message": "Key changed", "data": _KEY}
    changed = _json("Changed.", success({**_MESSAGE, "data": schema("Key")}), example)
    change = (
        "Changes the limit, the scopes or the expiry of a key that is not revoked. It takes effect at once, and in "
        "other processes of the service within 30 seconds."
    )
    force = _optional("force", {"type": "boolean", "default": False}, "Do it even if no admin key would stay valid.")
    conflict = {"409": ref("responses", components.ERRORS[409])}
    return [
        _admin("get", path, "listKeys", "List keys", secrets, {"200": all_keys}),
        _admin("post", path, "createKey", "Make a key", once, created, body=new_key),
        _admin(
            "patch",
            one,
            "changeKey",
            "Change a key",
            change,
            {"200": changed, **conflict},
            parameters=(key_id, force),
            body=_body("KeyChange", {"rate_limit": 5000, "expires_at": "2027-01-01T00:00:00Z"}),
        ),
        _admin(
            "delete", one, "revokeKey", "Revoke a key", soon, {"200": revoked, **conflict}, parameters=(key_id, force)
        ),
        _admin("post", f"{one}/rotate", "rotateKey", "Rotate a key", rotation, rotated, parameters=(key_id,)),
    ]


def _upkeep() -> list[Endpoint]:
    name = {
        **_parameter("name", {"type": "string", "pattern": components.NAME_PATTERN}, "The name.", "typo"),
        "in": "path",
    }
    deleted = success({**_MESSAGE, "data": components.record({"name": _TEXT})})
    example = {"success": True, "message": "Metric deleted", "data": {"name": "typo"}}
    file = {"description": "The database file.", "content": {"application/octet-stream": {}}}
    return [
        _admin(
            "delete",
            "/api/admin/metrics/{name}",
            "deleteMetric",
            "Delete a metric",
            "Removes the name and all its points. Afterwards the name can be used again, with either type.",
            {"200": _json("Deleted.", deleted, example)},
            parameters=(name,),
        ),
        _admin(
            "get",
            "/api/admin/backup",
            "backup",
            "Back up",
            "Sends a consistent copy of the embedded store while writes go on. 404 if the store is MySQL.",
            {"200": file, "404": ref("responses", components.ERRORS[404])},
        ),
    ]


def _retention() -> list[Endpoint]:
    path = "/api/admin/retention"
    data: Json = {
        "retention_days": 90,
        "grace_days": 7,
        "line": "2025-11-17T00:00:00Z",
        "drop_line": "2025-11-10T00:00:00Z",
        "held_until": None,
        "last_run": "2026-02-15T00:00:40Z",
        "log": [
            {
                "at": "2026-02-15T00:00:41Z",
                "action": "drop",
                "line": "2025-11-10T00:00:00Z",
                "actor": "daily",
                "rows": 1440,
                "parts": 3,
            }
        ],
    }
    shown = _json("The state of retention.", success({"data": schema("Retention")}), {"success": True, "data": data})

    def done(message: str) -> Json:
        example = {"success": True, "data": data, "message": message}
        return {
            "201": _json(
                "Done. The state of retention now.", success({**_MESSAGE, "data": schema("Retention")}), example
            )
        }

    run = (
        "Starts the run that the service makes once per day (UTC). It moves the line, which hides older points, and "
        "removes points that were hidden for the whole grace time. It ends a hold. If removing takes long, the answer "
        "comes before the run ends."
    )
    restore = (
        "Moves the line back, so that queries show the last `days` days again, or all points that are not removed. The "
        "line stays there for the grace time, or until you ask for a run."
    )
    body, moved = {**_body("Restore", {"days": 97}), "required": False}, done("Line moved back")
    return [
        _admin(
            "get",
            path,
            "showRetention",
            "Show retention",
            "Shows the line, the hold, the last run and the log.",
            {"200": shown},
        ),
        _admin("post", f"{path}/run", "runRetention", "Run retention now", run, done("Retention ran")),
        _admin("post", f"{path}/restore", "restoreRetention", "Show old days again", restore, moved, body=body),
    ]


def _service() -> list[Endpoint]:
    def page(path: str, operation: str, summary: str, text: str, answers: Json) -> Endpoint:
        return Endpoint("Service", "get", path, operation, summary, text, answers)

    alive = components.success({"status": _TEXT})
    asked = components.record(
        {"success": {"type": "boolean"}, "status": _TEXT, "dependencies": {"type": "object"}},
        {"spill": {"type": "object", "description": "What waits in the spill, if the service has one."}},
    )
    good = {"success": True, "status": "ready", "dependencies": {"store": "ok", "clock": "ok"}}
    bad = {"success": False, "status": "not ready", "dependencies": {"store": "the store is being opened again"}}
    answers = {
        "200": _json("Writes can be acknowledged: ready, or degraded.", asked, good),
        "503": _json("Writes cannot be acknowledged; the body says why.", asked, bad),
    }

    def text(media: str) -> Json:
        return {"200": {"description": "The text.", "content": {media: {}}}}

    return [
        page(
            "/health",
            "health",
            "Is it alive?",
            "Answers as long as the process works.",
            {
                "200": {
                    **_json("Yes.", alive, {"success": True, "status": "ok"}),
                    "headers": {SKEW_HEADER: ref("headers", SKEW_HEADER)},
                }
            },
        ),
        page("/ready", "ready", "Is it ready?", "Asks each dependency.", answers),
        page("/metrics", "metrics", "Metrics of the service", "In Prometheus' text format.", text("text/plain")),
        page("/openapi.json", "openapi", "This description", "OpenAPI 3.1.", text("application/json")),
        page("/docs", "docs", "This reference", "The web page, opened at the reference.", text("text/html")),
    ]


def _body(name: str, example: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema(name), "example": example}}}


def _json(text: str, answer: Json, example: Json) -> Json:
    return {"description": text, "content": {"application/json": {"schema": answer, "example": example}}}


def _parameter(name: str, described: Json, text: str, example: object) -> Json:
    """A required parameter of the query."""
    return {
        "name": name,
        "in": "query",
        "required": True,
        "description": text,
        "schema": described,
        "example": example,
    }


def _optional(name: str, described: Json, text: str) -> Json:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": described}


def _enum(values: Iterable[str]) -> Json:
    return {"type": "string", "enum": list(values)}

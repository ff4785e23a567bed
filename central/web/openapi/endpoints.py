"""A table of all endpoints: path, description, parameters, body, answers, and an example of each."""

from functools import partial
from typing import Final

from central.web.openapi import components
from central.web.openapi.agents import agent_endpoints
from central.web.openapi.components import Json, ref, schema, success
from central.web.openapi.endpoint import Endpoint, body_of, json_answer, optional, parameter
from central.web.openapi.export import export
from central.web.openapi.graphite import graphite_endpoints
from central.web.openapi.graphite_render import drawing_endpoints
from central.web.openapi.query import aggregate, list_metrics
from central.web.openapi.series import series_endpoints
from protocol.limits import SKEW_HEADER
from protocol.report import PROCESS_HEADER
from protocol.statsd_types import RENAMED_HEADER

_TEXT: Final[Json] = {"type": "string"}
_MESSAGE: Final[Json] = {"message": _TEXT}
_KEY: Final[Json] = {
    "id": 2,
    "name": "checkout",
    "prefix": "gf_q7w3k9x2m5ab",
    "scopes": ["ingest", "query"],
    "names": ["checkout.", "shop."],
    "rate_limit": 1000,
    "created_at": "2026-02-15T00:00:00Z",
    "expires_at": None,
    "last_used_at": "2026-02-15T09:30:12Z",
    "requests_this_minute": 12,
    "requests_last_minute": 61,
    "revoked_at": None,
}
_FRESH_KEY: Final[Json] = {**_KEY, "key": f"gf_q7w3k9x2m5ab_{'x' * 43}"}
_admin: Final = partial(Endpoint, "Admin", scope="admin")


def endpoints() -> list[Endpoint]:
    """All endpoints, in the order of the reference."""
    reads = (aggregate(), list_metrics(), export(), *series_endpoints(), *graphite_endpoints(), *drawing_endpoints())
    return [*_ingest(), *reads, *_keys(), *agent_endpoints(), *_upkeep(), *_retention(), *_service()]


def _ingest() -> list[Endpoint]:
    def post(kind: str, summary: str, text: str, example: Json, answer: Json) -> Endpoint:
        is_batch = kind == "batch"
        stored = json_answer(
            "The items are durable.", schema("BatchResult" if is_batch else "Recorded"), {"success": True, **answer}
        )
        stored["headers"] = {name: ref("headers", name) for name in ("Idempotency-Replayed", SKEW_HEADER)}
        parameters = [components.idempotency_key(f"order-4711-{kind}")]
        if is_batch:
            stored["headers"][RENAMED_HEADER] = ref("headers", RENAMED_HEADER)
            stored["headers"][PROCESS_HEADER] = ref("headers", PROCESS_HEADER)
            parameters += [components.statsd_types(), components.agent_report()]
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
            body_of(name, example),
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


def _keys() -> list[Endpoint]:
    path = "/api/admin/keys"
    key_id = {**parameter("id", {"type": "integer", "minimum": 1}, "The key's id.", 2), "in": "path"}
    listed = success({"data": {"type": "array", "items": schema("Key")}})
    fresh = success({**_MESSAGE, "data": schema("FreshKey")})

    def made(message: str) -> Json:
        example = {"success": True, "message": message, "data": _FRESH_KEY}
        return {"201": json_answer("The key. It is shown only now.", fresh, example)}

    created = made("Key created; it is shown only now")
    rotated = made("Key rotated; the old key is invalid, and the new one is shown only now")
    revoked = json_answer("Revoked.", success(_MESSAGE), {"success": True, "message": "Key revoked"})
    all_keys = json_answer("The keys.", listed, {"success": True, "data": [_KEY]})
    new_key = body_of("NewKey", {"name": "checkout", "scopes": ["ingest", "query"], "rate_limit": 1000})
    once = "Only this answer shows the key. The service keeps only a hash of it."
    secrets = "Lists all keys without their secrets, including revoked keys."
    soon = "The key stops working within 30 seconds. This cannot be undone."
    rotation = (
        "Gives the key a new secret. The old one stops working within 30 seconds. Name, scopes, limit and remembered "
        "requests stay."
    )
    one = f"{path}/{{id}}"
    example = {"success": True, "message": "Key changed", "data": _KEY}
    changed = json_answer("Changed.", success({**_MESSAGE, "data": schema("Key")}), example)
    change = (
        "Changes the limit, the scopes, the names or the expiry of a key that is not revoked. It takes effect at once, "
        "and in other processes of the service within 30 seconds."
    )
    force = optional("force", {"type": "boolean", "default": False}, "Do it even if no admin key would stay valid.")
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
            body=body_of("KeyChange", {"rate_limit": 5000, "expires_at": "2027-01-01T00:00:00Z"}),
        ),
        _admin(
            "delete", one, "revokeKey", "Revoke a key", soon, {"200": revoked, **conflict}, parameters=(key_id, force)
        ),
        _admin("post", f"{one}/rotate", "rotateKey", "Rotate a key", rotation, rotated, parameters=(key_id,)),
    ]


def _upkeep() -> list[Endpoint]:
    name = {
        **parameter("name", {"type": "string", "pattern": components.NAME_PATTERN}, "The name.", "typo"),
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
            {"200": json_answer("Deleted.", deleted, example)},
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
    shown = json_answer(
        "The state of retention.", success({"data": schema("Retention")}), {"success": True, "data": data}
    )

    def done(message: str) -> Json:
        example = {"success": True, "data": data, "message": message}
        return {
            "201": json_answer(
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
    body, moved = {**body_of("Restore", {"days": 97}), "required": False}, done("Line moved back")
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
        "200": json_answer("Writes can be acknowledged: ready, or degraded.", asked, good),
        "503": json_answer("Writes cannot be acknowledged; the body says why.", asked, bad),
    }

    def text(media: str) -> Json:
        return {"200": {"description": "The text.", "content": {media: {}}}}

    own = {"403": ref("responses", components.ERRORS[403])}  # for requests under a Host that is not this one
    return [
        page(
            "/health",
            "health",
            "Is it alive?",
            "Answers as long as the process works.",
            {
                "200": {
                    **json_answer("Yes.", alive, {"success": True, "status": "ok"}),
                    "headers": {SKEW_HEADER: ref("headers", SKEW_HEADER)},
                }
            },
        ),
        page("/ready", "ready", "Is it ready?", "Asks each dependency.", answers | own),
        page("/metrics", "metrics", "Metrics of the service", "In Prometheus' text format.", text("text/plain") | own),
        page("/openapi.json", "openapi", "This description", "OpenAPI 3.1.", text("application/json") | own),
        page("/docs", "docs", "This reference", "The web page, opened at the reference.", text("text/html") | own),
    ]

"""The API in OpenAPI 3.1. /openapi.json serves it, the reference page shows it, and tests use it."""

from typing import Any, Final

from central.web.openapi import components
from central.web.openapi.components import Json, ref
from central.web.openapi.endpoint import Endpoint
from central.web.openapi.endpoints import endpoints
from central.web.openapi.schemas import schemas

TAGS: Final = {
    "Ingest": "Send metrics. A 201 means that they are durable. These endpoints need the scope ingest.",
    "Query": "Ask for exact answers. These endpoints need the scope query.",
    "Graphite": "For Grafana and other readers of Graphite. These endpoints need the scope query. The key may also be "
    "the password of basic authentication. Parameters that mean nothing here are ignored.",
    "Admin": "Manage keys, delete metrics, make backups. These endpoints need the scope admin.",
    "Service": "For probes, scrapers and readers. These endpoints need no key.",
}
_INTRO: Final = (
    "Send counters and values, and get exact sums, counts, averages, rates, extremes and percentiles per time window. "
    "Every endpoint under /api and /graphite needs an API key in the X-API-Key header. Numbers are exact decimals, "
    "written as plain JSON numbers: read them as decimals if the last digit matters. Times are ISO 8601. Answers "
    "have UTC. Every error has the same format: success, and error with code, message and details."
)


def openapi(version: str) -> dict[str, Any]:
    """The whole description as plain JSON values, a new one for each call."""
    paths: dict[str, Json] = {}
    for endpoint in endpoints():
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Glowing Fiesta", "version": version, "description": _INTRO},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "gf_, then 12 of a-z and 0-9, then _, then a secret of 43 characters.",
                },
                "KeyAsPassword": {"type": "http", "scheme": "basic", "description": "The key is the password."},
            },
            "schemas": schemas(),
            "headers": components.headers(),
            "responses": components.responses(),
        },
    }


def _operation(endpoint: Endpoint) -> Json:
    """The operation object. An endpoint with a scope also has the key, the possible errors, and the rate limits."""
    made: Json = {
        "operationId": endpoint.id,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": endpoint.text,
        "security": [],
    }
    if endpoint.parameters:
        made["parameters"] = list(endpoint.parameters)
    if endpoint.body is not None:
        made["requestBody"] = endpoint.body
    if endpoint.scope is None:
        return {**made, "responses": endpoint.answers}
    answers = {status: answer if "$ref" in answer else _limited(answer) for status, answer in endpoint.answers.items()}
    errors = {str(status): ref("responses", components.ERRORS[status]) for status in _errors(endpoint)}
    return {
        **made,
        "security": [{"ApiKey": []}, *([{"KeyAsPassword": []}] if endpoint.tag == "Graphite" else [])],
        "x-required-scope": endpoint.scope,
        "responses": dict(sorted({**answers, **errors}.items())),
    }


def _limited(answer: Json) -> Json:
    return {**answer, "headers": {**answer.get("headers", {}), **components.rate_headers(), **components.id_header()}}


def _errors(endpoint: Endpoint) -> list[int]:
    statuses = [400, 401, 403, 429, 500, 503]
    if "{" in endpoint.path:
        statuses.append(404)
    if endpoint.body is not None:
        statuses += [413, 415]
    return statuses

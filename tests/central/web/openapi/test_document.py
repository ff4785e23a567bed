"""central/web/openapi: the description is valid, complete and true to the code."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from central.web.openapi.components import CODES, MAX_RATE_LIMIT
from central.web.openapi.document import openapi
from protocol.histogram import bucket_of, encode, to_text
from protocol.item import Fault, parse_item, parse_single
from protocol.numbers import UNIT

ROOT = Path(__file__).parents[4]
SPEC = openapi("1.2.3")
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
]


def checks(schema: Any, value: Any) -> bool:
    """Whether the value meets a schema of the description."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": SPEC["components"]}).is_valid(value)


def resolve(found: dict[str, Any]) -> Any:
    """What a ``$ref`` stands for; anything else as it is."""
    value: Any = SPEC if "$ref" in found else found
    for part in found.get("$ref", "#").split("/")[1:]:
        value = value[part]
    return value


def named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_it_is_a_valid_openapi_document_of_plain_json() -> None:
    schemathesis.openapi.from_dict(json.loads(json.dumps(SPEC))).validate()
    assert SPEC["info"]["version"] == "1.2.3"


def test_each_call_gives_a_new_document() -> None:
    openapi("1")["components"]["schemas"]["Item"].clear()
    assert openapi("1.2.3") == SPEC


def test_every_reference_leads_somewhere() -> None:
    for target in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(SPEC))):
        assert resolve({"$ref": target})


def test_every_list_says_what_is_in_it() -> None:
    """Generators of clients leave out what has a list without items."""

    def lists(found: Any) -> list[Any]:
        if isinstance(found, list):
            return [one for part in found for one in lists(part)]
        if not isinstance(found, dict):
            return []
        kinds = found.get("type")
        here = [found] if kinds == "array" or (isinstance(kinds, list) and "array" in kinds) else []
        return here + [one for part in found.values() for one in lists(part)]

    assert len(lists(SPEC)) > 20
    assert [one for one in lists(SPEC) if "items" not in one] == []


def test_it_describes_every_endpoint_of_the_service() -> None:
    source = "".join(path.read_text() for path in (ROOT / "central" / "web").glob("*.py"))
    routed = set(re.findall(r'route\.add_(get|post|patch|delete)\(f?"(/[^"]*)"', source)) - {
        ("get", "/"),
        ("get", "/page/{file:.+}"),
    }
    plain = {(method, re.sub(r":(\[0-9\]\{1,18\}|\.\+)", "", path)) for method, path in routed}
    plain = plain - {("post", "/api/metrics/{kind}")} | {
        ("post", "/api/metrics/counter"),
        ("post", "/api/metrics/value"),
    }
    assert plain == {(method, path) for path, methods in SPEC["paths"].items() for method in methods}


def test_it_names_every_code_the_service_can_answer() -> None:
    design = {
        *("VALIDATION_ERROR", "INVALID_JSON", "INVALID_NAME", "INVALID_VALUE", "INVALID_TIMESTAMP"),
        *("INVALID_HISTOGRAM", "INVALID_TAGS"),
        *("TIMESTAMP_TOO_OLD", "TIMESTAMP_IN_FUTURE", "METRIC_TYPE_CONFLICT", "TOO_MANY_METRICS", "BATCH_TOO_LARGE"),
        *("BODY_TOO_LARGE", "IDEMPOTENCY_KEY_REUSED", "RANGE_TOO_LARGE", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND"),
        *(
            "METHOD_NOT_ALLOWED",
            "RATE_LIMITED",
            "SERVICE_UNAVAILABLE",
            "INTERNAL_ERROR",
            "UNSUPPORTED_ENCODING",
            "LAST_ADMIN_KEY",
            "NAME_NOT_ALLOWED",
        ),
    }
    assert set(CODES) == design
    assert {
        code: tuple(about.values()) for code, about in SPEC["components"]["schemas"]["Error"]["x-codes"].items()
    } == CODES
    source = "".join(path.read_text() for path in ROOT.glob("central/**/*.py") if "openapi" not in path.parts)
    source += (ROOT / "protocol" / "item.py").read_text()
    raised = re.findall(r'(?:ApiError|Fault)\(\s*(?:\d{3},\s*)?"([A-Z_]+)"', source)
    assert {"RATE_LIMITED", "INVALID_NAME"} <= set(raised) <= set(CODES)


def test_no_code_gives_the_default_of_a_setting_for_its_value() -> None:
    """The clock skew is the one rule of a point that an operator can set: its name is right whatever it is set to."""
    meaning = CODES["TIMESTAMP_IN_FUTURE"].meaning
    assert "METRICS_CLOCK_SKEW_SECONDS" in meaning
    assert not re.search(r"\d", meaning)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_example_meets_its_schema(path: str, method: str, operation: dict[str, Any]) -> None:
    media = [operation.get("requestBody", {})]
    media += [resolve(answer) for answer in operation["responses"].values()]
    for entry in media:
        described = entry.get("content", {}).get("application/json", {})
        if "example" in described:
            assert checks(described["schema"], described["example"]), described["example"]
    for parameter in operation.get("parameters", []):
        described = resolve(parameter)
        if "example" in described:
            assert checks(described["schema"], described["example"])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_endpoint_with_a_key_tells_of_its_errors(path: str, method: str, operation: dict[str, Any]) -> None:
    if not path.startswith(("/api/", "/graphite/")):
        assert operation["security"] == []
        assert ("403" in operation["responses"]) == (path != "/health")  # a Host that is not this one
        return
    as_password: list[dict[str, list[str]]] = [{"KeyAsPassword": []}] if path.startswith("/graphite/") else []
    assert operation["security"] == [{"ApiKey": []}, *as_password]
    assert {"400", "401", "403", "429", "500", "503"} <= set(operation["responses"])
    assert ("404" in operation["responses"]) == ("{" in path or path.endswith("/backup"))
    for status in ("413", "415"):
        assert (status in operation["responses"]) == ("requestBody" in operation)
    success = operation["responses"]["201" if "201" in operation["responses"] else "200"]
    assert "RateLimit-Remaining" in success["headers"]


GOOD: dict[str, Any] = {"name": "a", "type": "value", "value": 1}
ONE: dict[str, Any] = {"count": 1, "min": 1, "max": 1, "histogram": to_text(encode({bucket_of(UNIT): UNIT}))}
"""What makes it a summary with a histogram."""


@pytest.mark.parametrize(
    "item",
    [
        GOOD,
        {**GOOD, "type": "counter", "count": 2, "min": 0, "max": 1},
        {**GOOD, "recorded_at": "2026-02-15T00:00:00Z"},
        {**GOOD, "recorded_at": "2026-02-15 01:00+01:00"},
        {**GOOD, "recorded_at": "2026-02-15"},
        {**GOOD, "recorded_at": "20260215"},
        {**GOOD, "recorded_at": 1771113600},
        {**GOOD, "value": "1"},
        {**GOOD, "value": True},
        {**GOOD, "value": 9_999_999_999_999_999},
        {**GOOD, "value": 10_000_000_000_000_000},
        {**GOOD, "value": -10_000_000_000_000_000},
        {**GOOD, "count": 2},
        {**GOOD, "min": 2, "max": 3},
        {**GOOD, "count": 0, "min": 2, "max": 3},
        {**GOOD, **ONE},
        {**GOOD, **ONE, "tags": {"env": "prod"}},
        {**GOOD, **ONE, "type": "counter"},
        {**GOOD, **ONE, "histogram": 1},
        {**GOOD, **ONE, "histogram": ""},
        {**GOOD, **ONE, "histogram": f"{ONE['histogram']}="},
        {**GOOD, "histogram": ONE["histogram"]},
        {**GOOD, "tags": {"a b": "c"}},
        {**GOOD, "tags": {"a": 1}},
        {**GOOD, "extra": 1},
        {**GOOD, "type": "gauge"},
        {**GOOD, "name": ""},
        {**GOOD, "name": "a b"},
        {**GOOD, "name": "a" * 256},
        {"name": "a", "type": "value"},
        {"type": "value", "value": 1},
        {"name": "a", "value": 1},
        [],
        None,
    ],
)
def test_the_schema_of_an_item_agrees_with_the_rules(item: object) -> None:
    try:
        parse_item(item, now=1771113600 + 86_400, skew=5)
        right = True
    except Fault:
        right = False
    assert checks(named("Item"), item) == right


@pytest.mark.parametrize("body", [{"name": "a"}, {"name": "a", "value": 2}, {"name": "a", "type": "value"}, {}, []])
def test_the_schemas_of_single_metrics_agree_with_the_rules(body: object) -> None:
    for name in ("Counter", "Value"):
        try:
            parse_single(body, "counter" if name == "Counter" else "value", now=0, skew=5)
            right = True
        except Fault:
            right = False
        assert checks(named(name), body) == right


@pytest.mark.parametrize("limit", [0, 1, MAX_RATE_LIMIT, MAX_RATE_LIMIT + 1])
def test_the_schema_of_a_new_key_agrees_with_the_rules(limit: int) -> None:
    from central.web.keys import NewKeyBody  # noqa: PLC0415

    body = {"name": "x", "rate_limit": limit}
    try:
        NewKeyBody.model_validate(body)
        right = True
    except ValueError:
        right = False
    assert checks(named("NewKey"), body) == right

"""schemathesis against a real server: no unexpected 5xx, and answers are as /openapi.json says."""

import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from central.web.openapi.document import openapi
from tests.central.harness import process_environ
from tests.examples import examples

KEY = "given-to-schemathesis-0123456789abcdef"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [(method, path) for path, methods in openapi("test")["paths"].items() for method in methods]
MODES = {"valid": schemathesis.GenerationMode.POSITIVE, "wrong": schemathesis.GenerationMode.NEGATIVE}
TAKES_NOTHING = {
    "indexMetrics",
    "graphiteVersion",
    "graphiteEvents",
    "graphiteFunctions",
    "listKeys",
    "backup",
    "health",
    "ready",
    "metrics",
    "openapi",
    "docs",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service process of its own, whose admin key no request can revoke: it is a setting."""
    environ = process_environ(tmp_path_factory.mktemp("schemathesis"), {"METRICS_ADMIN_KEY": KEY})
    command = [sys.executable, "-m", "central", "serve"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = next(found[1] for line in process.stderr if (found := re.search(r'"port": (\d+)', line)))
        reader = Thread(target=deque, args=(process.stderr, 0))  # a pipe that nobody reads would block the service
        reader.start()
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        reader.join()
        assert process.wait() == 0


@pytest.fixture(scope="module")
def api(server: str) -> Any:
    return schemathesis.openapi.from_url(f"{server}/openapi.json")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_gets_a_5xx_and_every_answer_is_as_described(api: Any, method: str, path: str, mode: str) -> None:
    operation = api[path][method]
    if mode == "wrong" and operation.definition.raw["operationId"] in TAKES_NOTHING:
        return  # nothing that could be wrong

    @settings(
        max_examples=examples(15),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=MODES[mode]))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers={"X-API-Key": KEY}, checks=CHECKS)

    ask()


def test_answers_to_a_day_of_good_requests_are_as_described(api: Any) -> None:
    def ask(method: str, path: str, **given_parts: Any) -> tuple[int, Any]:
        case = api[path][method].Case(media_type="application/json" if "body" in given_parts else None, **given_parts)
        answer = case.call_and_validate(headers={"X-API-Key": KEY}, checks=CHECKS)
        return answer.status_code, answer.json()

    item = {"name": "good.value", "type": "value", "value": 1.5}
    summary = {**item, "count": 2, "min": 0.5, "max": 1}
    assert ask("post", "/api/metrics/counter", body={"name": "good.counter"})[0] == 201
    assert ask("post", "/api/metrics/value", body={"name": "good.value", "value": 9999999999999999})[0] == 201
    assert ask("post", "/api/metrics/batch", body={"metrics": [item, summary, 7, {"name": "good.value"}]})[0] == 201

    query = {"operation": "avg", "window": "1h", "start": "2026-01-01", "end": "2026-01-02", "fill": "null"}
    for names in ("good.value", "good.value,good.counter,nobody"):
        assert ask("get", "/api/metrics/aggregate", query={**query, "name": names})[0] == 200
    for several in ({"operation": "count,rate,median,p99.9"}, {"operation": "p95", "fraction_below": "1.25"}):
        assert ask("get", "/api/metrics/aggregate", query={**query, "name": "good.value", **several})[0] == 200
    assert ask("get", "/api/metrics", query={"limit": 1})[1]["next"] is not None

    nodes = ask("get", "/graphite/metrics/find", query={"query": "good.value.p9*"})[1]
    assert [node["text"] for node in nodes] == ["p90", "p95", "p99"]
    assert ask("get", "/graphite/tags/autoComplete/tags", query={"tagPrefix": "name"})[1][0] == "name"

    status, made = ask("post", "/api/admin/keys", body={"name": "good", "scopes": ["query"]})
    assert status == 201
    one = {"id": made["data"]["id"]}
    assert ask("post", "/api/admin/keys/{id}/rotate", path_parameters=one)[0] == 201
    assert ask("delete", "/api/admin/keys/{id}", path_parameters=one)[0] == 200
    assert ask("get", "/api/admin/keys")[1]["data"][-1]["revoked_at"] is not None
    assert ask("delete", "/api/admin/metrics/{name}", path_parameters={"name": "good.value"})[0] == 200

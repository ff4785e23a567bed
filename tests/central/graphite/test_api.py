"""The paths of Graphite that find metrics, over HTTP and on both stores."""

import base64
from typing import Any

import pytest

from central.graphite.paths import OPERATIONS_OF
from central.web import graphite
from tests.central.harness import Central

VALUE_LEAVES = sorted(OPERATIONS_OF["value"])
ITEMS: list[dict[str, Any]] = [
    {"name": "shop.orders", "type": "counter", "value": 1, "tags": {"env": "prod", "host": "web-1"}},
    {"name": "shop.orders", "type": "counter", "value": 1, "tags": {"env": "test", "host": "web-2"}},
    {"name": "shop.orders.eu", "type": "counter", "value": 1},
    {"name": "shop.checkout_ms", "type": "value", "value": 12, "tags": {"env": "prod", "zone": ""}},
    {"name": "api.requests", "type": "counter", "value": 1},
]


@pytest.fixture
async def central(central: Central) -> Central:
    """A service on each kind of store, with the points of ITEMS."""
    reply = await central.batch(*ITEMS)
    assert (reply.status, reply.json["rejected"]) == (201, 0)
    return central


async def got(central: Central, path: str, *parameters: tuple[str, str]) -> Any:
    reply = await central.ask("GET", f"/graphite{path}", params=list(parameters))
    assert reply.status == 200, reply.text
    return reply.json


def shown(nodes: list[dict[str, Any]]) -> list[str]:
    """Each node's path; one that can be opened ends with a slash."""
    for node in nodes:
        assert node["expandable"] == node["allowChildren"] == 1 - node["leaf"]
        assert node["id"].split(".")[-1] == node["text"]
        assert node["context"] == {}
    return [node["id"] + "/" * node["expandable"] for node in nodes]


FOUND: list[tuple[str, list[str]]] = [
    ("*", ["api/", "shop/"]),
    ("shop", ["shop/"]),
    ("shop.*", ["shop.checkout_ms/", "shop.orders/"]),
    ("shop.orders", ["shop.orders/"]),
    ("shop.checkout_ms.*", [f"shop.checkout_ms.{leaf}" for leaf in VALUE_LEAVES]),
    ("shop.orders.{eu,sum,p95}", ["shop.orders.eu/", "shop.orders.sum"]),
    ("shop.orders.[e]*", ["shop.orders.eu/"]),
    ("*.re*.max", ["api.requests.max"]),
    ("nothing.*", []),
    ("no name", []),
]


async def test_find_shows_the_nodes_that_a_query_means(central: Central) -> None:
    for query, found in FOUND:
        assert shown(await got(central, "/metrics/find", ("query", query))) == found, query
        posted = await central.ask("POST", "/graphite/metrics/find", data={"query": query})
        assert shown(posted.json) == found, query


async def test_find_answers_in_the_formats_of_graphite(central: Central) -> None:
    completer = await got(central, "/metrics/find", ("query", "shop.orders."), ("format", "completer"))
    assert {"path": "shop.orders.eu.", "name": "eu", "is_leaf": "0"} in completer["metrics"]
    assert {"path": "shop.orders.sum", "name": "sum", "is_leaf": "1"} in completer["metrics"]
    nodes = await got(central, "/metrics/find", ("query", "shop.orders.{eu,sum}"), ("format", "nodelist"))
    assert nodes == {"nodes": ["eu", "sum"]}
    leaves = await got(central, "/metrics/find", ("query", "shop.orders.{eu,sum}"), ("leavesOnly", "1"))
    assert shown(leaves) == ["shop.orders.sum"]


async def test_expand_lists_paths(central: Central) -> None:
    two = (("query", "shop.orders.e*"), ("query", "api.*.{sum,max}"))
    paths = ["api.requests.max", "api.requests.sum", "shop.orders.eu"]
    assert await got(central, "/metrics/expand", *two) == {"results": paths}
    assert await got(central, "/metrics/expand", *two, ("leavesOnly", "1")) == {"results": paths[:2]}
    assert await got(central, "/metrics/expand", *two, ("groupByExpr", "1")) == {
        "results": {"shop.orders.e*": paths[2:], "api.*.{sum,max}": paths[:2]}
    }


async def test_a_request_may_expand_a_bounded_number_of_queries(central: Central) -> None:
    queries = [("query", f"shop.{number}*") for number in range(21)]
    assert await got(central, "/metrics/expand", *queries[:20]) == {"results": []}
    reply = await central.ask("GET", "/graphite/metrics/expand", params=queries)
    assert reply.error == (400, "VALIDATION_ERROR", "query")
    assert reply.message == "query may be given 20 times, not 21; use braces for several"


async def test_the_index_lists_all_leaves(central: Central) -> None:
    found = await got(central, "/metrics/index.json")
    assert found[:2] == ["api.requests.sum", "api.requests.count"]
    assert len(found) == 3 * len(OPERATIONS_OF["counter"]) + len(VALUE_LEAVES)


LISTED: list[tuple[str, dict[str, str], Any]] = [
    ("/tags", {}, [{"tag": tag} for tag in ("env", "host", "name", "zone")]),
    ("/tags", {"filter": "n|h"}, [{"tag": "host"}, {"tag": "name"}]),
    (
        "/tags/env",
        {},
        {"tag": "env", "values": [{"value": "prod"}, {"value": "test"}]},
    ),
    ("/tags/env", {"filter": "t"}, {"tag": "env", "values": [{"value": "test"}]}),
    (
        "/tags/name",
        {"limit": "2"},
        {"tag": "name", "values": [{"value": "api.requests"}, {"value": "api.requests.avg"}]},
    ),
    ("/tags/nothing", {}, {"tag": "nothing", "values": []}),
    ("/tags/autoComplete/tags", {}, ["env", "host", "name", "zone"]),
    ("/tags/autoComplete/tags", {"tagPrefix": "n"}, ["name"]),
    ("/tags/autoComplete/tags", {"tagPrefix": "é"}, []),
    ("/tags/autoComplete/tags", {"limit": "1"}, ["env"]),
    ("/tags/autoComplete/tags", {"expr": "env=test"}, ["host", "name"]),
    ("/tags/autoComplete/tags", {"expr": "name=shop.checkout_ms", "tagPrefix": "e"}, ["env"]),
    ("/tags/autoComplete/values", {"tag": "env"}, ["prod", "test"]),
    ("/tags/autoComplete/values", {"tag": "env", "valuePrefix": "p"}, ["prod"]),
    ("/tags/autoComplete/values", {"tag": "env", "valuePrefix": "a|b"}, []),
    ("/tags/autoComplete/values", {"tag": "host", "expr": "env=prod"}, ["web-1"]),
    ("/tags/autoComplete/values", {"tag": "name", "expr": "env=prod"}, ["shop.checkout_ms", "shop.orders"]),
    (
        "/tags/autoComplete/values",
        {"tag": "name", "valuePrefix": "shop.orders.m"},
        ["shop.orders.max", "shop.orders.min"],
    ),
    ("/tags/autoComplete/values", {"tag": "name", "valuePrefix": "é"}, []),
    (
        "/tags/findSeries",
        {"expr": "env=prod"},
        ["shop.checkout_ms;env=prod;zone=", "shop.orders;env=prod;host=web-1"],
    ),
    ("/tags/findSeries", {"expr": "name=~shop.*p95", "limit": "1"}, ["shop.checkout_ms.p95"]),
    ("/version", {}, graphite.VERSION),
]


async def test_tags_are_listed_and_completed(central: Central) -> None:
    for path, parameters, answer in LISTED:
        assert await got(central, path, *parameters.items()) == answer, (path, parameters)


WRONG: list[tuple[str, dict[str, str], str, str]] = [
    ("/metrics/find", {}, "query", "query is required"),
    ("/metrics/find", {"query": ""}, "query", "query is required"),
    ("/metrics/find", {"query": "a.{b"}, "query", "query has a '{' at character 3 that is never closed"),
    (
        "/metrics/find",
        {"query": "a.*", "format": "xml"},
        "format",
        "format must be one of treejson, completer, nodelist",
    ),
    (
        "/metrics/find",
        {"query": "a.*", "leavesOnly": "yes"},
        "leavesOnly",
        "leavesOnly must be one of 0, 1, false, true",
    ),
    ("/metrics/find", {"query": "*", "jsonp": "f"}, "jsonp", "jsonp is not supported; read the answer as JSON"),
    ("/metrics/expand", {}, "query", "query is required"),
    ("/tags", {"filter": "("}, "filter", "filter has the regular expression '(', which is none: missing ): ("),
    ("/tags/env=", {}, "tag", "tag: 'env=' is no key of a tag; a key must be"),
    ("/tags/autoComplete/values", {}, "tag", "tag is required"),
    ("/tags/autoComplete/values", {"tag": "1"}, "tag", "tag: '1' is no key of a tag; a key must be"),
    (
        "/tags/autoComplete/values",
        {"tag": "env", "limit": "-1"},
        "limit",
        "limit must be a whole number from 1 to 10,000",
    ),
    ("/tags/autoComplete/tags", {"expr": "env"}, "expr", "expr has 'env'; an expression is like env=prod"),
    ("/tags/autoComplete/tags", {"expr": "name!=x"}, "expr", "expr must have an expression that needs a tag"),
    ("/tags/findSeries", {}, "expr", "expr is required"),
]


async def test_a_wrong_request_says_what_is_wrong(central: Central) -> None:
    for path, parameters, field, message in WRONG:
        reply = await central.ask("GET", f"/graphite{path}", params=parameters)
        assert reply.error == (400, "VALIDATION_ERROR", field), (path, parameters)
        assert reply.message.startswith(message), (path, parameters)


@pytest.mark.parametrize("body", [b"query=\xff", b"&".join([b"query=a"] * 1_001)])
async def test_a_body_that_is_no_form_is_refused(central: Central, body: bytes) -> None:
    reply = await central.post("/graphite/metrics/find", body)
    assert reply.error == (400, "VALIDATION_ERROR", "body")


async def test_too_many_nodes_are_refused(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphite, "MOST_FOUND", 3)
    reply = await central.ask("GET", "/graphite/metrics/find", params={"query": "shop.orders.*"})
    assert reply.error == (400, "VALIDATION_ERROR", "query")
    assert reply.message == "query means more than 3 nodes; write a pattern that means fewer"
    assert (await central.ask("GET", "/graphite/metrics/index.json")).error == (400, "RANGE_TOO_LARGE", "index.json")


async def test_a_deleted_name_is_found_no_more(central: Central) -> None:
    assert shown(await got(central, "/metrics/find", ("query", "api.*"))) == ["api.requests/"]
    assert (await central.ask("DELETE", "/api/admin/metrics/api.requests")).status == 200
    assert await got(central, "/metrics/find", ("query", "api.*")) == []
    assert await got(central, "/metrics/find", ("query", "*.requests.sum")) == []


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


async def test_the_key_may_be_the_password_of_basic_authentication(central: Central) -> None:
    _, key = await central.new_key("query")
    path = "/graphite/metrics/find?query=*"
    assert (await central.ask("GET", path, key=None, headers=basic(f"grafana:{key}"))).status == 200
    assert (await central.ask("GET", path, key=None, headers=basic(f":{key}"))).status == 200
    # A key in its own header counts: the other may be meant for a proxy.
    assert (await central.ask("GET", path, key=key, headers=basic("proxy:secret"))).status == 200
    for headers in (
        basic("grafana:wrong"),
        basic(key),
        {"Authorization": f"Bearer {key}"},
        {"Authorization": "Basic !"},
        {},
    ):
        refused = await central.ask("GET", path, key=None, headers=headers)
        assert refused.error == (401, "UNAUTHORIZED", None), headers
    _, other = await central.new_key("ingest")
    assert (await central.ask("GET", path, key=None, headers=basic(f"x:{other}"))).error == (403, "FORBIDDEN", None)


async def test_no_other_path_takes_the_key_as_a_password(central: Central) -> None:
    for path in ("/api/metrics", "/api/admin/keys"):
        refused = await central.ask("GET", path, key=None, headers=basic(f"x:{central.key}"))
        assert refused.error == (401, "UNAUTHORIZED", None)

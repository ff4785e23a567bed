"""Stock Grafana and its own Graphite data source: each of its requests gets the answer that it reads."""

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from central.graphite.lines import CONSOLIDATE, consolidation
from central.query.operations import OFFERED
from tests.central.harness import running
from tests.grafana import FORM, Grafana, filled

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "graphite.json").read_text())
(SOURCE,) = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "graphite.yml").read_text())["datasources"]
VARIABLES: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in DASHBOARD["templating"]["list"]}
TARGETS = [
    pytest.param(target["target"], id=f"panel {panel['id']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]

ITEMS = [
    {"name": "shop.orders", "type": "counter", "value": 3, "tags": {"env": "prod", "host": "web-1"}},
    {"name": "shop.orders", "type": "counter", "value": 1, "tags": {"env": "test", "host": "web-2"}},
    {"name": "shop.orders.eu", "type": "counter", "value": 1},
    {"name": "shop.checkout_ms", "type": "value", "value": 12.5, "tags": {"env": "prod"}},
]
OPERATIONS = ["avg", "count", "max", "min", "rate", "sum"]


@pytest.fixture
async def grafana(tmp_path: Path) -> AsyncIterator[Grafana]:
    async with running(tmp_path) as central:
        assert (await central.batch(*ITEMS)).json["rejected"] == 0
        _, key = await central.new_key("query")
        yield Grafana(central, key)


async def test_the_version_is_one_with_tags_and_functions(grafana: Grafana) -> None:
    version = await grafana.got("GET", "/version")
    assert re.fullmatch(r"1\.1\.\d+", version)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("*", [("shop", True)]),
        ("shop.*", [("checkout_ms", True), ("orders", True)]),
        (
            "shop.orders.*",
            [*((leaf, False) for leaf in OPERATIONS[:2]), ("eu", True), *((leaf, False) for leaf in OPERATIONS[2:])],
        ),
        ("shop.{checkout_ms,orders}.m[ai]x", [("max", False), ("max", False)]),
        ("shop.*.p9?", [("p90", False), ("p95", False), ("p99", False)]),
        ("nothing.*", []),
    ],
)
async def test_the_picker_walks_from_folders_to_operations(
    grafana: Grafana, query: str, found: list[tuple[str, bool]]
) -> None:
    assert await grafana.find(query) == found


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("*", ["shop"]),
        ("shop.orders.e*", ["eu"]),
        ("expand(shop.*)", ["shop.checkout_ms", "shop.orders"]),
        ("expand(shop.*.sum)", ["shop.checkout_ms.sum", "shop.orders.sum"]),
        ("tags()", ["env", "host", "name"]),
        ("tags(env=prod)", ["host", "name"]),
        ("tag_values(env)", ["prod", "test"]),
        ("tag_values(host, name=shop.orders, env=prod)", ["web-1"]),
        ("tag_values(host,env=~prod|test)", ["web-1", "web-2"]),
        ("tag_values(name, env=prod)", ["shop.checkout_ms", "shop.orders"]),
    ],
)
async def test_variables_get_their_values(grafana: Grafana, query: str, values: list[str]) -> None:
    assert await grafana.variable(query) == values


async def test_the_tag_editor_completes_keys_and_values(grafana: Grafana) -> None:
    assert await grafana.complete("tags", tagPrefix="e") == ["env"]
    assert await grafana.complete("values", tag="name", valuePrefix="shop.ch", limit="2") == [
        "shop.checkout_ms",
        "shop.checkout_ms.avg",
    ]
    assert await grafana.complete("values", "name=shop.orders.sum", tag="env", valuePrefix="t") == ["test"]


# --- requests as they are, letter by letter: of the page, of its server, and of older versions of both

NO_RANGE = "from=undefined&until=undefined"
"""What newer versions send where a dashboard gives no range."""
PLAIN: list[tuple[str, str, str, Any]] = [
    ("GET", "/metrics/find?query=*&from=-6h&until=now", "", ["shop"]),
    ("GET", "/metrics/find?query=*.*&from=1771113600&until=1771117200", "", ["checkout_ms", "orders"]),
    ("POST", "/metrics/find", "query=shop.e*", []),
    ("POST", "/metrics/find", "query=shop.{orders,checkout_ms}.su*", ["sum", "sum"]),
    ("POST", f"/metrics/find?{NO_RANGE}", "query=shop.%2A", ["checkout_ms", "orders"]),
    ("GET", f"/metrics/expand?{NO_RANGE}&query=shop.%2A", "", ["shop.checkout_ms", "shop.orders"]),
    ("GET", "/tags?from=-1h&until=now", "", ["env", "host", "name"]),
    ("GET", "/tags/env", "", ["prod", "test"]),
    ("GET", f"/tags/autoComplete/tags?{NO_RANGE}&limit=0&tagPrefix=", "", ["env", "host", "name"]),
    ("GET", f"/tags/autoComplete/tags?{NO_RANGE}&expr=env%3Dprod&limit=100&tagPrefix=h", "", ["host"]),
    ("GET", f"/tags/autoComplete/values?{NO_RANGE}&expr=env%3Dprod&limit=0&tag=host&valuePrefix=", "", ["web-1"]),
    ("GET", "/tags/autoComplete/values?expr[]=env%3Dprod&expr[]=host%3D~web&tag=host&limit=", "", ["web-1"]),
    ("GET", "/tags/autoComplete/values?tag=host&limit=10000", "", ["web-1", "web-2"]),
    ("GET", "/tags/findSeries?expr[]=host=web-2", "", ["shop.orders;env=test;host=web-2"]),
    ("GET", "/events/get_data?from=-6h&until=now&tags=deploy release", "", []),
    ("GET", f"/events/get_data?{NO_RANGE}", "", []),
]


@pytest.mark.parametrize(("method", "path", "body", "found"), PLAIN)
async def test_a_request_gets_what_grafana_reads_of_it(
    grafana: Grafana, method: str, path: str, body: str, found: Any
) -> None:
    answer = await grafana.got(method, path, **({"data": body.encode(), "headers": FORM} if body else {}))
    if isinstance(answer, dict):
        (answer,) = (answer[part] for part in ("results", "values") if part in answer)
    assert [next(iter(one.values())) if isinstance(one, dict) else one for one in answer] == found


ALIASED = 'aliasSub({}, "(^.*$)", "\\1 {}")'
"""How the page writes to each line which query of the panel it belongs to: it reads the word after the last blank."""
RANGES = [
    *("from=-5min&until=now", "from=-6h&until=now", "from=-7d&until=-1min", "from=-1mon&until=now-1h"),
    *("from=-30s&until=now", "from=-1y&until=now", "from=1771113600&until=now"),
    *("from=1771113600&until=1771117200", "from=1771113600&until=1771113601", "until=now", "from=-1h"),
]
DRAWN: list[tuple[str, list[str], list[str]]] = [
    *((f"{asked}&format=json&maxDataPoints=300", ["shop.orders.sum"], ["shop.orders.sum A"]) for asked in RANGES),
    *(
        (f"{RANGES[0]}&format=json&{more}", ["shop.orders.sum"], ["shop.orders.sum A"])
        for more in ("maxDataPoints=931.5", "maxDataPoints=1", "cacheTimeout=60", "rawData=true", "maxDataPoints=43200")
    ),
    ("from=-1h&until=now", ["shop.orders.sum", "shop.*.max"], ["orders.sum A", "checkout_ms.max B", "orders.max B"]),
    ("from=-1h&until=now", ["shop.orders.sum", "shop.orders.sum"], ["orders.sum A", "orders.sum B"]),
    ("from=-1h&until=now", ["nothing.*", "shop.orders.sum"], ["orders.sum B"]),
    ("from=-1h&until=now", ["alias(shop.orders.sum,'a b (c)')"], ["a b (c) A"]),
    ("from=-1h&until=now", ["asPercent(shop.orders.sum,shop.orders.sum)"], ["A"]),
    ("from=-1h&until=now", ["aliasByTags(seriesByTag('name=shop.orders.sum', 'env=~prod|test'), 'env')"], ["A"] * 2),
    ("from=-1h&until=now", ["summarize(shop.orders.sum, '25min', 'sum', false)"], ["A"]),
    ("from=-1h&until=now", ["constantLine(100)"], ["100 A"]),
    ("from=-1h&until=now&meta=true", ["shop.{orders}.sum"], ["orders.sum A"]),
]


@pytest.mark.parametrize(("fields", "targets", "names"), DRAWN)
async def test_a_panel_of_several_queries_knows_the_lines_of_each(
    grafana: Grafana, fields: str, targets: list[str], names: list[str]
) -> None:
    texts = [quote(ALIASED.format(target, letter), safe="") for target, letter in zip(targets, "ABC", strict=False)]
    body = "&".join([*(f"target={text}" for text in texts), fields])
    lines = await grafana.got("POST", "/render", data=body.encode(), headers=FORM)
    assert [line["target"].endswith(name) for line, name in zip(lines, names, strict=True)] == [True] * len(names)


@pytest.mark.parametrize("asked", RANGES)
async def test_an_alert_of_an_old_version_has_an_empty_target_beside_others(grafana: Grafana, asked: str) -> None:
    body = f"format=json&maxDataPoints=500&target=&target=shop.orders.sum&{asked}"
    (line,) = await grafana.got("POST", "/render", data=body.encode(), headers=FORM)
    assert line["target"] == "shop.orders.sum"


async def test_an_error_has_a_message_that_grafana_shows(grafana: Grafana) -> None:
    reply = await grafana.ask("POST", "/metrics/find", data=b"query=shop.{a", headers={"Content-Type": "text/plain"})
    assert reply.error == (400, "VALIDATION_ERROR", "query")
    wrong = await Grafana(grafana.central, "gf_wrong").ask("POST", "/metrics/find", data=b"query=*")
    assert wrong.error == (401, "UNAUTHORIZED", None)


# --- what deploy/grafana provisions


async def test_the_variables_of_the_dashboard_offer_names_and_tags(grafana: Grafana) -> None:
    chosen = {"names": [VARIABLES["names"]["current"]["value"]]}
    metrics = await grafana.variable(filled(VARIABLES["metric"]["query"]["target"], chosen))
    assert metrics == ["shop.checkout_ms", "shop.orders"]
    assert await grafana.variable(VARIABLES["tag"]["query"]["target"]) == ["env", "host", "name"]
    assert VARIABLES["operation"]["query"].split(",") == list(OFFERED)
    assert {consolidation(way) for way in VARIABLES["together"]["query"].split(",")} <= CONSOLIDATE.keys()
    for variable in ("metric", "tag"):
        assert VARIABLES[variable]["definition"] == VARIABLES[variable]["query"]["target"]


@pytest.mark.parametrize("metrics", [["shop.orders"], ["shop.checkout_ms", "shop.orders"]])
@pytest.mark.parametrize("target", TARGETS)
async def test_every_panel_of_the_dashboard_draws_lines(grafana: Grafana, target: str, metrics: list[str]) -> None:
    now = int(time.time())
    text = filled(target, {"metric": metrics, "operation": ["sum"], "tag": ["env"], "together": ["max"]})
    lines = await grafana.render(text, now - 6 * 3_600, now + 60)
    assert lines
    for line in lines:
        assert isinstance(line["target"], str)
        assert all(isinstance(value, str) for value in line["tags"].values())
        assert all(type(at) is int for _, at in line["datapoints"])
    if "timeShift" not in target:
        assert any(value for line in lines for value, _ in line["datapoints"])


async def test_the_check_of_the_data_source_draws_a_constant(grafana: Grafana) -> None:
    now = int(time.time())
    (line,) = await grafana.render("constantLine(100)", now - 3_600, now)
    assert {value for value, _ in line["datapoints"]} == {100}


async def test_the_functions_are_a_table_that_grafana_reads(grafana: Grafana) -> None:
    functions = await grafana.got("GET", "/functions")
    assert {"name", "group", "params"} <= functions["sumSeries"].keys()


def test_the_dashboard_uses_the_source_that_is_provisioned() -> None:
    used = [entry["datasource"] for entry in (*DASHBOARD["panels"], VARIABLES["metric"], VARIABLES["tag"])]
    used += [target["datasource"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert all(entry == {"type": SOURCE["type"], "uid": SOURCE["uid"]} for entry in used)
    assert (SOURCE["type"], SOURCE["url"]) == ("graphite", "$METRICS_URL/graphite")


def test_the_key_is_a_password_from_the_environment() -> None:
    assert (SOURCE["basicAuth"], SOURCE["secureJsonData"]["basicAuthPassword"]) == (True, "$METRICS_KEY")
    assert not re.search(r"gf_[a-z0-9]", (FOLDER / "dashboards" / "graphite.json").read_text())

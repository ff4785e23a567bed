"""Stock Grafana and its own Graphite data source: each of its requests gets the answer that it reads."""

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from central.graphite.lines import CONSOLIDATE, consolidation
from central.query.operations import OFFERED
from tests.central.harness import running
from tests.grafana import Grafana, filled

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

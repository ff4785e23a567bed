"""Stock Grafana and its own Graphite data source: each of its requests gets the answer that it reads."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.central.harness import running
from tests.grafana import Grafana

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

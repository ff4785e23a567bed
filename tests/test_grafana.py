"""deploy/grafana, as far as it can be checked without Grafana: each of its requests gets what its columns expect."""

import csv
import io
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from central.query.operations import OFFERED
from central.store.plan import WINDOWS
from protocol.times import format_time, parse_time
from tests.central.harness import Central, running

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "metrics.json").read_text())
(SOURCE,) = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "fiesta.yml").read_text())["datasources"]
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text())
VARIABLES: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in DASHBOARD["templating"]["list"]}
READS: dict[str, Any] = {"string": str, "number": float, "timestamp": parse_time}
"""What Infinity makes of a column of each type."""


def targets() -> Iterator[Any]:
    """Every request of the dashboard: those of its panels and those of its variables."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target, id=f"panel {panel['id']}")
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            yield pytest.param(variable["query"]["infinityQuery"], id=f"variable {name}")


def filled_in(text: str, values: dict[str, str]) -> str:
    """The text with variables and macros as Grafana fills them in; one that is none is a KeyError."""
    return re.sub(r"\$\{(\w+)(?::[\w:]+)?\}", lambda found: values[found[1]], text)


def rows(kind: str, text: str, root: str) -> list[dict[str, Any]]:
    if kind == "csv":
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    body = json.loads(text)
    for step in filter(None, root.split(".")):
        body = body[step]
    assert isinstance(body, list)
    return body


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Central]:
    async with running(tmp_path) as made:
        for name in ("api.requests", "api.errors"):
            assert (await made.counter(name, "2.5")).status == 201
        yield made


@pytest.mark.parametrize("names", ["api.requests", "api.errors,api.requests"])
@pytest.mark.parametrize("target", list(targets()))
async def test_every_request_is_answered_with_the_columns_it_names(
    central: Central, target: dict[str, Any], names: str
) -> None:
    _, key = await central.new_key("query")
    now = int(time.time())
    values = {name: variable["current"].get("value", "") for name, variable in VARIABLES.items()}
    # Grafana's ISO dates have milliseconds.
    span = {"__from": format_time(now - 21_600)[:-1] + ".123Z", "__to": format_time(now + 1)[:-1] + ".000Z"}
    filling = {**values, "name": names, **span}
    parameters = {entry["key"]: filled_in(entry["value"], filling) for entry in target["url_options"]["params"]}
    assert target["url_options"]["method"] == "GET"
    reply = await central.ask("GET", target["url"], key=key, params=parameters)
    assert reply.status == 200, reply.text
    found = rows(target["type"], reply.text, target["root_selector"])
    assert {row["name"] for row in found} >= set(names.split(","))
    for column in target["columns"]:
        for row in found:
            READS[column["type"]](row[column["selector"]])


def test_the_choices_of_the_variables_are_what_the_service_takes() -> None:
    chosen = {name: VARIABLES[name]["query"].split(",") for name in ("operation", "window")}
    assert chosen == {"operation": list(OFFERED), "window": list(WINDOWS)}
    for variable in ("operation", "window"):
        assert [option["value"] for option in VARIABLES[variable]["options"]] == chosen[variable]


def test_the_dashboard_uses_the_source_that_is_provisioned() -> None:
    used = re.findall(r'"datasource": (\{[^}]+\})', json.dumps(DASHBOARD))
    assert used
    for entry in used:
        assert json.loads(entry) == {"type": SOURCE["type"], "uid": SOURCE["uid"]}


def test_the_key_comes_from_the_environment_and_goes_to_one_host() -> None:
    assert SOURCE["secureJsonData"]["apiKeyValue"] == "$METRICS_KEY"
    assert (SOURCE["url"], SOURCE["jsonData"]["allowedHosts"]) == ("$METRICS_URL", ["$METRICS_URL"])
    assert (SOURCE["jsonData"]["apiKeyType"], SOURCE["jsonData"]["apiKeyKey"]) == ("header", "X-API-Key")
    assert not re.search(r"gf_[a-z0-9]", (FOLDER / "dashboards" / "metrics.json").read_text())


def test_the_container_is_pinned_unprivileged_and_finds_what_it_mounts() -> None:
    service = COMPOSE["services"]["grafana"]
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", service["image"])
    plugin, _, version = service["environment"]["GF_PLUGINS_PREINSTALL_SYNC"].partition("@")
    assert plugin == SOURCE["type"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    for volume in service["volumes"]:
        source, target, *_ = volume.split(":")
        assert source in COMPOSE["volumes"] or source.startswith("./deploy/tls") or (ROOT / source).is_file(), source
        if "dashboards/metrics.json" in source:
            provider = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "fiesta.yml").read_text())
            assert Path(target).parent == Path(provider["providers"][0]["options"]["path"])
    main = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(service["networks"]) <= set(main["networks"])
    assert set(service["depends_on"]) <= set(main["services"])

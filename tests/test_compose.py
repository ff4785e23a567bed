"""docker-compose.yml, Dockerfile, .env.example and deploy/, as far as they can be checked without a Docker engine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.settings import load_settings as load_agent_settings
from tests.every_setting import AGENT, CENTRAL

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OF_IMAGES = {
    "mysql": {"MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_RANDOM_ROOT_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},  # read by the command that we give it
}
"""What the images' own documentation, or our command, reads from the environment."""
PRD = {
    *("DB_CONNECTION", "DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD"),
    *("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "QUEUE_CONNECTION"),
    *("METRICS_RETENTION_DAYS", "METRICS_RATE_LIMIT_DEFAULT"),
}
"""PRD 7.3."""
OURS = ("central1", "central2", "agent")
PINNED = re.compile(r"[a-z0-9/.-]+:\d+\.\d+\.\d+(-[a-z0-9.-]+)?")
SECRETS = {"DB_PASSWORD", "REDIS_PASSWORD", "FIESTA_AGENT_API_KEY"}


def env_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    assert all(equals for _, equals, _ in pairs)
    return {name: value for name, _, value in pairs}


def filled_in() -> dict[str, str]:
    """.env.example with its secrets."""
    return {name: value or "s" * 43 for name, value in env_example().items()}


def listens_publicly(port: str) -> bool:
    return not port.startswith("127.0.0.1:")


services = pytest.mark.parametrize("name", SERVICES)


def test_the_services_are_those_of_the_production_tier() -> None:
    assert set(SERVICES) == {"nginx", "central1", "central2", "mysql", "redis", "agent"}


@services
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])
    assert ("build" in SERVICES[name]) == (name in OURS)


@services
def test_every_service_has_a_healthcheck_and_comes_back_by_itself(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= check.keys()
    assert SERVICES[name]["restart"] == "unless-stopped"


@services
def test_no_service_has_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    assert name in OURS or service["user"] not in ("root", "0")
    assert not [volume for volume in service.get("volumes", []) if "docker.sock" in volume or volume.startswith("/")]


@services
def test_no_service_can_take_the_memory_of_its_host(name: str) -> None:
    assert re.fullmatch(r"256m|[124]g", SERVICES[name]["mem_limit"])


@services
def test_only_nginx_can_be_reached_from_other_hosts(name: str) -> None:
    public = [port for port in SERVICES[name].get("ports", []) if listens_publicly(port)]
    assert public == (["443:8443"] if name == "nginx" else [])


def test_the_stores_are_on_a_network_that_leads_nowhere_else() -> None:
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for name in ("mysql", "redis"):
        assert (SERVICES[name]["networks"], "ports" in SERVICES[name]) == (["back"], False)


@services
def test_every_variable_is_one_that_somebody_reads(name: str) -> None:
    known = OF_IMAGES.get(name) or (set(AGENT) if name == "agent" else set(CENTRAL))
    assert set(SERVICES[name].get("environment", {})) <= known


def test_what_compose_takes_from_the_environment_is_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) <= env_example().keys()
    assert re.findall(r"(?<![$\w])\$(?![${])", text) == []  # neither ${NAME} nor $$ for the shell inside


def test_the_example_has_the_names_of_the_requirements_and_only_settings() -> None:
    names = env_example().keys()
    assert names >= PRD
    assert names <= CENTRAL.keys() | AGENT.keys()


def test_the_example_leaves_secrets_empty_and_its_other_values_are_good() -> None:
    example = env_example()
    assert {name for name, value in example.items() if not value} == SECRETS
    faults = {}
    for name, value in filled_in().items():
        try:
            if name in CENTRAL:
                CENTRAL[name].rule(value)
        except ValueError as error:
            faults[name] = str(error)
    # Until this version knows them; nothing else may be wrong.
    assert all("this version" in fault for fault in faults.values()), faults


@pytest.mark.parametrize("name", ["central1", "central2"])
def test_the_settings_that_compose_gives_central_itself_are_good(name: str) -> None:
    assert SERVICES[name]["env_file"] == ".env"
    for variable, value in SERVICES[name]["environment"].items():
        CENTRAL[variable].rule(value)


def test_the_settings_that_compose_gives_the_agent_are_good() -> None:
    given = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: filled_in()[found[1]], value)
        for name, value in SERVICES["agent"]["environment"].items()
    }
    settings = load_agent_settings(given)
    assert settings.central_url == "https://metrics.internal:8443"
    assert "metrics.internal" in SERVICES["nginx"]["networks"]["front"]["aliases"]


def test_the_example_and_central_agree_on_where_the_stores_are() -> None:
    example = env_example()
    assert {example["DB_HOST"], example["REDIS_HOST"]} <= SERVICES.keys()


@services
def test_what_a_service_waits_for_is_there(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert (other in SERVICES, condition) == (True, {"condition": "service_healthy"})


@services
def test_mounted_files_are_in_the_repository_and_named_volumes_declared(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./deploy/tls"):  # the operator's
            continue
        assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"], volume


def test_secrets_stay_out_of_the_repository_and_of_the_image() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/.env", "/deploy/tls/"} <= set(ignored)
    first, *allowed = (ROOT / ".dockerignore").read_text().split()
    assert (first, [entry for entry in allowed if "env" in entry or "tls" in entry]) == ("*", [])


# --- the image


def dockerfile() -> str:
    return re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())


def test_the_image_is_built_from_a_pinned_python_and_runs_without_root() -> None:
    text = dockerfile()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["fiesta"]


def test_the_image_installs_by_hash_what_is_locked_and_nothing_else() -> None:
    for command in re.findall(r"pip install[^&\n]*", dockerfile()):
        locked = "--require-hashes --no-deps -r requirements/" in command
        assert locked or command.strip().endswith("--no-deps --no-index dist/*.whl")
    assert "pip wheel --no-cache-dir --no-build-isolation --no-deps" in dockerfile()


def test_what_the_image_copies_is_there_and_sent_to_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source


def test_the_wheel_of_the_image_is_built_from_what_the_image_copies(tmp_path: Path) -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.MULTILINE):
        for source in map(ROOT.joinpath, sources.split()):
            target = tmp_path / source.relative_to(ROOT)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            else:
                target.parent.mkdir(exist_ok=True)
                shutil.copy(source, target)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"]
    environ = os.environ | {"CC": "no-such-compiler"}
    subprocess.run(build, cwd=tmp_path, env=environ, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {f"{package}/py.typed" for package in built["packages"]} <= set(names)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    found = dict(re.findall(r"^([a-z0-9._-]+(?:\[[a-z,]+\])?)==(\S+) \\$", text, re.MULTILINE))
    assert text.count("--hash=sha256:") >= len(found) > 3
    return found


def test_the_image_has_the_versions_that_were_tested_and_no_test_tools() -> None:
    tested = pins("dev.txt")
    for name in ("run.txt", "build.txt"):
        assert pins(name).items() <= tested.items(), "run: make lock"
    assert not {"pytest", "ruff", "mypy", "hatchling"} & pins("run.txt").keys()
    assert "hatchling" in pins("build.txt")


# --- the servers' own files


def settings_of(path: str, separator: str | None) -> dict[str, str]:
    """Name and value of each line that is no comment and no section."""
    lines = [line.strip() for line in (ROOT / path).read_text().splitlines()]
    pairs = [line.split(separator, 1) for line in lines if line and line[0] not in "#["]
    assert len({name.strip() for name, _ in pairs}) == len(pairs)
    return {name.strip(): value.strip() for name, value in pairs}


def test_mysql_is_set_up_to_keep_what_it_committed() -> None:
    given = settings_of("deploy/mysql.cnf", "=")
    wanted = {"innodb_flush_log_at_trx_commit": "1", "sync_binlog": "1", "innodb_doublewrite": "ON"}
    assert wanted.items() <= given.items()
    assert (given["default_time_zone"], given["transaction_isolation"]) == ("'+00:00'", "READ-COMMITTED")


def test_redis_is_set_up_to_keep_what_it_acknowledged() -> None:
    given = settings_of("deploy/redis.conf", None)
    wanted = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
    assert wanted.items() <= given.items()
    assert given["maxmemory-policy"] == "noeviction"
    found = re.fullmatch(r"(\d+)mb", given["maxmemory"])
    assert found
    assert int(found[1]) << 20 >= 1.25 * CENTRAL["METRICS_SPILL_MAX_BYTES"].default

"""The wheel and the sdist, installed into empty environments: each extra alone has all that its programs import.

Nothing is downloaded. A dependency is put into an environment by linking what is installed here, and only those that
the wheel's own metadata asks for; then pip installs the wheel with ``--no-index`` and fails where one is missing.
"""

import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.patience import PATIENCE
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
PROGRAMS = ("fiesta-agent", "fiesta-central")


def build(target: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from the sdist, so that nothing of this folder is in it that the sdist has not."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)  # our own archive; the Python of Debian 12 knows no filter
    (source,) = folder.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


def closure(requirements: list[str], extra: str) -> dict[str, Distribution]:
    """The installed distributions that these requirements, and theirs, ask for."""
    found: dict[str, Distribution] = {}
    ahead = [(Requirement(text), extra) for text in requirements]
    while ahead:
        requirement, asked = ahead.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": asked}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        known = distribution(requirement.name)
        for wanted in requirement.extras or {""}:
            if name not in found or wanted:
                ahead += [(Requirement(text), wanted) for text in known.requires or []]
        found[name] = known
    return found


class Environment:
    """A virtual environment with the wheel and the dependencies of one extra ("" for none)."""

    def __init__(self, folder: Path, wheel: Path, extra: str) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self._bin = folder / "bin"
        (site,) = (folder / "lib").glob("python*/site-packages")
        metadata = zipfile.ZipFile(wheel).read(f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/METADATA").decode()
        asked = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
        for dependency in closure(asked, extra).values():
            for file in dependency.files or []:
                top = file.parts[0]
                source = Path(str(dependency.locate_file(top)))
                if top != ".." and not (site / top).exists() and source.exists():
                    (site / top).symlink_to(source)
        pip = [sys.executable, "-m", "pip", "--python", str(self._bin / "python"), "install", "--quiet", "--no-index"]
        subprocess.run([*pip, f"{wheel}[{extra}]" if extra else str(wheel)], check=True, capture_output=True, text=True)

    def run(self, program: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run an installed program to its end, in an empty folder."""
        return subprocess.run(
            [self._bin / program, *arguments],
            cwd=self._empty(),
            env={"PATH": os.environ["PATH"], **settings},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, program: str, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """Start an installed program in an empty folder."""
        command = [str(self._bin / program), *arguments]
        environ = {"PATH": os.environ["PATH"], **settings}
        return subprocess.Popen(command, cwd=self._empty(), env=environ, stderr=subprocess.PIPE, text=True)

    def _empty(self) -> Path:
        folder = self.folder / "empty"
        folder.mkdir(exist_ok=True)
        return folder


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("base"), wheel, "")


@pytest.fixture(scope="module")
def central(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("central"), wheel, "central")


def until(process: "subprocess.Popen[str]", event: str) -> str:
    """The line of the log with this event."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if f'"event": "{event}"' in line:
            return line
    raise AssertionError("".join(seen))


def stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    assert process.stderr is not None
    with process.stderr:
        rest = process.stderr.read()
    assert process.wait(timeout=PATIENCE) == 0, rest


def test_the_wheel_has_migrations_page_and_units_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for store in ("duckdb", "mysql"):
        sources = {path.name for path in (ROOT / "migrations" / store).glob("*.sql")}
        assert sources <= {Path(name).name for name in names if name.startswith(f"central/migrations/{store}/")}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "central" / "page").iterdir() if path.is_file()}
    assert files
    assert files <= set(names)
    units = {path.name for path in (ROOT / "systemd").iterdir()}
    assert units <= {Path(name).name for name in names if "/lib/systemd/system/" in name}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name and ".data/" not in name} == {
        "agent",
        "central",
        "protocol",
        "runtime",
    }


def test_every_package_of_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {name.split("/")[0] for name in names if re.fullmatch(r"\w+/__init__\.py", name)}
    assert {"agent", "central", "protocol"} <= packages
    assert {f"{package}/py.typed" for package in packages} <= names


def test_the_wheel_has_the_terms_and_names_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        assert archive.read(names["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
        metadata = archive.read(names["METADATA"]).decode().partition("\n\n")[0].splitlines()
    assert {"License-Expression: LicenseRef-Internal-Use", "License-File: LICENSE"} <= set(metadata)
    assert not [line for line in metadata if line.startswith(("Project-URL", "Home-page"))]


def test_the_sdist_has_what_a_build_and_a_reader_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "docs/README.md",
        "Makefile",
    } <= names
    assert not [name for name in names if name.startswith((".venv", "data/")) or "node_modules" in name]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("which", ["base", "central"])
def test_help_and_version_work_with_each_extra(request: pytest.FixtureRequest, which: str, program: str) -> None:
    environment: Environment = request.getfixturevalue(which)
    done = environment.run(program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Commands:" in done.stdout


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["doctor"], ["query", "a"], ["keys", "list"]])
def test_the_base_has_no_service_and_says_which_extra_has(base: Environment, command: list[str]) -> None:
    done = base.run("fiesta-central", *command, METRICS_ADMIN_KEY="k" * 40, METRICS_LISTEN=f"127.0.0.1:{free_port()}")
    assert "Traceback" not in done.stderr
    assert done.returncode != 0
    # Those that only ask the service need no extra to say that it is not there.
    assert 'pip install "$(ls glowing_fiesta-*.whl)[central]"' in done.stderr or "METRICS_LISTEN" in done.stderr


@pytest.mark.parametrize("which", ["base", "central"])
def test_the_agent_works_with_the_base_alone(request: pytest.FixtureRequest, which: str) -> None:
    environment: Environment = request.getfixturevalue(which)
    port = free_port()
    settings = {
        "FIESTA_AGENT_API_KEY": "gf_key",
        "FIESTA_AGENT_UDP": f"127.0.0.1:{port}",
        "FIESTA_AGENT_HTTP": f"127.0.0.1:{port}",
        "FIESTA_AGENT_CENTRAL_URL": "http://127.0.0.1:9",
    }
    process = environment.start("fiesta-agent", "run", **settings)
    until(process, "started")
    done = environment.run("fiesta-agent", "send", "a:1|c", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "samples" in environment.run("fiesta-agent", "status", **settings).stdout
    stop(process)


def test_the_service_works_with_its_extra_and_the_base_asks_it(central: Environment, base: Environment) -> None:
    process = central.start("fiesta-central", "serve", METRICS_LISTEN="127.0.0.1:0")
    found = re.search(r'"port": (\d+)', until(process, "serving"))
    assert found
    settings = {"METRICS_LISTEN": f"127.0.0.1:{found[1]}"}
    key = central.run("fiesta-central", "keys", "create", "test", **settings).stdout.strip()
    assert re.fullmatch(r"gf_[a-z0-9]{12}_\S{43}", key)
    assert "timestamp" in central.run("fiesta-central", "query", "a", **settings).stdout
    away = {"METRICS_URL": f"http://127.0.0.1:{found[1]}", "METRICS_KEY": key}
    for command in (["query", "a"], ["query", "a", "--operation", "p95", "--tz", "Europe/Berlin", "--window", "1d"]):
        done = base.run("fiesta-central", *command, **away)
        assert ("timestamp" in done.stdout, done.returncode) == (True, 0), done.stderr
    admin = (central.folder / "empty" / "data" / "admin.key").read_text().strip()
    for command in (["keys", "list"], ["agents"], ["retention", "show"]):
        done = base.run("fiesta-central", *command, **{**away, "METRICS_KEY": admin})
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/", timeout=PATIENCE) as page:
        assert b"<html" in page.read()
    stop(process)

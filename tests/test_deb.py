"""The Debian packages, with dpkg in a folder as its root: installed, used, upgraded, removed and purged."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.build_deb import PACKAGES, build, needed
from tests.ports import free_port
from tests.servers import program
from tests.test_packages import build as build_wheel
from tests.test_packages import stop, until

QUICK = ("-Zgzip", "-z1")
AGENT, CENTRAL = PACKAGES
NEWER = "9.9.9"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both packages, by name."""
    folder = tmp_path_factory.mktemp("deb")
    wheel = build_wheel("wheel", Path(__file__).parents[1], folder / "wheel")
    return {package.name: build(package, wheel, folder / package.name, folder, QUICK) for package in PACKAGES}


class Root:
    """A folder that dpkg takes for the root of a system. Nothing of this system is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("updates", "info"):
            (folder / "var/lib/dpkg" / name).mkdir(parents=True)
        (folder / "var/lib/dpkg/status").touch()

    def dpkg(self, *arguments: str | Path) -> str:
        """Run dpkg and return what it and the packages' scripts say."""
        options = (
            "--force-script-chrootless",
            "--force-depends",
            "--force-confdef",
            "--force-confold",
            "--force-unsafe-io",
        )
        done = subprocess.run(
            [program("fakeroot"), "dpkg", f"--root={self.folder}", "--log=/dev/null", *options, *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, name: str, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """Start an installed program with this Python; what it needs must be in the package."""
        return subprocess.Popen(
            self._command(name, arguments), env=_around(settings), cwd=self.folder, stderr=subprocess.PIPE, text=True
        )

    def run(self, name: str, *arguments: str, **settings: str) -> str:
        """Run one to its end and return what it prints."""
        done = subprocess.run(
            self._command(name, arguments),
            env=_around(settings),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _command(self, name: str, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-sPS", str(self.folder / "usr/bin" / name), *arguments]

    def systemctl(self, *arguments: str) -> None:
        """Change or ask for the state of units that are installed here. "No" is a failure."""
        done = subprocess.run(
            [program("systemctl"), "--quiet", f"--root={self.folder}", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def files(self) -> set[str]:
        """All that is there, links that lead nowhere too, without dpkg's own."""
        found = (path for path in self.folder.rglob("*") if path.is_file() or path.is_symlink())
        return {name for path in found if not (name := str(path.relative_to(self.folder))).startswith("var/lib/dpkg/")}


def _around(settings: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **settings}


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def newer(package: Path, folder: Path) -> Path:
    """The same package in a later version."""
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    control = folder / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {NEWER}", control.read_text(), flags=re.MULTILINE))
    target = folder.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", *QUICK, "-b", folder, target], check=True, capture_output=True)
    return target


def test_an_agent_is_installed_upgraded_removed_and_purged(root: Root, made: dict[str, Path], tmp_path: Path) -> None:
    said = root.dpkg("--install", made[AGENT.name])
    assert "systemctl enable --now fiesta-agent.socket fiesta-agent.service" in said
    assert "fiesta-agent, version " in root.run("fiesta-agent", "--version")
    unit = (root.folder / "lib/systemd/system/fiesta-agent.service").read_text()
    assert "ExecStart=/usr/bin/fiesta-agent run --config /etc/fiesta/agent.toml" in unit
    assert "/opt/" not in unit
    port, spool = free_port(), root.folder / "var/lib/fiesta-agent/spool"
    config = root.folder / "etc/fiesta/agent.toml"
    config.write_text('central_url = "http://127.0.0.1:9"\n')
    settings = {
        "FIESTA_AGENT_API_KEY": "gf_key",
        "FIESTA_AGENT_UDP": f"127.0.0.1:{port}",
        "FIESTA_AGENT_HTTP": f"127.0.0.1:{port}",
        "FIESTA_AGENT_SPOOL_DIR": str(spool),
    }
    process = root.start("fiesta-agent", "run", "--config", str(config), **settings)
    assert "counted by" in until(process, "started")
    root.run("fiesta-agent", "send", "a:1|c", **settings)
    stop(process)
    (root.folder / "etc/fiesta/api_key").write_text("gf_key")
    root.systemctl("enable", "fiesta-agent.socket", "fiesta-agent.service")

    root.dpkg("--install", newer(made[AGENT.name], tmp_path / "newer"))
    assert f"Version: {NEWER}" in root.dpkg("--status", AGENT.name)
    assert config.read_text() == 'central_url = "http://127.0.0.1:9"\n'
    root.systemctl("is-enabled", "fiesta-agent.socket", "fiesta-agent.service")
    assert list((spool / "queue").iterdir())
    root.dpkg("--remove", AGENT.name)
    left = {"etc/fiesta/agent.toml", "etc/fiesta/api_key"}
    assert {name for name in root.files() if not name.startswith("var/lib/fiesta-agent/")} == left
    assert list((spool / "queue").iterdir())
    assert "1 batches of samples that were not sent are removed" in root.dpkg("--purge", AGENT.name)
    assert root.files() == set()


def judged(installed: Path, folder: Path) -> str:
    """What systemd-analyze finds wrong with the units. It looks for the programs and for the host's own units."""
    for name in ("lib/systemd/system", "usr/bin"):
        shutil.copytree(installed / name, folder / name)
    for target in Path("/lib/systemd/system").glob("*.target"):
        shutil.copy(target, folder / "lib/systemd/system")
    (folder / "bin").mkdir()
    shutil.copy("/bin/kill", folder / "bin")
    names = ("fiesta-agent.service", "fiesta-agent.socket", "fiesta-central@1.service")
    done = subprocess.run(
        [program("systemd-analyze"), f"--root={folder}", "verify", "--man=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_service_is_installed_used_and_purged_and_its_data_stay(
    root: Root, made: dict[str, Path], tmp_path: Path
) -> None:
    root.dpkg("--install", made[CENTRAL.name], made[AGENT.name])
    assert judged(root.folder, tmp_path / "judged") == ""
    data = root.folder / "var/lib/fiesta-central"
    settings = {"METRICS_LISTEN": f"127.0.0.1:{free_port()}", "METRICS_DATA_DIR": str(data)}
    process = root.start("fiesta-central", "serve", **settings)
    assert '"compiled": true' in until(process, "serving")
    assert root.run("fiesta-central", "keys", "create", "test", **settings).startswith("gf_")
    assert "timestamp" in root.run("fiesta-central", "query", "a", **settings)
    stop(process)
    (root.folder / "etc/fiesta/db_password").write_text("secret")
    root.systemctl("enable", "fiesta-central@1", "fiesta-central@2")
    root.dpkg("--purge", AGENT.name)
    assert {name for name in root.files() if name.startswith("etc/fiesta/")} == {
        *("etc/fiesta/central.env", "etc/fiesta/db_password")
    }
    assert f"The data stay in {data}" in root.dpkg("--purge", CENTRAL.name)
    files = root.files()
    assert "var/lib/fiesta-central/fiesta.duckdb" in files
    assert {name for name in files if not name.startswith("var/lib/fiesta-central/")} == set()


def test_lintian_finds_no_error(made: dict[str, Path]) -> None:
    """Of the agent alone: that of the service takes a minute, and `make deb` looks at both."""
    done = subprocess.run(
        [program("lintian"), "--fail-on", "error", "--allow-root", made[AGENT.name]],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_agent_does_without_the_services_packages() -> None:
    of_agent, of_service = ({one.name for one in needed(package.extra)} for package in PACKAGES)
    assert "uvloop" in of_agent
    assert not of_agent & {"aiohttp", "duckdb", "numpy", "pydantic", "redis"}
    assert of_agent < of_service

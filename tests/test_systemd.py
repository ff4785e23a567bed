"""systemd/: what the units say holds here, is understood by systemd, and is as closed as it can be."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agent.settings import NAMING, Settings, load_settings
from runtime.addresses import join_address
from tests.every_setting import EVERY, EVERY_NAME
from tests.unit_file import UNITS, Unit, read_unit

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "systemd.md").read_text()
SERVICES = ("fiesta-agent.service", "fiesta-central@.service")
MOST_EXPOSED = 1.5


def said(*command: str, **environ: str) -> str:
    """All that a command says. Fails where it fails."""
    done = subprocess.run(
        command, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def seconds(text: str) -> float:
    """A time span with one unit."""
    found = re.fullmatch(r"(\d+)(s|min)", text)
    assert found, text
    return int(found[1]) * {"s": 1, "min": 60}[found[2]]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed_as_far_as_its_work_allows(name: str) -> None:
    judged = said("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged)
    assert found, judged
    assert float(found[1]) <= MOST_EXPOSED, judged


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """Copies, since the programs are not where an installation has them."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/fiesta/bin/", f"{Path(sys.executable).parent}/")
        (tmp_path / unit.name).write_text(text)
    assert said("systemd-analyze", "verify", "--man=no", *(str(path) for path in sorted(tmp_path.iterdir()))) == ""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_comes_back_whatever_happens(name: str) -> None:
    unit = read_unit(name)
    assert (unit.one("Type"), unit.one("Restart"), unit.one("StartLimitIntervalSec")) == ("notify", "always", "0")
    assert 10 <= seconds(unit.one("WatchdogSec")) <= 120
    assert seconds(unit.one("RestartSec")) >= 1, "a service that cannot start must not take the host's time"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_take_the_memory_of_its_host(name: str) -> None:
    assert re.fullmatch(r"[12]G", read_unit(name).one("MemoryMax"))


def test_no_burst_of_failed_starts_closes_the_agents_sockets() -> None:
    assert read_unit("fiesta-agent.socket").one("TriggerLimitIntervalSec") == "0"
    assert read_unit("fiesta-agent.service").one("StartLimitIntervalSec") == "0"


def test_the_agents_sockets_are_those_its_settings_have() -> None:
    unit = read_unit("fiesta-agent.socket")
    udp = join_address(*Settings().udp)
    assert unit.all("ListenDatagram")[0] == udp
    assert {address.startswith("/run/") for address in unit.all("ListenDatagram")} == {False, True}
    assert unit.all("ListenStream") == [udp]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_sets_are_settings_and_no_secrets(name: str) -> None:
    given = read_unit(name).environment({"%d": "/run/credentials/x", "%S": "/var/lib", "%i": "1"})
    assert given
    assert given.pop("PYTHONFAULTHANDLER") == "1", "where the watchdog killed it must be in the journal"
    assert given.keys() <= set(EVERY_NAME)
    assert not given.keys() & {setting.variable for setting in EVERY if setting.secret}


@pytest.mark.parametrize("name", SERVICES)
def test_every_credential_is_loaded_from_etc_and_used(name: str) -> None:
    unit = read_unit(name)
    loaded = dict(line.split(":", 1) for line in unit.all("LoadCredential"))
    used = [
        value.removeprefix("%d/") for line in unit.all("Environment") if (value := line.split("=", 1)[1])[:2] == "%d"
    ]
    assert sorted(used) == sorted(loaded)
    assert all(path.startswith("/etc/fiesta/") for path in loaded.values())


def test_the_agents_settings_hold_together_as_the_unit_gives_them(tmp_path: Path) -> None:
    unit = read_unit("fiesta-agent.service")
    environ = unit.environment({"%d": str(tmp_path), "%S": "/var/lib"})
    (tmp_path / "agent.toml").write_text('central_url = "https://metrics.internal"\n')
    settings = load_settings(environ, tmp_path / "agent.toml")
    assert settings.api_key_file == tmp_path / "api_key"
    assert settings.spool_dir == Path("/var/lib") / unit.one("StateDirectory") / "spool"


def test_commands_by_hand_get_what_the_units_give() -> None:
    given: dict[str, str] = {}
    for name in SERVICES:
        given |= read_unit(name).environment({"%d": "/etc/fiesta", "%S": "/var/lib"})
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL))
    by_hand = dict(re.findall(r"\b((?:FIESTA_AGENT|METRICS|DB|REDIS)_[A-Z_]+)=(\S+)", commands))
    assert by_hand.items() <= given.items()
    needed = {"METRICS_DATA_DIR", "DB_CONNECTION", "DB_PASSWORD_FILE"}
    assert needed | {name for name in given if name.startswith(NAMING.prefix)} <= by_hand.keys()


def calls(group: str) -> set[str]:
    """The system calls of a group, and of the groups in it."""
    if not group.startswith("@"):
        return {group}
    words = said("systemd-analyze", "syscall-filter", "--no-pager", group).split("\n")[1:]
    members = {word.strip() for word in words if word.strip() and not word.strip().startswith("#")}
    return {call for member in members for call in calls(member)}


@pytest.mark.parametrize(
    ("name", "used"),
    [
        (
            "fiesta-agent.service",
            {"recvmmsg", "epoll_pwait", "flock", "fsync", "rename", "futex", "accept4", "getsockopt"},
        ),
        (
            "fiesta-central@.service",
            {"setpriority", "epoll_pwait", "fdatasync", "futex", "accept4", "sched_getaffinity"},
        ),
    ],
)
def test_a_service_may_call_what_it_was_seen_to_call(name: str, used: set[str]) -> None:
    """As strace showed it. Without setpriority no key could be verified."""
    allowed: set[str] = set()
    for line in read_unit(name).all("SystemCallFilter"):
        named = {call for word in line.lstrip("~").split() for call in calls(word)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    assert used <= allowed
    assert not allowed & {"mount", "ptrace", "reboot", "init_module", "setuid", "kexec_load", "swapon"}


def lines_of(heading: str) -> list[str]:
    """The commands of the first block below a heading of docs/systemd.md."""
    found = re.search(rf"^## {heading}\n.*?```sh\n(.*?)```", DOCS, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1].splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of plain Python: what is installed where does not depend on the compiled cores, which take seconds."""
    folder = tmp_path_factory.mktemp("dist")
    said(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), CC="no-such-compiler")
    (made,) = folder.iterdir()
    return made


@pytest.mark.parametrize(
    ("heading", "files", "enabled"),
    [
        (
            "The agent in three lines",
            ["api_key", "agent.toml"],
            ["multi-user.target.wants/fiesta-agent.service", "sockets.target.wants/fiesta-agent.socket"],
        ),
        (
            "The service: several processes on one port",
            ["db_password", "central.env"],
            ["multi-user.target.wants/fiesta-central@1.service", "multi-user.target.wants/fiesta-central@2.service"],
        ),
    ],
)
def test_the_lines_of_the_docs_install_it(
    tmp_path: Path, wheel: Path, heading: str, files: list[str], enabled: list[str]
) -> None:
    """Run as they stand but for the root folder; dependencies are those that are installed already."""
    root, here = tmp_path / "root", tmp_path / "here"
    here.mkdir()
    (here / wheel.name).symlink_to(wheel)
    for name in files:
        (here / name).write_text("secret\n")
    commands = lines_of(heading)
    assert len(commands) == 3
    text = "\n".join(commands)
    for folder in ("/opt/fiesta", "/etc/fiesta"):
        # systemctl takes paths within its --root, everything else the whole path.
        text = re.sub(rf"(?<!enable --now )(?<!service )(?<!socket )(?<!link ){folder}", f"{root}{folder}", text)
    text = text.replace("enable --now", "enable").replace("systemctl", f"systemctl --root={root}")
    script = f'set -eu\nsudo() {{ "$@"; }}\ncd {shlex.quote(str(here))}\n{text}\n'
    (root / "opt").mkdir(parents=True)
    said("bash", "-c", script, PIP_NO_DEPS="1", PIP_NO_INDEX="1")
    for name in enabled:
        link = root / "etc/systemd/system" / name
        assert (root / str(link.readlink()).lstrip("/")).is_file(), f"{link} leads nowhere"
    for name in files:
        secret = name in {"api_key", "db_password"}
        assert (root / "etc/fiesta" / name).stat().st_mode & 0o777 == (0o600 if secret else 0o644)
    for service in SERVICES:
        program = read_unit(service).one("ExecStart").split()[0]
        assert os.access(root / program.lstrip("/"), os.X_OK)


def test_the_programs_of_the_units_take_their_arguments() -> None:
    def runs(unit: Unit) -> str:
        program, *arguments = unit.one("ExecStart").split()
        return said(str(Path(sys.executable).parent / Path(program).name), *arguments[:1], "--help")

    assert "--config" in runs(read_unit("fiesta-agent.service"))
    assert "Run the service" in runs(read_unit("fiesta-central@.service"))

"""What the scripts of the Debian packages ask of systemd where it runs, and where it does not."""

import os
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "deploy" / "debian"
UNITS = "fiesta-central@1.service loaded active running\nfiesta-central@2.service loaded active running\n"
LINKS = "etc/systemd/system/multi-user.target.wants"
SYSTEMCTL = f"""#!/bin/sh
echo "$@" >> "$SAID"
case "$1" in list-units) printf '{UNITS}' ;; esac
"""
RELOAD, RESTART = "daemon-reload", "try-restart"
LIST = "list-units --plain --no-legend fiesta-central@*.service"
BOTH = "fiesta-agent.socket fiesta-agent.service"


def asked(folder: Path, script: str, *arguments: str, runs: bool = True) -> list[str]:
    """What a script asks of systemctl. The root of the system is ``folder``."""
    for name in (
        "bin",
        "run/systemd/system" if runs else "run",
        LINKS,
        "usr/lib/fiesta-agent",
        "usr/lib/fiesta-central",
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / LINKS / "fiesta-central@3.service").symlink_to("/lib/systemd/system/fiesta-central@.service")
    (folder / "bin/systemctl").write_text(SYSTEMCTL)
    (folder / "bin/systemctl").chmod(0o755)
    said = folder / "said"
    said.touch()
    text = (SOURCES / script).read_text().replace("PYTHON", "true").replace("/run/systemd", f"{folder}/run/systemd")
    text = text.replace("$DPKG_ROOT/", f"{folder}/")
    around = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "SAID": str(said)}
    subprocess.run(["sh", "-c", text, script, *arguments], env=around, check=True, capture_output=True)
    return said.read_text().replace(f"--root={folder}/", "--root=/").splitlines()


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("fiesta-agent.postinst", ["configure", ""], [RELOAD]),
        ("fiesta-agent.postinst", ["configure", "0.1"], [RELOAD, f"{RESTART} fiesta-agent.service"]),
        ("fiesta-agent.postinst", ["abort-upgrade", "0.2"], []),
        ("fiesta-agent.prerm", ["upgrade", "0.2"], []),
        ("fiesta-agent.prerm", ["remove"], [f"disable --now {BOTH}"]),
        ("fiesta-agent.postrm", ["upgrade", "0.2"], []),
        ("fiesta-agent.postrm", ["remove"], [RELOAD]),
        ("fiesta-agent.postrm", ["purge"], [RELOAD]),
        ("fiesta-central.postinst", ["configure", ""], [RELOAD]),
        (
            "fiesta-central.postinst",
            ["configure", "0.1"],
            [RELOAD, LIST, *(f"{RESTART} fiesta-central@{number}.service" for number in (1, 2))],
        ),
        ("fiesta-central.prerm", ["upgrade", "0.2"], []),
        (
            "fiesta-central.prerm",
            ["remove"],
            [LIST, *(f"disable --now fiesta-central@{number}.service" for number in (1, 2, 3))],
        ),
        ("fiesta-central.postrm", ["purge"], [RELOAD]),
    ],
)
def test_where_systemd_runs(tmp_path: Path, script: str, arguments: list[str], expected: list[str]) -> None:
    assert asked(tmp_path, script, *arguments) == expected


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("fiesta-agent.postinst", ["configure", "0.1"], []),
        ("fiesta-agent.prerm", ["remove"], [f"--quiet --root=/ disable {BOTH}"]),
        ("fiesta-agent.postrm", ["purge"], []),
        ("fiesta-central.postinst", ["configure", "0.1"], []),
        ("fiesta-central.prerm", ["remove"], ["--quiet --root=/ disable fiesta-central@3.service"]),
        ("fiesta-central.postrm", ["purge"], []),
    ],
)
def test_where_systemd_does_not_run(tmp_path: Path, script: str, arguments: list[str], expected: list[str]) -> None:
    assert asked(tmp_path, script, *arguments, runs=False) == expected

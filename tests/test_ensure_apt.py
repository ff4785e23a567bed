"""scripts/ensure-apt.sh: installs what is missing where it may, else says what to do and fails."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.patience import PATIENCE

SCRIPT: Final = Path(__file__).parents[1] / "scripts" / "ensure-apt.sh"
COMMAND: Final = "sudo apt-get update && sudo apt-get install --yes wrk netcat-openbsd"
LOG: Final = '#!/bin/sh\necho "apt-get $*"\n'


def ensured(folder: Path, user: int, **programs: str) -> subprocess.CompletedProcess[str]:
    """Ask for wrk and nc as ``user``, on a machine that has these programs and a shell alone."""
    here = {"id": f"#!/bin/sh\necho {user}\n", **programs}
    for name, text in here.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("sh", "env"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return subprocess.run(
        ["sh", SCRIPT, "wrk", "nc"],
        env={"PATH": os.fspath(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    ("user", "programs", "code", "message"),
    [
        (1000, {"wrk": "", "nc": ""}, 0, ""),
        (1000, {"apt-get": LOG}, 1, COMMAND),
        (0, {}, 1, "Missing, by their names in Debian: wrk netcat-openbsd."),
        (0, {"apt-get": LOG, "wrk": ""}, 0, "Installing netcat-openbsd with apt-get"),
    ],
)
def test_what_is_missing_is_installed_or_told(
    tmp_path: Path, user: int, programs: dict[str, str], code: int, message: str
) -> None:
    done = ensured(tmp_path, user, **programs)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") <= 1

"""Wheels: with the compiled cores where there is a C compiler, of plain Python where there is none."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from runtime.compiled_core import OUTDATED_MESSAGE, is_outdated

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("compiler", "tag", "core", "says"),
    [
        ("gcc", "cp311-abi3-linux_", ["agent/aggregate/core.abi3.so", "central/core.abi3.so"], ""),
        ("no-such-compiler", "py3-none-any", [], "The cores are not compiled, plain Python does their work: "),
    ],
)
def test_a_wheel_needs_no_compiler(tmp_path: Path, compiler: str, tag: str, core: list[str], says: str) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"CC": compiler},
        capture_output=True,
        text=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert tag in wheel.name
    assert sorted(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")) == core
    assert says in built.stdout + built.stderr


@pytest.mark.parametrize("package", ["agent/aggregate", "central"])
def test_the_core_is_built_here(package: str) -> None:
    """Else the tests of it would prove nothing."""
    core = ROOT / package / "core.abi3.so"
    assert core.exists(), "install gcc and python3.11-dev, then: make clean install"
    assert not is_outdated(core, ROOT / "native"), OUTDATED_MESSAGE

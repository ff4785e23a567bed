"""tests/markers.py: each kind of test has its markers, and one without them that starts a program is caught.

And what pyproject.toml says to pytest: a test that hangs is ended.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.markers import ProgramWatch

ROOT = Path(__file__).parents[1]


def test_a_test_with_the_marker_may_start_a_program(request: pytest.FixtureRequest) -> None:
    """This module imports subprocess, which gives its tests the marker."""
    assert request.node.get_closest_marker("server") is not None
    watch = ProgramWatch()
    watch.begin(request.node)
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert watch.end() == []


def test_a_test_without_the_marker_that_starts_one_is_named(request: pytest.FixtureRequest) -> None:
    watch = ProgramWatch()
    watch.begin(_Unmarked.from_parent(request.session, name="unmarked"))
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert watch.end() == [sys.executable]


class _Unmarked(pytest.Item):
    """A test that has no marker."""

    def runtest(self) -> None:
        """It is never run."""


def run_pytest(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


MARKERS = {
    "tests/protocol/test_statsd.py": set(),
    "tests/central/store/mysql/test_store.py": {"server"},
    "tests/end_to_end/test_kills.py": {"server", "kill"},
    "tests/central/page/test_browser.py": {"server", "browser"},
}


@pytest.mark.parametrize("name", ["server", "kill", "browser"])
def test_a_module_has_its_markers(name: str) -> None:
    """Asked of pytest itself, by what each marker leaves over."""
    found = run_pytest("--collect-only", "-m", name, *MARKERS).stdout
    assert {module for module in MARKERS if f"{module}::" in found} == {
        module for module, markers in MARKERS.items() if name in markers
    }


def test_a_test_that_hangs_ends_its_run_with_a_stack(tmp_path: Path) -> None:
    hangs = tmp_path / "test_it.py"
    hangs.write_text("import threading\n\n\ndef test_hangs():\n    threading.Event().wait()\n")
    ended = run_pytest("-c", str(ROOT / "pyproject.toml"), "-o", "faulthandler_timeout=0.5", str(hangs))
    assert ended.returncode == 1
    assert f'File "{hangs}", line 5 in test_hangs' in ended.stderr

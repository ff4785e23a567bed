"""tests/markers.py: each kind of test has its markers, and one without them that starts a program is caught."""

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


@pytest.mark.parametrize(
    ("module", "markers"),
    [
        ("tests/protocol/test_statsd.py", set()),
        ("tests/central/store/mysql/test_store.py", {"server"}),
        ("tests/end_to_end/test_kills.py", {"server", "kill"}),
        ("tests/central/page/test_browser.py", {"server", "browser"}),
    ],
)
def test_a_module_has_its_markers(module: str, markers: set[str]) -> None:
    """Asked of pytest itself, by what each marker leaves over."""
    for name in ("server", "kill", "browser"):
        found = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", name, module],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("no tests collected" in found.stdout) == (name not in markers), found.stdout[-500:]

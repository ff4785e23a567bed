"""Every script of the page can be parsed. A browser says nothing useful about one that cannot: the page stays empty."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

PAGE: Final = Path(__file__).parents[3] / "central" / "page"
PARSE: Final = ("node", "--check", "--input-type=module", "-")


def fault(script: str) -> str:
    """What node says about a script that it cannot parse; nothing about any other."""
    return subprocess.run(PARSE, input=script, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
def test_a_script_can_be_parsed(path: Path) -> None:
    assert fault(path.read_text()) == ""


def test_a_name_that_is_declared_twice_is_a_fault() -> None:
    assert "already been declared" in fault("export function f(a) { const b = a; const b = 1; }")

"""The run of ``make check``: some files are left out before they are imported, and property tests try half as much."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MIXED = "tests/central/access"
"""A folder of files that start programs and of files that do not."""


def output(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def collected(expression: str) -> list[str]:
    printed = output("-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", "-m", expression, MIXED)
    return [line for line in printed.splitlines() if "::" in line]


def test_no_test_is_lost_where_files_are_left_out() -> None:
    """The parentheses mean the same to pytest, and leave out no file."""
    quick = collected("not server")
    assert quick == collected("not (server)")
    assert 0 < len(quick) < len(collected(""))


@pytest.mark.parametrize(("quick", "tried"), [(True, [150, 50, 1]), (False, [300, 100, 1])])
def test_a_quick_run_tries_half_of_the_examples(quick: bool, tried: list[int]) -> None:
    program = (
        "from tests.examples import examples, load_profile; from hypothesis import settings;"
        f"load_profile(quick={quick}); print([examples(300), settings().max_examples, examples(1)])"
    )
    assert output("-c", program).strip() == str(tried)

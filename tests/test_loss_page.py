"""docs/loss.md names, for each promise, the tests that would fail if we broke it."""

import ast
import re
from functools import cache

import pytest

from tests.doc_pages import ROOT

PAGE = (ROOT / "docs" / "loss.md").read_text()
ROW = re.compile(r"^\| (?P<promise>[^|]+) \| (?P<means>[^|]+) \| (?P<tests>[^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def promises() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each promise of the page with its tests, as path and name."""
    part = PAGE.partition("## What we promise\n")[2].partition("\n## ")[0]
    _, *rows = ROW.finditer(part)  # the first one is the head of the table
    return [(row["promise"], TEST.findall(row["tests"])) for row in rows if "---" not in row["means"]]


@cache
def functions(path: str) -> frozenset[str]:
    """The names of the functions in a file; none where there is no such file."""
    file = ROOT / path
    tree = ast.parse(file.read_text() if file.is_file() else "")
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def files_with(name: str) -> list[str]:
    """Where a test is, for whoever moved it."""
    files = [str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("*.py")]
    return sorted(file for file in files if name in functions(file))


def test_the_page_has_promises() -> None:
    assert len(promises()) > 20


@pytest.mark.parametrize(("promise", "named"), promises(), ids=[promise for promise, _ in promises()])
def test_each_promise_names_tests_that_exist(promise: str, named: list[tuple[str, str]]) -> None:
    assert named, f"{promise!r} names no test: write it as `tests/folder/test_file.py::test_name`"
    missing = {f"{path}::{name}": files_with(name) for path, name in named if name not in functions(path)}
    assert missing == {}, "docs/loss.md names tests that are not there; this is where a test of that name is"

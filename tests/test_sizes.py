"""Bounds of files, functions and names of tests; why a small file stands alone; one class per name in a program."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.statements import statements

ROOT = Path(__file__).parents[1]
LARGEST_FILE = 400
LARGEST_FUNCTION = 60
SMALL_FILE = 30
LONGEST_TEST_NAME = 69
PROGRAMS = ("agent", "central", "protocol", "runtime", "quickstart", "loadtest")
FILES = sorted(
    path
    for folder in (*PROGRAMS, "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts  # packages from npm have some too
)
SMALL = {
    "agent/aggregate/compiled.py": "the one place that asks whether the core was built",
    "agent/spool/checksummed.py": "a file format of its own, for batches and for gauges",
    "central/commands/completion.py": "a command of its own: what makes a shell complete",
    "central/access/key_file.py": "a file format of its own, for central, the doctor and quickstart",
    "central/compiled.py": "the one place that asks whether the core was built",
    "agent/commands/completion.py": "what makes a shell complete; the command only prints it",
    "agent/forward/answered.py": "a count with its own bound, which the report has",
    "agent/spool/agent_id.py": "a file of its own in the spool folder",
    "central/store/id_days.py": "a pure rule that both stores share",
    "central/store/admin_keys.py": "a pure rule that both stores ask in their transaction",
    "central/redis_tls.py": "all kinds of connections to Redis share it",
    "central/web/counts.py": "each part of the edge counts there, and the meters read it",
    "central/web/store_answers.py": "three endpoints answer for a store in the same way",
    "loadtest/bare.py": "a program of its own",
    "protocol/names.py": "what both ends of the wire agree on",
    "runtime/compiled_core.py": "one rule for the cores of both programs",
    "runtime/redact.py": "log lines and error messages go through it in both programs",
    "runtime/start_error.py": "one class for every program",
}
"""Programs' files of fewer lines, each with its reason. Others belong to a neighbour."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Definition(NamedTuple):
    """A function or a class, and how many lines it has."""

    name: str
    function: bool
    lines: int


@cache
def definitions(path: Path) -> list[Definition]:
    return [
        Definition(node.name, not isinstance(node, ast.ClassDef), (node.end_lineno or 0) - node.lineno + 1)
        for node in statements(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]


def length(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_two_stages() -> None:
    assert [f"{name(path)}: {length(path)}" for path in FILES if length(path) > LARGEST_FILE] == []


@pytest.mark.parametrize("folder", [*PROGRAMS, "tests"])
def test_a_function_is_read_at_one_glance(folder: str) -> None:
    large = [
        f"{name(path)}: {found.name}"
        for path in FILES
        if folder == path.relative_to(ROOT).parts[0]
        for found in definitions(path)
        if found.function and found.lines > LARGEST_FUNCTION
    ]
    assert large == []


def test_a_small_file_has_a_reason() -> None:
    small = {
        name(path)
        for path in FILES
        if path.relative_to(ROOT).parts[0] in PROGRAMS and not path.stem.startswith("__") and length(path) < SMALL_FILE
    }
    assert small == set(SMALL)


def test_the_name_of_a_test_says_the_behaviour_in_few_words() -> None:
    long = [
        f"{name(path)}: {found.name}"
        for path in FILES
        if path.name.startswith("test_")
        for found in definitions(path)
        if found.function and len(found.name) > LONGEST_TEST_NAME
    ]
    assert long == [], "say the rest in a docstring"


SAME_IN_BOTH_STORES = {"Source"}
"""Classes of this name stand in central/store/duck and in central/store/mysql, and mean the same there."""


@pytest.mark.parametrize("program", ["agent", "central"])
def test_no_two_classes_of_a_program_have_one_name(program: str) -> None:
    places: dict[str, list[str]] = {}
    for path in sorted((ROOT / program).rglob("*.py")):
        for found in definitions(path):
            if not found.function and not found.name.startswith("_"):
                places.setdefault(found.name, []).append(name(path))
    assert {one: files for one, files in places.items() if len(files) > 1 and one not in SAME_IN_BOTH_STORES} == {}

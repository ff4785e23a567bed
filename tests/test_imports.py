"""Who may import whom: the end of STYLE, as a test."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.statements import statements

ROOT = Path(__file__).parents[1]
OURS = ("agent", "central", "protocol", "runtime", "quickstart", "loadtest", "tests")

MAY_IMPORT = {
    "runtime": {"runtime"},
    "protocol": {"protocol"},
    "agent": {"agent", "protocol", "runtime"},
    "central": {"central", "protocol", "runtime"},
    "quickstart": {"quickstart", "agent", "central", "protocol", "runtime"},
}
"""Which of ours a package may import."""

ONLY_IN = {
    "duckdb": ("central/store/duck/*.py",),
    "aiomysql": ("central/store/mysql/*.py",),
    "redis": ("central/redis*.py", "central/*/redis*.py"),
    "aiohttp.web": ("central/web/*.py", "central/app.py"),
}
"""Which files of central may import what is an edge."""

NO_INPUT_OR_OUTPUT = {"asyncio", "socket", "http", "urllib", "aiohttp", "subprocess", "pathlib", "os", "sqlite3"}


@cache
def imports(path: Path) -> list[str]:
    """Every module a file imports, anywhere in it; ``from a import b`` is both ``a`` and ``a.b``."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(package)
        for name in imports(path)
        if name.split(".")[0] in OURS and name.split(".")[0] not in MAY_IMPORT[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("module", ONLY_IN)
def test_edges_of_central_stay_in_their_files(module: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files("central")
        for name in imports(path)
        if (name == module or name.startswith(f"{module}."))
        and not any(fnmatch(str(path.relative_to(ROOT)), pattern) for pattern in ONLY_IN[module])
    ]
    assert wrong == []


def test_the_cellar_is_of_the_standard_library() -> None:
    wrong = [
        f"{path.name} imports {name}"
        for path in files("runtime")
        for name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names and name.split(".")[0] != "runtime"
    ]
    assert wrong == []


def test_protocol_does_no_input_or_output() -> None:
    wrong = [
        f"{path.name} imports {name}"
        for path in files("protocol")
        for name in imports(path)
        if name.split(".")[0] in NO_INPUT_OR_OUTPUT
    ]
    assert wrong == []


def test_the_rules_bite(tmp_path: Path) -> None:
    """The reader of imports sees each form, also inside functions."""
    source = tmp_path / "x.py"
    source.write_text("import a.b\ndef f():\n    from aiohttp import web\n    from agent.ledger import Ledger\n")
    assert set(imports(source)) == {"a.b", "aiohttp", "aiohttp.web", "agent.ledger", "agent.ledger.Ledger"}

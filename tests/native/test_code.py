"""The C of the cores as it is written: no warnings, short functions, assertions."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from hatch_build import CORES, SHARED
from tests.native.build import ROOT, compile_strictly

FILES = sorted((ROOT / "native").rglob("*.[ch]"))
FUNCTION = re.compile(r"^\w[^;={}]*\)\n\{\n(?:.*\n)*?\}\n", re.MULTILINE)
INCLUDE = re.compile(r'^#include "(?:.*/)?(\w+)\.h"$', re.MULTILINE)


@pytest.mark.parametrize("core", CORES)
def test_a_core_compiles_without_a_warning(core: str, tmp_path: Path) -> None:
    """As it is for users; with its assertions it is compiled for the sanitizers, under the same flags."""
    compile_strictly(ROOT / "native" / core, tmp_path / "core.so")


def test_a_warning_is_an_error_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("int narrow(long wide);\nint narrow(long wide) { return wide; }\n")
    with pytest.raises(AssertionError, match=r"gcc says: .*bad\.c:2:\d+: error: .*-Werror=conversion"):
        compile_strictly(tmp_path, tmp_path / "core.so")


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(file.parts[-2:]))
def test_files_and_functions_are_short(file: Path) -> None:
    text = file.read_text()
    long = [body.split("(")[0] for body in FUNCTION.findall(text) if body.count("\n") >= 60]
    assert (long, text.count("\n") < 400) == ([], True)


@pytest.mark.parametrize("folder", [*CORES, SHARED])
def test_a_function_has_two_assertions_on_average(folder: str) -> None:
    functions = FUNCTION.findall("".join(file.read_text() for file in FILES if file.parent.name == folder))
    assert len(functions) > 15
    assert len(re.findall(r"\bassert\(", "".join(functions))) >= 2 * len(functions)


@pytest.mark.parametrize("folder", [*CORES, SHARED])
def test_the_files_of_a_core_depend_downwards_only(folder: str) -> None:
    """A file is its .c and its .h here. Others can call its functions only through that header."""
    files = [file for file in FILES if file.parent.name == folder]
    below: dict[str, set[str]] = {}
    for file in files:
        below.setdefault(file.stem, set()).update(set(INCLUDE.findall(file.read_text())) - {file.stem})
    TopologicalSorter(below).prepare()  # raises CycleError, which names the circle
    for file in files:
        if file.suffix == ".c" and file.stem != "module":
            functions = [body.split("(")[0] for body in FUNCTION.findall(file.read_text())]
            names = [head.split()[-1].lstrip("*") for head in functions if not head.startswith("static ")]
            header = file.with_suffix(".h").read_text()
            assert [name for name in names if f"{name}(" not in header] == [], file

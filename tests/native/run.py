"""Python processes with the sanitized cores in the place of the usual ones."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.native.build import ROOT

FOLDER: Final = "FIESTA_TEST_CORES"
"""The variable that says where the sanitized cores are."""
TESTS: Final = (
    *("pytest", "--quiet", "--capture=sys", "--hypothesis-seed=0", "--noconftest", "-p", "no:cacheprovider"),
    *("-p", "pytest_asyncio.plugin", "-p", "_hypothesis_pytestplugin", "-p", "tests.native.sanitized"),
    *("tests/agent/aggregate/test_core.py", "tests/agent/aggregate/test_core_agrees.py"),
    *("tests/agent/aggregate/test_core_gauges.py", "tests/agent/aggregate/test_core_serves.py"),
    *("tests/central/ingest/test_submission.py", "tests/protocol/test_histogram_cores.py"),
    *("tests/central/ingest/test_lookup.py", "tests/central/store/mysql/test_packed.py"),
    *("tests/central/store/mysql/test_rows.py", "tests/native/check_allocations.py"),
)
"""What pytest runs with them: the tests of the cores, and those that only such a process can run."""
FUZZER: Final = ("tests.native.fuzz",)
_FELL: Final = "LeakSanitizer has encountered a fatal error"
"""It looks at the memory of other threads, and falls itself when one of them is just ending. Then it has said nothing
about leaks, and is asked again."""
_AGAIN: Final = 2


def run_sanitized(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run ``python -m ARGUMENTS`` with the cores in ``folder``: the exit code, and what it said."""
    code, said = _run(folder, arguments)
    for _ in range(_AGAIN):
        if _FELL not in said:
            break
        code, said = _run(folder, arguments)
    return code, said


def _run(folder: Path, arguments: tuple[str, ...]) -> tuple[int, str]:
    command = [sys.executable, "-m", *arguments]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout


def _environment(folder: Path) -> dict[str, str]:
    """Python's objects get blocks of their own, so that one is found that is used after its end.

    The process asks for leaks itself, see ``sanitized``: at its end Python has forgotten much that is no leak.
    """
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return kept | {
        FOLDER: str(folder),
        "LD_PRELOAD": library.stdout.strip(),
        "PYTHONMALLOC": "malloc",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others cost seconds here
        "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:leak_check_at_exit=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }

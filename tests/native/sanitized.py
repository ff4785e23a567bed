"""The sanitized cores take the place of the usual ones: a pytest plugin, and what the fuzzer imports first.

Works in a process that ``run`` started, and before anybody has imported a core.
"""

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import pytest

from hatch_build import CORES
from tests.native.run import FOLDER

T = TypeVar("T")

_SANITIZER: Final = ctypes.PyDLL(None)
_SANITIZER.__lsan_disable()  # until the imports are done: other people's modules lose memory in them


def spec_of(core: str) -> ModuleSpec:
    """From where a core is loaded, by its folder in native/, and the name under which it is imported."""
    name = CORES[core].replace("/", ".") + ".core"
    spec = importlib.util.spec_from_file_location(name, Path(os.environ[FOLDER]) / f"{core}.so")
    assert spec is not None
    return spec


def load(spec: ModuleSpec) -> ModuleType:
    """A module of its own."""
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


AGENT: Final = load(spec_of("agent"))
CENTRAL: Final = load(spec_of("central"))
for _core in (AGENT, CENTRAL):
    sys.modules[_core.__name__] = _core


def watch_for_leaks() -> None:
    """Call it once, after the imports."""
    _SANITIZER.__lsan_enable()


def leaks() -> bool:
    """Whether there is memory that nothing points to; standard error then says who asked for it."""
    gc.collect()
    return bool(ctypes.PyDLL(AGENT.__file__).find_leaks())


def with_failing_allocation(core: ModuleType, nth: int, call: Callable[[], T]) -> tuple[bool, T | None]:
    """Whether ``call`` came to an nth allocation, which failed; and its result, None when it raised MemoryError."""
    fail: Any = ctypes.PyDLL(core.__file__).fail_allocation
    result = None
    try:
        fail(nth)
        result = call()
    except MemoryError:
        pass
    try:
        return fail(0) == 0, result
    except MemoryError:  # it was this call that came to it
        fail(0)
        return False, result


def pytest_collection_finish(session: pytest.Session) -> None:
    watch_for_leaks()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if leaks():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

"""The ways to read batches and to write groups: plain Python, and the compiled core if it was built."""

from types import ModuleType

import pytest

from central.compiled import CORE

CORES: list[ModuleType | None] = [None, *([CORE] if CORE else [])]

each_core = pytest.mark.parametrize("core", CORES, ids=lambda core: "compiled" if core else "plain")

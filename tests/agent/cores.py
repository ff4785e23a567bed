"""The ways there are to count: plain Python, and the compiled core where it was built."""

import pytest

from agent.aggregate.compiled import CORE, MaybeCore

CORES: list[MaybeCore] = [None, *([CORE] if CORE else [])]

each_core = pytest.mark.parametrize("core", CORES, ids=lambda core: "compiled" if core else "plain")

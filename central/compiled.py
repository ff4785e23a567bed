"""The compiled core, if it was built. It does the same as plain Python, but faster, so central works without it."""

from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

from runtime.compiled_core import is_outdated

_HERE: Final = Path(__file__)
OUTDATED: Final = is_outdated(_HERE.with_name("core.abi3.so"), _HERE.parents[1] / "native")
CORE: ModuleType | None = None
if not OUTDATED:
    with suppress(ImportError):  # the installation had no C compiler
        from central import core

        CORE = core

"""The compiled core, if it was built. It does the same as plain Python, but faster, so central works without it."""

from types import ModuleType

try:
    from central import core
except ImportError:  # the installation had no C compiler
    CORE: ModuleType | None = None
else:
    CORE = core

"""The compiled core, if it was built. It returns what plain Python returns, but faster. Nothing depends on it."""

from types import ModuleType

try:
    from central import core
except ImportError:  # there was no C compiler at the installation
    CORE: ModuleType | None = None
else:
    CORE = core

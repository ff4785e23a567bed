"""The compiled core, where it was built. It says what plain Python says, sooner; nothing needs it."""

from types import ModuleType

try:
    from central import core
except ImportError:  # there was no C compiler at the installation
    CORE: ModuleType | None = None
else:
    CORE = core

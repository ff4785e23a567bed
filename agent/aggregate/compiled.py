"""The compiled core, where it was built. It says what plain Python says, sooner; nothing needs it."""

from typing import TypeAlias

MaybeCore: TypeAlias = "type[Core] | None"

try:
    from agent.aggregate.core import Core
except ImportError:  # there was no C compiler at the installation
    CORE: MaybeCore = None
else:
    CORE = Core

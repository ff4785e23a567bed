"""The compiled core, if it was built. It returns what plain Python returns, but faster. The agent works without it."""

from typing import TypeAlias

MaybeCore: TypeAlias = "type[Core] | None"

try:
    from agent.aggregate.core import Core
except ImportError:  # there was no C compiler at the installation
    CORE: MaybeCore = None
else:
    CORE = Core

"""The compiled core, if it was built. It returns what plain Python returns, but faster. The agent works without it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

MaybeCore: TypeAlias = "type[Core] | None"

try:
    from agent.aggregate.core import Core
except ImportError:  # there was no C compiler at the installation
    CORE: MaybeCore = None
else:
    CORE = Core


@contextmanager
def holding(cores: Sequence["Core"]) -> Iterator[None]:
    """Keep the threads of these cores out, between two of their reads. You may hold them already."""
    with ExitStack() as stack:
        for core in cores:
            core.hold()
            stack.callback(core.let_go)
        yield

"""The compiled core, if it was built. It returns what plain Python returns, but faster. The agent works without it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from runtime.compiled_core import is_outdated

MaybeCore: TypeAlias = "type[Core] | None"

_HERE: Final = Path(__file__)
OUTDATED: Final = is_outdated(_HERE.with_name("core.abi3.so"), _HERE.parents[2] / "native")
CORE: MaybeCore = None
if not OUTDATED:
    with suppress(ImportError):  # there was no C compiler at the installation
        from agent.aggregate.core import Core

        CORE = Core


@contextmanager
def holding(cores: Sequence["Core"]) -> Iterator[None]:
    """Keep the threads of these cores out, between two of their reads. You may hold them already."""
    with ExitStack() as stack:
        for core in cores:
            core.hold()
            stack.callback(core.let_go)
        yield

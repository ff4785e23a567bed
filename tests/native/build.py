"""The tests' build of the cores: every warning is an error, assertions are in, and sanitizers look at every step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hatch_build import CORES, compile_core

ROOT: Final = Path(__file__).parents[2]
_WARNINGS: Final = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wcast-qual", "-Werror")
_SANITIZERS: Final = (
    "-UNDEBUG",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover",
)
_MEMORY: Final = (
    str(Path(__file__).with_name("memory.c")),
    *(f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc")),
)


def compile_strictly(sources: Path, module: Path, flags: Sequence[str] = ()) -> None:
    """Compile the C of a folder with gcc. Raises AssertionError with the first warning or error."""
    fault = compile_core(sources, module, ["gcc"], [*_WARNINGS, *flags])
    assert fault is None, fault


def compile_sanitized(folder: Path) -> None:
    """Put every core into ``folder``, as CORE.so; their allocations can be made to fail."""
    for core in CORES:
        compile_strictly(ROOT / "native" / core, folder / f"{core}.so", [*_SANITIZERS, *_MEMORY])

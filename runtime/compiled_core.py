"""Says whether a compiled core may be used. The programs' packages load their own cores."""

from pathlib import Path
from typing import Final

OUTDATED_MESSAGE: Final = (
    "the compiled core is older than its sources in native/; plain Python does its work, several times slower; "
    "run: make install"
)


def is_outdated(core: Path, sources: Path) -> bool:
    """Whether a source of C has changed since ``core`` was compiled, as after ``git pull`` without ``make install``.

    ``sources`` is the folder native/ of a checkout. An installed wheel has none, and False is the answer. So it is if
    there is no core.
    """
    try:
        compiled = core.stat().st_mtime_ns
    except OSError:
        return False
    return any(source.stat().st_mtime_ns > compiled for source in sources.glob("*/*.[ch]"))

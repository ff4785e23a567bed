"""systemd's journal, where it reads our log: it takes a line's level from a mark at its start, and leaves the mark out.

So `journalctl -p warning` shows warnings, see sd-daemon(3) and JOURNAL_STREAM in systemd.exec(5).
"""

from collections.abc import Mapping
from typing import Final

_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def journal_reads(environ: Mapping[str, str], device: int, inode: int) -> bool:
    """Whether the file of these numbers goes to the journal, as our output does until it is turned elsewhere."""
    return environ.get("JOURNAL_STREAM") == f"{device}:{inode}"


def mark(level: str) -> str:
    """What says that a line is of ``level``, a name of logging's in lower case."""
    return f"<{_PRIORITIES[level]}>"

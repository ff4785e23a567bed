"""How often the recovery of a journal has begun, as its file says."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from agent.journal import layout


def tries_of(journal: Path) -> int:
    """How many starts have begun to redo what is in the file, and were killed at it."""
    with suppress(OSError, ValueError), journal.open("rb") as file:
        word = os.pread(file.fileno(), 8, 8 * layout.TRIES)
        return layout.number_in(int.from_bytes(word, sys.byteorder))
    return 0  # there is none, or it is just being made

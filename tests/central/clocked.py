"""A central service whose clock a test sets: ``python -m tests.central.clocked FILE``, settings as ever.

FILE holds UTC seconds, of which each look reads the newest. A Redis that answers is never late for it, however busy the
machine is.
"""

import asyncio
import mmap
import os
import struct
import sys
from pathlib import Path
from typing import Final

from central.app import Outside, serve
from central.log import log_to
from central.settings import load_settings
from tests.central.harness import QUICK_HASH

_SECONDS: Final = struct.Struct("d")

_LIMIT_SECONDS: Final = 60.0


class FileClock:
    """A clock that all processes that have the file share."""

    def __init__(self, path: Path, now: float | None = None) -> None:
        """``now`` makes the file."""
        if now is not None:
            path.write_bytes(_SECONDS.pack(now))
        with path.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), _SECONDS.size)

    def __call__(self) -> float:
        """UTC seconds."""
        return float(_SECONDS.unpack_from(self._seconds)[0])

    def set(self, now: float) -> None:
        """It is ``now`` in every process."""
        _SECONDS.pack_into(self._seconds, 0, now)


if __name__ == "__main__":
    log_to(sys.stderr)
    clock = FileClock(Path(sys.argv[1]))
    # Both clocks go on together: a wall clock that jumps alone is one that nobody believes.
    outside = Outside(clock=clock, ticks=clock, limit_seconds=_LIMIT_SECONDS, bcrypt_cost=QUICK_HASH)
    asyncio.run(serve(load_settings(os.environ), outside=outside))

"""Files that hold one API key. Only the owner can read them, and they are written whole or not at all."""

import os
from pathlib import Path

from runtime.private_files import open_new


def read_key(path: Path) -> str:
    """The key in the file. Raises OSError, and ValueError if the file is not ASCII text."""
    return path.read_text(encoding="ascii").strip()


def write_key(path: Path, key: str) -> None:
    """Write the key to the file durably, with mode 0600. Replaces an older file. Raises OSError."""
    beside = path.with_name(f"{path.name}.tmp")
    with os.fdopen(open_new(beside), "w", encoding="ascii") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

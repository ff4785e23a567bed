"""Durable files: what these functions return from is on the disk, what they raise from is as it was before."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.private_files import open_new
from runtime.start_error import StartError

TEMPORARY: Final = ".tmp"


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises ValueError for a folder or a pipe, and OSError when they cannot be read now."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("is no file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


class FolderInUseError(StartError):
    """Another process holds the folder's lock."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The four calls that can fail; tests pass others. All raise OSError."""

    write: Callable[[int, bytes], int] = os.write
    fsync: Callable[[int], None] = os.fsync
    rename: Callable[[Path, Path], None] = os.replace
    unlink: Callable[[Path], None] = os.unlink

    def save(self, path: Path, data: bytes) -> None:
        """Put ``data`` at ``path``, whole or not at all, whatever was there, readable by the owner alone.

        When it raises, ``path`` is old or new, never torn, and may not survive a crash: write it again.
        """
        temporary = path.with_name(path.name + TEMPORARY)
        try:
            descriptor = open_new(temporary)
            try:
                self._write_all(descriptor, data)
                self.fsync(descriptor)
            finally:
                os.close(descriptor)
            self.rename(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self.sync_folder(path.parent)

    def move(self, source: Path, target: Path) -> None:
        """Rename a file into another folder of the same disk, durably."""
        self.rename(source, target)
        self.sync_folder(target.parent)
        self.sync_folder(source.parent)

    def remove(self, path: Path) -> None:
        """Unlink, if it is there. A crash may bring the file back until ``sync_folder``."""
        with suppress(FileNotFoundError):
            self.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        """Make what was renamed and unlinked in ``folder`` last."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _write_all(self, descriptor: int, data: bytes) -> None:
        while data:
            written = self.write(descriptor, data)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[written:]


def lock_folder(folder: Path) -> int:
    """Take ``folder`` for this process; returns the descriptor that holds it until closed.

    The kernel lets go when the process ends, however it ends. Raises FolderInUseError, OSError.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FolderInUseError(
            f"the spool folder {folder} is in use by another agent: "
            "stop that one, or set FIESTA_AGENT_SPOOL_DIR to another folder"
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor

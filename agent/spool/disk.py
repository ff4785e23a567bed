"""Durable files. When a function here returns, its change is on the disk. Each says what holds when it raises."""

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from runtime.private_files import open_new
from runtime.start_error import StartError

TEMPORARY: Final = ".tmp"
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""The faults of a folder that this process cannot write."""
T = TypeVar("T")


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises ValueError when it is not a file, and OSError when it cannot be read now."""
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
    """The system calls that can fail. Tests pass their own. All raise OSError."""

    write: Callable[[int, bytes], int] = os.write
    fsync: Callable[[int], None] = os.fsync
    rename: Callable[[Path, Path], None] = os.replace
    unlink: Callable[[Path], None] = os.unlink
    read: Callable[[Path], bytes] = read_file
    names: Callable[[Path], list[str]] = os.listdir

    def save(self, path: Path, data: bytes) -> None:
        """Write ``data`` to ``path``, in place of what was there. Only the owner can read it.

        When it raises OSError, the file has either the old or the new content. The new content may not survive a crash,
        so write it again.
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
        """Unlink a file, if it is there. A crash may bring it back until ``sync_folder`` was called."""
        with suppress(FileNotFoundError):
            self.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        """Make the renames and unlinks in ``folder`` durable."""
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
    """Lock ``folder`` for this process. Returns the descriptor that holds the lock until it is closed.

    The kernel releases the lock when the process ends in any way. In a folder that cannot be written, an existing file
    is locked, or the folder. Raises FolderInUseError, OSError.
    """
    descriptor = _open_lock(folder)
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


def _open_lock(folder: Path) -> int:
    try:
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    try:
        return os.open(folder / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


async def in_thread(call: Callable[..., T], *args: Any) -> T:
    """Run ``call`` in a thread, or in this one when the system has no room for another. Returns what it returns."""
    try:
        return await asyncio.to_thread(call, *args)
    except RuntimeError:
        return call(*args)

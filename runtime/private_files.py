"""Folders and files that only their owner may read, and new files that do not follow a link."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(path: Path) -> None:
    """Make the folder with mode 0700, or give an existing folder this mode. Raises OSError when it cannot be made.

    A folder with the sticky bit (such as /tmp) or of another user keeps its mode.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close_to_others(path, os.O_DIRECTORY)


def make_private_file(path: Path) -> None:
    """Remove all rights but the owner's from our own file. A link or another user's file stays as it is."""
    with suppress(FileNotFoundError):
        _close_to_others(path, 0)


def open_new(path: Path) -> int:
    """Make an empty file of mode 0600 in place of what was at ``path``. Returns its descriptor. Raises OSError.

    A link at ``path`` is removed, and its target does not change.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        path.unlink()
        return os.open(path, flags, 0o600)


def _close_to_others(path: Path, flag: int) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flag)
    except PermissionError:  # it belongs to another user
        return
    except OSError:
        if path.is_symlink():
            return
        raise
    try:
        about = os.fstat(descriptor)
        mine = about.st_uid == os.geteuid() and not about.st_mode & stat.S_ISVTX
        if mine and about.st_mode & _OTHERS and not stat.S_ISSOCK(about.st_mode):
            os.fchmod(descriptor, stat.S_IMODE(about.st_mode) & ~_OTHERS)
    finally:
        os.close(descriptor)

"""Unix sockets: a path that clients write to or connect to, whole datagrams, and who sent one.

The kernel never drops a unix datagram: a sender waits or is told so when net.unix.max_dgram_qlen of them wait.
"""

import errno
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.receive.datagrams import MAX_DATAGRAM, Read, Taken

BACKLOG: Final = 1_024
"""Connections that may wait to be accepted; the system's limit is often lower."""
MODE: Final = 0o666
"""Any program on this host may send, as it may to a UDP port of 127.0.0.1."""

Cut = Callable[[bytes], None]
"""Takes what we have of a datagram that was longer than we read."""


def open_unix(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A bound, non-blocking unix socket at ``path``; a stream socket listens. One that nobody listens on is taken over.

    Raises OSError when somebody listens there, when something else lies there, or the folder is missing.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        sock.setblocking(False)
        sock.bind(str(path))
        path.chmod(MODE)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        else:
            prepare_unix(sock)
    except OSError:
        sock.close()
        raise
    return sock


def prepare_unix(sock: socket.socket) -> None:
    """Ask the kernel to say who sends: most clients have no address, but each has a process."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def remove_own(path: Path, inode: int) -> None:
    """Remove a socket's file, unless another one has its place by now."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except OSError:
        pass  # somebody else was quicker, or the folder is read-only: the next start takes it over


class SocketFile:
    """The file of a socket of ours, which somebody may remove: then nobody can send any more, and nobody is told."""

    def __init__(self, path: Path, kind: socket.SocketKind) -> None:
        self._path = path
        self._kind = kind
        self._inode = path.lstat().st_ino

    def try_make_again(self) -> socket.socket | None:
        """A new socket in place of the one whose file has gone; None while the file is there, ours or another's.

        Raises OSError when it cannot be made.
        """
        with suppress(FileNotFoundError):
            self._path.lstat()
            return None
        sock = open_unix(self._path, self._kind)
        self._inode = self._path.lstat().st_ino
        return sock

    def remove(self) -> None:
        """Remove the file, if it is still ours."""
        remove_own(self._path, self._inode)


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return  # bind makes it, or says that the folder is missing
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "something that is no socket lies there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            remove_own(path, found.st_ino)
            return
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # that is a stream socket with a listener
                raise
    raise OSError(errno.EADDRINUSE, "somebody listens there")


def read_whole(feed: Callable[[bytes], None], cut: Cut) -> Read:
    """A Read for unix datagrams that hands each to ``feed``, or to ``cut`` if it is longer than MAX_DATAGRAM."""
    buffer = bytearray(MAX_DATAGRAM)
    view = memoryview(buffer)

    def read(sock: socket.socket, at_most: int) -> Taken:
        receive = sock.recv_into
        done = size = truncated = 0
        try:
            while done < at_most:
                length = receive(buffer, 0, socket.MSG_TRUNC)  # its full length, whatever fits
                done += 1
                size += length
                if length <= MAX_DATAGRAM:
                    feed(bytes(view[:length]))
                else:
                    truncated += 1
                    cut(bytes(buffer))
        except BlockingIOError:
            pass
        except OSError:
            return Taken(done, size, True, truncated)
        return Taken(done, size, False, truncated)

    return read

"""Unix sockets: the file that clients use, the datagrams, and who sent them.

The kernel never drops a unix datagram. When net.unix.max_dgram_qlen of them wait, a sender waits or gets an error.
"""

import errno
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.receive.datagrams import MAX_DATAGRAM, Read, ReadResult

BACKLOG: Final = 1_024
"""Connections that can wait to be accepted. The system's limit is often lower."""
MODE: Final = 0o666
"""Any program on this host may send, as it can to a UDP port of 127.0.0.1."""

Cut = Callable[[bytes], None]
"""Takes the beginning of a datagram that was too long."""


def open_unix(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A bound, non-blocking unix socket at ``path``. A stream socket listens.

    A file of a socket that nobody uses is replaced. Raises OSError when a process uses the socket, when something else
    is at ``path``, or when the folder is missing.
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
    """Ask the kernel for the process of each sender, because most clients have no address."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def remove_own(path: Path, inode: int) -> None:
    """Remove a socket's file, unless another file has taken its place."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except OSError:
        pass  # it was removed, or the folder is read-only: then the next start replaces the file


class SocketFile:
    """The file of one of our sockets. When somebody removes it, no client can send any more."""

    def __init__(self, path: Path, kind: socket.SocketKind) -> None:
        self._path = path
        self._kind = kind
        self._inode = path.lstat().st_ino

    def try_make_again(self) -> socket.socket | None:
        """A new socket when the file is gone. None while there is a file, ours or another one.

        Raises OSError when the socket cannot be made.
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
        return  # bind makes it, or fails because the folder is missing
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
    """A Read for unix datagrams. It hands each to ``feed``, or to ``cut`` when it is longer than MAX_DATAGRAM."""
    buffer = bytearray(MAX_DATAGRAM)
    view = memoryview(buffer)

    def read(sock: socket.socket, at_most: int) -> ReadResult:
        receive = sock.recv_into
        done = size = truncated = 0
        try:
            while done < at_most:
                length = receive(buffer, 0, socket.MSG_TRUNC)  # the full length, even when it does not fit
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
            return ReadResult(done, size, True, truncated)
        return ReadResult(done, size, False, truncated)

    return read

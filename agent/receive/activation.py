"""Sockets that systemd, or another parent process, passes to the agent. The kernel keeps what comes while none runs.

The protocol is sd_listen_fds(3): LISTEN_FDS descriptors from 3 on, meant for the process LISTEN_PID, with names
in LISTEN_FDNAMES. The agent tells from a socket's type what it is for, so neither order nor names matter.
"""

import socket
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from runtime.start_error import StartError

FIRST: Final = 3

SocketKind = Literal["UDP", "unix", "unix_stream", "TCP"]
"""The kinds of sockets. Each is the name of a setting, without its prefix and case."""

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})


class Passed(NamedTuple):
    """A non-blocking socket from the parent. It is used in place of the setting ``kind``."""

    kind: SocketKind
    sock: socket.socket
    name: str


def passed_sockets(environ: Mapping[str, str], pid: int, first: int = FIRST) -> list[Passed]:
    """The sockets that a parent passed to process ``pid``. Empty when they are for another process.

    Raises StartError.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return []
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
    except ValueError:
        raise StartError(f"LISTEN_FDS is {environ['LISTEN_FDS']!r}; it must be a number") from None
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return [
        _passed(number, names[number - first] if number - first < len(names) else "")
        for number in range(first, first + count)
    ]


def _passed(number: int, name: str) -> Passed:
    label = f"descriptor {number}" + (f" ({name})" if name else "")
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        raise StartError(f"{label} is no socket") from None
    kind = _kind(sock)
    if kind is None:
        sock.detach()
        raise StartError(
            f"{label} is of no use: it must be a UDP, unix datagram or listening stream socket, bound to an address"
        )
    sock.setblocking(False)
    sock.set_inheritable(False)
    return Passed(kind, sock, name)


def _kind(sock: socket.socket) -> SocketKind | None:
    internet = sock.family in _INTERNET
    if sock.type == socket.SOCK_DGRAM:
        if internet:
            return "UDP" if sock.getsockname()[1] else None
        return "unix" if sock.family == socket.AF_UNIX and sock.getsockname() else None
    if sock.type == socket.SOCK_STREAM and (internet or sock.family == socket.AF_UNIX):
        kind: SocketKind = "TCP" if internet else "unix_stream"
        return kind if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else None
    return None

"""The numbers of a socket: its name, its receive buffer, and what it has received and lost."""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from runtime.addresses import join_address

_SO_MEMINFO: Final = 55  # Linux 4.12; the socket module has no name for it
_MEMINFO: Final = struct.Struct("9I")
_FAMILY: Final = struct.Struct("=H")
_PORT: Final = struct.Struct("!H")
_IPV4: Final = slice(4, 8)
_IPV6: Final = slice(8, 24)
CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group of the other end of a unix socket, as the kernel gives them."""


@dataclass(frozen=True, slots=True)
class SocketStatus:
    """One socket's numbers since the start. None where the kind of socket or the kernel has none.

    Buffers are in bytes, as asked for. The kernel reports twice as many, which covers its own costs.
    """

    name: str
    bytes: int
    errors: int = 0
    packets: int | None = None
    truncated: int | None = None
    """Datagrams that were too long and were cut."""
    kernel_drops: int | None = None
    """Datagrams that the kernel dropped since the socket was made, also while no agent ran."""
    buffer_asked: int | None = None
    buffer_granted: int | None = None
    buffer_used: int | None = None
    buffer_limit: int | None = None
    """The largest buffer for a process without special rights (net.core.rmem_max)."""
    queue_limit: int | None = None
    """Unix datagrams that can wait (net.unix.max_dgram_qlen at the start of the agent)."""
    connections: int | None = None
    accepted: int | None = None
    refused: int | None = None
    """Connections closed at once because there were too many."""
    idle_closed: int | None = None


class Memory(NamedTuple):
    """Bytes used and datagrams dropped of a socket's receive buffer. None when the kernel does not give them."""

    used: int | None
    drops: int | None


class KernelLimits(NamedTuple):
    """The system's limits. None when the system does not give them."""

    rmem_max: int | None
    """Bytes of the largest receive buffer for a process without special rights."""
    dgram_queue: int | None
    """Unix datagrams that can wait in a socket."""
    tcp_max: int | None
    """Bytes of the largest receive buffer of a TCP connection."""


def limits(proc: Path = Path("/proc/sys/net")) -> KernelLimits:
    """The limits of this host or container."""
    return KernelLimits(
        _last(proc / "core/rmem_max"), _last(proc / "unix/max_dgram_qlen"), _last(proc / "ipv4/tcp_rmem")
    )


def socket_name(sock: socket.socket) -> str:
    """``UDP host:port``, ``TCP host:port``, ``unix /path`` or ``unix stream /path``."""
    address = sock.getsockname()
    stream = sock.type == socket.SOCK_STREAM
    if sock.family == socket.AF_UNIX:
        path = "@" + address[1:].decode("utf-8", "replace") if isinstance(address, bytes) else address
        return f"unix {'stream ' if stream else ''}{path or '(no path)'}"
    return f"{'TCP' if stream else 'UDP'} {join_address(*address[:2])}"


def receive_memory(sock: socket.socket) -> Memory:
    """Bytes that wait in the socket and datagrams dropped because there was no room for them."""
    try:
        numbers = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
    except (OSError, struct.error):
        return Memory(None, None)
    return Memory(numbers[0] // 2, numbers[8])


def sender_name(address: object, credentials: bytes) -> str:
    """The name of a sender: ``host:port``, or for a unix socket its path, if it has one, and its process."""
    if isinstance(address, tuple):
        return join_address(*address[:2])
    path = f"{address} " if isinstance(address, str) and address else ""
    if len(credentials) != CREDENTIALS.size:
        return path.strip()
    process, user, _ = CREDENTIALS.unpack(credentials)
    return f"{path}pid {process}, uid {user}"


def sender_of(address: bytes, credentials: bytes) -> str:
    """The name of a sender: see sender_name. ``address`` is a sockaddr, empty when the sender has none."""
    if len(address) < _FAMILY.size:
        return sender_name("", credentials)
    family = _FAMILY.unpack_from(address)[0]
    if family == socket.AF_UNIX:
        path = address[_FAMILY.size :].removesuffix(b"\0")
        return sender_name(path.decode("utf-8", "surrogateescape") if path[:1] != b"\0" else "", credentials)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return sender_name("", credentials)
    host = socket.inet_ntop(family, address[_IPV4 if family == socket.AF_INET else _IPV6])
    return sender_name((host, _PORT.unpack_from(address, _FAMILY.size)[0]), credentials)


def _last(path: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(path.read_text(encoding="ascii").split()[-1])
    return None

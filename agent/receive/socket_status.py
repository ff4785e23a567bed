"""What is to be known of a socket: its name, its receive buffer, and what it has taken and lost."""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from runtime.addresses import join_address

_SO_MEMINFO: Final = 55  # Linux 4.12; the socket module has no name for it
_MEMINFO: Final = struct.Struct("9I")
CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group, as the kernel tells of who is at the other end of a unix socket."""


@dataclass(frozen=True, slots=True)
class SocketStatus:
    """One socket's numbers since the start; None for what its kind does not have, or the kernel does not say.

    Buffers are in bytes as asked for: the kernel says twice that, to cover its own costs.
    """

    name: str
    bytes: int
    errors: int = 0
    packets: int | None = None
    truncated: int | None = None
    """Datagrams that were longer than we read."""
    kernel_drops: int | None = None
    """Datagrams that never reached us, since the socket was made: also those of a time without an agent."""
    buffer_asked: int | None = None
    buffer_granted: int | None = None
    buffer_used: int | None = None
    buffer_limit: int | None = None
    """What one gets without a right to more (net.core.rmem_max)."""
    queue_limit: int | None = None
    """Unix datagrams that may wait, as it was when the agent started (net.unix.max_dgram_qlen)."""
    connections: int | None = None
    accepted: int | None = None
    refused: int | None = None
    """Connections closed at once because there were too many."""
    idle_closed: int | None = None


class Memory(NamedTuple):
    """What the kernel says of a socket's receive buffer; None where it says nothing."""

    used: int | None
    drops: int | None


class KernelLimits(NamedTuple):
    """What the system allows; None where it does not say."""

    rmem_max: int | None
    """Bytes of the largest receive buffer that one gets without a right to more, as asked for."""
    dgram_queue: int | None
    """Unix datagrams that may wait in a socket."""
    tcp_max: int | None
    """Bytes of the largest receive buffer of a TCP connection."""


def limits(proc: Path = Path("/proc/sys/net")) -> KernelLimits:
    """Those of this host, or of this container."""
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
    """Who sent: ``host:port``, or for a unix socket its path, if it has one, and its process."""
    if isinstance(address, tuple):
        return join_address(*address[:2])
    path = f"{address} " if isinstance(address, str) and address else ""
    if len(credentials) != CREDENTIALS.size:
        return path.strip()
    process, user, _ = CREDENTIALS.unpack(credentials)
    return f"{path}pid {process}, uid {user}"


def _last(path: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(path.read_text(encoding="ascii").split()[-1])
    return None

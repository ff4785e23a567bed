"""The way to systemd's notification socket; the words are in protocol.notify."""

import socket
from typing import Final

SEND_SECONDS: Final = 0.1
"""systemd reads at once; where it does not, our work goes on."""


def send_datagram(address: str, message: bytes) -> None:
    """One datagram to a unix socket, a path or abstract. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SEND_SECONDS)
        sock.sendto(message, address)

"""How much may wait in the kernel for us, and what to set where that is little."""

from typing import Final

from agent.receive.datagrams import RECEIVE_BUFFER

BUSY: Final = 10_000
"""Datagrams a second of a busy host."""
PAUSE_SECONDS: Final = 0.1
"""The agent may be kept from its sockets for so long, by the disk or by other processes."""
DATAGRAM: Final = 640
"""Bytes of a buffer, as asked for, that a datagram of 200 bytes takes with what the kernel adds."""
QUEUE: Final = 512
"""Unix datagrams that should be able to wait. Many systems say 10."""


def udp_waiting(granted: int) -> str:
    """What a receive buffer of ``granted`` bytes is good for, and what to set where it is small."""
    holds = granted // DATAGRAM
    what = f"it holds some {holds:,} datagrams of 200 bytes, {holds * 1_000 // BUSY:,} ms of {BUSY:,} a second"
    if not is_small(granted):
        return what
    return f"{what}; sysctl -w net.core.rmem_max={RECEIVE_BUFFER}, then restart"


def allowed_text(rmem_max: int | None) -> str:
    """What the system says of receive buffers."""
    return "" if rmem_max is None else f", net.core.rmem_max allows {rmem_max:,}"


def is_small(granted: int) -> bool:
    """Whether a receive buffer is less than a busy host needs."""
    return granted < BUSY * PAUSE_SECONDS * DATAGRAM


def unix_waiting(queue: int) -> str:
    """How many unix datagrams may wait, and what to set where that is few."""
    what = f"{queue:,} datagrams may wait (net.unix.max_dgram_qlen), then a sender has to"
    if queue >= QUEUE:
        return what
    return f"{what}, and clients that do not wait drop: sysctl -w net.unix.max_dgram_qlen={QUEUE}, then restart"

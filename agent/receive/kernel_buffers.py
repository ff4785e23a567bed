"""How much can wait in the kernel for the agent, and what to set when that is too little."""

from typing import Final

from agent.receive.datagrams import RECEIVE_BUFFER

BUSY: Final = 10_000
"""Datagrams per second of a busy host."""
PAUSE_SECONDS: Final = 0.1
"""The disk or other processes may keep the agent from its sockets for so long."""
DATAGRAM: Final = 640
"""Bytes of a buffer that a datagram of 200 bytes takes, with what the kernel adds."""
QUEUE: Final = 512
"""Unix datagrams that should be able to wait. The default of many systems is 10."""


def udp_waiting(granted: int) -> str:
    """How much a receive buffer of ``granted`` bytes holds, and what to set when it is too small."""
    holds = granted // DATAGRAM
    text = f"it holds some {holds:,} datagrams of 200 bytes, {holds * 1_000 // BUSY:,} ms at {BUSY:,} per second"
    if not is_small(granted):
        return text
    return f"{text}; sysctl -w net.core.rmem_max={RECEIVE_BUFFER}, then restart"


def allowed_text(rmem_max: int | None) -> str:
    """The system's limit of receive buffers, in words. Empty when it is unknown."""
    return "" if rmem_max is None else f", net.core.rmem_max allows {rmem_max:,}"


def is_small(granted: int) -> bool:
    """Whether a receive buffer is smaller than a busy host needs."""
    return granted < BUSY * PAUSE_SECONDS * DATAGRAM


def unix_waiting(queue: int) -> str:
    """How many unix datagrams can wait, and what to set when that is too few."""
    text = f"{queue:,} datagrams may wait (net.unix.max_dgram_qlen), then a sender has to"
    if queue >= QUEUE:
        return text
    return f"{text}, and clients that do not wait drop: sysctl -w net.unix.max_dgram_qlen={QUEUE}, then restart"

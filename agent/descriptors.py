"""How many connections there may be before the process has no descriptor left for its spool."""

import resource
from typing import Final

MAX_CONNECTIONS: Final = 1_024
RESERVED: Final = 128
"""Descriptors for all else: sockets, the spool, the way to the centre, the local HTTP port."""


def room_for_connections() -> int:
    """MAX_CONNECTIONS, or fewer where the system's limit is small. Raises the process's own limit as far as it must."""
    wanted = MAX_CONNECTIONS + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft < 0 else max(1, min(MAX_CONNECTIONS, soft - RESERVED))

"""Descriptors of the process: how many connections leave some for its spool, and which are nobody's but the shell's."""

import os
import resource
from typing import Final

MAX_CONNECTIONS: Final = 1_024
LAST_STANDARD: Final = 2
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


def keep_standard() -> None:
    """Put /dev/null where standard input, output or errors are closed, so that no socket or file gets their numbers.

    A line meant for a terminal would go into it, and the event loop does not stand it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(number)

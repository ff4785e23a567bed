"""Ports for servers that tests start, so that no two test processes of a machine are ever given the same one.

The system gives a port that is free at this moment to anybody who asks. Between the question and the server's own bind
another process can take it, and a test then talks to a server that is not its own. So each process claims a block of
ports outside the range that the system gives away, and goes through its block in turn.
"""

import errno
import functools
import itertools
import socket
from collections.abc import Iterator
from typing import Final

FIRST: Final = 10_000
LAST: Final = 32_000  # Linux gives away ports from 32768
BLOCK: Final = 200


def free_port() -> int:
    """A port that nobody uses now, for TCP and for UDP, and that no other test process will be given."""
    ports = _own_ports()
    return next(port for port in itertools.islice(ports, BLOCK) if _is_free(port))


@functools.cache
def _own_ports() -> Iterator[int]:
    for first in range(FIRST, LAST, BLOCK):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0glowing-fiesta-tests-{first}")  # a name without a file: the kernel frees it with the process
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return _cycle(claim, range(first, first + BLOCK))
    raise RuntimeError(f"all blocks of ports from {FIRST} to {LAST} are taken by other test processes")


def _cycle(claim: socket.socket, ports: range) -> Iterator[int]:
    with claim:
        yield from itertools.cycle(ports)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind(("", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return False
    return True

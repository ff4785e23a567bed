"""New connections to one server. Each time its name is resolved, and every address of it is tried.

An address that did not answer, or answered nonsense, is tried last the next time.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from runtime.resolver import find_addresses

ADDRESS_SECONDS: Final = 3.0
"""The time that an address has for TCP and TLS while there is another one to try."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The IP addresses of a host, best first. Raises OSError."""
Trust = Callable[[], Awaitable[ssl.SSLContext]]
"""Returns the TLS context to use now."""
P = TypeVar("P", bound=asyncio.Protocol)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver finds. Raises OSError."""
    results = await find_addresses(host, port, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in results))


class Dialer:
    """``open`` makes a connection. The caller then reports with ``worked`` or ``failed`` how it went."""

    def __init__(
        self, host: str, port: int, trust: Trust | None, find: Resolve = resolve, seconds: float = ADDRESS_SECONDS
    ) -> None:
        self._host = host
        self._port = port
        self._trust = trust
        self._resolve = find
        self._seconds = seconds
        self._faults: dict[str, int] = {}
        """For each address that failed: a number that is larger the later it failed."""
        self._last: str | None = None

    async def open(self, make: Callable[[], P]) -> P:
        """Connect to the first address that accepts. Raises OSError with the fault of each address."""
        addresses = await self._resolve(self._host, self._port)
        self._faults = {address: self._faults[address] for address in addresses if address in self._faults}
        addresses = sorted(addresses, key=lambda address: self._faults.get(address, 0))
        causes: dict[str, OSError] = {}
        for address in addresses:
            alone = len(causes) + 1 == len(addresses)
            self._last = address
            try:
                async with asyncio.timeout(None if alone else self._seconds):
                    return await self._connect(make, address)
            except OSError as error:
                self.failed()
                causes[address] = error
        if len({in_words(error) for error in causes.values()}) == 1:
            raise next(iter(causes.values()))
        raise ConnectionError("; ".join(f"{address}: {in_words(error)}" for address, error in causes.items()))

    def failed(self) -> None:
        """Say that the last connection failed. Its address is then tried after all others."""
        if self._last is not None:
            self._faults[self._last] = max(self._faults.values(), default=0) + 1

    def worked(self) -> None:
        """Say that the last connection worked. Its address is then no longer tried last."""
        if self._last is not None:
            self._faults.pop(self._last, None)

    async def _connect(self, make: Callable[[], P], address: str) -> P:
        tls = None if self._trust is None else await self._trust()
        _, made = await asyncio.get_running_loop().create_connection(
            make, address, self._port, ssl=tls, server_hostname=self._host if tls else None
        )
        return made


def in_words(error: Exception) -> str:
    """Why a connection failed, in words for people."""
    if isinstance(error, TimeoutError) and not error.errno:
        return "no connection in time"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__

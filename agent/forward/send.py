"""The HTTP edge: one request to central, one Answer or Unreachable. Decides nothing."""

import asyncio
import gzip
import ssl
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.forward.api_key import ApiKey
from agent.forward.dial import in_words
from agent.forward.http_connection import HttpConnection
from agent.forward.outcome import Reply
from protocol.limits import SKEW_HEADER
from protocol.statsd_types import RENAMED_HEADER, TYPES_HEADER

TIMEOUT_SECONDS: Final = 10.0
GZIP_LEVEL: Final = 1
"""1,000 items, 161 kB: gzip 1 makes 32 kB in 0.9 ms, gzip 6 26 kB in 2.6 ms, zstd 1 24 kB in 0.3 ms. At a batch
or two in ten seconds that is all the same, and what stands between agent and central understands gzip."""

_HEADERS: Final = {
    "User-Agent": f"glowing-fiesta-agent/{version('glowing-fiesta')}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


class UnreachableError(Exception):
    """No answer: no connection, no TLS, or nothing in time. Whether central has stored the batch is unknown."""


class Sender:
    """One connection to central, used inside ``async with``. Redirects are never followed."""

    def __init__(self, url: str, key: ApiKey, ca_file: Path | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._authorities = Authorities(ca_file) if self._url.startswith("https:") else None
        self._timeout = timeout
        self._connection: HttpConnection | None = None

    async def __aenter__(self) -> Self:
        self._connection = HttpConnection(self._url, self._authorities.read_again if self._authorities else None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def post(self, batch_id: str, body: bytes, types: str = "") -> Reply:
        """Send a batch under its id; ``types`` see agent.spool.batch. Raises UnreachableError."""
        headers = {
            "X-API-Key": self._key.value,
            "Idempotency-Key": batch_id,
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        if types:
            headers[TYPES_HEADER] = types
        return await self._request("POST", "/api/metrics/batch", headers, gzip.compress(body, GZIP_LEVEL))

    async def health(self) -> Reply:
        """Ask whether central is there, for its Date; carries no key. Raises UnreachableError."""
        return await self._request("GET", "/health", {"Cache-Control": "no-cache"})

    async def try_key(self) -> Reply:
        """A batch of nothing: needs a key that may send, and is refused as empty. Raises UnreachableError."""
        headers = {"X-API-Key": self._key.value, "Content-Type": "application/json"}
        return await self._request("POST", "/api/metrics/batch", headers, b'{"metrics":[]}')

    def try_new_key(self) -> bool:
        """Whether there is another key now than the one last used."""
        return self._key.try_reread()

    async def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        if self._connection is None:
            raise RuntimeError("a Sender works inside async with")
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._connection.request(method, path, {**_HEADERS, **headers}, body)
        except TimeoutError:
            raise UnreachableError(f"no answer from {self._url} within {self._timeout:g} s") from None
        except (OSError, ValueError) as error:
            fault = self._authorities.fault if self._authorities is not None else ""
            raise UnreachableError(f"{self._url} cannot be reached: {in_words(error)}{fault}") from None
        headers = reply.headers
        return Reply(
            reply.status,
            headers.get("content-type", ""),
            reply.body,
            headers.get("retry-after"),
            headers.get("date"),
            headers.get("ratelimit-limit"),
            headers.get("ratelimit-remaining"),
            headers.get("ratelimit-reset"),
            headers.get(RENAMED_HEADER.lower()),
            headers.get(SKEW_HEADER.lower()),
        )


class Authorities:
    """Whom to believe that a server is central. Making one raises OSError when ``ca_file`` is of no use.

    The file is read again for each new connection, so that one that was replaced is used without a restart.
    """

    def __init__(self, ca_file: Path | None) -> None:
        self.fault = ""
        """What to add to a failure: that the file is of no use by now."""
        self._file = ca_file
        self._context = tls_context(ca_file)

    async def read_again(self) -> ssl.SSLContext:
        """TLS with the authorities as of now; as of the last time where they cannot be read."""
        try:
            self._context = await asyncio.to_thread(tls_context, self._file)
            self.fault = ""
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no room for another thread
            self.fault = f" (FIESTA_AGENT_CA_FILE {self._file} cannot be read again: {in_words(error)})"
        return self._context


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and up, names checked, against the system's authorities or those of ``ca_file``.

    Raises OSError, ssl.SSLError when the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

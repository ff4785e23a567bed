"""The HTTP edge: one request to central gives one Reply or UnreachableError. It decides nothing."""

import asyncio
import gzip
import ssl
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.forward.api_key import ApiKey
from agent.forward.dial import in_words
from agent.forward.http_connection import HttpConnection
from agent.forward.outcome import Reply
from protocol.limits import ACCEPTS_HEADER, SKEW_HEADER
from protocol.report import PROCESS_HEADER, REPORT_HEADER
from protocol.statsd_types import RENAMED_HEADER, TYPES_HEADER

TIMEOUT_SECONDS: Final = 10.0
GZIP_LEVEL: Final = 1
"""1,000 items, 161 kB: gzip 1 makes 32 kB in 0.9 ms, gzip 6 26 kB in 2.6 ms, zstd 1 24 kB in 0.3 ms. For a batch or
two in ten seconds the difference does not matter, and proxies between agent and central understand gzip."""

_HEADERS: Final = {
    "User-Agent": f"glowing-fiesta-agent/{version('glowing-fiesta')}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


class UnreachableError(Exception):
    """There was no answer: no connection, no TLS, or nothing in time. Central may or may not have stored the batch."""


class Sender:
    """One connection to central. Use it inside ``async with``. It never follows a redirect."""

    report: Callable[[], str] | None = None
    """Makes the Metrics-Agent header of a batch. None sends none."""

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

    def use(self, key: ApiKey, ca_file: Path | None) -> bool:
        """Use another key and other authorities. Returns whether it is another key. Changes nothing when it raises.

        The key goes with the next request, the authorities certify the next connection. Raises OSError when
        ``ca_file`` is unusable.
        """
        if self._authorities is not None:
            self._authorities.use(ca_file)
        changed, self._key = key.value != self._key.value, key
        return changed

    async def post(self, batch_id: str, body: bytes, types: str = "") -> Reply:
        """Send a batch under its id. For ``types`` see agent.spool.batch. Raises UnreachableError."""
        self._key.try_reread()
        headers = {
            "X-API-Key": self._key.value,
            "Idempotency-Key": batch_id,
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        if types:
            headers[TYPES_HEADER] = types
        if self.report is not None:
            headers[REPORT_HEADER] = self.report()
        return await self._request("POST", "/api/metrics/batch", headers, gzip.compress(body, GZIP_LEVEL))

    async def health(self) -> Reply:
        """Ask for central's /health, which also gives its Date. Sends no key. Raises UnreachableError."""
        return await self._request("GET", "/health", {"Cache-Control": "no-cache"})

    async def try_key(self) -> Reply:
        """Send an empty batch. Central refuses it as empty only when the key may send. Raises UnreachableError.

        A running agent's report goes with it, and is taken.
        """
        headers = {"X-API-Key": self._key.value, "Content-Type": "application/json"}
        if self.report is not None:
            headers[REPORT_HEADER] = self.report()
        return await self._request("POST", "/api/metrics/batch", headers, b'{"metrics":[]}')

    def try_new_key(self) -> bool:
        """Read the key's file again. Returns True when it has another key."""
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
            headers.get(ACCEPTS_HEADER.lower()),
            headers.get(PROCESS_HEADER.lower()),
        )


class Authorities:
    """The authorities that may certify central. Making one raises OSError when ``ca_file`` is unusable.

    The file is read again for each new connection, so a replaced file takes effect without a restart.
    """

    def __init__(self, ca_file: Path | None) -> None:
        self.fault = ""
        """Text to add to a failure message when the file has become unusable."""
        self._file = ca_file
        self._context = tls_context(ca_file)

    def use(self, ca_file: Path | None) -> None:
        """Read another file. Raises OSError when it is unusable; then the one before stays."""
        self._context = tls_context(ca_file)
        self._file, self.fault = ca_file, ""

    async def read_again(self) -> ssl.SSLContext:
        """A TLS context with the authorities as they are now. The last good ones when the file cannot be read."""
        try:
            self._context = await asyncio.to_thread(tls_context, self._file)
            self.fault = ""
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self.fault = f" (FIESTA_AGENT_CA_FILE {self._file} cannot be read again: {in_words(error)})"
        return self._context


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context for TLS 1.2 and later that checks names, with the system's authorities or those of ``ca_file``.

    Raises OSError or ssl.SSLError when the file cannot be read or has no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

"""The HTTP edge: one request to the centre, one Answer or Unreachable. Decides nothing."""

import gzip
import os
import ssl
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from agent.key import ApiKey
from protocol.outcomes import Answer

TIMEOUT_SECONDS: Final = 10.0
MAX_ANSWER_BYTES: Final = 4 << 20
"""A batch of which every item is refused has an answer of some 200 kB; what is longer is not ours."""
GZIP_LEVEL: Final = 1
"""1,000 items, 161 kB: gzip 1 makes 32 kB in 0.9 ms, gzip 6 26 kB in 2.6 ms, zstd 1 24 kB in 0.3 ms. At a batch
or two in ten seconds that is all the same, and what stands between agent and centre understands gzip."""
IDLE_SECONDS: Final = 70.0
"""One connection lasts over the longest flush interval. When idle for longer it is closed by us, before a proxy
(nginx: after 75 s) closes it under a request."""


class UnreachableError(Exception):
    """No answer: no connection, no TLS, or nothing in time. Whether the centre has stored the batch is unknown."""


class Sender:
    """One connection to the centre, used inside ``async with``. Redirects are never followed."""

    def __init__(self, url: str, key: ApiKey, ca_file: Path | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._tls = tls_context(ca_file) if self._url.startswith("https:") else None
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=self._tls or True, keepalive_timeout=IDLE_SECONDS),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={
                "User-Agent": f"glowing-fiesta-agent/{version('glowing-fiesta')}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, batch_id: str, body: bytes) -> Answer:
        """Send a batch under its id. Raises UnreachableError."""
        headers = {
            "X-API-Key": self._key.value,
            "Idempotency-Key": batch_id,
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        return await self._request("POST", "/api/metrics/batch", headers, gzip.compress(body, GZIP_LEVEL))

    async def health(self) -> Answer:
        """Ask whether the centre is there, for its Date; carries no key. Raises UnreachableError."""
        return await self._request("GET", "/health", {"Cache-Control": "no-cache"})

    async def try_key(self) -> Answer:
        """A batch of nothing: needs a key that may send, and is refused as empty. Raises UnreachableError."""
        headers = {"X-API-Key": self._key.value, "Content-Type": "application/json"}
        return await self._request("POST", "/api/metrics/batch", headers, b'{"metrics":[]}')

    def try_new_key(self) -> bool:
        """Whether there is another key now than the one last used."""
        return self._key.try_reread()

    async def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        if self._session is None:
            raise RuntimeError("a Sender works inside async with")
        try:
            async with self._session.request(
                method, f"{self._url}{path}", headers=headers, data=body, allow_redirects=False
            ) as response:
                answered = await _read(response)
                return Answer(
                    response.status,
                    response.headers.get("Content-Type", ""),
                    answered,
                    response.headers.get("Retry-After"),
                    response.headers.get("Date"),
                    *(response.headers.get(f"RateLimit-{what}") for what in ("Limit", "Remaining", "Reset")),
                )
        except TimeoutError:
            raise UnreachableError(f"no answer from {self._url} within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(f"{self._url} cannot be reached: {_plain(error)}") from None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and up, names checked, against the system's authorities or those of ``ca_file``.

    Raises OSError, ssl.SSLError when the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The answer's body, cut off where it is longer than any of ours."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            break
    return bytes(body)


def _plain(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        code = error.os_error.errno
        return os.strerror(code) if code and code > 0 else str(error.os_error)
    return str(error) or type(error).__name__

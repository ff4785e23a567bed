"""What one client does to hold up the others, each as a program of its own: python -m loadtest.attacks NAME URL KEY.

KEY may send 1,000 requests per minute, the default. It attacks until it is ended.
"""

import asyncio
import gzip
import os
import resource
import secrets
import string
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import uvloop

from loadtest.paced import post

BATCH: Final = "/api/metrics/batch"
EVERY_SECONDS: Final = 60 / 1_000
"""The pause between two requests of a key that stays at its limit."""
_MANY: Final = gzip.compress(b'{"metrics":[' + b"[]," * 2_700_000 + b"[]]}")
_LONG: Final = gzip.compress(b'{"metrics":[' + b",".join([b'{"name":"' + b"\\u0041" * 1_300 + b'"}'] * 1_000) + b"]}")
_GZIP: Final = "Content-Encoding: gzip\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Attack = Callable[[str, str], Awaitable[None]]


async def many_items(url: str, key: str) -> None:
    """Bodies of 8 kB of gzip. Decoded, each would become 2.7 million lists."""
    await _at_the_limit(url, post(url, BATCH, key, _MANY, _GZIP))


async def long_items(url: str, key: str) -> None:
    """Batches of a thousand items of 8 kB. The service must decode each item before it can refuse it."""
    await _at_the_limit(url, post(url, BATCH, key, _LONG, _GZIP))


async def slow_bodies(url: str, key: str) -> None:
    """A thousand requests with bodies of 1 MiB that never end."""
    head = post(url, BATCH, key, b" " * (1 << 20))[: -(1 << 20)]

    async def one() -> None:
        _, writer = await _connect(url)
        writer.write(head + b" " * 60_000)
        while True:
            await asyncio.sleep(1)
            writer.write(b" ")

    await _all(one, 1_000)


async def queries(url: str, key: str) -> None:
    """Sixty clients. Each asks for 44,000 windows and closes its connection at once."""
    await _all(lambda: _ask_and_leave(url, key), 60)


async def unread_answers(url: str, key: str) -> None:
    """A hundred clients. Each asks for 44,000 windows and reads nothing of the answer."""

    async def one() -> None:
        reader, writer = await _connect(url)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(_query(url, key))
        await asyncio.sleep(3_600)

    await _all(one, 100)


async def idle_connections(url: str, key: str) -> None:
    """1,500 idle connections. Half of them send a head that never ends. If one is closed, the client opens it again."""

    async def one() -> None:
        reader, writer = await _connect(url)
        writer.write(secrets.choice((b"", b"GET /health HTTP/1.1\r\nX-Long: ")))
        await reader.read()
        writer.close()

    await _all(one, 1_500)


async def guesses(url: str, key: str) -> None:
    """Keys with the public id of KEY, which is a good one, and with wrong secrets."""

    def guess() -> bytes:
        return _get(url, "/api/metrics", key[:17] + secrets.token_urlsafe(32))

    await _all(lambda: _keep_asking(url, guess), 16)


async def unknown_keys(url: str, key: str) -> None:
    """Keys that were never made."""

    def guess() -> bytes:
        public = "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
        return _get(url, "/api/metrics", f"gf_{public}_{secrets.token_urlsafe(32)}")

    await _all(lambda: _keep_asking(url, guess), 16)


async def backups(url: str, key: str) -> None:
    """One backup after the other. KEY must have the scope admin."""
    await _at_the_limit(url, _get(url, "/api/admin/backup", key))


async def beyond_the_limit(url: str, key: str) -> None:
    """A good key that goes on although it is over its limit."""
    await _all(lambda: _keep_asking(url, lambda: _get(url, "/api/metrics", key)), 16)


ATTACKS: Final[dict[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        *(many_items, long_items, slow_bodies, queries, unread_answers, idle_connections),
        *(guesses, unknown_keys, beyond_the_limit, backups),
    )
}


async def _at_the_limit(url: str, request: bytes) -> None:
    """Send as many requests as the limit allows, one after the other, over four connections."""

    async def one() -> None:
        reader, writer = await _connect(url)
        while True:
            started = time.monotonic()
            writer.write(request)
            await _answer(reader)
            await asyncio.sleep(max(4 * EVERY_SECONDS - (time.monotonic() - started), 0))

    await _all(one, 4)


async def _ask_and_leave(url: str, key: str) -> None:
    _, writer = await _connect(url)
    writer.write(_query(url, key))
    await asyncio.sleep(60 * EVERY_SECONDS)
    writer.close()


async def _keep_asking(url: str, request: Callable[[], bytes]) -> None:
    reader, writer = await _connect(url)
    while True:
        writer.write(request())
        await _answer(reader)


async def _all(one: Callable[[], Awaitable[None]], count: int) -> None:
    """Run ``count`` attacks at a time. When one ends, start it again after a moment."""

    async def again() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await one()
            await asyncio.sleep(0.05)

    await asyncio.gather(*(again() for _ in range(count)))


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def _connect(url: str) -> Stream:
    parsed = urlsplit(url)
    return await asyncio.open_connection(parsed.hostname, parsed.port)


def _query(url: str, key: str) -> bytes:
    end = int(time.time()) // 60 * 60
    span = "&".join(
        f"{bound}={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))}"
        for bound, at in (("start", end - 10_990 * 60), ("end", end))
    )
    path = f"/api/metrics/aggregate?name=a,b,c,d&operation=avg&window=1m&fill=zero&{span}"
    return _get(url, path, key)


def _get(url: str, path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nX-API-Key: {key}\r\n\r\n".encode()


if __name__ == "__main__":
    os.nice(19)  # a real attacker has a machine of its own, and this one shares the cores of what it attacks
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(ATTACKS[sys.argv[1]](*sys.argv[2:4]))  # type: ignore[arg-type]

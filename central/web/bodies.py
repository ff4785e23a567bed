"""Reads a request's body within limits of size, time and memory. A long body is decoded in a thread."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web
from multidict import istr

from central.errors import unavailable
from central.fair_slots import FairSlots, SlotBounds
from central.ingest.body import TooLarge, expand, too_large
from protocol.limits import MAX_BODY_BYTES

T = TypeVar("T")

BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive."""
SHORT: Final = 16_384
"""A body of at most this many bytes is decoded on the event loop, whatever it contains."""
QUICK: Final = 262_144
"""A body of at most this many bytes is tried on the event loop if it is quick to decode: a batch in everyday form."""
PACKED: Final = 65_536
"""A compressed body of at most this many bytes is expanded on the event loop. It may have 100 parts, each copied."""
_ENCODING: Final = istr("Content-Encoding")
MAX_ARRIVING: Final = 128 << 20
"""The most bytes of all bodies that arrive or wait. Each counts as long as its Content-Length says."""
MAX_ARRIVING_OF_ONE_KEY: Final = 32 << 20
SLOTS: Final = SlotBounds(at_once=2, of_one_key=1, waiting=64, waiting_of_one_key=16)
"""The slots for long bodies. Each may expand to 8 MiB and take tens of milliseconds."""
ARRIVING: Final = "arriving bodies"
LONG: Final = "long bodies"


class Bodies:
    """Reads the bodies of all requests. ``busy`` counts refused requests."""

    def __init__(self, busy: Counter[str], seconds: float = BODY_SECONDS) -> None:
        busy[ARRIVING] += 0
        self._busy = busy
        self._seconds = seconds
        self._slots = FairSlots(LONG, SLOTS, busy)
        self._arriving: Counter[int] = Counter()

    async def decode(
        self,
        request: web.Request,
        key_id: int,
        work: Callable[[bytes], T],
        quick: Callable[[bytes], T | None] | None = None,
    ) -> T:
        """Read and expand the body, and return ``work(body)``. Raises what ``work`` raises, and ApiError over a limit.

        ``work`` may run in a thread. ``quick`` does the same work if that is quick, and else returns None.
        """
        if request.content.is_eof():  # most bodies arrive with their head: no timer and no limit is needed
            sent = request.content.read_nowait()
            if len(sent) <= SHORT and _ENCODING not in request.headers:
                return work(sent)
            if len(sent) > MAX_BODY_BYTES:
                raise too_large()
            return await self._decode(request, key_id, sent, work, quick)
        size = _promised(request)
        if self._arriving[key_id] + size > MAX_ARRIVING_OF_ONE_KEY or self._arriving.total() + size > MAX_ARRIVING:
            self._busy[ARRIVING] += 1
            raise unavailable("too many large bodies arrive at once, from this key or from all; send fewer at once")
        self._arriving[key_id] += size
        try:
            return await self._decode(request, key_id, await self._read(request), work, quick)
        finally:
            self._arriving[key_id] -= size
            if not self._arriving[key_id]:
                del self._arriving[key_id]

    async def _read(self, request: web.Request) -> bytes:
        """The body as sent. The application's client_max_size is MAX_BODY_BYTES."""
        try:
            async with asyncio.timeout(self._seconds):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise too_large() from None
        except TimeoutError:
            raise unavailable(f"the body did not arrive within {self._seconds:g} s; send it again") from None

    async def _decode(
        self,
        request: web.Request,
        key_id: int,
        sent: bytes,
        work: Callable[[bytes], T],
        quick: Callable[[bytes], T | None] | None,
    ) -> T:
        encoding = ", ".join(request.headers.getall(_ENCODING, ()))
        body = _soon_expanded(sent, encoding)
        if body is not None:
            if len(body) <= SHORT:
                return work(body)
            if quick is not None and (made := quick(body)) is not None:
                return made

        def whole() -> T:
            return work(expand(sent, encoding) if body is None else body)

        async with self._slots.slot(key_id):
            return await asyncio.to_thread(whole)


def _promised(request: web.Request) -> int:
    """How many bytes may arrive at most. Raises ApiError if that is too many."""
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise too_large()
    return MAX_BODY_BYTES if length is None else length


def _soon_expanded(sent: bytes, encoding: str) -> bytes | None:
    """The expanded body, if it has at most QUICK bytes and expanding it is quick; else None."""
    if encoding and len(sent) > PACKED:
        return None
    try:
        return expand(sent, encoding, QUICK)
    except TooLarge:
        return None

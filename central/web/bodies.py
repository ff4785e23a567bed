"""Reads a request's body within its bounds of size, time and memory, and judges a long one beside the event loop."""

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
"""Bytes of a body that is judged on the event loop whatever is in it."""
QUICK: Final = 262_144
"""Bytes of a body that is tried on the event loop where that ends soon, as for a batch in everyday form."""
PACKED: Final = 65_536
"""Bytes of a body with an encoding that is tried on the event loop: of a hundred parts each is copied."""
_ENCODING: Final = istr("Content-Encoding")
MAX_ARRIVING: Final = 128 << 20
"""Bytes of all bodies that arrive or wait at a time, each counted as long as its head says."""
MAX_ARRIVING_OF_ONE_KEY: Final = 32 << 20
SLOTS: Final = SlotBounds(at_once=2, of_one_key=1, waiting=64, waiting_of_one_key=16)
"""Of long bodies: each may become 8 MiB and some ten milliseconds of work."""
ARRIVING: Final = "arriving bodies"
LONG: Final = "long bodies"


class Bodies:
    """Bodies of all requests. ``busy`` counts those that were turned away."""

    def __init__(self, busy: Counter[str], seconds: float = BODY_SECONDS) -> None:
        busy[ARRIVING] += 0
        self._busy = busy
        self._seconds = seconds
        self._slots = FairSlots(LONG, SLOTS, busy)
        self._arriving: Counter[int] = Counter()

    async def judge(
        self,
        request: web.Request,
        key_id: int,
        work: Callable[[bytes], T],
        quick: Callable[[bytes], T | None] | None = None,
    ) -> T:
        """What ``work`` makes of the expanded body. Raises what it raises, and ApiError for a body out of bounds.

        ``work`` may run in a thread. ``quick`` does the same where that is soon done, and else gives None.
        """
        if request.content.is_eof():  # it came with its head, as most do: no timer, no share
            sent = await request.read()
            if len(sent) <= SHORT and _ENCODING not in request.headers:
                return work(sent)
            return await self._judge(request, key_id, sent, work, quick)
        size = _promised(request)
        if self._arriving[key_id] + size > MAX_ARRIVING_OF_ONE_KEY or self._arriving.total() + size > MAX_ARRIVING:
            self._busy[ARRIVING] += 1
            raise unavailable("too many bytes of bodies are on their way, of this key or of all; send fewer at once")
        self._arriving[key_id] += size
        try:
            return await self._judge(request, key_id, await self._read(request), work, quick)
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

    async def _judge(
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
    """How many bytes will come at most. Raises ApiError where that is too many."""
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise too_large()
    return MAX_BODY_BYTES if length is None else length


def _soon_expanded(sent: bytes, encoding: str) -> bytes | None:
    """The body where it is no more than QUICK, and few bytes of it are to be read for that."""
    if encoding and len(sent) > PACKED:
        return None
    try:
        return expand(sent, encoding, QUICK)
    except TooLarge:
        return None

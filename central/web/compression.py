"""Compresses large answers in a way that the client takes (RFC 9110, 12.5.3)."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Final

import zstandard

from central.ingest.answers import Answer
from central.query.formats import weight_of

LARGE: Final = 4_096
"""Bytes from which an answer is compressed: a smaller one fits into a few packets as it is."""
_QUICK: Final = 32_768
"""Bytes that are compressed on the event loop: that takes less than a millisecond."""
_GZIP_LEVEL: Final = 4
_PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "gzip": lambda body: gzip.compress(body, _GZIP_LEVEL, mtime=0),
}
"""The ways, the better one first: it is taken where the client likes both as much."""


async def compressed(answer: Answer, accept_encoding: str) -> Answer:
    """The answer, compressed where it is large and the client asks for that; beside the event loop if that takes long.

    A large answer says that it varies, compressed or not, so that a cache keeps them apart.
    """
    if len(answer.body) < LARGE:
        return answer
    headers = {**answer.headers, "Vary": ", ".join(filter(None, (answer.headers.get("Vary"), "Accept-Encoding")))}
    encoding = preferred(accept_encoding)
    if encoding is None:
        return answer._replace(headers=headers)
    pack = _PACK[encoding]
    quick = len(answer.body) <= _QUICK
    body = pack(answer.body) if quick else await asyncio.to_thread(pack, answer.body)
    return answer._replace(body=body, headers={**headers, "Content-Encoding": encoding})


def preferred(accept_encoding: str) -> str | None:
    """zstd or gzip, whichever the header gives more weight; None where it takes neither, or would rather have none."""
    weights: dict[str, float] = {}
    for entry in accept_encoding.lower().split(","):
        coding, *parameters = (field.strip() for field in entry.split(";"))
        weights["gzip" if coding == "x-gzip" else coding] = weight_of(parameters)
    best = max(_PACK, key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    weight = weights.get(best, weights.get("*", 0.0))
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None

"""Compresses large answers with an encoding that the client accepts (RFC 9110, 12.5.3)."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Final

import zstandard

from central.ingest.answers import Answer
from central.query.formats import weight_of

LARGE: Final = 4_096
"""Answers of at least this many bytes are compressed. A smaller one fits into a few packets anyway."""
_QUICK: Final = 32_768
"""Answers of at most this many bytes are compressed on the event loop, in less than a millisecond."""
_GZIP_LEVEL: Final = 4
_PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "gzip": lambda body: gzip.compress(body, _GZIP_LEVEL, mtime=0),
}
"""The encodings. The first one is used if the client gives both the same weight."""


async def compressed(answer: Answer, accept_encoding: str) -> Answer:
    """The answer, compressed if it is large and the client accepts that. Very large ones are compressed in a thread.

    Every large answer has a Vary header, so that a cache keeps compressed and plain answers apart.
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
    """The encoding that the header gives the most weight: zstd or gzip. None if it prefers no compression."""
    weights: dict[str, float] = {}
    for entry in accept_encoding.lower().split(","):
        coding, *parameters = (field.strip() for field in entry.split(";"))
        weights["gzip" if coding == "x-gzip" else coding] = weight_of(parameters)
    best = max(_PACK, key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    weight = weights.get(best, weights.get("*", 0.0))
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None

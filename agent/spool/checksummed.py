"""Files with a checksum: a header line with kind, version and checksum, then the payload.

glowing-fiesta-KIND 1 BLAKE2B\\n
payload ...
"""

from hashlib import blake2b
from typing import Final

VERSION: Final = 1


def seal(kind: str, payload: bytes) -> bytes:
    """The bytes of a file: the header line and ``payload``."""
    return _header(kind, payload) + payload


def unseal(kind: str, data: bytes) -> bytes:
    """The payload of a file. Raises ValueError when it has another kind or version, is torn or was changed."""
    header, newline, payload = data.partition(b"\n")
    if not newline or header + newline != _header(kind, payload):
        raise ValueError(f"is not a whole {kind} file of version {VERSION}")
    return payload


def _header(kind: str, payload: bytes) -> bytes:
    return f"glowing-fiesta-{kind} {VERSION} {blake2b(payload, digest_size=32).hexdigest()}\n".encode()

"""Files that know whether they are whole: a header line with kind, version and checksum, then the payload.

glowing-fiesta-KIND 1 BLAKE2B\\n
payload ...
"""

from hashlib import blake2b
from typing import Final

VERSION: Final = 1


def seal(kind: str, payload: bytes) -> bytes:
    """``payload`` under its header line."""
    return _header(kind, payload) + payload


def unseal(kind: str, data: bytes) -> bytes:
    """The payload. Raises ValueError when the file is of another kind or version, torn or changed."""
    header, newline, payload = data.partition(b"\n")
    if not newline or header + newline != _header(kind, payload):
        raise ValueError(f"is not a whole {kind} file of version {VERSION}")
    return payload


def _header(kind: str, payload: bytes) -> bytes:
    return f"glowing-fiesta-{kind} {VERSION} {blake2b(payload, digest_size=32).hexdigest()}\n".encode()

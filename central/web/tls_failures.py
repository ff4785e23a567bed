"""Counts failed TLS handshakes. The event loop alone would close such connections silently."""

import ssl
from collections import Counter
from typing import Final

import structlog

KINDS: Final = (
    ("HTTP_REQUEST", "http"),
    ("HTTPS_PROXY_REQUEST", "http"),
    ("UNSUPPORTED_PROTOCOL", "version"),
    ("VERSION_TOO_LOW", "version"),
    ("NO_SHARED_CIPHER", "cipher"),
    ("ALERT", "refused_by_client"),
    ("", "other"),
)
"""The reasons. The first entry counts whose text is in OpenSSL's reason."""
_log = structlog.get_logger(__name__)


def count_handshakes(context: ssl.SSLContext | None, failures: Counter[str]) -> None:
    """Make ``failures`` count the failed handshakes of a server's context by reason. ``context`` is None without TLS.

    A client that disconnects without data, as load balancers' probes do, does not count.
    """
    failures.update(dict.fromkeys(dict(KINDS).values(), 0))
    if context is None:
        return

    class Handshake(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                reason = next(kind for text, kind in KINDS if text in (error.reason or ""))
                failures[reason] += 1
                _log.info("tls_handshake_failed", reason=reason, cause=error.reason)
                raise

    context.sslobject_class = Handshake

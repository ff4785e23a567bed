"""Counts TLS handshakes that fail: the event loop closes such a connection and tells nobody."""

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
"""Why: the first whose text is in OpenSSL's reason."""
_log = structlog.get_logger(__name__)


def count_handshakes(context: ssl.SSLContext | None, failures: Counter[str]) -> None:
    """Have ``failures`` count the handshakes of a server's context that fail, by why; none without TLS.

    A peer that goes away without a word, as the probes of load balancers do, is no failure.
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

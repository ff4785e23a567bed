"""Encrypted connections to the servers that the service depends on: the database and Redis."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Whom to trust, and how to show who we are.

    ``ca`` is a PEM file of authorities. The server's certificate must come from one of them and name its host. ``cert``
    and ``key`` are PEM files for servers that ask for a certificate.
    """

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later. Raises OSError and ssl.SSLError if a file cannot be used."""
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            # Give a wrong password: without one, OpenSSL would ask on the terminal and wait.
            context.load_cert_chain(self.cert, self.key, password="\0")  # noqa: S106 - no secret
        return context


def tls_of(ca: Path | None, cert: Path | None, key: Path | None) -> ClientTls | None:
    """From settings that fit together; None for no encryption."""
    return None if ca is None else ClientTls(ca, cert, key)


def tls_faults(prefix: str, ca: Path | None, cert: Path | None, key: Path | None) -> Iterator[str]:
    """What is wrong with the settings ``prefix`` + CA, CERT and KEY, taken together."""
    if ca is None and (cert is not None or key is not None):
        given = f"{prefix}CERT" if cert is not None else f"{prefix}KEY"
        yield f"{prefix}CA is missing; {given} is set, and without {prefix}CA nothing is encrypted"
        return
    if ca is None:
        return
    if (cert is None) != (key is None):
        missing, given = ("CERT", "KEY") if cert is None else ("KEY", "CERT")
        yield f"{prefix}{missing} is missing; {prefix}{given} is set, and a client certificate needs both"
        return
    try:
        ClientTls(ca).context()
    except (OSError, ssl.SSLError):
        yield f"{prefix}CA holds no certificate that can be read; it must be a PEM file of the authorities to trust"
        return
    try:
        ClientTls(ca, cert, key).context()
    except (OSError, ssl.SSLError, ValueError):
        yield (
            f"{prefix}KEY does not fit {prefix}CERT; they must be PEM files, a certificate (chain) and its private "
            "key without a passphrase"
        )

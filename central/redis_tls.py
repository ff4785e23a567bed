"""Encrypted connections to Redis. They trust the authorities that the settings name, and no others."""

import ssl
from typing import Any

from redis.asyncio import SSLConnection


class TlsConnection(SSLConnection):
    """A connection with the context that it is given, which is made once for many connections.

    The library makes one for each, and trusts the authorities of the system beside the given ones. To read those takes
    longer than all the rest.
    """

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context

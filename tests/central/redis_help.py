"""What the tests of the Redis edges share."""

from dataclasses import dataclass

from central.redis_link import RedisAddress
from central.tls_client import ClientTls
from tests.redis_server import PASSWORD, RedisServer


@dataclass
class Ticks:
    """A monotonic clock that moves when a test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def address(server: RedisServer, password: str | None = None) -> RedisAddress:
    """Where a client finds the server."""
    return RedisAddress("127.0.0.1", server.port, password or PASSWORD, tls=server.tls)


def environ_of(port: int, tls: ClientTls | None = None) -> dict[str, str]:
    """The settings of a service that spills to a test's Redis, asked at ``port``."""
    return {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(port),
        "REDIS_PASSWORD": PASSWORD,
        "QUEUE_CONNECTION": "redis",
        **tls_environ(tls),
    }


def tls_environ(tls: ClientTls | None) -> dict[str, str]:
    """The settings of a service that speaks TLS to Redis."""
    if tls is None:
        return {}
    return {"REDIS_TLS_CA": str(tls.ca), "REDIS_TLS_CERT": str(tls.cert), "REDIS_TLS_KEY": str(tls.key)}

"""What the tests of the Redis edges share."""

from dataclasses import dataclass

from central.redis_link import RedisAddress
from tests.redis_server import PASSWORD, RedisServer


@dataclass
class Ticks:
    """A monotonic clock that moves when a test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def address(server: RedisServer, password: str | None = None) -> RedisAddress:
    """Where a client finds the server."""
    return RedisAddress("127.0.0.1", server.port, password or PASSWORD)


def environ_of(port: int) -> dict[str, str]:
    """The settings of a service that spills to a test's Redis, asked at ``port``."""
    return {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(port),
        "REDIS_PASSWORD": PASSWORD,
        "QUEUE_CONNECTION": "redis",
    }

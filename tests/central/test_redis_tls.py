"""central/redis_tls.py: who is trusted, and that a connection without trust gets no password."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.redis_link import RedisAddress, RedisDown, RedisLink
from central.tls_client import ClientTls
from tests.certificates import Authority
from tests.redis_server import PASSWORD, RedisServer, redis_server


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
async def server(tmp_path: Path, ours: Authority) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis", ours.files("server", "127.0.0.1")) as made:
        yield made


async def ping(server: RedisServer, tls: ClientTls, seconds: float = 20) -> None:
    link = RedisLink(RedisAddress("127.0.0.1", server.port, PASSWORD, tls=tls), seconds=seconds)
    try:
        await link.run(lambda client: client.ping())
    finally:
        await link.close()


async def test_a_server_of_our_authority_is_trusted(server: RedisServer, ours: Authority) -> None:
    await ping(server, ours.files("client"))


async def test_an_authority_of_the_system_is_not_trusted(
    server: RedisServer, ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.cert))  # where OpenSSL finds those of the system
    with pytest.raises(RedisDown, match="certificate verify failed"):
        await ping(server, Authority(tmp_path, "other").files("client"))


async def test_a_server_that_asks_for_a_certificate_gets_none(server: RedisServer, ours: Authority) -> None:
    with pytest.raises(RedisDown):
        await ping(server, ClientTls(ours.cert))


async def test_no_password_goes_to_a_server_without_tls(tmp_path: Path, ours: Authority) -> None:
    async with redis_server(tmp_path / "redis") as server:
        with pytest.raises(RedisDown):
            await ping(server, ours.files("client"), seconds=2)  # the server waits for more, and we wait in vain
        assert await server.client.acl_log() == []

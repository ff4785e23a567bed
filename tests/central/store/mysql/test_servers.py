"""Several database servers: the first healthy primary is used, another takes over, and connections are encrypted."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from central.settings import load_settings
from central.store.base import StoreUnavailable
from central.store.mysql.connection import Server, Session, connect
from central.store.mysql.servers import Servers, ServerState, cluster_state
from central.store.mysql.store import MySQLStore
from central.store.open import servers_of
from tests.central.harness import Log, running
from tests.central.mysql_help import server_of
from tests.central.redis_help import Ticks, environ_of
from tests.central.store_help import group, name, plain, request
from tests.certificates import Authority
from tests.patience import PATIENCE, a_moment
from tests.ports import free_port
from tests.redis_server import PASSWORD, redis_server
from tests.servers import MariaDB

GOOD = {
    "wsrep_ready": "ON",
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state_comment": "Synced",
    "wsrep_cluster_state_uuid": "u",
    "wsrep_cluster_size": "3",
}
NOWHERE = Server("127.0.0.1", 1, "metrics", "root")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[tuple[MariaDB, MariaDB]]:
    """Two servers that know nothing of each other, as a primary and its replica after one of them went."""
    own = authority.sign("server", "127.0.0.1")
    options = [f"--ssl-ca={authority.cert}", f"--ssl-cert={own.cert}", f"--ssl-key={own.key}"]
    folders = [tmp_path_factory.mktemp("pair") / "data" for _ in range(2)]
    made = MariaDB(folders[0], *options), MariaDB(folders[1], *options)
    for server in made:
        server.install()
        server.start()
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def database(pair: tuple[MariaDB, MariaDB]) -> Iterator[str]:
    """An empty database of this name on both. Afterwards both run and take writes."""
    made = f"test_{os.urandom(6).hex()}"
    for server in pair:
        server.run(f"CREATE DATABASE {made}")
    yield made
    for server in pair:
        if not server.runs:
            server.start()
        server.run("SET GLOBAL read_only = OFF")
        server.run(f"DROP DATABASE {made}")


@asynccontextmanager
async def opened(*servers: Server) -> AsyncIterator[MySQLStore]:
    store = MySQLStore(Servers(servers))
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def points(server: MariaDB, database: str) -> int:
    ((count,),) = server.run("SELECT COUNT(*) FROM metric_points", database)
    return int(count)


async def until_used(store: MySQLStore, place: int) -> None:
    """Return once the store uses the server at this place of its list."""
    async with asyncio.timeout(PATIENCE):
        while store.server_counts.used != place:
            await store.names.version()
            await a_moment()


async def test_the_first_that_can_be_reached_is_used(pair: tuple[MariaDB, MariaDB], database: str) -> None:
    first, _ = pair
    async with opened(NOWHERE, server_of(first, database)) as store:
        await store.commit(group([plain(await name(store, "a"), 1)], [request()]))
        assert (store.server_counts.used, store.server_counts.healthy) == (1, 1)
    assert points(first, database) == 1


async def test_a_server_that_becomes_read_only_is_left(pair: tuple[MariaDB, MariaDB], database: str, log: Log) -> None:
    first, second = pair
    async with opened(server_of(second, database)) as replica:
        await name(replica, "a")
    second.run("SET GLOBAL read_only = ON")
    async with opened(server_of(first, database), server_of(second, database)) as store:
        metric = await name(store, "a")
        await store.commit(group([plain(metric, 1)], [request()]))
        second.run("SET GLOBAL read_only = OFF")
        first.run("SET GLOBAL read_only = ON")
        await until_used(store, 1)
        await store.commit(group([plain(metric, 2)], [request()]))
        (changed,) = log.events("database_changed")
        assert changed["now"] == f"127.0.0.1:{second.port}"
        assert changed["reason"] == "it is read only (read_only is ON)"
    assert [points(server, database) for server in pair] == [1, 1]


async def test_a_server_that_is_killed_is_left_and_comes_back_as_no_writer(
    pair: tuple[MariaDB, MariaDB], database: str, log: Log
) -> None:
    """Without a cluster nobody knows whether the server that comes back has what the other took meanwhile."""
    first, second = pair
    ticks = Ticks()
    async with opened(server_of(second, database)):
        pass  # its tables
    servers = Servers([server_of(first, database), server_of(second, database)], ticks=ticks)
    await servers.ask_all()
    assert servers.counts.several_writers
    assert log.events("several_databases_take_writes")
    first.kill()
    connection = await servers.connect(Session())
    assert connection.server.port == second.port
    first.start()
    await servers.ask_all()
    ticks.now += 3_600
    await servers.ask_all()
    assert (servers.current.port, connection.outdated) == (second.port, False)
    connection.close()
    servers.close()


async def test_many_that_look_at_once_do_not_mix_their_answers(pair: tuple[MariaDB, MariaDB], database: str) -> None:
    servers = Servers([server_of(server, database) for server in pair])
    try:
        for _ in range(5):
            await asyncio.gather(*(servers.ask_all() for _ in range(20)))
            assert [state for _, state in servers.states] == [ServerState(), ServerState()]
        pair[0].run("SET GLOBAL read_only = ON")
        late = asyncio.create_task(servers.ask_all())
        await asyncio.gather(servers.ask_all(), late)
        assert servers.current.port == pair[1].port
    finally:
        servers.close()


async def test_with_no_healthy_primary_the_error_says_what_each_server_has(
    pair: tuple[MariaDB, MariaDB], database: str
) -> None:
    first, _ = pair
    first.run("SET GLOBAL read_only = ON")
    servers = Servers([NOWHERE, server_of(first, database)])
    with pytest.raises(StoreUnavailable, match=r"no server of DB_HOSTS.*127.0.0.1:1: .*read_only is ON"):
        await servers.connect(Session())
    servers.close()


@pytest.mark.parametrize(
    ("change", "fault", "synced"),
    [
        ({}, None, True),
        ({"wsrep_local_state_comment": "Donor/Desynced"}, None, False),
        ({"wsrep_local_state_comment": "Joined"}, "wsrep_local_state_comment is Joined and not Synced", True),
        ({"wsrep_cluster_status": "non-Primary"}, "wsrep_cluster_status is non-Primary and not Primary", True),
        ({"wsrep_ready": "OFF"}, "wsrep_ready is OFF and not ON", True),
    ],
)
def test_a_node_is_judged_by_what_it_says(change: dict[str, str], fault: str | None, synced: bool) -> None:
    assert cluster_state({**GOOD, **change}) == ServerState(fault, "u", 3, synced)


# --- TLS


def tls_settings(server: MariaDB, database: str, **more: str) -> dict[str, str]:
    return {
        "DB_CONNECTION": "mysql",
        "DB_HOSTS": f"127.0.0.1:{free_port()},127.0.0.1:{server.port}",
        "DB_DATABASE": database,
        "DB_USERNAME": "root",
        **more,
    }


async def test_a_service_speaks_tls_to_the_database_and_to_redis(
    pair: tuple[MariaDB, MariaDB], database: str, tmp_path: Path, authority: Authority
) -> None:
    """With client certificates, a Redis user, and a first server that is not there."""
    first, _ = pair
    client = authority.files("client")
    first.run("CREATE USER crypt@'127.0.0.1' REQUIRE X509")
    first.run(f"GRANT ALL ON {database}.* TO crypt@'127.0.0.1'")
    async with redis_server(tmp_path / "redis", authority.files("redis", "127.0.0.1")) as redis:
        await redis.client.execute_command("ACL", "SETUSER", "fiesta", "on", f">{PASSWORD}", "~*", "&*", "+@all")
        environ = tls_settings(
            first,
            database,
            **{"DB_USERNAME": "crypt", "DB_TLS_CA": str(client.ca)},
            **{"DB_TLS_CERT": str(client.cert), "DB_TLS_KEY": str(client.key)},
            **environ_of(redis.port, client),
            REDIS_USERNAME="fiesta",
        )
        try:
            async with running(tmp_path / "data", environ) as central:
                assert (await central.counter("a")).status == 201
                ready = await central.ask("GET", "/ready")
                assert (ready.status, ready.json["status"]) == (200, "degraded")
                assert "cannot be reached as crypt" in ready.json["dependencies"]["replication"]
                assert await central.meter("fiesta_database_in_use") == 1
        finally:
            first.run("DROP USER crypt@'127.0.0.1'")
    assert points(first, database) == 1


async def test_when_a_server_is_killed_the_next_one_is_used_by_tls_too(
    pair: tuple[MariaDB, MariaDB], database: str, authority: Authority
) -> None:
    first, _ = pair
    client = authority.files("client")
    files = {"DB_TLS_CA": str(client.ca), "DB_TLS_CERT": str(client.cert), "DB_TLS_KEY": str(client.key)}
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in pair)
    settings = load_settings(tls_settings(first, database, **files, DB_HOSTS=hosts, DB_USERNAME="crypt"))
    for server in pair:
        server.run("CREATE USER crypt@'127.0.0.1' REQUIRE X509")
        server.run(f"GRANT ALL ON {database}.* TO crypt@'127.0.0.1'")
    _, replica = servers_of(settings)
    async with opened(replica) as store:
        await name(store, "a")
    async with opened(*servers_of(settings)) as store:
        metric = await name(store, "a")
        await store.commit(group([plain(metric, 1)], [request()]))
        first.kill()
        await until_used(store, 1)
        await store.commit(group([plain(metric, 2)], [request()]))
    first.start()
    for server in pair:
        server.run("DROP USER crypt@'127.0.0.1'")
    assert [points(server, database) for server in pair] == [1, 1]


async def test_a_certificate_of_another_authority_is_not_trusted(
    pair: tuple[MariaDB, MariaDB], database: str, tmp_path: Path
) -> None:
    first, _ = pair
    other = Authority(tmp_path, "other")
    settings = load_settings(tls_settings(first, database, DB_TLS_CA=str(other.cert)))
    with pytest.raises(StoreUnavailable, match=r"certificate verify failed|cannot be reached"):
        await connect(servers_of(settings)[1], Session())


async def test_no_password_goes_to_a_server_without_tls(mariadb: MariaDB, tmp_path: Path, authority: Authority) -> None:
    settings = load_settings(tls_settings(mariadb, "mysql", DB_TLS_CA=str(authority.cert), DB_PASSWORD="secret"))
    with pytest.raises(StoreUnavailable, match="DB_TLS_CA is set, but the server does not offer TLS"):
        await connect(servers_of(settings)[1], Session())

"""central/store/mysql/migrate.py: each file once, by one process at a time, and again after a crash."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from central.store.base import Page, StoreUnavailable
from central.store.migrations import MigrationError, load
from central.store.mysql.connection import Connection, Server, Session, connect
from central.store.mysql.migrate import LOCK, claimed, migrate, split
from central.store.mysql.names import take_lock
from central.store.mysql.store import MySQLStore
from tests.central.mysql_help import opened, server_of
from tests.central.store_help import NOW, group, name, plain
from tests.servers import MariaDB

NAMES = [migration.name for migration in load("mysql")]
Connect = Callable[[], Awaitable[Connection]]


@pytest.fixture
def connecting(mariadb: MariaDB, database: str) -> Connect:
    return lambda: connect(server_of(mariadb, database), Session(lock_seconds=1))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", []),
        ("-- only a comment;\n", []),
        ("SELECT 1;\nSELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("-- one;\nSELECT 1\n-- two;\n, 2;  \n\nSELECT ';x';\n", ["SELECT 1\n\n, 2", "SELECT ';x'"]),
    ],
)
def test_a_file_is_split_at_semicolons_that_end_a_line(sql: str, expected: list[str]) -> None:
    assert [" ".join(part.split()) for part in split(sql)] == [" ".join(part.split()) for part in expected]


async def test_a_crash_anywhere_in_the_files_is_made_good_by_the_next_start(
    mariadb: MariaDB, database: str, connecting: Connect
) -> None:
    crashed = await connecting()
    for migration in load("mysql"):
        statements = split(migration.sql)
        for done in range(1, len(statements) + 1):
            for statement in statements[:done]:
                await crashed.run(statement)
    crashed.close()
    async with opened(mariadb, database) as store:
        assert store.applied == NAMES
        await store.commit(group([plain(await name(store, "a"), 5)]))
    async with opened(mariadb, database) as store:
        assert store.applied == []
        assert [found.name for found in await store.names.page(Page("", "", 9))] == ["a"]


async def test_of_processes_that_start_at_once_one_migrates(mariadb: MariaDB, database: str) -> None:
    stores = [MySQLStore(server_of(mariadb, database), clock=lambda: NOW) for _ in range(4)]
    try:
        await asyncio.gather(*(store.open() for store in stores))
        assert sorted(store.applied for store in stores) == [[], [], [], NAMES]
    finally:
        for store in stores:
            await store.close()


async def test_a_process_that_finds_another_migrating_for_too_long_says_so(connecting: Connect) -> None:
    await migrate(connecting, NOW)
    keeper = await connecting()
    await keeper.run("BEGIN")
    await take_lock(keeper, LOCK)
    with pytest.raises(StoreUnavailable, match="another process is still migrating"):
        await migrate(connecting, NOW, wait_seconds=0)
    keeper.close()
    assert await migrate(connecting, NOW) == []


async def test_the_row_that_all_nodes_see_keeps_others_out(
    mariadb: MariaDB, database: str, connecting: Connect
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with claimed(connecting, 0):
            with pytest.raises(StoreUnavailable, match="through another node"):
                async with claimed(connecting, 0):
                    pass
            raise ZeroDivisionError
    async with claimed(connecting, 0):
        mariadb.run("UPDATE lock_claims SET at = NOW() - INTERVAL 60 SECOND", database)
        async with claimed(connecting, 0):  # a process that died left it
            pass
    assert mariadb.run("SELECT COUNT(*) FROM lock_claims", database) == ((0,),)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE migrations SET checksum = 'edited'", "changed after it was applied"),
        ("INSERT INTO migrations VALUES ('9999_later', 'x', NOW())", "upgrade it"),
    ],
)
async def test_a_database_of_other_migrations_is_refused(
    mariadb: MariaDB, database: str, connecting: Connect, sql: str, message: str
) -> None:
    await migrate(connecting, NOW)
    mariadb.run(sql, database)
    with pytest.raises(MigrationError, match=message):
        await migrate(connecting, NOW)


async def test_a_migration_that_fails_names_itself(connecting: Connect) -> None:
    broken = load("mysql")[0]._replace(sql="CREATE NONSENSE;")
    with pytest.raises(MigrationError, match="migration 0001_initial failed"):
        await migrate(connecting, NOW, known=[broken])
    assert await migrate(connecting, NOW) == NAMES


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Server("127.0.0.1", 1, "metrics", "root"), "database metrics at 127.0.0.1:1 cannot be reached as root"),
        (Server("127.0.0.1", 0, "no_such_database", "root"), "no_such_database"),
        (Server("127.0.0.1", 0, "mysql", "nobody", "secret"), "nobody"),
        (Server("no-such-host.invalid", 3306, "metrics", "root"), "no-such-host.invalid"),
    ],
)
async def test_a_server_that_refuses_us_is_named_and_the_password_is_not(
    mariadb: MariaDB, server: Server, message: str
) -> None:
    port = server.port or mariadb.port
    store = MySQLStore(Server(server.host, port, server.database, server.user, server.password))
    with pytest.raises(StoreUnavailable, match=message) as caught:
        await store.open()
    await store.close()
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(server)

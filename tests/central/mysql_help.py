"""Stores on the tests' MariaDB, and COMMITs that go wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pymysql

from central.store.base import Group, OutcomeUnknown, Store
from central.store.mysql.connection import Connection, Lost, Server
from central.store.mysql.pool import Commit, run_commit
from central.store.mysql.store import MySQLStore, TimeLimits
from tests.central.store_help import Clock
from tests.patience import a_moment
from tests.servers import MariaDB


def server_of(mariadb: MariaDB, database: str) -> Server:
    """Where a test's database is."""
    return Server(mariadb.host, mariadb.port, database, mariadb.user)


def environ_of(mariadb: MariaDB, database: str) -> dict[str, str]:
    """The settings of a service over a test's database."""
    return {
        "DB_CONNECTION": "mysql",
        "DB_HOST": mariadb.host,
        "DB_PORT": str(mariadb.port),
        "DB_DATABASE": database,
        "DB_USERNAME": mariadb.user,
        "METRICS_RATE_LIMIT_DEFAULT": "1000000",
    }


@asynccontextmanager
async def opened(
    mariadb: MariaDB,
    database: str,
    *,
    commit: Commit = run_commit,
    clock: Clock | None = None,
    limits: TimeLimits | None = None,
) -> AsyncIterator[MySQLStore]:
    """A store, as one central process has it."""
    store = MySQLStore(server_of(mariadb, database), commit=commit, clock=clock or Clock(), limits=limits)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


@contextmanager
def disturbing(mariadb: MariaDB, database: str, *statements: str) -> Iterator["pymysql.Connection[Any]"]:
    """Another client in the middle of a transaction; rolled back at the end."""
    with mariadb.connect(database) as connection, connection.cursor() as cursor:
        for statement in ("BEGIN", *statements):
            cursor.execute(statement)
        yield connection


async def until_waiting(mariadb: MariaDB) -> None:
    """Return once some transaction waits for the lock of another."""
    waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"  # INNODB_TRX is a copy that polling keeps old
    while (await asyncio.to_thread(mariadb.run, waits))[0][1] == "0":
        await a_moment()


async def lost(connection: Connection) -> None:
    """A COMMIT that never reaches the server."""
    connection.close()
    raise Lost("the connection broke before COMMIT")


async def kept(connection: Connection) -> None:
    """A COMMIT whose answer never comes."""
    await run_commit(connection)
    connection.close()
    raise Lost("the connection broke after COMMIT")


async def killed(connection: Connection) -> None:
    """The session is ended by the server at the moment of COMMIT."""
    ((session,),) = await connection.rows("SELECT CONNECTION_ID()")
    await connection.run(f"KILL {session}")
    await run_commit(connection)


async def silent(connection: Connection) -> None:
    """A COMMIT that takes longer than anybody waits."""
    raise TimeoutError


FAULTS: list[Commit] = [lost, kept, killed, silent]


@dataclass
class Script:
    """A commit that does what comes next in its script, and then what is right."""

    coming: list[Commit] = field(default_factory=list)

    async def __call__(self, connection: Connection) -> None:
        await (self.coming.pop(0) if self.coming else run_commit)(connection)


async def commit_until_told(store: Store, wanted: Group) -> int:
    """Commit as base.OutcomeUnknown asks for; returns how many outcomes were unknown."""
    unknown = 0
    while True:
        try:
            await store.commit(wanted, again=unknown > 0)
            return unknown
        except OutcomeUnknown:
            unknown += 1

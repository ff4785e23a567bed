"""Faults of servers that go on running: sessions that end, locks, changed tables, memory, settings, latency."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pymysql

from tests.redis_server import RedisServer
from tests.servers import MariaDB

Step = Callable[[], Awaitable[object]]


class Fault(NamedTuple):
    """``away`` names what cannot do its work from ``begin`` to ``end``. It is empty if everything must go on."""

    name: str
    away: tuple[str, ...]
    begin: Step
    end: Step


class _Disturber:
    """Does something with a database on a thread until ``stop`` is called."""

    def __init__(self, mariadb: MariaDB, database: str, disturb: Callable[["_Disturber"], None]) -> None:
        self.mariadb = mariadb
        self.database = database
        self._disturb = disturb
        self._over = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._over.clear()
        self._running = asyncio.create_task(self._run())

    async def end(self) -> None:
        self._over.set()
        assert self._running is not None
        await self._running

    async def _run(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(pymysql.Error):
                await asyncio.to_thread(self._disturb, self)
            await asyncio.sleep(0.02)


def sql_faults(mariadb: MariaDB, database: str) -> list[Fault]:
    """Faults of a database that runs but commits hardly anything. Single POSTs go on, mostly through the spill."""
    disturbers = {"sessions ended": _end_sessions, "deadlocks": _lock_backwards, "table changed": _change_table}
    made = [
        Fault(name, ("database",), disturber.begin, disturber.end)
        for name, disturb in disturbers.items()
        for disturber in [_Disturber(mariadb, database, disturb)]
    ]
    rows = _held("rows locked", mariadb, database, "BEGIN", "SELECT COUNT(*) FROM rollup_hour FOR UPDATE")
    return [*made, rows, _held("read lock", mariadb, database, "FLUSH TABLES WITH READ LOCK")]


def redis_faults(redis: RedisServer) -> list[Fault]:
    """Faults of a Redis that runs but cannot serve as a spill meanwhile."""

    def setting(name: str, begin: dict[str, str], end: dict[str, str]) -> Fault:
        return Fault(name, ("redis",), lambda: redis.set(**begin), lambda: redis.set(**end))

    async def slow() -> None:
        await redis.client.client_pause(2_000)

    async def quick() -> None:
        await redis.client.client_unpause()

    return [
        setting("redis full", {"maxmemory": "1mb"}, {"maxmemory": "0"}),
        setting("redis not durable", {"appendfsync": "everysec"}, {"appendfsync": "always"}),
        Fault("redis 2 s late", ("redis",), slow, quick),
    ]


def _end_sessions(on: _Disturber) -> None:
    """End all sessions: errors 2006 and 2013, at any point of a transaction."""
    sql = f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{on.database}' AND ID <> CONNECTION_ID()"
    with on.mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        for (session,) in cursor.fetchall():
            with contextlib.suppress(pymysql.Error):  # it may have ended by itself
                cursor.execute(f"KILL {session}")


def _lock_backwards(on: _Disturber) -> None:
    """Lock rows in the opposite order to the service's: error 1213, for the service or for this client."""
    with on.mariadb.connect(on.database) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
        cursor.execute("BEGIN")
        cursor.execute("UPDATE rollup_hour SET samples = samples")
        cursor.execute("UPDATE rollup_minute SET samples = samples")
        cursor.execute("ROLLBACK")


def _change_table(on: _Disturber) -> None:
    """Change a table that a reader uses, and wait one second for it. Writers queue behind the change."""
    with on.mariadb.connect(on.database) as reader, on.mariadb.connect(on.database) as changer:
        with reader.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT COUNT(*) FROM metric_points")
        with changer.cursor() as cursor, contextlib.suppress(pymysql.Error):
            cursor.execute("SET SESSION lock_wait_timeout = 1")
            cursor.execute("ALTER TABLE metric_points COMMENT = 'changed'")
        reader.rollback()


def _held(name: str, mariadb: MariaDB, database: str, *statements: str) -> Fault:
    """Run these statements and keep their locks. No commit of the service ends meanwhile."""
    holders: list[Any] = []

    def begin() -> None:
        holders.append(mariadb.connect(database))
        with holders[0].cursor() as cursor, contextlib.suppress(pymysql.Error):  # it may not have got the lock
            for statement in ("SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 5", *statements):
                cursor.execute(statement)

    def end() -> None:
        holders.pop().close()

    return Fault(name, ("database",), lambda: asyncio.to_thread(begin), lambda: asyncio.to_thread(end))

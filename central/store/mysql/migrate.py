"""Applies migrations/mysql under a lock that every process takes.

A second session holds the lock, which is a locked row: DDL commits implicitly and would release a lock in its own
session. When the process dies, the server ends both sessions.

A locked row keeps out only processes at the same node of a Galera cluster. There the lock is also a row that is
committed: of two nodes that insert it, one fails. A process that dies leaves it, so it holds for a minute only. Then
two processes may apply the same migration. Each of its statements may run twice, and the cluster runs DDL in one order.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from central.store.base import StoreError, StoreUnavailable
from central.store.migrations import Migration, MigrationError, OnMigration, load, one_by_one, pending
from central.store.mysql.connection import AGAIN, DUPLICATE, Connection, ServerError
from central.store.mysql.names import take_lock

LOCK: Final = "migrations"
WAIT_SECONDS: Final = 60.0
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_END: Final = re.compile(r";\s*$", re.MULTILINE)
_CREATE_LOCKS: Final = (
    "CREATE TABLE IF NOT EXISTS locks (name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY)"
    " ENGINE = InnoDB"
)
_CREATE_MIGRATIONS: Final = (
    "CREATE TABLE IF NOT EXISTS migrations ("
    "name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,"
    " checksum CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, applied_at TIMESTAMP NOT NULL) ENGINE = InnoDB"
)
_CREATE_CLAIMS: Final = (
    "CREATE TABLE IF NOT EXISTS lock_claims ("
    "name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,"
    " owner CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, at TIMESTAMP NOT NULL) ENGINE = InnoDB"
)
_CLAIM_SECONDS: Final = 50
"""After how long a row that a process left is taken over: before others give up, which wait for WAIT_SECONDS."""
_CLAIM_PAUSE: Final = 0.2
_log = structlog.get_logger(__name__)


def split(sql: str) -> list[str]:
    """The statements of a file. Each ends with a semicolon at the end of a line. Comments stand on their own lines."""
    return [statement.strip() for statement in _END.split(_COMMENT.sub("", sql)) if statement.strip()]


async def migrate(
    connect: Callable[[], Awaitable[Connection]],
    now: int,
    *,
    known: list[Migration] | None = None,
    on_migration: OnMigration | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> list[str]:
    """Apply the pending migrations and return their names. Raises MigrationError and StoreUnavailable.

    If a migration is interrupted, the next start applies its file again from the beginning. Its statements allow that.
    """
    async with locked(connect, wait_seconds):
        worker = await connect()
        try:
            return await _apply(worker, load("mysql") if known is None else known, now, on_migration)
        finally:
            worker.close()


@asynccontextmanager
async def locked(
    connect: Callable[[], Awaitable[Connection]], wait_seconds: float = WAIT_SECONDS
) -> AsyncIterator[None]:
    """Only one process at a time runs this block. Raises StoreUnavailable if another one takes too long."""
    lock_holder = await connect()
    try:
        await _lock(lock_holder, wait_seconds)
        if not lock_holder.locks_reads_alone:
            yield
            return
        async with claimed(connect, wait_seconds):
            yield
    finally:
        lock_holder.close()


@asynccontextmanager
async def claimed(connect: Callable[[], Awaitable[Connection]], seconds: float) -> AsyncIterator[None]:
    """Hold the row that all nodes see. Raises StoreUnavailable if another process holds it for ``seconds``."""
    owner = os.urandom(16).hex()
    connection = await connect()
    try:
        await connection.run(_CREATE_CLAIMS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not await _claim(connection, owner):
            if loop.time() >= deadline:
                raise StoreUnavailable("another process is still migrating the database, through another node")
            _log.info("waiting_for_another_process_that_migrates")
            await asyncio.sleep(_CLAIM_PAUSE)
        try:
            yield
        finally:
            with suppress(StoreError):  # then it holds for a minute, as after a kill
                await connection.change("DELETE FROM lock_claims WHERE name = %s AND owner = %s", (LOCK, owner))
    finally:
        connection.close()


async def _claim(connection: Connection, owner: str) -> bool:
    """Insert the row, or take over one that was left. False if another process has it."""
    try:
        await connection.change("INSERT INTO lock_claims (name, owner, at) VALUES (%s, %s, NOW())", (LOCK, owner))
        return True
    except ServerError as error:
        if error.code not in AGAIN | {DUPLICATE}:
            raise
    try:
        return bool(
            await connection.change(
                "UPDATE lock_claims SET owner = %s, at = NOW() WHERE name = %s AND at < NOW() - INTERVAL %s SECOND",
                (owner, LOCK, _CLAIM_SECONDS),
            )
        )
    except ServerError as error:
        if error.code not in AGAIN:
            raise
        return False


async def _lock(lock_holder: Connection, seconds: float) -> None:
    await lock_holder.run(_CREATE_LOCKS)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            await lock_holder.run("BEGIN")
            await take_lock(lock_holder, LOCK)
            return
        except ServerError as error:
            if error.code not in AGAIN or loop.time() >= deadline:
                raise StoreUnavailable(f"another process is still migrating the database: {error}") from error
            await lock_holder.run("ROLLBACK")
            _log.info("waiting_for_another_process_that_migrates")


async def _apply(worker: Connection, known: list[Migration], now: int, on_migration: OnMigration | None) -> list[str]:
    await worker.run(_CREATE_MIGRATIONS)
    applied: dict[str, str] = dict(await worker.rows("SELECT name, checksum FROM migrations"))
    todo = pending(known, applied)
    for migration in one_by_one(todo, on_migration):
        try:
            for statement in split(migration.sql):
                await worker.run(statement)
            await worker.change(
                "INSERT INTO migrations (name, checksum, applied_at) VALUES (%s, %s, FROM_UNIXTIME(%s))",
                (migration.name, migration.checksum, now),
            )
        except StoreUnavailable:
            raise
        except StoreError as error:
            raise MigrationError(f"migration {migration.name} failed: {error}") from error
    return [migration.name for migration in todo]

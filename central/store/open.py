"""Opens the store that the settings name."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from central.settings import Settings
from central.store.base import Store
from central.store.duck.store import DuckStore
from central.store.migrations import OnMigration
from central.store.mysql.connection import Server
from central.store.mysql.reads import ReadFrom
from central.store.mysql.servers import ServerCounts, Servers
from central.store.mysql.store import MySQLStore


class OpenStore(Store, Protocol):
    """A store that this process has opened."""

    applied: list[str]
    """Migrations that were applied when the store was opened."""
    may_remove: Callable[[], bool]
    """The store calls this before it drops old ids; False means not now."""


async def open_store(
    settings: Settings,
    on_migration: OnMigration | None = None,
    *,
    clock: Callable[[], float] = time.time,
    may_remove: Callable[[], bool] = lambda: False,
) -> OpenStore:
    """Open and migrate the store of ``DB_CONNECTION``. ``on_migration`` is called before each migration.

    The store calls ``may_remove`` before it drops anything because of its age.

    Raises StoreError and MigrationError. Then the store is closed again.
    """
    store = _mysql(settings, clock) if settings.db_connection == "mysql" else DuckStore(settings.data_dir, clock=clock)
    store.may_remove = may_remove
    try:
        await store.open(on_migration)
    except BaseException:
        await store.close()
        raise
    return store


def _mysql(settings: Settings, clock: Callable[[], float]) -> MySQLStore:
    return MySQLStore(Servers(servers_of(settings)), clock=clock, read_from=read_from(settings))


def server_counts(store: OpenStore) -> ServerCounts:
    """Which database server the store uses. An embedded store has one, itself."""
    return store.server_counts if isinstance(store, MySQLStore) else ServerCounts()


def servers_of(settings: Settings) -> list[Server]:
    """The servers of ``DB_HOSTS`` in its order, or the one of ``DB_HOST``."""
    return _servers(settings, settings.db_hosts or ((settings.db_host, None),))


def read_from(settings: Settings) -> ReadFrom:
    """The servers of ``DB_READ_HOSTS``, and how far they may be behind."""
    return ReadFrom(_servers(settings, settings.db_read_hosts), settings.read_max_lag_seconds)


def _servers(settings: Settings, hosts: Iterable[tuple[str, int | None]]) -> list[Server]:
    tls = settings.db_tls.context() if settings.db_tls is not None else None
    user = settings.db_database, settings.db_username, settings.db_password
    return [Server(host, port or settings.db_port, *user, tls) for host, port in hosts]

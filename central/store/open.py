"""Chooses the store that the settings name, and opens it."""

from typing import Protocol

from central.settings import Settings
from central.store.base import Store
from central.store.duck.store import DuckStore
from central.store.migrations import OnMigration
from central.store.mysql.connection import Server
from central.store.mysql.store import MySQLStore


class OpenStore(Store, Protocol):
    """A store that this process has opened."""

    applied: list[str]
    """Migrations that the opening applied."""


async def open_store(settings: Settings, told: OnMigration | None = None) -> OpenStore:
    """The store of ``DB_CONNECTION``, migrated; ``told`` hears how far that is.

    Raises StoreError and MigrationError; then nothing is left open.
    """
    store = _mysql(settings) if settings.db_connection == "mysql" else DuckStore(settings.data_dir)
    try:
        await store.open(told)
    except BaseException:
        await store.close()
        raise
    return store


def _mysql(settings: Settings) -> MySQLStore:
    return MySQLStore(
        Server(settings.db_host, settings.db_port, settings.db_database, settings.db_username, settings.db_password)
    )

"""Servers of the system's packages, private to this run: one process for all tests, a fresh database for each."""

import os
from collections.abc import Iterator

import pytest

from tests.servers import MariaDB


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB that runs. A test that stops or kills it starts it again, or leaves that to ``database``."""
    # One file for all tables: a test's some seventy partitions are made and dropped in a third of the time.
    server = MariaDB(tmp_path_factory.mktemp("mariadb"), "--innodb-file-per-table=0")
    server.install()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(mariadb: MariaDB) -> Iterator[str]:
    """The name of an empty database."""
    with mariadb.database(f"test_{os.urandom(6).hex()}") as name:
        yield name

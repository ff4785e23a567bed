"""Servers of the system's packages, private to this run: one process for all tests, a fresh database for each.

Each test gets its markers here, see tests.markers.
"""

import os
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from tests.markers import ProgramWatch, mark, slowest_first
from tests.servers import MariaDB

WATCH = pytest.StashKey[ProgramWatch]()
MEASURED = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
"""With one of these variables, coverage measures each Python that is started."""
ONE_FILE_NO_FSYNC = ("--innodb-file-per-table=0", "--innodb-flush-method=nosync", "--debug-no-sync")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WATCH] = ProgramWatch()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and so would all programs that tests start
    if hasattr(config, "workerinput"):
        # This process is measured. The programs that its tests start are not: that would cost half of their time again.
        for name in MEASURED:
            os.environ.pop(name, None)
    # How long an example takes depends on what else the machine does.
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark(item)
    slowest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test without the marker ``server`` that starts a program fails: it would make ``make check`` slow."""
    watch = item.config.stash[WATCH]
    watch.begin(item)
    yield
    started = watch.end()
    assert not started, f"it starts {', '.join(started)}: add what starts it to tests/markers.py"


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB that runs. A test that stops or kills it starts it again, or leaves that to ``database``."""
    # One file for all tables: a test's 112 partitions are made and dropped in a third of the time. No fsync: the system
    # keeps what a killed process has written, and to make and drop a database takes half of the time.
    server = MariaDB(tmp_path_factory.mktemp("mariadb"), *ONE_FILE_NO_FSYNC)
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

"""Servers of the system's packages, private to this run: one process for all tests, a fresh database for each.

Each test gets its markers here, see tests.markers.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.examples import load_profile
from tests.markers import ProgramWatch, imports_programs, mark, slowest_first
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
    load_profile(quick=_quick(config))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``make check`` runs no test of these files, so it does not import them: that is a third of its collection."""
    if _quick(config) and collection_path.suffix == ".py" and imports_programs(collection_path):
        return True
    return None


def _quick(config: pytest.Config) -> bool:
    """Whether this is the run of ``make check``."""
    return bool(config.getoption("markexpr") == "not server")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark(item)
    slowest_first(items)


def pytest_collection_finish() -> None:
    """What is there now stays. No collection of garbage in a test looks through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Property tests run the same lines some hundred times, and are not measured: to trace them takes twice the time.

    So the coverage that is reported is a little less than what the tests reach.
    """
    trace, trace_in_threads = sys.gettrace(), threading.gettrace()
    left_out = item.get_closest_marker("hypothesis") is not None and type(trace).__name__ == "CTracer"
    if left_out:
        sys.settrace(None)
        threading.settrace(None)
    try:
        return (yield)
    finally:
        if left_out:
            sys.settrace(trace)
            threading.settrace(trace_in_threads)


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

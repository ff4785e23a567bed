"""Fixtures of the tests of the central service."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from central.log import log_to
from central.tls_client import ClientTls
from tests.central.harness import Central, Log, running
from tests.central.page import browser
from tests.central.spill_help import Process, World, world
from tests.certificates import Authority


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Central]:
    """A service with default settings and an empty data folder."""
    async with running(tmp_path / "data") as made:
        yield made


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> ClientTls | None:
    """Without encryption, and then with it: the files of a server on this host, which clients may use too."""
    return Authority(tmp_path / "tls").files("server", "127.0.0.1") if request.param == "TLS" else None


@pytest.fixture
async def all_of(tmp_path: Path) -> AsyncIterator[World]:
    """A store and a Redis that can be cut off, for writers with a spill."""
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
async def one(all_of: World) -> Process:
    """A process that writes there."""
    return all_of.process()


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Whatever a test does to logging is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def log(logging_as_it_was: None) -> Log:
    """What this process logs."""
    stream = Log()
    log_to(stream)
    return stream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[browser.Site]:
    """A service process with known points and a Chromium: one of each for all tests of the page."""
    async with browser.site(tmp_path_factory.mktemp("page") / "data") as made:
        yield made

"""Fixtures of the tests of the central service."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.central.harness import Central, running


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Central]:
    """A service with default settings and an empty data folder."""
    async with running(tmp_path / "data") as made:
        yield made


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Whatever a test does to logging is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()

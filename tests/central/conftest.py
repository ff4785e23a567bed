"""Fixtures of the tests of the central service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.central.harness import Central, running


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[Central]:
    """A service with default settings and an empty data folder."""
    async with running(tmp_path / "data") as made:
        yield made

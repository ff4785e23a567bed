"""Stores of both kinds, and services on them."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from central.settings import load_settings
from central.store.base import Store
from central.store.open import open_store
from tests.central.harness import Central, running
from tests.central.mysql_help import environ_of
from tests.central.store_help import Clock


@pytest.fixture(params=["duckdb", "mysql"])
def environ(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The settings of each kind of store."""
    if request.param == "duckdb":
        return {}
    return environ_of(request.getfixturevalue("mariadb"), request.getfixturevalue("database"))


@pytest.fixture
async def store(environ: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Store]:
    """A store of each kind."""
    settings = load_settings({"METRICS_DATA_DIR": str(tmp_path), **environ})
    made = await open_store(settings, clock=Clock(), may_remove=lambda: False)
    yield made
    await made.close()


@pytest.fixture
async def central(environ: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Central]:
    """A service on each kind of store."""
    async with running(tmp_path / "data", environ) as made:
        yield made

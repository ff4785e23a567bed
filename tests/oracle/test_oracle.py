"""Every answer of both stores equals brute force over all that was sent. ``make soak`` runs it for longer."""

from pathlib import Path

import pytest

from tests.central.mysql_help import environ_of
from tests.oracle.game import play

SEED = 7
STEPS = 30


@pytest.mark.parametrize("store", ["duckdb", "mysql"])
async def test_every_answer_is_that_of_brute_force(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environ = {}
    if store == "mysql":
        environ = environ_of(request.getfixturevalue("mariadb"), request.getfixturevalue("database"))
    assert await play(tmp_path, environ, SEED, STEPS) == 5 * STEPS

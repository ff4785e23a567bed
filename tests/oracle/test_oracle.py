"""Every answer of both stores equals brute force over all that was sent. ``make soak`` runs it for longer."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.central.mysql_help import environ_of
from tests.central.web.test_api_spill import host
from tests.oracle.game import Game, play
from tests.redis_server import redis_server

SEED = 7
STEPS = 30


def database_of(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a service over a new database."""
    return environ_of(request.getfixturevalue("mariadb"), request.getfixturevalue("database"))


@pytest.mark.parametrize("store", ["duckdb", "mysql"])
async def test_every_answer_is_that_of_brute_force(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environ = {} if store == "duckdb" else database_of(request)
    assert await play(tmp_path, environ, SEED, STEPS) == 5 * STEPS + 30


@pytest.mark.parametrize("store", ["duckdb", "mysql"])
async def test_an_answer_while_the_spill_drains_is_exact_or_says_that_it_is_not(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environ = {} if store == "duckdb" else database_of(request)
    async with redis_server(tmp_path / "redis") as server, host(tmp_path / "data", server, **environ) as one:
        game = Game(one.central, random.Random(SEED))
        for _ in range(3):
            await game.step()
        while not game.incomplete_groups:
            one.line.cut = game.away = True
            for _ in range(20):
                await game.send_known()
            one.line.cut = False
            drained = asyncio.create_task(one.drained())
            while not drained.done():
                await game.ask(1)
            await drained
        game.away, before = False, game.incomplete
        await game.ask(20)
        assert game.incomplete == before

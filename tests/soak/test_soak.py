"""The short soak: every kind of fault once, in a fixed order at seeded moments, on real processes under load."""

import asyncio
import random
from pathlib import Path

from tests.servers import MariaDB
from tests.soak.faults import faults_of
from tests.soak.rig import Rig, on_duckdb, on_mysql
from tests.soak.soak import Soak, Verdict

SEED = 3
ON_MYSQL = (
    ("database killed", 0.5),
    ("redis killed", 0.3),
    ("database stopped", 3.0),
    ("redis stopped", 1.2),
    ("central killed", 0.0),
    ("sessions ended", 0.5),
    ("rows locked", 2.5),
    ("both killed", 0.2),
    ("central stopped", 1.0),
    ("both stopped", 2.2),
    ("central restarted", 0.0),
    ("redis full", 0.5),
    ("database stopped", 0.2),
)
ON_DUCKDB = (("central killed", 0.0), ("agent killed", 0.0), ("central stopped", 0.5), ("central killed", 0.3)) * 2


async def short(rig: Rig, sequence: tuple[tuple[str, float], ...]) -> Verdict:
    dice = random.Random(SEED)
    table = faults_of(rig, dice)
    run = Soak(rig, SEED, print)
    async with run.under_load():
        for name, seconds in sequence:
            await asyncio.sleep(dice.uniform(0.0, 0.8))
            await run.strike(table[name](), seconds)
        await asyncio.sleep(0.5)
    verdict = await run.judge()
    print(*verdict.lines(), sep="\n")
    return verdict


async def test_on_mysql_and_redis_what_was_acknowledged_is_stored_once(
    tmp_path: Path, mariadb: MariaDB, database: str
) -> None:
    async with on_mysql(tmp_path, mariadb, database) as rig:
        verdict = await short(rig, ON_MYSQL)
    assert verdict.faults == []
    assert verdict.spilled > 0, "the spill was never used: this proved little"


async def test_on_the_embedded_store_what_was_acknowledged_is_stored_once(tmp_path: Path) -> None:
    async with on_duckdb(tmp_path) as rig:
        verdict = await short(rig, ON_DUCKDB)
    assert verdict.faults == []
    assert verdict.samples > 0

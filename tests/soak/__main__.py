"""``python -m tests.soak [--minutes N] [--store mysql|duckdb] [--seed N] [--hold SECONDS]``: faults at random moments.

Prints the seed, a line a fault and a summary; the exit code is 0 when all held.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.servers import MariaDB
from tests.soak.faults import faults_of
from tests.soak.rig import Rig, on_duckdb, on_mysql
from tests.soak.soak import Soak, Verdict


def main() -> int:
    """Run one soak; 0 when all held."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults go on (5)")
    parser.add_argument("--store", choices=("mysql", "duckdb"), default="mysql", help="the store (mysql)")
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order")
    parser.add_argument("--hold", type=float, default=10.0, help="the longest time that a fault lasts, in seconds (10)")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    say(f"soak of {given.minutes:g} minutes on {given.store}, seed {seed}")
    with tempfile.TemporaryDirectory(prefix="fiesta-soak-") as folder:
        verdict = asyncio.run(soak(Path(folder), given.store, given.minutes, given.hold, seed))
    for line in verdict.lines():
        say(line)
    return 1 if verdict.faults else 0


async def soak(folder: Path, store: str, minutes: float, hold: float, seed: int) -> Verdict:
    """Faults chosen at random, each for a random time, with a random pause in between."""
    async with AsyncExitStack() as stack:
        rig = await _rig(stack, folder, store)
        dice = random.Random(seed)
        table = faults_of(rig, dice)
        run = Soak(rig, seed, say)
        end = time.monotonic() + minutes * 60
        async with run.under_load():
            while time.monotonic() < end:
                await asyncio.sleep(dice.choice((0.0, 0.2, 1.0, dice.uniform(0.0, 8.0))))
                fault = table[dice.choice(sorted(table))]()
                await run.strike(fault, dice.choice((0.0, 0.1, dice.uniform(0.0, 3.0), dice.uniform(0.0, hold), hold)))
        return await run.judge()


async def _rig(stack: AsyncExitStack, folder: Path, store: str) -> Rig:
    if store == "duckdb":
        return await stack.enter_async_context(on_duckdb(folder))
    mariadb = MariaDB(folder / "mariadb", "--innodb-file-per-table=0")
    mariadb.install()
    mariadb.start()
    stack.callback(mariadb.stop)
    mariadb.run("CREATE DATABASE soak")
    return await stack.enter_async_context(on_mysql(folder, mariadb, "soak", centrals=3, agents=2))


def say(line: str) -> None:
    """A line for a person who watches."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

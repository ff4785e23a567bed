"""``python -m tests.soak [--minutes N] [--store STORE] [--seed N] [--hold SECONDS]``: faults at random moments.

The store is mysql, duckdb, or one without a single machine: galera or replica.
It prints the seed, a line per fault and a summary. The exit code is 0 if everything held.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.galera import cluster
from tests.replication import Pair
from tests.servers import MariaDB, started
from tests.soak.faults import Table, faults_of, one_of
from tests.soak.rig import Rig, on_duckdb, on_mysql
from tests.soak.soak import Soak, Verdict
from tests.soak.tier_faults import galera_faults, replica_faults
from tests.soak.tiers import on_galera, on_replica

PART_SECONDS = 300.0
"""Seconds of faults. Then everything must come to rest, and the soak compares."""
STORES = ("mysql", "duckdb", "galera", "replica")


def main() -> int:
    """Run one soak. Returns 0 if everything held."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults go on (5)")
    parser.add_argument("--store", choices=STORES, default="mysql", help="the store (mysql)")
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order")
    parser.add_argument("--hold", type=float, default=10.0, help="the longest time that a fault lasts, in seconds (10)")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    say(f"soak of {given.minutes:g} minutes on {given.store}, seed {seed}")
    with tempfile.TemporaryDirectory(prefix="fiesta-soak-") as folder:
        Path(folder).chmod(0o755)  # a node of Galera copies files as nobody
        verdict = asyncio.run(soak(Path(folder), given.store, given.minutes, given.hold, seed))
    for line in verdict.lines():
        say(line)
    return 1 if verdict.faults + verdict.refused else 0


async def soak(folder: Path, store: str, minutes: float, hold: float, seed: int) -> Verdict:
    """Faults chosen at random, each for a random time, with a random pause in between. Compares every few minutes."""
    async with AsyncExitStack() as stack:
        dice = random.Random(seed)
        rig, table = await _rig(stack, folder, store, dice)
        run = Soak(rig, seed, say)
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end and not run.verdict.faults:
            part = min(end, time.monotonic() + PART_SECONDS)
            async with run.under_load():
                while time.monotonic() < part:
                    await asyncio.sleep(dice.choice((0.0, 0.2, 1.0, dice.uniform(0.0, 8.0))))
                    fault = one_of(table, dice)
                    await run.strike(
                        fault, dice.choice((0.0, 0.1, dice.uniform(0.0, 3.0), dice.uniform(0.0, hold), hold))
                    )
            await run.judge()
        return run.verdict


async def _rig(stack: AsyncExitStack, folder: Path, store: str, dice: random.Random) -> tuple[Rig, Table]:
    """The rig of this store, and the faults that it can have."""
    if store == "galera":
        nodes = stack.enter_context(cluster(folder / "galera", 3, quick=False))
        nodes.nodes[0].run("CREATE DATABASE soak")
        several = await stack.enter_async_context(on_galera(folder, nodes, "soak"))
        return several.rig, galera_faults(several, nodes, dice)
    if store == "replica":
        servers = stack.enter_context(started(Pair(folder / "pair")))
        servers.primary.run("CREATE DATABASE soak")
        several = await stack.enter_async_context(on_replica(folder, servers, "soak"))
        return several.rig, replica_faults(several, servers, dice)
    if store == "duckdb":
        rig = await stack.enter_async_context(on_duckdb(folder))
        return rig, faults_of(rig, dice)
    mariadb = MariaDB(folder / "mariadb", "--innodb-file-per-table=0")
    mariadb.install()
    mariadb.start()
    stack.callback(mariadb.stop)
    mariadb.run("CREATE DATABASE soak")
    rig = await stack.enter_async_context(on_mysql(folder, mariadb, "soak", centrals=3, agents=2))
    return rig, faults_of(rig, dice)


def say(line: str) -> None:
    """Print a line for a person who watches."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

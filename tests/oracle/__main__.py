"""``python -m tests.oracle [--minutes N] [--store mysql|duckdb] [--seed N]``: random questions to a service and to us.

Ends with the first answer that is not the oracle's, and tells it; the same seed asks the same again.
"""

import argparse
import asyncio
import io
import random
import tempfile
from contextlib import ExitStack
from pathlib import Path

from central.log import log_to
from tests.central.mysql_help import environ_of
from tests.oracle.game import play
from tests.servers import MariaDB


def main() -> None:
    """Play one game."""
    parser = argparse.ArgumentParser(prog="oracle", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long questions are asked (5)")
    parser.add_argument("--store", choices=("mysql", "duckdb"), default="mysql", help="the store (mysql)")
    parser.add_argument("--seed", type=int, default=None, help="the same questions in the same order")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    print(f"oracle for {given.minutes:g} minutes on {given.store}, seed {seed}", flush=True)
    log_to(io.StringIO())
    with tempfile.TemporaryDirectory(prefix="fiesta-oracle-") as folder, ExitStack() as stack:
        environ = {} if given.store == "duckdb" else _database(stack, Path(folder) / "mariadb")
        questions = asyncio.run(play(Path(folder) / "data", environ, seed, 1, given.minutes * 60))
    print(f"{questions} answers, 0 wrong")


def _database(stack: ExitStack, folder: Path) -> dict[str, str]:
    mariadb = MariaDB(folder, "--innodb-file-per-table=0")
    mariadb.install()
    mariadb.start()
    stack.callback(mariadb.stop)
    mariadb.run("CREATE DATABASE oracle")
    return environ_of(mariadb, "oracle")


if __name__ == "__main__":
    main()

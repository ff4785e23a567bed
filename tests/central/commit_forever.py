"""Commits groups until it is killed: ``python -m tests.central.commit_forever FOLDER FIRST``.

Group n is the same in every process; its number is printed once its commit returned.
"""

import asyncio
import hashlib
import random
import sys
from itertools import count
from pathlib import Path

from central.store.base import Group, RequestId, Row
from central.store.duck.store import DuckStore
from tests.central.store_help import DAY, NOW, TODAY, plain


def series_of(number: int) -> int:
    """The series of a group."""
    return 2**30 + number


def numbered_group(number: int) -> Group:
    """Group ``number``: some hundred points of a metric of its own, of two days, under one id. Every other has tags."""
    dice = random.Random(number)
    rows: list[Row] = [
        plain(number + 1, dice.randint(-(10**12), 10**12), NOW - dice.randrange(2 * DAY))._replace(
            series_id=place % 2 * series_of(number)
        )
        for place in range(dice.choice((1, 10, 400)))
    ]
    entry = RequestId(hashlib.blake2b(b"%d" % number, digest_size=16).digest(), bytes(16), None)
    return Group(entry.id, TODAY - number // 10 % 2, [entry], rows)


async def _commit(folder: Path, first: int) -> None:
    store = DuckStore(folder, clock=lambda: NOW, tail_rows=1_000)
    await store.open()
    for number in count(first):
        await store.commit(numbered_group(number))
        print(number, flush=True)
        await store.tidy(idle=number % 7 == 6)


if __name__ == "__main__":
    asyncio.run(_commit(Path(sys.argv[1]), int(sys.argv[2])))

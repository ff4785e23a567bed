"""kill -9 of a process that writes to the embedded store."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from central.store.base import IdGroup, Store
from central.store.duck.store import DuckStore
from central.store.plan import Segment
from tests.central.commit_forever import numbered_group, series_of
from tests.central.store_contract_tags import assert_groups
from tests.central.store_help import DAY, FAR, Clock, ask_segments, assert_levels_agree, brute_force

ROOT = Path(__file__).parents[4]


def killed_after(folder: Path, first: int, lines: int) -> int:
    """Run commit_forever and kill it once it printed so many lines; returns the last acknowledged number."""
    command = [sys.executable, "-m", "tests.central.commit_forever", str(folder), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(lines):
            last = int(process.stdout.readline())
        process.kill()
        return max([last, *map(int, process.stdout.read().split())])


async def whole_groups(store: Store, numbers: Iterable[int]) -> set[int]:
    """Which of these groups are in; fails where one is there in part, or its id disagrees with its points."""
    found = set()
    for number in numbers:
        wanted = numbered_group(number)
        buckets = await ask_segments(store, [number + 1], DAY, [Segment("raw", *FAR)])
        assert buckets in ([], brute_force(wanted.rows, *FAR, DAY)), f"group {number} is torn"
        assert len(await store.find_requests([wanted.id])) == (1 if buckets else 0), (
            f"group {number} and its id disagree"
        )
        if buckets:
            found.add(number)
    return found


async def test_kill_9_loses_no_acknowledged_group_and_tears_none(tmp_path: Path) -> None:
    dice = random.Random(9)
    acknowledged: set[int] = set()
    tried: list[int] = []
    first = 0
    for _ in range(5):
        last = await asyncio.to_thread(killed_after, tmp_path, first, dice.randint(3, 40))
        acknowledged |= set(range(first, last + 1))
        tried += range(first, last + 3)
        first = last + 3
        store = DuckStore(tmp_path, clock=Clock())
        await store.open()
        found = await whole_groups(store, tried)
        assert acknowledged <= found
        rows = [row for number in sorted(found) for row in numbered_group(number).rows]
        await assert_levels_agree(store, [number + 1 for number in tried], rows)
        groups = [IdGroup(number + 1, number + 1, (series_of(number),)) for number in tried]
        await assert_groups(store, groups, rows)
        await store.close()

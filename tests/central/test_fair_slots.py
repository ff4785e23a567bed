"""central/fair_slots.py: few pieces of work at once, keys take turns, and no long queue."""

import asyncio
from collections import Counter

import pytest

from central.errors import ApiError
from central.fair_slots import FairSlots, SlotBounds

BOUNDS = SlotBounds(at_once=2, of_one_key=1, waiting=4, waiting_of_one_key=3)


class Work:
    """Pieces of work, each of which ends when the test lets it."""

    def __init__(self, bounds: SlotBounds = BOUNDS) -> None:
        self.busy: Counter[str] = Counter()
        self.slots = FairSlots("work", bounds, self.busy)
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    async def begin(self, name: str) -> "asyncio.Task[None]":
        """A piece of the key that is its name's first character, as far as it comes now."""
        self.ends[name] = asyncio.Event()
        task = asyncio.create_task(self._piece(name))
        for _ in range(5):
            await asyncio.sleep(0)
        return task

    async def end(self, name: str) -> None:
        self.ends[name].set()
        for _ in range(5):
            await asyncio.sleep(0)

    async def _piece(self, name: str) -> None:
        async with self.slots.slot(ord(name[0])):
            self.begun.append(name)
            await self.ends[name].wait()


async def test_another_key_waits_for_no_more_than_one_piece() -> None:
    work = Work()
    tasks = [await work.begin(name) for name in ("a1", "a2", "a3", "b1", "c1")]
    assert work.begun == ["a1", "b1"]
    await work.end("a1")
    assert work.begun == ["a1", "b1", "a2"], "it has waited longest"
    await work.end("b1")
    assert work.begun[3:] == ["c1"], "a3 waits for a2, and c1 does not wait for a3"
    for name in ("a2", "a3", "c1"):
        await work.end(name)
    await asyncio.gather(*tasks)
    assert work.begun[4:] == ["a3"]


async def test_keys_come_round_in_turn() -> None:
    work = Work(SlotBounds(at_once=1, of_one_key=1, waiting=9, waiting_of_one_key=9))
    names = ("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    tasks = [await work.begin(name) for name in names]
    while not all(task.done() for task in tasks):
        await work.end(work.begun[-1])
    assert work.begun == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_what_would_wait_too_long_is_turned_away_and_counted() -> None:
    work = Work()
    tasks = [await work.begin(name) for name in ("a1", "b1", "a2", "a3", "a4")]
    assert work.busy == {"work": 0}
    with pytest.raises(ApiError, match="too many work wait, 3 of them of this key") as caught:
        await (await work.begin("a5"))
    assert (caught.value.status, caught.value.code, caught.value.headers) == (
        *(503, "SERVICE_UNAVAILABLE"),
        {"Retry-After": "2"},
    )
    tasks.append(await work.begin("c1"))
    with pytest.raises(ApiError, match="0 of them"):
        await (await work.begin("d1"))
    assert work.busy == {"work": 2}
    for name in ("a1", "b1", "a2", "a3", "a4", "c1"):
        await work.end(name)
    await asyncio.gather(*tasks)


async def test_who_leaves_gives_the_turn_on_also_in_the_moment_of_getting_it() -> None:
    work = Work(SlotBounds(at_once=1, of_one_key=1, waiting=9, waiting_of_one_key=9))
    async with work.slots.slot(ord("a")):
        left, given, last = [await work.begin(name) for name in ("b1", "c1", "d1")]
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
    given.cancel()  # it was given its turn just now, and has not run yet
    with pytest.raises(asyncio.CancelledError):
        await given
    await work.end("d1")
    await last
    assert work.begun == ["d1"]


async def test_who_runs_and_who_waits_leave_at_once_and_the_rest_goes_on() -> None:
    """As when a browser with several queries is closed: the loop hears of all of them in one turn."""
    work = Work()
    left = [await work.begin(name) for name in ("a1", "a2", "a3")]
    stays = await work.begin("a4")
    for task in left:
        task.cancel()
    ended = await asyncio.gather(*left, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * 3
    await work.end("a4")
    await stays
    assert work.begun == ["a1", "a4"]

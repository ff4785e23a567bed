"""agent/turns.py: one step per turn of the loop, however often somebody asks."""

import asyncio

from agent.turns import Turns


async def test_many_who_ask_get_one_step_per_turn() -> None:
    left, taken = 100, 0

    def step() -> bool:
        nonlocal left, taken
        taken += 1
        left -= 1
        return left > 0

    turns = Turns(step)
    for turn in range(60):
        for _ in range(10):
            turns.begin()
        await asyncio.sleep(0)
        assert taken == turn + 1
    for _ in range(100):
        await asyncio.sleep(0)
    assert (taken, left) == (100, 0)


async def test_work_that_comes_after_the_end_is_begun_again() -> None:
    taken = 0

    def step() -> bool:
        nonlocal taken
        taken += 1
        return False

    turns = Turns(step)
    for number in range(3):
        turns.begin()
        await asyncio.sleep(0)
        assert taken == number + 1

"""central/write/slots.py: several commits at once, or one change alone."""

import asyncio

import pytest

from central.write.slots import WriteSlots


async def test_so_many_at_once_and_the_next_waits() -> None:
    slots = WriteSlots(2)
    async with slots.one(), slots.one():
        with pytest.raises(TimeoutError):
            async with slots.one(0):
                raise AssertionError("a third slot")
    async with slots.one(0):
        pass


async def test_all_waits_for_everybody_and_nobody_passes_it() -> None:
    slots = WriteSlots(2)
    order: list[str] = []

    async def change() -> None:
        async with slots.all():
            order.append("change")
            await asyncio.sleep(0)
            order.append("done")

    async def late() -> None:
        async with slots.one():
            order.append("late")

    async with slots.one():
        tasks = [asyncio.create_task(work()) for work in (change, late)]
        await asyncio.sleep(0)
        order.append("first")
    await asyncio.gather(*tasks)
    assert order == ["first", "change", "done", "late"]


async def test_two_changes_do_not_wait_for_each_other_for_ever() -> None:
    slots = WriteSlots(3)
    done: list[int] = []

    async def change(number: int) -> None:
        async with slots.all():
            await asyncio.sleep(0)
            done.append(number)

    await asyncio.gather(*(change(number) for number in range(5)))
    assert done == [0, 1, 2, 3, 4]


async def test_a_change_that_is_given_up_gives_its_slots_back() -> None:
    slots = WriteSlots(2)
    async with slots.one():
        waiting = asyncio.create_task(slots.all().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with slots.one(0):
            pass

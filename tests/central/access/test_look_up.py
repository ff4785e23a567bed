"""central/access/look_up.py: one look-up for all that wait, and then a pause, however many requests come."""

import asyncio

import pytest

from central.access.look_up import MOST, PAUSE_SECONDS, KeyLookUps
from central.store.base import KeyRow, StoreError, StoreUnavailable
from tests.central.access.auth_help import Keys


class Pauses:
    """A sleep that ends when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.over.wait()


def row(number: int) -> KeyRow:
    return KeyRow(number, f"id{number}", "n", "h", frozenset({"query"}), 1, 0, None)


def scene() -> tuple[Keys, Pauses, KeyLookUps]:
    keys, pauses = Keys({row(number).public_id: row(number) for number in range(3)}), Pauses()
    return keys, pauses, KeyLookUps(keys, pauses.sleep)


async def turn_round() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_first_look_up_waits_for_nothing() -> None:
    keys, _, look_ups = scene()
    assert await look_ups.find("id1") == row(1)
    assert keys.asked == [["id1"]]


async def test_all_who_come_meanwhile_are_one_look_up_after_a_pause() -> None:
    keys, pauses, look_ups = scene()
    await look_ups.find("id0")
    flood = [asyncio.create_task(look_ups.find(f"id{number}")) for number in (*range(100), 1, 1)]
    await turn_round()
    assert (len(keys.asked), pauses.asked) == (1, [PAUSE_SECONDS])
    pauses.over.set()
    assert await asyncio.gather(*flood) == [*(row(n) for n in range(3)), *[None] * 97, row(1), row(1)]
    assert [len(asked) for asked in keys.asked] == [1, 100]


async def test_more_than_fit_into_a_look_up_come_in_order() -> None:
    keys, pauses, look_ups = scene()
    pauses.over.set()
    flood = [asyncio.create_task(look_ups.find(f"id{number}")) for number in range(MOST + 1)]
    await asyncio.gather(*flood)
    assert keys.asked == [[f"id{number}" for number in range(MOST)], [f"id{MOST}"]]


async def test_a_store_that_fails_fails_those_who_wait_and_no_others() -> None:
    keys, pauses, look_ups = scene()
    pauses.over.set()
    keys.down = True
    failed = await asyncio.gather(look_ups.find("id1"), look_ups.find("id2"), return_exceptions=True)
    assert [type(error) for error in failed] == [StoreUnavailable] * 2
    keys.down = False
    assert await look_ups.find("id1") == row(1)


async def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    keys, _, look_ups = scene()
    keys.rows = None  # type: ignore[assignment]
    with pytest.raises(StoreError, match="the look-up failed"):
        await look_ups.find("id1")


async def test_one_that_leaves_takes_nobody_along() -> None:
    keys, _, look_ups = scene()
    keys.gate = asyncio.Event()
    left, stays = (asyncio.create_task(look_ups.find("id1")) for _ in range(2))
    await turn_round()
    left.cancel()
    keys.gate.set()
    assert await stays == row(1)
    assert left.cancelled()

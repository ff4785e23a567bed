"""central/access/uses.py: uses are noted at once and written later. If a write fails, none is lost."""

import asyncio
from collections.abc import Mapping

from central.access.uses import KeyUses
from central.store.base import StoreUnavailable


class Written:
    """A store that keeps what it is given, once it is up."""

    def __init__(self) -> None:
        self.uses: list[dict[int, int]] = []
        self.down = False
        self.asked = asyncio.Event()

    async def write(self, uses: Mapping[int, int]) -> None:
        self.asked.set()
        if self.down:
            raise StoreUnavailable("down")
        self.uses.append(dict(uses))


async def test_a_key_is_written_once_however_often_it_was_used() -> None:
    store = Written()
    uses = KeyUses(store.write)
    for moment in range(100):
        uses.note(7, moment + 0.9)
    uses.note(0, 5.0)  # METRICS_ADMIN_KEY has no row
    assert (uses.latest(7, 50), uses.latest(7, 200), uses.latest(8, None)) == (99, 200, None)
    await uses.flush()
    await uses.flush()
    assert store.uses == [{7: 99}]


async def test_what_could_not_be_written_is_written_later() -> None:
    store = Written()
    uses = KeyUses(store.write)
    store.down = True
    uses.note(7, 1)
    uses.note(8, 1)
    await uses.flush()
    store.down = False
    uses.note(7, 2)
    await uses.flush()
    assert store.uses == [{7: 2, 8: 1}]


async def test_the_rest_is_written_at_the_end() -> None:
    store = Written()
    uses = KeyUses(store.write)
    uses.start()
    uses.note(7, 1)
    await uses.close()
    assert store.uses == [{7: 1}]


async def test_uses_are_written_while_it_runs() -> None:
    store = Written()
    uses = KeyUses(store.write, seconds=0.0)
    uses.note(7, 1)
    uses.start()
    await store.asked.wait()
    await uses.close()
    assert store.uses == [{7: 1}]

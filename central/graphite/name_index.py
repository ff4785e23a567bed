"""Keeps the tree of names as new as the store's names, for every search.

The first search reads all names, and each later one those that were created since. After a deletion all are read again.
So a process that nobody asks for Graphite's paths needs no memory for them.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from central.graphite.name_tree import NameTree, Place
from central.query.globs import Glob
from central.store.base import NameStore

_AT_ONCE: Final = 5_000
"""How many names one read of the store gives."""


class NameIndex:
    """Searches among all names of a store."""

    def __init__(self, names: NameStore) -> None:
        self._names = names
        self._tree = NameTree()
        self._one_at_a_time = asyncio.Lock()
        self._waiting: asyncio.Task[None] | None = None

    async def search(self, globs: Sequence[Glob], limit: int, prefixes: Sequence[str] = ()) -> list[list[Place]]:
        """See NameTree.search. It knows every name that was created before. Raises StoreError too."""
        return (await self.search_all([globs], limit, prefixes))[0]

    async def search_all(
        self, groups: Sequence[Sequence[Glob]], limit: int, prefixes: Sequence[str] = ()
    ) -> list[list[list[Place]]]:
        """A search for each group of patterns. Without any pattern it does not read the names."""
        if any(groups):
            await self._refresh()
        search = self._tree.search
        return [await asyncio.to_thread(search, globs, limit, prefixes) if globs else [] for globs in groups]

    async def _refresh(self) -> None:
        """Read what is new. It goes on when the caller is cancelled, so clients that leave do not keep it from its end.

        A refresh that runs may have looked already. So a caller waits for the next one, and all other callers with it.
        """
        task = self._waiting
        if task is None:
            task = self._waiting = asyncio.create_task(self._take_turn())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.shield(task)
        finally:
            del task  # its error would keep this frame, which keeps the task: a circle

    async def _take_turn(self) -> None:
        async with self._one_at_a_time:
            self._waiting = None
            await self._read_new()

    async def _read_new(self) -> None:
        """Read the names that the tree does not have. If it has more than the store then, some were deleted."""
        while True:
            created = await self._names.created_after(self._tree.last_id, _AT_ONCE)
            if created.names:
                await asyncio.to_thread(self._tree.add, created.names)
            if len(created.names) == _AT_ONCE:
                continue
            if len(self._tree) == created.total:
                return
            self._tree = NameTree()

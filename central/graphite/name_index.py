"""Keeps the tree of names as new as the store's names, for every search.

The first search reads all names, and each later one those that were created since. After a deletion all are read again.
So a process that nobody asks for Graphite's paths needs no memory for them.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from central.graphite.globs import Glob
from central.graphite.name_tree import NameTree, Place
from central.store.base import NameStore

_AT_ONCE: Final = 10_000
"""How many names are read in one go."""


class NameIndex:
    """Searches among all names of a store. Searches of one process wait for each other."""

    def __init__(self, names: NameStore) -> None:
        self._names = names
        self._tree = NameTree()
        self._lock = asyncio.Lock()

    async def search(self, globs: Sequence[Glob], limit: int) -> list[list[Place]]:
        """See NameTree.search. Raises StoreError too."""
        async with self._lock:
            await self._refresh()
            return await asyncio.to_thread(self._tree.search, globs, limit)

    async def _refresh(self) -> None:
        """Read the names that the tree does not have. If it has more than the store then, some were deleted."""
        while True:
            created = await self._names.created_after(self._tree.last_id, _AT_ONCE)
            if created.names:
                await asyncio.to_thread(self._tree.add, [name for _, name in created.names])
                self._tree.last_id = created.names[-1][0]
            if len(created.names) == _AT_ONCE:
                continue
            if len(self._tree) == created.total:
                return
            self._tree = NameTree()

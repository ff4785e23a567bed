"""All names in order, and the search for those that a pattern means. Pure.

In the order of characters, the names of a folder stand together. So the search sees each child of a folder once, and
jumps over what is below it. Its cost grows with the nodes that it looks at, and not with the number of names.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sortedcontainers import SortedList

from central.graphite.globs import Glob, GlobNode

MOST_LOOKED_AT: Final = 100_000
"""How many nodes one search may look at. It then takes less than a second."""
_AFTER_DOT: Final = chr(ord(".") + 1)


class Place(NamedTuple):
    """A place in the tree of names: a whole name, a folder of others, or both."""

    path: str
    is_name: bool
    is_folder: bool


class NameTree:
    """The names of a store. Any thread may call its methods. ``last_id`` is the largest id among the names."""

    def __init__(self) -> None:
        self._names: SortedList[str] = SortedList()
        self._lock = threading.Lock()
        self.last_id = 0

    def __len__(self) -> int:
        return len(self._names)

    def add(self, names: Sequence[tuple[int, str]]) -> None:
        """Add names that are not in it, in the order of their ids."""
        with self._lock:
            self._names.update(name for _, name in names)
            self.last_id = names[-1][0]

    def search(self, globs: Sequence[Glob], limit: int) -> list[list[Place]]:
        """The places that each of the patterns means, in the order of their paths.

        Raises ValueError if there are more than ``limit``, or if the search would look at too many nodes.
        """
        budget = _Budget()
        found = []
        with self._lock:
            for glob in globs:
                found.append(self._places(glob, limit, budget))
                limit -= len(found[-1])
        return found

    def _places(self, glob: Glob, limit: int, budget: "_Budget") -> list[Place]:
        found: dict[str, Place] = {}
        for folder in self._folders(glob[:-1], budget):
            for child, is_name in self._children(folder, glob[-1], budget):
                path = folder + child
                old = found.get(path, Place(path, is_name=False, is_folder=False))
                found[path] = Place(path, old.is_name or is_name, old.is_folder or not is_name)
                if len(found) > limit:
                    raise ValueError("means too many metrics; write one that means fewer")
        return [found[path] for path in sorted(found)]

    def _folders(self, glob: Glob, budget: "_Budget") -> list[str]:
        """The beginnings of names that the nodes mean, each with its last dot. Not all of them may have names."""
        folders = [""]
        for node in glob:
            if node.regex is None:
                folders = [f"{folder}{node.head}." for folder in folders]
            else:
                folders = [
                    f"{folder}{child}."
                    for folder in folders
                    for child, is_name in self._children(folder, node, budget)
                    if not is_name
                ]
        return folders

    def _children(self, folder: str, node: GlobNode, budget: "_Budget") -> Iterator[tuple[str, bool]]:
        """The children of a folder that the node means, and whether each is a name. A name and folder comes twice."""
        if node.regex is None:
            yield from self._child(folder, node.head, budget)
            return
        begin, size = folder + node.head, len(folder)
        names = self._names.irange(begin)
        while (name := next(names, None)) is not None and name.startswith(begin):
            budget.spend()
            dot = name.find(".", size)
            child = name[size:] if dot < 0 else name[size:dot]
            if node.matches(child):
                yield child, dot < 0
            if dot >= 0:
                names = self._names.irange(name[:dot] + _AFTER_DOT)  # the first name behind this folder

    def _child(self, folder: str, child: str, budget: "_Budget") -> Iterator[tuple[str, bool]]:
        budget.spend()
        path = folder + child
        if path in self._names:
            yield child, True
        below = next(self._names.irange(f"{path}."), None)
        if below is not None and below.startswith(f"{path}."):
            yield child, False


class _Budget:
    """How many nodes a search may still look at."""

    def __init__(self) -> None:
        self._left = MOST_LOOKED_AT

    def spend(self) -> None:
        """Take one off. Raises ValueError if none is left."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"looks at more than {MOST_LOOKED_AT:,} nodes; begin it with more nodes without wildcards")

"""All names in order, and the search for those that a pattern means. Pure.

In the order of characters, the names of a folder stand together. So the search sees each child of a folder once, and
jumps over what is below it. Its cost grows with the nodes that it looks at, and not with the number of names.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sortedcontainers import SortedList

from central.query.globs import Glob, GlobNode

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

    def search(self, globs: Sequence[Glob], limit: int, prefixes: Sequence[str] = ()) -> list[list[Place]]:
        """The places that each of the patterns means, in the order of their paths.

        With ``prefixes``, which are in order and none begins with another, as if there were no names without them.
        Raises ValueError if there are more than ``limit``, or if the search would look at too many nodes.
        """
        found = []
        with self._lock:
            names = _Names(self._names, prefixes)
            for glob in globs:
                found.append(names.places(glob, limit))
                limit -= len(found[-1])
        return found


class _Names:
    """The names that one search sees, and how many nodes it may still look at."""

    def __init__(self, names: SortedList[str], prefixes: Sequence[str]) -> None:
        self._names = names
        self._prefixes = tuple(prefixes)
        self._left = MOST_LOOKED_AT

    def places(self, glob: Glob, limit: int) -> list[Place]:
        """See NameTree.search."""
        found: dict[str, Place] = {}
        for folder in self._folders(glob[:-1]):
            for child, is_name in self._children(folder, glob[-1]):
                path = folder + child
                old = found.get(path, Place(path, is_name=False, is_folder=False))
                found[path] = Place(path, old.is_name or is_name, old.is_folder or not is_name)
                if len(found) > limit:
                    raise ValueError("means too many metrics; write one that means fewer")
        return [found[path] for path in sorted(found)]

    def _folders(self, glob: Glob) -> list[str]:
        """The beginnings of names that the nodes mean, each with its last dot. Not all of them may have names."""
        folders = [""]
        for node in glob:
            if node.regex is None:
                folders = [f"{folder}{node.head}." for folder in folders]
            else:
                folders = [
                    f"{folder}{child}."
                    for folder in folders
                    for child, is_name in self._children(folder, node)
                    if not is_name
                ]
        return folders

    def _children(self, folder: str, node: GlobNode) -> Iterator[tuple[str, bool]]:
        """The children of a folder that the node means, and whether each is a name. A name and folder comes twice."""
        if node.regex is None:
            yield from self._child(folder, node.head)
            return
        begin, size = folder + node.head, len(folder)
        names = self._from(begin)
        while (name := next(names, None)) is not None and name.startswith(begin):
            self._spend()
            dot = name.find(".", size)
            child = name[size:] if dot < 0 else name[size:dot]
            if node.matches(child):
                yield child, dot < 0
            if dot >= 0:
                names = self._from(name[:dot] + _AFTER_DOT)  # the first name behind this folder

    def _child(self, folder: str, child: str) -> Iterator[tuple[str, bool]]:
        self._spend()
        path = folder + child
        if path in self._names and (not self._prefixes or path.startswith(self._prefixes)):
            yield child, True
        below = next(self._from(f"{path}."), None)
        if below is not None and below.startswith(f"{path}."):
            yield child, False

    def _from(self, begin: str) -> Iterator[str]:
        """The names from ``begin`` on, in order."""
        return self._with_prefixes(begin) if self._prefixes else self._names.irange(begin)

    def _with_prefixes(self, begin: str) -> Iterator[str]:
        for prefix in self._prefixes:
            for name in self._names.irange(max(begin, prefix)):
                if not name.startswith(prefix):
                    break
                yield name

    def _spend(self) -> None:
        """Count a node that is looked at. Raises ValueError for too many."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"looks at more than {MOST_LOOKED_AT:,} nodes; begin it with more nodes without wildcards")

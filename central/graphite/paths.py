"""Which lines a path or an expression over tags means. A metric shows as a path with its operations as leaves.

    shop.checkout_ms.p95       the 95th percentile of the value shop.checkout_ms
    shop.orders                the default operation: the sum of a counter, the average of a value
    shop.orders.sum;env=prod   the same of one series, as seriesByTag shows it

A name may be a folder too: shop.orders is a name, and shop.orders.eu may be one. A path means the operation with the
longest text whose rest is a name, so shop.orders.sum is the sum of shop.orders, and never a name of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Final, NamedTuple

from central.access.prefixes import Prefixes, covers
from central.graphite.name_index import NameIndex
from central.graphite.name_tree import Place
from central.graphite.regexes import prefix_of
from central.graphite.tags import NAME, Expression, all_hold, filters_of, parse_expressions
from central.ingest.names import Names
from central.query.globs import Glob, literal, parse_globs
from central.query.operations import SUMMARIES, percent_of
from central.query.tags import UNTAGGED
from central.store.base import ListedName, Metric, Page, Store
from central.store.series import FoundSeries
from protocol.item import Kind
from protocol.names import is_name
from protocol.statsd_types import KIND_OF
from protocol.tags import parse_tags

OPERATIONS_OF: Final[Mapping[Kind, tuple[str, ...]]] = {
    "counter": SUMMARIES,
    "value": (*SUMMARIES, "median", "p75", "p90", "p95", "p99"),
}
"""The leaves of a metric. Of a value, any other percentile may be asked for too."""
DEFAULT_OPERATION: Final[Mapping[Kind, str]] = {"counter": "sum", "value": "avg"}
"""What a name without an operation means."""


MOST_SERIES: Final = 10_000
"""At how many series one search by tags may look."""
MOST_NAMES: Final = 10_000
"""At how many names a regular expression of the name may look."""


class Leaf(NamedTuple):
    """A line that can be drawn: an operation of a whole name, or of one series of it if ``series_id`` is not None.

    ``path`` is what Graphite shows, such as 'shop.checkout_ms.p95;env=prod'. ``series_id`` 0 stands for the samples
    without tags. ``tags`` has the path without tags as 'name'.
    """

    path: str
    name: str
    operation: str
    metric: Metric
    series_id: int | None
    tags: Mapping[str, str]


class Node(NamedTuple):
    """A node of the tree that Graphite shows: a leaf is an operation, and anything else can be opened."""

    path: str
    is_leaf: bool

    @property
    def text(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


class Finder:
    """Finds lines by path and by tags. The caller holds a slot for queries.

    Every method may raise StoreError, and ValueError whose text says what is wrong with the pattern.
    """

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names
        self._index = NameIndex(store.names)
        self._prefixes: Prefixes = ()

    def within(self, prefixes: Prefixes) -> "Finder":
        """A finder for a key: all is as if there were only the names that the key may use."""
        if not prefixes:
            return self
        made = copy(self)
        made._prefixes = prefixes
        return made

    @property
    def limited(self) -> bool:
        """Whether there are names that the key may not use."""
        return bool(self._prefixes)

    async def expand(self, pattern: str, limit: int) -> list[Leaf]:
        """The lines that a path with wildcards means, each once, in the order of their paths. At most ``limit``."""
        return (await self.expand_all([pattern], limit))[0]

    async def expand_all(self, patterns: Sequence[str], limit: int) -> list[list[Leaf]]:
        """The lines that each path with wildcards means, with one question to the store. At most ``limit`` of each."""
        splits = [_splits(pattern) for pattern in patterns]
        metrics = await self._metrics([[names for names, _ in some] for some in splits], limit)
        return [_leaves(some, meant, limit) for some, meant in zip(splits, metrics, strict=True)]

    async def find(self, pattern: str, limit: int) -> list[Node]:
        """The nodes that a path with wildcards means, in the order of their paths. At most ``limit``.

        A name is no leaf, because its operations are below it. Of one path there may be a leaf and another node.
        """
        globs = parse_globs(pattern)
        found = {Node(place.path, is_leaf=False) for places in await self.search(globs, limit) for place in places}
        inner = [glob for glob in globs if len(glob) > 1]
        metrics = await self.metrics([glob[:-1] for glob in inner], limit)
        found |= {
            Node(f"{name}.{operation}", is_leaf=True)
            for glob, meant in zip(inner, metrics, strict=True)
            for name, metric in meant
            for operation in operations_meant(glob[-1:], metric.kind)
        }
        if len(found) > limit:
            raise ValueError(f"means more than {limit:,} nodes; write a pattern that means fewer")
        return sorted(found)

    async def paths(self, prefix: str, limit: int) -> list[str]:
        """The first paths of lines that begin with ``prefix``, in order. A name without an operation is one too."""
        names = await self.page(Page(prefix, "", limit)) if is_name(prefix or "-") else []
        parent = prefix.rpartition(".")[0]
        metrics = await self._find({*(one.name for one in names), *filter(is_name, [parent])})
        found = {
            leaf_of(name, metric, operation).path
            for name, metric in metrics.items()
            for operation in (None, *OPERATIONS_OF[metric.kind])
        }
        return sorted(path for path in found if path.startswith(prefix))[:limit]

    async def by_tags(self, expressions: Sequence[str], limit: int) -> list[Leaf]:
        """The series that meet all of Graphite's expressions over tags, in the order of their paths.

        Samples without tags are one more series where they meet them. Without an expression such as name=... or
        name=~..., a series has only the line of its default operation.
        """
        conditions = parse_expressions(expressions)
        of_name = [one for one in conditions if one.key == NAME]
        of_tags = [one for one in conditions if one.key != NAME]
        wanted = await self._named(of_name, limit)
        ids = None if wanted is None else sorted({leaf.metric.id for leaf in wanted})
        filters = filters_of(of_tags)
        if ids is None and not filters:
            raise ValueError("must have an expression with '=' or '=~' of a tag, or with '=' of the name")
        if ids is None and self._prefixes:
            ids = await self._all_ids()
        series = await self._store.series.search(ids, filters, MOST_SERIES + 1)
        if len(series) > MOST_SERIES:
            raise ValueError(f"looks at more than {MOST_SERIES:,} series; add an expression with '=', such as env=prod")
        lines = wanted if wanted is not None else await self._defaults(series, of_name)
        found = _tagged(lines, series, of_tags)
        if len(found) > limit:
            raise ValueError(f"means more than {limit:,} lines; add an expression, such as env=prod")
        return sorted(found, key=lambda leaf: leaf.path)

    async def series_of(self, texts: Iterable[str], limit: int) -> dict[str, list[Leaf]]:
        """The line of each text such as ``shop.orders.sum;env=prod``: that of the series with these tags and no others.

        The texts of one path are looked up together, if their path has no more series than ``limit``.
        """
        of_paths: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
        for text in texts:
            path, *tags = text.split(";")
            parse_expressions([f"{NAME}={path}", *tags])
            of_paths[path][text] = tags
        found: dict[str, list[Leaf]] = {}
        for path, some in of_paths.items():
            common = set.intersection(*map(set, some.values()))
            try:
                leaves = await self.by_tags([f"{NAME}={path}", *sorted(common)], limit)
            except ValueError:
                if len(some) == 1:
                    raise
                for text in some:
                    found |= await self.series_of([text], limit)
                continue
            of_tags = {frozenset(leaf.tags.items()): leaf for leaf in leaves}
            for text, tags in some.items():
                wanted = {NAME: path, **dict(tag.partition("=")[::2] for tag in tags)}
                leaf = of_tags.get(frozenset(wanted.items()))
                found[text] = [] if leaf is None else [leaf]
        return found

    async def metrics(self, globs: Sequence[Glob], limit: int) -> list[list[tuple[str, Metric]]]:
        """The metrics whose whole name each of the patterns means."""
        return (await self._metrics([globs], limit))[0]

    async def _metrics(self, groups: Sequence[Sequence[Glob]], limit: int) -> list[list[list[tuple[str, Metric]]]]:
        """The same for several groups of patterns. Each group is a search with bounds of its own."""
        wild = [[glob for glob in globs if literal(glob) is None] for globs in groups]
        places = iter([place for found in await self._index.search_all(wild, limit, self._prefixes) for place in found])
        meant = [
            [
                [one.path for one in next(places) if one.is_name] if (path := literal(glob)) is None else [path]
                for glob in globs
            ]
            for globs in groups
        ]
        found = await self._find({name for some in meant for names in some for name in names if is_name(name)})
        return [[[(name, found[name]) for name in names if name in found] for names in some] for some in meant]

    async def search(self, globs: Sequence[Glob], limit: int) -> list[list[Place]]:
        """The names and folders that each of the patterns means. Without patterns it does not read the names."""
        return await self._index.search(globs, limit, self._prefixes)

    async def page(self, wanted: Page) -> list[ListedName]:
        """See NameStore.page. A name is no clash of one that the key may not use."""
        if not self._prefixes:
            return await self._store.names.page(wanted)
        found: list[ListedName] = []
        for prefix in self._prefixes:  # in order, as are the names of all of them
            both, limit = max(prefix, wanted.prefix, key=len), wanted.limit - len(found)
            if limit and both.startswith(prefix) and both.startswith(wanted.prefix):
                # Under pay.t, the longer names of pay's clashes are there, and pay is not: one for each StatsD type.
                names = await self._store.names.page(wanted._replace(prefix=both, limit=limit + len(KIND_OF)))
                shown = [self._shown(one) for one in names]
                found += [one for one in shown if one.clash_of is not None or not wanted.clashes][:limit]
        return found

    def _shown(self, one: ListedName) -> ListedName:
        return one if one.clash_of is None or covers(self._prefixes, one.clash_of) else one._replace(clash_of=None)

    async def tags(self) -> list[Mapping[str, str]]:
        """The tags of each series of the names that the key may use."""
        series = await self._store.series.search(await self._all_ids(), (), MOST_SERIES + 1)
        if len(series) > MOST_SERIES:
            raise ValueError(f"looks at more than {MOST_SERIES:,} series; add an expression with '=', such as env=prod")
        return [parse_tags(one.series.tags) for one in series]

    async def _find(self, names: Iterable[str]) -> dict[str, Metric]:
        """The metrics of those names that exist and that the key may use."""
        return await self._names.find([name for name in names if covers(self._prefixes, name)])

    async def _all_ids(self) -> list[int]:
        """The ids of all names that the key may use."""
        names = await self.page(Page("", "", MOST_NAMES + 1))
        if len(names) > MOST_NAMES:
            raise ValueError(f"looks at more than {MOST_NAMES:,} names; add an expression with '=' of the name")
        return sorted(metric.id for metric in (await self._find(one.name for one in names)).values())

    async def _named(self, of_name: Sequence[Expression], limit: int) -> list[Leaf] | None:
        """The lines of whole names whose path meets the expressions; None if none of these needs a certain name."""
        exact = next((one.value for one in of_name if one.operator == "=" and one.value), None)
        regex = next((one.regex for one in of_name if one.regex is not None and not one.holds("")), None)
        if exact is not None:
            leaves = await self.expand(exact, limit) if is_name(exact) else []
        elif regex is not None:
            prefix = prefix_of(regex)
            names = await self.page(Page(prefix, "", MOST_NAMES + 1))
            if len(names) > MOST_NAMES:
                raise ValueError(
                    f"looks at more than {MOST_NAMES:,} names; begin that of the name with more plain text"
                )
            # A part of the plain text may be of the operation, as in shop.orders.su.*
            metrics = await self._find({*(one.name for one in names), prefix.rpartition(".")[0]} - {""})
            leaves = [
                leaf_of(name, metric, operation)
                for name, metric in metrics.items()
                for operation in (None, *OPERATIONS_OF[metric.kind])
            ]
        else:
            return None
        return [leaf for leaf in leaves if all_hold(of_name, leaf.tags)]

    async def _defaults(self, series: Sequence[FoundSeries], of_name: Sequence[Expression]) -> list[Leaf]:
        """The lines of the default operations of the names of these series."""
        metrics = await self._find({one.name for one in series})
        leaves = [leaf_of(name, metric, None) for name, metric in metrics.items()]
        return [leaf for leaf in leaves if all_hold(of_name, leaf.tags)]


def _splits(pattern: str) -> list[tuple[Glob, Glob]]:
    """What a path may mean: a name, a name and an operation, and a name and one with a dot, such as p99.9."""
    return [
        (glob[: len(glob) - nodes], glob[len(glob) - nodes :])
        for nodes in (0, 1, 2)
        for glob in parse_globs(pattern)
        if nodes < len(glob) and _may_be_operation(glob[len(glob) - nodes :])
    ]


def _leaves(
    splits: Sequence[tuple[Glob, Glob]], metrics: Sequence[Sequence[tuple[str, Metric]]], limit: int
) -> list[Leaf]:
    found: dict[str, Leaf] = {}
    for (_, wanted), meant in zip(splits, metrics, strict=True):
        # A longer operation comes later, and takes the place of a shorter one's line.
        leaves = [leaf_of(*one, operation) for one in meant for operation in operations_meant(wanted, one[1].kind)]
        found.update((leaf.path, leaf) for leaf in leaves)
        if len(found) > limit:
            raise ValueError(f"means more than {limit:,} lines; write a pattern that means fewer")
    return [found[path] for path in sorted(found)]


def _tagged(lines: Iterable[Leaf], series: Iterable[FoundSeries], of_tags: Sequence[Expression]) -> list[Leaf]:
    """A line of each series that meets the expressions, for each line of its whole name."""
    of_names: defaultdict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for name, one in series:
        if all_hold(of_tags, tags := parse_tags(one.tags)):
            of_names[name].append((one.id, tags))
    without = [(UNTAGGED.id, dict[str, str]())] if all_hold(of_tags, {}) else []
    return [
        leaf._replace(path=tagged_path(leaf.path, tags), series_id=key, tags={**tags, NAME: leaf.path})
        for leaf in lines
        for key, tags in (*without, *of_names[leaf.name])
    ]


def tagged_path(path: str, tags: Mapping[str, str]) -> str:
    """The text of a series: its path and its tags in order."""
    return ";".join((path, *(f"{key}={tags[key]}" for key in sorted(tags))))


def leaf_of(name: str, metric: Metric, operation: str | None) -> Leaf:
    """The line of an operation of a whole name; without one its path is the name."""
    path = name if operation is None else f"{name}.{operation}"
    return Leaf(path, name, operation or DEFAULT_OPERATION[metric.kind], metric, None, {"name": path})


def operations_meant(wanted: Glob, kind: Kind) -> Sequence[str | None]:
    """The operations of a metric that the last nodes of a path mean; None is the default one."""
    if not wanted:
        return (None,)
    text = literal(wanted)
    if text is None:
        return [operation for operation in OPERATIONS_OF[kind] if wanted[0].matches(operation)]
    return [text] if text in OPERATIONS_OF[kind] or (kind == "value" and percent_of(text) is not None) else ()


def _may_be_operation(wanted: Glob) -> bool:
    """Whether nodes can be an operation of some metric; none are the default one."""
    text = literal(wanted)
    if not wanted:
        return True
    if text is None:
        return len(wanted) == 1
    return text in SUMMARIES or percent_of(text) is not None

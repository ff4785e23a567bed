"""What the groups of a query add up: whole names, series, and samples without tags. Pure.

Each member has an id. For a name it is the id of the metric, and for a series that of the series. For a name's samples
without tags, it is the id of the metric with a minus. A store reads rows of members, and adds them up under the keys of
their groups.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from central.store.base import IdGroup
from central.store.buckets import Column
from central.store.plan import Segment

MOST_SERIES: Final = 10_000
"""With more series than this, a name's samples are not compared with those of all its series."""
_MOST_SPANS: Final = 20


class Members(NamedTuple):
    """The members of groups.

    ``names`` and ``untagged`` hold ids of metrics, and ``series`` ids of series; ``metrics`` are the metrics of these
    series. ``keys`` maps a member's id to the key of its group. ``spans`` are the parts of a query's rollups in which
    there may be samples without tags; None stands for all parts.
    """

    names: list[int]
    series: list[int]
    untagged: list[int]
    metrics: list[int]
    keys: dict[int, int]
    spans: Sequence[Segment] | None = None

    @property
    def renamed(self) -> bool:
        """Whether the rows of some member are added up under a key that is not the member's id."""
        return any(member != key for member, key in self.keys.items())

    def only(self, ids: Container[int]) -> "Members":
        """The names and series whose ids are among these, and no samples without tags."""
        names, series = ([member for member in some if member in ids] for some in (self.names, self.series))
        return self._replace(names=names, series=series, untagged=[])

    def untagged_within(self, segments: Sequence[Segment]) -> list[Segment]:
        """Where to read raw points for samples without tags. No rollup has the sums of these samples."""
        if not self.untagged:
            return []
        if self.spans is None:
            return [Segment("raw", segments[0].start, segments[-1].end)]
        return [*(segment for segment in segments if segment.level == "raw"), *self.spans]


def series_of(metric_ids: Sequence[int], limit: int) -> str:
    """SELECT of the ids of these metrics' series, at most ``limit``. Both stores have the same table."""
    return f"SELECT id FROM series WHERE metric_id IN ({', '.join(map(str, metric_ids))}) LIMIT {limit}"


def spans_of(buckets: Sequence[int], width: int) -> list[Segment]:
    """Minutes or hours that follow each other as one span each; of many spans, one that covers all.

    ``buckets`` are their starts in order, and ``width`` is in seconds.
    """
    spans: list[Segment] = []
    for start in buckets:
        if spans and spans[-1].end == start:
            spans[-1] = spans[-1]._replace(end=start + width)
        else:
            spans.append(Segment("raw", start, start + width))
    return spans if len(spans) <= _MOST_SPANS else [Segment("raw", spans[0].start, spans[-1].end)]


def members_of(groups: Sequence[IdGroup]) -> Members:
    """The members of groups. No two groups may share one."""
    found = Members([], [], [], [], {})
    for group in groups:
        if group.series_ids is None:
            found.names.append(group.metric_id)
            found.keys[group.metric_id] = group.key
            continue
        for series_id in group.series_ids:
            found.keys[series_id or -group.metric_id] = group.key
        found.series.extend([series_id for series_id in group.series_ids if series_id])
        if 0 in group.series_ids:
            found.untagged.append(group.metric_id)
        if any(group.series_ids) and group.metric_id not in found.metrics:
            found.metrics.append(group.metric_id)
    if len(found.keys) < len(found.names) + len(found.series) + len(found.untagged):
        raise ValueError("two groups of a query share a series or a name")
    return found


def members_with_ids(ids: Sequence[int], series: Mapping[int, int]) -> Members:
    """The names and series of these ids. ``series`` has the metric of each id of a series."""
    names = [member for member in ids if member not in series]
    return Members(names, list(series), [], sorted(set(series.values())), {})


def key_column(members: Members, ids: Column) -> Column:
    """The key of each of these ids of members."""
    if not members.renamed:
        return ids
    known = np.array(sorted(members.keys), dtype=np.int64)
    keys = np.array([members.keys[member] for member in known.tolist()], dtype=np.int64)
    of_each: Column = keys[np.searchsorted(known, ids)]
    return of_each

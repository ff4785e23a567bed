"""What the groups of a query add up: whole names, series, and samples without tags. Pure.

A member has an id: a name that of its metric, a series its own, and the samples of a name without tags that of its
metric with a minus. A store finds rows of members and adds them up under the keys of their groups.
"""

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from central.store.base import IdGroup
from central.store.buckets import Column


class Members(NamedTuple):
    """The members of groups.

    ``names``, ``series`` and ``untagged`` hold the ids of metrics and of series. ``metrics`` are those that have the
    series. ``keys`` has the key of the group of each member's id.
    """

    names: list[int]
    series: list[int]
    untagged: list[int]
    metrics: list[int]
    keys: dict[int, int]

    @property
    def renamed(self) -> bool:
        """Whether a member's rows count under another number than its id."""
        return any(member != key for member, key in self.keys.items())

    def only(self, ids: Container[int]) -> "Members":
        """Those names and series whose ids are among these."""
        names, series = ([member for member in some if member in ids] for some in (self.names, self.series))
        return self._replace(names=names, series=series, untagged=[])


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

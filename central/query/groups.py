"""What an answer has a line of windows for: each name, or each group of a name's series. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from central.query.tags import UNTAGGED, TagGroup, group_series, hold_without_tags
from central.store.base import IdGroup, Metric
from central.store.buckets import Buckets, Column, roomy
from central.store.series import Series, TagFilter

NO_KEY: Final = -1
"""The key of a name that does not exist. No group has it."""


class AnswerLine(NamedTuple):
    """A name, or a group of its series. ``key`` is what the store's answer has it under.

    ``values`` are those of the query's ``group_by``, None where the group's series have no such tag. ``rest``: it is
    all groups of the name but the largest.
    """

    name: str
    key: int
    values: tuple[str | None, ...] = ()
    rest: bool = False


class Choice(NamedTuple):
    """The lines of an answer in their order, what the store has to add up for them, and the keys of counters."""

    lines: Sequence[AnswerLine]
    groups: Sequence[IdGroup]
    counters: Sequence[int]

    def with_data(self, summaries: Buckets) -> "Choice":
        """Without the lines that have no window with data."""
        keys = set(np.unique(summaries.metric_ids).tolist())
        return self._replace(lines=[line for line in self.lines if line.key in keys])


def whole_names(names: Sequence[str], metrics: Mapping[str, Metric]) -> Choice:
    """A line for each name, over all its samples."""
    lines = [AnswerLine(name, metrics[name].id if name in metrics else NO_KEY) for name in names]
    groups = [IdGroup(metric.id, metric.id, None) for metric in metrics.values()]
    return Choice(lines, groups, [metric.id for metric in metrics.values() if metric.kind == "counter"])


def groups_of(series: Sequence[Series], filters: Sequence[TagFilter], keys: Sequence[str]) -> list[TagGroup]:
    """The groups of the series that meet the filters. Samples without tags are one more series where they meet them.

    They are that also where a name has no series: it may have had some that were deleted, whose samples have tags.
    """
    return group_series([*series, UNTAGGED] if hold_without_tags(filters) else series, keys)


def of_groups(found: Sequence[tuple[str, Metric, Sequence[TagGroup]]]) -> Choice:
    """A line for each group of each name."""
    lines: list[AnswerLine] = []
    groups: list[IdGroup] = []
    counters: list[int] = []
    for name, metric, chosen in found:
        for group in chosen:
            key = len(lines)
            lines.append(AnswerLine(name, key, group.values))
            groups.append(IdGroup(key, metric.id, group.series_ids))
            if metric.kind == "counter":
                counters.append(key)
    return Choice(lines, groups, counters)


def largest(choice: Choice, summaries: Buckets, top: int) -> Choice:
    """The ``top`` groups of each name with the most samples, of a counter with the largest sums, and the rest as one.

    ``summaries`` are of the whole range, by any windows.
    """
    counters = set(choice.counters)
    sizes = {key: total if key in counters else weight for key, total, weight in _totals(summaries)}
    lines: list[AnswerLine] = []
    groups: list[IdGroup] = []
    for name in dict.fromkeys(line.name for line in choice.lines):
        own = [(line, group) for line, group in zip(choice.lines, choice.groups, strict=True) if line.name == name]
        # A group without data comes behind a sum below zero. Of equal ones the order of values stays.
        ranked = sorted(own, key=lambda pair: (pair[1].key not in sizes, -sizes.get(pair[1].key, 0)))
        kept = ranked[:top]
        lines += [line for line, _ in kept]
        groups += [group for _, group in kept]
        if rest := ranked[top:]:
            first = rest[0][1]
            ids = [one for _, group in rest for one in group.series_ids or ()]
            lines.append(AnswerLine(name, first.key, (None,) * len(rest[0][0].values), rest=True))
            groups.append(IdGroup(first.key, first.metric_id, tuple(ids)))
    return Choice(lines, groups, [group.key for group in groups if group.key in counters])


def _totals(summaries: Buckets) -> list[tuple[int, int, int]]:
    """Sum and weight of each key over all windows."""
    if not len(summaries.starts):
        return []
    first = np.flatnonzero(np.r_[True, np.diff(summaries.metric_ids) != 0])

    def added(column: Column) -> list[int]:
        total: list[int] = np.add.reduceat(roomy(column), first).tolist()
        return total

    keys: list[int] = summaries.metric_ids[first].tolist()
    return list(zip(keys, added(summaries.totals), added(summaries.weights), strict=True))

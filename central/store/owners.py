"""Which of StatsD's types owns a name: the same rule for every store, which keeps what it decides in ``name_owners``.

A name has an owner from the first item on that says what it was on its line. Names that were made over REST, or by an
agent that did not say so yet, have none until then.
"""

from collections.abc import Sequence
from typing import NamedTuple

from central.store.base import Metric, NewName
from protocol.statsd import MetricType


class Claim(NamedTuple):
    """A row of ``name_owners``."""

    metric_id: int
    owner: MetricType
    clash_of: str | None


def must_resolve(new: NewName, found: Metric | None) -> bool:
    """Whether the store must be asked: the name does not exist, or it has no owner and this item would own it."""
    return found is None or _may_own(new, found)


def _may_own(new: NewName, found: Metric) -> bool:
    return new.owner is not None and found.owner is None and found.kind == new.kind


def claim(new_names: Sequence[NewName], found: dict[str, Metric]) -> list[Claim]:
    """Give each name in ``found`` without an owner the first owner in ``new_names`` that fits. Returns the new rows.

    ``found`` then has the owners too.
    """
    claims = []
    for new in new_names:
        metric = found.get(new.name)
        if metric is not None and new.owner is not None and _may_own(new, metric):
            found[new.name] = metric._replace(owner=new.owner)
            claims.append(Claim(metric.id, new.owner, new.clash_of))
    return claims

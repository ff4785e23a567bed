"""Which StatsD type owns a name. Every store uses this rule, and stores the owners in its table ``name_owners``.

The first item with a StatsD type makes that type the owner of its name. Until then the name has no owner: it was made
over REST, or by an old agent that does not send StatsD types.
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
    """Whether the store must resolve the name: it does not exist, or it has no owner and ``new`` would become it."""
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

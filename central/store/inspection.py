"""The state of a store, for the doctor. Reading it changes nothing and needs no running service."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from central.store.base import ListedName
from protocol.histogram import decode

MAX_CLASHES: Final = 20
MAX_HISTOGRAMS: Final = 1_000
"""How many merged histograms are looked at in each table."""
DAY: Final = 86_400
"""Sums of minutes are compared for the last 86,400 seconds."""
TOO_MUCH_SERIES: Final = (
    "WITH few AS (SELECT id, metric_id FROM series ORDER BY id LIMIT 100),"
    " part AS (SELECT few.metric_id, r.bucket, SUM(r.samples) AS samples FROM few"
    " INNER JOIN {rollup} AS r ON r.metric_id = few.id WHERE r.bucket >= {line} GROUP BY few.metric_id, r.bucket),"
    " total AS (SELECT r.metric_id, r.bucket, SUM(r.samples) AS samples FROM (SELECT DISTINCT metric_id FROM few) AS n"
    " INNER JOIN {rollup} AS r ON r.metric_id = n.metric_id WHERE r.bucket >= {line} GROUP BY r.metric_id, r.bucket)"
    " SELECT COUNT(*) FROM part LEFT JOIN total ON total.metric_id = part.metric_id AND total.bucket = part.bucket"
    " WHERE total.samples IS NULL OR total.samples < part.samples"
)
"""SELECT of how many hours or minutes of names have fewer samples than their series, for both stores.

``rollup`` is a table with one row or more for each id and bucket. ``line`` is where the comparison begins.
"""


class KeyState(NamedTuple):
    """An API key, without anything secret."""

    id: int
    public_id: str
    name: str
    scopes: frozenset[str]
    revoked: bool
    """Revoked or expired: nobody can use the key any more."""


class DatabaseServer(NamedTuple):
    """A database server. ``fault`` is why it takes no writes, or None."""

    address: str
    fault: str | None = None
    cluster: str = ""
    """The id of its Galera cluster; empty for none."""
    nodes: int = 0
    replica: bool = False
    replication_fault: str | None = None
    """What is wrong with its replication, or why no query is asked there."""
    lag: int | None = None
    """How many seconds a replica is behind, if it says so."""


@dataclass(frozen=True)
class StoreState:
    """The content of a store. Times are UTC seconds. ``None`` means that this store does not have the number."""

    version: str
    pending: list[str]
    """Migrations that are not applied yet. If there are any, the other fields are empty."""
    keys: list[KeyState] = field(default_factory=list)
    last_run: int | None = None
    """When retention last ran; 0 if never."""
    rejected: int | None = None
    """Points that were acknowledged and then could not be stored under their name."""
    ahead: float | None = None
    """How many seconds the store's clock is ahead of this host's clock."""
    variables: dict[str, str] = field(default_factory=dict)
    """The database server's settings, by name."""
    last_partition: dict[str, int] = field(default_factory=dict)
    """The last day for which each table has a partition, in days since the epoch."""
    bad_histograms: int | None = None
    """Of MAX_HISTOGRAMS rows of each table of merged ones: those that cannot be read or weigh too much."""
    bad_series: int | None = None
    """How many hours, and minutes of the last DAY, of names have fewer samples than 100 of their series."""
    clashes: Sequence[ListedName] = ()
    """At most MAX_CLASHES names that hold samples of a shorter name, which another StatsD type owns."""
    servers: Sequence[DatabaseServer] = ()
    """Each database server."""
    readers: Sequence[DatabaseServer] = ()
    """Each server that only answers queries. ``fault`` is not asked for."""


def count_bad_histograms(rows: Iterable[tuple[int, Iterable[bytes]]]) -> int:
    """How many rows have a histogram that cannot be read, or that weighs more than the row's samples.

    A row is its samples in units, and its histograms. They may be decoded only now, and raise ValueError.
    """
    bad = 0
    for samples, histograms in rows:
        try:
            bad += sum(sum(decode(one).values()) for one in histograms if one) > samples
        except ValueError:
            bad += 1
    return bad

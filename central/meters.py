"""Every Prometheus family of central as one table. A scrape reads plain numbers that their owners keep.

How to add a family: a row in FAMILIES and a row in docs/metrics.md. A test compares them.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from central.access.auth import AuthCounts
from central.access.redis_key_news import KeyNewsCounts
from central.access.redis_limit import LimitCounts
from central.fleet.agents import Agents
from central.histogram import Histogram
from central.redis_services import RedisServices
from central.retention import RetentionCounts
from central.spill.drain import DrainCounts
from central.spill.spill import SpillCounts, SpillState
from central.store.base import Store
from central.store.mysql.replication import ReplicationCounts
from central.store.mysql.servers import ServerCounts
from central.store.outage_guard import OutageGuard
from central.web.counts import RequestCounts
from central.write.store_or_spill import WriteCounts
from runtime.plausible_clock import PlausibleClock


@dataclass(frozen=True, slots=True)
class Sources:
    """The objects that own the numbers. If a process does not use Redis or the spill, their numbers are 0."""

    version: str
    store_name: str
    store: Store
    writes: WriteCounts
    waiting: Callable[[], int]
    """Requests that wait for their group."""
    series: Callable[[], int]
    """Series in the store when this process last counted them."""
    auth: AuthCounts
    http: RequestCounts
    retention: RetentionCounts
    redis: RedisServices
    clock: PlausibleClock
    agents: Agents
    databases: ServerCounts = field(default_factory=ServerCounts)

    @property
    def guard(self) -> OutageGuard | None:
        """None if the store runs in this process, so that it cannot be down alone."""
        return self.store if isinstance(self.store, OutageGuard) else None

    @property
    def copies(self) -> ReplicationCounts:
        """What the database servers say of their replication."""
        return self.databases.replication

    @property
    def limits(self) -> LimitCounts:
        """Counts of the rate limits that are shared through Redis."""
        return self.redis.limits.counts if self.redis.limits else LimitCounts()

    @property
    def news(self) -> KeyNewsCounts:
        """Counts of keys that another process changed."""
        return self.redis.news.counts if self.redis.news else KeyNewsCounts()

    @property
    def puts(self) -> SpillCounts:
        """Counts of groups that went to the spill."""
        return self.redis.spill.counts if self.redis.spill else SpillCounts()

    @property
    def spill(self) -> SpillState:
        """What is in the spill."""
        return self.redis.spill.state if self.redis.spill else SpillState(fault=None)

    @property
    def drained(self) -> DrainCounts:
        """Counts of groups that went from the spill to the store."""
        return self.redis.drain.counts if self.redis.drain else DrainCounts()


Kind = type[InfoMetricFamily] | type[CounterMetricFamily] | type[GaugeMetricFamily] | type[HistogramMetricFamily]


class Family(NamedTuple):
    """A row. ``read`` gives its value: a number, the observations of a histogram, or the texts of an info.

    A family with labels has a value per label: a mapping from the label, or from the tuple of its labels.
    """

    kind: Kind
    name: str
    """The name after ``fiesta_``."""
    help: str
    read: Callable[[Sources], float | Histogram | Mapping[Any, Any]]
    labels: tuple[str, ...] = ()


_INFO: Final = InfoMetricFamily
_COUNTER: Final = CounterMetricFamily
_GAUGE: Final = GaugeMetricFamily
_HISTOGRAM: Final = HistogramMetricFamily

FAMILIES: Final = (
    Family(
        _INFO,
        "build",
        "Versions of the service, its store and Python.",
        lambda s: {"version": s.version, "store": s.store_name, "python": platform.python_version()},
    ),
    # The group commit, and the keys of its requests.
    Family(
        _COUNTER,
        "points_stored",
        "Points that are durable, by store and type.",
        lambda s: {
            (s.store_name, "counter"): s.writes.counters,
            (s.store_name, "value"): s.writes.points - s.writes.counters,
        },
        ("store", "type"),
    ),
    Family(
        _COUNTER,
        "series_overflow_points",
        "Points of a full name, in its overflow series.",
        lambda s: s.writes.overflow_points + s.drained.overflow_points,
    ),
    Family(_GAUGE, "series", "Series in the store, when this process last counted them.", lambda s: s.series()),
    Family(
        _COUNTER,
        "revoked_key_requests",
        "Requests with a key that was revoked, by its id.",
        lambda s: s.auth.revoked,
        ("key",),
    ),
    Family(_HISTOGRAM, "commit_seconds", "Time of a commit.", lambda s: s.writes.commit_seconds),
    Family(_HISTOGRAM, "group_requests", "Requests in a group that was committed.", lambda s: s.writes.group_requests),
    Family(_HISTOGRAM, "group_points", "Points in a group that was committed.", lambda s: s.writes.group_points),
    Family(_COUNTER, "groups_failed", "Groups that were certainly not stored.", lambda s: s.writes.failed_groups),
    Family(
        _COUNTER,
        "commits_unknown",
        "Commits whose outcome was unknown at first.",
        lambda s: s.writes.unknown_outcomes,
    ),
    Family(_COUNTER, "replays", "Requests answered from their Idempotency-Key.", lambda s: s.writes.replays),
    Family(
        _COUNTER,
        "turned_away",
        "Requests refused because too many waited, or because they waited too long.",
        lambda s: s.writes.turned_away,
    ),
    Family(_COUNTER, "key_cache_hits", "Requests whose key was known.", lambda s: s.auth.hits),
    Family(_COUNTER, "key_cache_misses", "Requests whose key had to be looked up.", lambda s: s.auth.misses),
    Family(_COUNTER, "key_verifications", "bcrypt comparisons.", lambda s: s.auth.verified),
    Family(_COUNTER, "key_refusals", "Requests without a valid key.", lambda s: s.auth.refused),
    Family(_GAUGE, "requests_waiting", "Requests that wait for their group.", lambda s: s.waiting()),
    Family(_GAUGE, "key_verifications_waiting", "bcrypt comparisons that run or wait.", lambda s: s.auth.comparing),
    # The HTTP edge.
    Family(_COUNTER, "requests", "Answers by route and status.", lambda s: s.http.requests, ("route", "status")),
    Family(_HISTOGRAM, "request_seconds", "Time to an answer, by route.", lambda s: s.http.seconds, ("route",)),
    Family(_COUNTER, "items_rejected", "Items that were not stored, by code.", lambda s: s.http.rejected, ("code",)),
    Family(
        _COUNTER,
        "unreadable_requests",
        "Requests that were not valid HTTP, by reason.",
        lambda s: s.http.unreadable,
        ("reason",),
    ),
    Family(
        _COUNTER,
        "busy",
        "Requests refused because too many of their kind were running, by kind.",
        lambda s: {**s.http.busy, **s.auth.busy},
        ("kind",),
    ),
    Family(
        _COUNTER,
        "tls_failures",
        "TLS handshakes that failed, by reason.",
        lambda s: s.http.handshakes,
        ("reason",),
    ),
    # The fleet.
    Family(_GAUGE, "agents", "Agents that this process knows, by state.", lambda s: s.agents.states(), ("state",)),
    Family(
        _GAUGE,
        "agents_missing_points",
        "Points that agents count as acknowledged and that no process acknowledged.",
        lambda s: s.agents.missing(),
    ),
    Family(
        _COUNTER,
        "agent_reports_unreadable",
        "Batches whose Metrics-Agent header could not be read. They were stored.",
        lambda s: s.agents.unreadable,
    ),
    # Retention.
    Family(_COUNTER, "retention_runs", "Runs that ended well.", lambda s: s.retention.runs),
    Family(
        _COUNTER,
        "retention_failures",
        "Daily runs that failed and will be done again.",
        lambda s: s.retention.failures,
    ),
    Family(_COUNTER, "retention_rows", "Rows of points and rollups removed.", lambda s: s.retention.rows),
    Family(_COUNTER, "retention_parts", "Pieces (partitions, slices) removed.", lambda s: s.retention.parts),
    Family(
        _GAUGE,
        "retention_line_seconds",
        "Points before this moment are hidden (Unix seconds; 0: none).",
        lambda s: s.retention.line,
    ),
    Family(
        _GAUGE,
        "retention_dropped_seconds",
        "Points before this moment are removed (Unix seconds; 0: none).",
        lambda s: s.retention.dropped,
    ),
    Family(_COUNTER, "clock_jumps", "Jumps of the clock by more than 30 s.", lambda s: s.clock.jumps),
    Family(
        _GAUGE,
        "removal_wait_seconds",
        "Seconds until the service trusts the clock enough to remove old data.",
        lambda s: s.clock.read().wait,
    ),
    # Outages, and what Redis is used for.
    Family(
        _COUNTER,
        "store_outages",
        "Times that the store was considered down.",
        lambda s: s.guard.outages if s.guard else 0,
    ),
    Family(
        _COUNTER,
        "late_commits",
        "Commits that took longer than the service waits.",
        lambda s: s.guard.late_commits if s.guard else 0,
    ),
    Family(_COUNTER, "limit_round_trips", "Round trips to Redis for rate limits.", lambda s: s.limits.round_trips),
    Family(
        _COUNTER,
        "limit_trips_failed",
        "Round trips to Redis for rate limits that had no answer in time.",
        lambda s: s.limits.failed_trips,
    ),
    Family(_COUNTER, "limit_waits", "Requests that waited for such a round trip.", lambda s: s.limits.waits),
    Family(
        _COUNTER,
        "limit_fallbacks",
        "Requests that were counted in this process alone.",
        lambda s: s.limits.fallbacks,
    ),
    Family(
        _COUNTER, "key_changes_heard", "Messages received about revoked and rotated keys.", lambda s: s.news.received
    ),
    Family(
        _COUNTER,
        "key_changes_not_told",
        "Revoked and rotated keys that could not be announced.",
        lambda s: s.news.not_published,
    ),
    Family(_COUNTER, "spilled_groups", "Groups acknowledged from the spill.", lambda s: s.writes.spilled_groups),
    Family(_COUNTER, "spilled_requests", "Requests acknowledged from the spill.", lambda s: s.writes.spilled_requests),
    Family(_COUNTER, "spilled_points", "Points acknowledged from the spill.", lambda s: s.writes.spilled_points),
    Family(_COUNTER, "spill_refused", "Groups that the spill did not take.", lambda s: s.puts.refused),
    Family(_COUNTER, "spill_in_doubt", "Groups that the spill may or may not have taken.", lambda s: s.puts.in_doubt),
    Family(_COUNTER, "drained_entries", "Entries of the spill that are stored.", lambda s: s.drained.entries),
    Family(_COUNTER, "drained_points", "Points of the spill that are stored.", lambda s: s.drained.points),
    Family(_COUNTER, "drain_left_out", "Requests in the spill that were stored already.", lambda s: s.drained.left_out),
    Family(
        _COUNTER,
        "drain_rejected",
        "Points in the spill that were put into rejected_points.",
        lambda s: s.drained.rejected,
    ),
    Family(_COUNTER, "drain_bad", "Entries that could not be read and were set aside.", lambda s: s.drained.bad),
    Family(
        _COUNTER,
        "drain_postponed",
        "Times that the store refused an entry of the spill. The entry stays in the spill.",
        lambda s: s.drained.postponed,
    ),
    Family(
        _GAUGE,
        "store_down",
        "1 while the store is considered down.",
        lambda s: s.guard is not None and s.guard.down,
    ),
    Family(
        _GAUGE,
        "limits_alone",
        "1 while this process counts rate limits alone.",
        lambda s: s.redis.limits is not None and s.redis.limits.alone,
    ),
    Family(_GAUGE, "spill_entries", "Entries in the spill.", lambda s: s.spill.entries),
    Family(_GAUGE, "spill_bytes", "Bytes in the spill.", lambda s: s.spill.bytes),
    Family(_GAUGE, "spill_bad_entries", "Entries set aside since they could not be read.", lambda s: s.spill.bad),
    Family(_GAUGE, "spill_lag_seconds", "Age of the oldest entry in the spill.", lambda s: s.spill.lag_seconds),
    Family(
        _GAUGE,
        "spill_closed",
        "1 while the spill takes nothing.",
        lambda s: s.redis.spill is not None and s.redis.spill.fault is not None,
    ),
    # Several database servers.
    Family(_GAUGE, "database_in_use", "Place in DB_HOSTS of the server in use.", lambda s: s.databases.used),
    Family(_GAUGE, "databases_healthy", "Servers of DB_HOSTS that are healthy.", lambda s: s.databases.healthy),
    Family(_COUNTER, "database_changes", "Changes to another server of DB_HOSTS.", lambda s: s.databases.switches),
    Family(_GAUGE, "database_cluster_nodes", "Nodes of the Galera cluster.", lambda s: s.databases.cluster_size),
    Family(
        _GAUGE,
        "databases_apart",
        "1 while several servers take writes and no cluster joins them.",
        lambda s: s.databases.several_writers,
    ),
    Family(_GAUGE, "replica_lag_seconds", "How far a replica is behind.", lambda s: s.copies.lags, ("server",)),
    Family(_GAUGE, "replication_faulty", "1: replication has a fault.", lambda s: s.copies.faulty, ("server",)),
    Family(_GAUGE, "semi_sync_replicas", "Replicas that confirm commits.", lambda s: s.copies.semi_sync.replicas),
    Family(_GAUGE, "semi_sync_lost", "1 while no replica confirms commits.", lambda s: s.copies.semi_sync.lost),
    Family(_COUNTER, "read_server_queries", "Queries at read servers.", lambda s: s.copies.reads, ("server",)),
    Family(_COUNTER, "read_fallbacks", "Queries that no read server could answer.", lambda s: s.copies.fallbacks),
)


class Meters(Collector):
    """Reads the table when Prometheus asks. Register it in a separate registry."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        """Nothing: to register must not read the table."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family. Each exists from the first scrape; one with labels as soon as it has a value."""
        for row in FAMILIES:
            family: Any = row.kind(f"fiesta_{row.name}", row.help, labels=row.labels)
            read: Any = row.read(self._sources)
            for label, value in sorted(read.items()) if row.labels else [((), read)]:
                labels = [str(text) for text in (label if isinstance(label, tuple) else (label,))]
                content = (value.buckets(), value.total) if isinstance(value, Histogram) else (value,)
                family.add_metric(labels, *content)
            yield family

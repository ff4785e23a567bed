"""Prometheus metrics of outages and of what Redis is used for: plain ints of their owners, read at scrape."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from central.access.redis_key_news import KeyNewsCounts
from central.access.redis_limit import LimitCounts
from central.redis_services import RedisServices
from central.spill.drain import DrainCounts
from central.spill.spill import SpillCounts, SpillState
from central.store.base import Store
from central.store.outage_guard import Guarded
from central.write.store_or_spill import WriteCounts


class RedisMeters(Collector):
    """One family a fact, all there from the first scrape; every name is in docs/metrics.md."""

    def __init__(self, parts: RedisServices, writes: WriteCounts, store: Store) -> None:
        self._parts = parts
        self._writes = writes
        self._guard = store if isinstance(store, Guarded) else None

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        parts, writes = self._parts, self._writes
        limits = parts.limits.counts if parts.limits else LimitCounts()
        news = parts.news.counts if parts.news else KeyNewsCounts()
        puts = parts.spill.counts if parts.spill else SpillCounts()
        drained = parts.drain.counts if parts.drain else DrainCounts()
        guard = self._guard
        for name, text, value in (
            ("store_outages", "Times that the store was held to be down.", guard.outages if guard else 0),
            ("late_commits", "Commits that took too long to be waited for.", guard.late_commits if guard else 0),
            ("limit_round_trips", "Round trips to Redis for rate limits.", limits.round_trips),
            ("limit_trips_failed", "Of them those without an answer in time.", limits.failed_trips),
            ("limit_waits", "Requests that waited for such a round trip.", limits.waits),
            ("limit_fallbacks", "Requests that were counted in this process alone.", limits.fallbacks),
            ("key_changes_heard", "Revoked and rotated keys heard of.", news.heard),
            ("key_changes_not_told", "Revoked and rotated keys that could not be announced.", news.not_told),
            ("spilled_groups", "Groups acknowledged from the spill.", writes.spilled_groups),
            ("spilled_requests", "Requests acknowledged from the spill.", writes.spilled_requests),
            ("spilled_points", "Points acknowledged from the spill.", writes.spilled_points),
            ("spill_refused", "Groups that the spill did not take.", puts.refused),
            ("spill_in_doubt", "Groups of which it is not known whether the spill took them.", puts.in_doubt),
            ("drained_entries", "Entries of the spill that are stored.", drained.entries),
            ("drained_points", "Points of them.", drained.points),
            ("drain_left_out", "Requests in the spill that were stored already.", drained.left_out),
            ("drain_rejected", "Points in the spill that were put into rejected_points.", drained.rejected),
            ("drain_bad", "Entries that could not be read and were set aside.", drained.bad),
            ("drain_postponed", "Times that the store refused an entry, which stays.", drained.postponed),
        ):
            yield CounterMetricFamily(f"fiesta_{name}", text, value=value)
        state = parts.spill.state if parts.spill else SpillState(fault=None)
        closed = parts.spill is not None and parts.spill.fault is not None
        alone = parts.limits is not None and parts.limits.alone
        for name, text, level in (
            ("store_down", "1 while the store is held to be down.", int(guard is not None and guard.down)),
            ("limits_alone", "1 while this process counts rate limits alone.", int(alone)),
            ("spill_entries", "Entries in the spill.", state.entries),
            ("spill_bytes", "Bytes in the spill.", state.bytes),
            ("spill_bad_entries", "Entries set aside since they could not be read.", state.bad),
            ("spill_lag_seconds", "Age of the oldest entry in the spill.", state.lag_seconds),
            ("spill_closed", "1 while the spill takes nothing.", int(closed)),
        ):
            yield GaugeMetricFamily(f"fiesta_{name}", text, value=level)

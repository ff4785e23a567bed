"""Prometheus metrics of the group commit and of keys: one collector that reads plain numbers at scrape."""

import platform
from collections.abc import Callable, Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from central.access.auth import AuthCounts
from central.write.store_or_spill import WriteCounts


class Meters(Collector):
    """Reads counts that their owners keep. ``store`` is the store's name, ``version`` our own."""

    def __init__(
        self, writes: WriteCounts, auth: AuthCounts, waiting: Callable[[], int], *, store: str, version: str
    ) -> None:
        self._writes = writes
        self._auth = auth
        self._waiting = waiting
        self._store = store
        self._version = version

    def collect(self) -> Iterable[Metric]:
        """One family a fact; every name is in docs/metrics.md."""
        writes, auth = self._writes, self._auth
        about = {"version": self._version, "store": self._store, "python": platform.python_version()}
        yield InfoMetricFamily("fiesta_build", "What runs here.", value=about)
        points = CounterMetricFamily(
            "fiesta_points_stored", "Points that are durable, by store and type.", labels=["store", "type"]
        )
        points.add_metric([self._store, "counter"], writes.counters)
        points.add_metric([self._store, "value"], writes.points - writes.counters)
        yield points
        revoked = CounterMetricFamily(
            "fiesta_revoked_key_requests", "Requests with a key that was revoked, by its id.", labels=["key"]
        )
        for key_id, count in sorted(auth.revoked.items()):
            revoked.add_metric([str(key_id)], count)
        yield revoked
        for name, text, times in (
            ("commit_seconds", "Time of a commit.", writes.commit_seconds),
            ("group_requests", "Requests in a group that was committed.", writes.group_requests),
            ("group_points", "Points in a group that was committed.", writes.group_points),
        ):
            family = HistogramMetricFamily(f"fiesta_{name}", text)
            family.add_metric([], times.buckets(), times.total)
            yield family
        for name, text, value in (
            ("groups_failed", "Groups that were certainly not stored.", writes.failed_groups),
            ("commits_unknown", "Commits whose outcome was unknown at first.", writes.unknown_outcomes),
            ("replays", "Requests answered from their Idempotency-Key.", writes.replays),
            ("turned_away", "Requests refused because too many waited or for too long.", writes.turned_away),
            ("key_cache_hits", "Requests whose key was known.", auth.hits),
            ("key_cache_misses", "Requests whose key had to be looked up.", auth.misses),
            ("key_verifications", "bcrypt comparisons.", auth.verified),
            ("key_refusals", "Requests without a valid key.", auth.refused),
        ):
            yield CounterMetricFamily(f"fiesta_{name}", text, value=value)
        for name, text, level in (
            ("requests_waiting", "Requests that wait for their group.", self._waiting()),
            ("key_verifications_waiting", "bcrypt comparisons that run or wait.", auth.comparing),
        ):
            yield GaugeMetricFamily(f"fiesta_{name}", text, value=level)

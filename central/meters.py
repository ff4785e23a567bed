"""Prometheus metrics of the service: one collector that reads plain ints at scrape."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from central.auth import AuthCounts
from central.keep import WriteCounts


class Meters(Collector):
    """Reads counts that their owners keep."""

    def __init__(
        self,
        requests: Mapping[tuple[str, int], int],
        rejected: Mapping[str, int],
        writes: WriteCounts,
        auth: AuthCounts,
        waiting: Callable[[], int],
    ) -> None:
        self._requests = requests
        self._rejected = rejected
        self._writes = writes
        self._auth = auth
        self._waiting = waiting

    def collect(self) -> Iterable[Metric]:
        """One family a fact; every name is in docs/metrics.md."""
        requests = CounterMetricFamily("fiesta_requests", "Answers by route and status.", labels=["route", "status"])
        for (route, status), count in sorted(self._requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        rejected = CounterMetricFamily("fiesta_items_rejected", "Items that were not stored, by code.", labels=["code"])
        for code, count in sorted(self._rejected.items()):
            rejected.add_metric([code], count)
        yield rejected
        writes = self._writes
        for name, text, value in (
            ("points_stored", "Points that are durable.", writes.points),
            ("groups_committed", "Transactions of the group commit.", writes.groups),
            ("group_requests", "Requests that went through a group.", writes.requests),
            ("groups_failed", "Groups that were certainly not stored.", writes.failed_groups),
            ("commits_unknown", "Commits whose outcome was unknown at first.", writes.unknown_outcomes),
            ("replays", "Requests answered from their Idempotency-Key.", writes.replays),
            ("turned_away", "Requests refused because too many waited or for too long.", writes.turned_away),
            ("commit_seconds", "Time spent in commits.", writes.commit_seconds),
            ("key_cache_hits", "Requests whose key was known.", self._auth.hits),
            ("key_verifications", "bcrypt comparisons.", self._auth.verified),
            ("key_refusals", "Requests without a valid key.", self._auth.refused),
        ):
            yield CounterMetricFamily(f"fiesta_{name}", text, value=value)
        yield GaugeMetricFamily("fiesta_requests_waiting", "Requests that wait for their group.", self._waiting())

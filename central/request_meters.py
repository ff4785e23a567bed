"""Prometheus metrics of the HTTP edge: read at scrape from central.web.counts."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from central.histogram import Histogram


class RequestMeters(Collector):
    """Answers by route and status, their times by route, and what got no further; names are in docs/metrics.md."""

    def __init__(
        self,
        requests: Mapping[tuple[str, int], int],
        seconds: Mapping[str, Histogram],
        rejected: Mapping[str, int],
        unreadable: Mapping[str, int],
        handshakes: Mapping[str, int],
    ) -> None:
        self._requests = requests
        self._seconds = seconds
        self._by_reason = (
            ("items_rejected", "Items that were not stored, by code.", "code", rejected),
            ("unreadable_requests", "What was no HTTP, by why.", "reason", unreadable),
            ("tls_failures", "TLS handshakes that failed, by why.", "reason", handshakes),
        )

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        requests = CounterMetricFamily("fiesta_requests", "Answers by route and status.", labels=["route", "status"])
        for (route, status), count in sorted(self._requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily("fiesta_request_seconds", "Time to an answer, by route.", labels=["route"])
        for route, times in sorted(self._seconds.items()):
            seconds.add_metric([route], times.buckets(), times.total)
        yield seconds
        for name, text, label, counts in self._by_reason:
            family = CounterMetricFamily(f"fiesta_{name}", text, labels=[label])
            for reason, count in sorted(counts.items()):
                family.add_metric([reason], count)
            yield family

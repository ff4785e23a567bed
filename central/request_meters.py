"""Prometheus metrics of the HTTP edge: read at scrape from the counts of central.web.service."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from central.histogram import Histogram


class RequestMeters(Collector):
    """Answers by route and status, their times by route, rejected items by code; names are in docs/metrics.md."""

    def __init__(
        self, requests: Mapping[tuple[str, int], int], seconds: Mapping[str, Histogram], rejected: Mapping[str, int]
    ) -> None:
        self._requests = requests
        self._seconds = seconds
        self._rejected = rejected

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
        rejected = CounterMetricFamily("fiesta_items_rejected", "Items that were not stored, by code.", labels=["code"])
        for code, count in sorted(self._rejected.items()):
            rejected.add_metric([code], count)
        yield rejected

"""Prometheus metrics of retention: read at scrape from the job's counts."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from central.retention import RetentionCounts


class RetentionMeters(Collector):
    """One family a fact; every name is in docs/metrics.md."""

    def __init__(self, counts: RetentionCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        counts = self._counts
        for name, text, value in (
            ("runs", "Runs that ended well.", counts.runs),
            ("failures", "Daily runs that failed and will be done again.", counts.failures),
            ("rows", "Rows of points and rollups removed.", counts.rows),
            ("parts", "Pieces (partitions, slices) removed.", counts.parts),
        ):
            yield CounterMetricFamily(f"fiesta_retention_{name}", text, value=value)
        line = "fiesta_retention_line_seconds"
        yield GaugeMetricFamily(line, "Points before this moment are hidden (Unix seconds; 0: none).", counts.line)
        drop = "fiesta_retention_dropped_seconds"
        yield GaugeMetricFamily(drop, "Points before this moment are removed (Unix seconds; 0: none).", counts.dropped)

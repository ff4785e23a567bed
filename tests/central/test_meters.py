"""central/meters.py: what /metrics says, and that docs/metrics.md says all of it."""

import platform
import re
from collections import Counter
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from central.access.auth import AuthCounts
from central.histogram import SECONDS, Histogram
from central.meters import Meters
from central.request_meters import RequestMeters
from central.retention import RetentionCounts
from central.retention_meters import RetentionMeters
from central.write.store_or_spill import WriteCounts
from tests.central.harness import Central

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def scrape() -> str:
    registry = CollectorRegistry()
    writes = WriteCounts(points=3, counters=1, replays=4, failed_groups=5, unknown_outcomes=6, turned_away=7)
    writes.group_requests.observe(2)
    writes.group_points.observe(3)
    writes.commit_seconds.observe(8.5)
    auth = AuthCounts(hits=9, misses=21, verified=10, refused=11, comparing=22, revoked=Counter({3: 23}))
    seconds = Histogram(SECONDS)
    seconds.observe(0.25)
    registry.register(RetentionMeters(RetentionCounts(runs=15, failures=16, rows=17, parts=18, line=19, dropped=20)))
    registry.register(Meters(writes, auth, lambda: 14, store="duckdb", version="1.2.3"))
    registry.register(
        RequestMeters(
            {("/health", 200): 12}, {"/health": seconds}, {"INVALID_NAME": 13}, {"method": 24}, {"version": 25}
        )
    )
    return generate_latest(registry).decode()


def test_every_fact_is_told_once() -> None:
    samples = dict(line.rsplit(" ", 1) for line in scrape().splitlines() if not line.startswith("#"))
    assert {name: value for name, value in samples.items() if "_bucket" not in name} == {
        f'fiesta_build_info{{python="{platform.python_version()}",store="duckdb",version="1.2.3"}}': "1.0",
        'fiesta_requests_total{route="/health",status="200"}': "12.0",
        'fiesta_request_seconds_count{route="/health"}': "1.0",
        'fiesta_request_seconds_sum{route="/health"}': "0.25",
        'fiesta_items_rejected_total{code="INVALID_NAME"}': "13.0",
        'fiesta_points_stored_total{store="duckdb",type="counter"}': "1.0",
        'fiesta_points_stored_total{store="duckdb",type="value"}': "2.0",
        "fiesta_group_requests_count": "1.0",
        "fiesta_group_requests_sum": "2.0",
        "fiesta_group_points_count": "1.0",
        "fiesta_group_points_sum": "3.0",
        "fiesta_commit_seconds_count": "1.0",
        "fiesta_commit_seconds_sum": "8.5",
        "fiesta_groups_failed_total": "5.0",
        "fiesta_commits_unknown_total": "6.0",
        "fiesta_replays_total": "4.0",
        "fiesta_turned_away_total": "7.0",
        "fiesta_key_cache_hits_total": "9.0",
        "fiesta_key_cache_misses_total": "21.0",
        "fiesta_key_verifications_total": "10.0",
        "fiesta_key_verifications_waiting": "22.0",
        "fiesta_key_refusals_total": "11.0",
        'fiesta_revoked_key_requests_total{key="3"}': "23.0",
        "fiesta_requests_waiting": "14.0",
        "fiesta_retention_runs_total": "15.0",
        "fiesta_retention_failures_total": "16.0",
        "fiesta_retention_rows_total": "17.0",
        "fiesta_retention_parts_total": "18.0",
        "fiesta_retention_line_seconds": "19.0",
        "fiesta_retention_dropped_seconds": "20.0",
        'fiesta_unreadable_requests_total{reason="method"}': "24.0",
        'fiesta_tls_failures_total{reason="version"}': "25.0",
    }
    assert samples['fiesta_request_seconds_bucket{le="0.2",route="/health"}'] == "0.0"
    assert samples['fiesta_request_seconds_bucket{le="0.5",route="/health"}'] == "1.0"
    assert samples['fiesta_commit_seconds_bucket{le="+Inf"}'] == "1.0"


async def test_the_docs_have_every_metric_with_its_type_and_labels_and_no_other(central: Central) -> None:
    await central.counter("a b")
    key_id, key = await central.new_key("ingest")
    await central.ask("DELETE", f"/api/admin/keys/{key_id}")
    await central.counter("a", key=key)
    described = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in re.findall(r"^\| `([a-z]\w+)` \| (\w+) \| ([^|]*)\|", DOCS.read_text(), re.MULTILINE)
    }
    text = (await central.ask("GET", "/metrics", key=None)).text
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for sample, rest in re.findall(r"^(\w+)(\{.*\})? ", text, re.MULTILINE):
        name = sample if sample in kinds else re.sub("_(bucket|count|sum)$", "", sample)
        labels[name] |= set(re.findall(r'(\w+)="', rest)) - {"le"}
    assert described == {name: (kind, labels[name]) for name, kind in kinds.items()}


async def test_what_happened_over_http_can_be_scraped(central: Central) -> None:
    await central.counter("a")
    await central.counter("a", headers={"Idempotency-Key": "k"})
    await central.counter("a", headers={"Idempotency-Key": "k"})
    await central.counter("a b")
    await central.query("a", "sum")
    for key in (None, "nonsense"):
        await central.ask("GET", "/api/metrics", key=key)
    await central.ask("GET", "/api/admin/keys/12345")
    await central.ask("GET", "/nowhere")
    table: dict[str, float] = {
        'fiesta_requests_total{route="/api/metrics/counter",status="201"}': 3,
        'fiesta_requests_total{route="/api/metrics/counter",status="400"}': 1,
        'fiesta_requests_total{route="/api/metrics/aggregate",status="200"}': 1,
        'fiesta_requests_total{route="/api/metrics",status="401"}': 2,
        'fiesta_requests_total{route="none",status="404"}': 1,
        'fiesta_requests_total{route="none",status="405"}': 1,
        'fiesta_items_rejected_total{code="INVALID_NAME"}': 1,
        'fiesta_points_stored_total{store="duckdb",type="counter"}': 2,
        'fiesta_points_stored_total{store="duckdb",type="value"}': 0,
        'fiesta_request_seconds_count{route="/api/metrics/counter"}': 4,
        "fiesta_commit_seconds_count": 2,
        "fiesta_group_points_sum": 2,
        "fiesta_replays_total": 1,
        "fiesta_key_verifications_total": 1,
        "fiesta_key_cache_misses_total": 2,
        "fiesta_requests_waiting": 0,
    }
    assert {sample: await central.meter(sample) for sample in table} == table

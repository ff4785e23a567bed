"""central/meters.py: what /metrics says, and that docs/metrics.md says all of it."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from central.auth import AuthCounts
from central.keep import WriteCounts
from central.meters import Meters
from central.redis_meters import RedisMeters
from central.redis_parts import RedisParts
from central.retention import RetentionCounts
from central.retention_meters import RetentionMeters
from central.settings import load_settings
from central.store.duck import DuckStore
from tests.central.harness import Central

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def scrape(*more: Collector) -> str:
    registry = CollectorRegistry()
    writes = WriteCounts(
        groups=1,
        requests=2,
        points=3,
        replays=4,
        failed_groups=5,
        unknown_outcomes=6,
        turned_away=7,
        commit_seconds=8.5,
    )
    auth = AuthCounts(hits=9, verified=10, refused=11)
    registry.register(RetentionMeters(RetentionCounts(runs=15, failures=16, rows=17, parts=18, line=19, dropped=20)))
    for collector in more:
        registry.register(collector)
    registry.register(Meters({("/health", 200): 12}, {"INVALID_NAME": 13}, writes, auth, lambda: 14))
    return generate_latest(registry).decode()


def test_every_fact_is_told_once() -> None:
    samples = dict(line.rsplit(" ", 1) for line in scrape().splitlines() if not line.startswith("#"))
    assert samples == {
        'fiesta_requests_total{route="/health",status="200"}': "12.0",
        'fiesta_items_rejected_total{code="INVALID_NAME"}': "13.0",
        "fiesta_points_stored_total": "3.0",
        "fiesta_groups_committed_total": "1.0",
        "fiesta_group_requests_total": "2.0",
        "fiesta_groups_failed_total": "5.0",
        "fiesta_commits_unknown_total": "6.0",
        "fiesta_replays_total": "4.0",
        "fiesta_turned_away_total": "7.0",
        "fiesta_commit_seconds_total": "8.5",
        "fiesta_key_cache_hits_total": "9.0",
        "fiesta_key_verifications_total": "10.0",
        "fiesta_key_refusals_total": "11.0",
        "fiesta_requests_waiting": "14.0",
        "fiesta_retention_runs_total": "15.0",
        "fiesta_retention_failures_total": "16.0",
        "fiesta_retention_rows_total": "17.0",
        "fiesta_retention_parts_total": "18.0",
        "fiesta_retention_line_seconds": "19.0",
        "fiesta_retention_dropped_seconds": "20.0",
    }


def test_the_docs_have_every_metric_with_its_type_and_labels_and_no_other(tmp_path: Path) -> None:
    described = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in re.findall(
            r"^\| `(fiesta_\w+)` \| (\w+) \| ([^|]*)\|", DOCS.read_text(), re.MULTILINE
        )
    }
    text = scrape(RedisMeters(RedisParts(load_settings({})), WriteCounts(), DuckStore(tmp_path)))
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    labels = {
        name: set(re.findall(r'(\w+)="', rest)) for name, rest in re.findall(r"^(fiesta\w+)(\S*) ", text, re.MULTILINE)
    }
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
        "fiesta_points_stored_total": 2,
        "fiesta_replays_total": 1,
        "fiesta_key_verifications_total": 1,
        "fiesta_requests_waiting": 0,
    }
    assert {sample: await central.meter(sample) for sample in table} == table

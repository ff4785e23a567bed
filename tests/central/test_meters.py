"""central/meters.py: each number is in /metrics once, and docs/metrics.md explains all of them."""

import platform
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import generate_latest

from central.access.auth import AuthCounts
from central.access.prefixes import NOT_ALLOWED
from central.access.redis_key_news import KeyNews, KeyNewsCounts
from central.access.redis_limit import LimitCounts
from central.fleet.agents import Agents
from central.histogram import SECONDS, Histogram
from central.ingest.names import Names
from central.meters import FAMILIES, Meters, Sources
from central.redis_link import RedisAddress
from central.redis_services import RedisServices
from central.retention import RetentionCounts
from central.settings import load_settings
from central.spill.drain import Drain, DrainCounts
from central.spill.spill import SpillCounts, SpillState
from central.store.duck.store import DuckStore
from central.store.mysql.replication import ReplicationCounts, ReplicationHealth, SemiSync
from central.store.mysql.servers import ServerCounts
from central.store.outage_guard import OutageGuard
from central.web.counts import RequestCounts
from central.write.group_commit import GroupCommit
from central.write.store_or_spill import WriteCounts
from protocol.report import AgentReport, write_report
from runtime.plausible_clock import PlausibleClock
from tests.central.harness import Central
from tests.central.store_help import CAPS, SERIES_CAPS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "metrics.md"
REPORT = AgentReport(id="a" * 32, run="b" * 16, host="web-1", version="1.0", started=0)
NUMBERS = {
    f'fiesta_build_info{{python="{platform.python_version()}",store="duckdb",version="1.2.3"}}': 1,
    'fiesta_requests_total{route="/health",status="200"}': 12,
    'fiesta_request_seconds_count{route="/health"}': 1,
    'fiesta_request_seconds_sum{route="/health"}': 0.25,
    'fiesta_items_rejected_total{code="INVALID_NAME"}': 13,
    'fiesta_points_stored_total{store="duckdb",type="counter"}': 1,
    'fiesta_points_stored_total{store="duckdb",type="value"}': 2,
    "fiesta_group_requests_count": 1,
    "fiesta_group_requests_sum": 2,
    "fiesta_group_points_count": 1,
    "fiesta_group_points_sum": 3,
    "fiesta_commit_seconds_count": 1,
    "fiesta_commit_seconds_sum": 8.5,
    "fiesta_groups_failed_total": 5,
    "fiesta_commits_unknown_total": 6,
    "fiesta_replays_total": 4,
    "fiesta_turned_away_total": 7,
    "fiesta_key_cache_hits_total": 9,
    "fiesta_key_cache_misses_total": 21,
    "fiesta_key_verifications_total": 10,
    "fiesta_key_verifications_waiting": 22,
    "fiesta_key_refusals_total": 11,
    'fiesta_revoked_key_requests_total{key="3"}': 23,
    "fiesta_requests_waiting": 14,
    "fiesta_series": 28,
    "fiesta_series_overflow_points_total": 2,
    "fiesta_retention_runs_total": 15,
    "fiesta_retention_failures_total": 16,
    "fiesta_retention_rows_total": 17,
    "fiesta_retention_parts_total": 18,
    "fiesta_retention_line_seconds": 19,
    "fiesta_retention_dropped_seconds": 20,
    "fiesta_removal_wait_seconds": 27,
    'fiesta_unreadable_requests_total{reason="method"}': 24,
    'fiesta_tls_failures_total{reason="version"}': 25,
    'fiesta_busy_total{kind="long bodies"}': 26,
    'fiesta_agents{state="live"}': 1,
    "fiesta_agent_reports_unreadable_total": 29,
    "fiesta_database_in_use": 1,
    "fiesta_databases_healthy": 2,
    "fiesta_database_changes_total": 29,
    "fiesta_database_cluster_nodes": 3,
    "fiesta_databases_apart": 1,
    'fiesta_replica_lag_seconds{server="db2:3306"}': 31,
    'fiesta_replication_faulty{server="db2:3306"}': 1,
    "fiesta_semi_sync_replicas": 32,
    "fiesta_semi_sync_lost": 1,
    'fiesta_read_server_queries_total{server="db2:3306"}': 33,
    "fiesta_read_fallbacks_total": 34,
}
"""What one process says of the counts below that are not 0."""
REPLICATION = ReplicationCounts(
    hosts={"db1:3306": ReplicationHealth(None)},
    readers={"db2:3306": ReplicationHealth("it is 31 s behind", 31, replica=True)},
    semi_sync=SemiSync(enabled=True, replicas=32),
    reads={"db2:3306": 33},
    fallbacks=34,
)


@pytest.fixture
async def sources(tmp_path: Path) -> AsyncIterator[Sources]:
    """Of a process that uses a Redis which is not there. Nothing was counted yet."""
    store = OutageGuard(DuckStore(tmp_path))
    redis = RedisServices(load_settings({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1", "QUEUE_CONNECTION": "redis"}))
    yield sources_of(store, redis)
    await redis.close()
    await store.close()


def sources_of(store: OutageGuard | DuckStore, redis: RedisServices) -> Sources:
    return Sources(
        version="1.2.3",
        store_name="duckdb",
        store=store,
        writes=WriteCounts(),
        waiting=lambda: 14,
        series=lambda: 28,
        auth=AuthCounts(),
        http=RequestCounts(),
        retention=RetentionCounts(),
        redis=redis,
        clock=PlausibleClock(lambda: 0.0, lambda: 0.0, grace=27.0),
        agents=Agents(f"{0:016x}", lambda: 0.0),
    )


def scrape(sources: Sources) -> dict[str, str]:
    registry = CollectorRegistry()
    registry.register(Meters(sources))
    lines = generate_latest(registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def without_buckets(samples: dict[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in samples.items() if "_bucket" not in name}


def test_every_number_of_one_process_is_told_once(sources: Sources) -> None:
    writes = WriteCounts(points=3, counters=1, replays=4, failed_groups=5, unknown_outcomes=6, turned_away=7)
    writes.overflow_points = 2
    writes.group_requests.observe(2)
    writes.group_points.observe(3)
    writes.commit_seconds.observe(8.5)
    seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
    seconds["/health"].observe(0.25)
    http = RequestCounts(
        requests=Counter({("/health", 200): 12}),
        seconds=seconds,
        rejected=Counter({"INVALID_NAME": 13}),
        unreadable=Counter({"method": 24}),
        handshakes=Counter({"version": 25}),
        busy=Counter({"long bodies": 26}),
    )
    agents = Agents(f"{0:016x}", lambda: 0.0)
    agents.take_report([write_report(REPORT)], 1)
    agents.unreadable = 29
    samples = scrape(
        replace(
            sources,
            agents=agents,
            writes=writes,
            auth=AuthCounts(hits=9, misses=21, verified=10, refused=11, comparing=22, revoked=Counter({3: 23})),
            http=http,
            retention=RetentionCounts(runs=15, failures=16, rows=17, parts=18, line=19, dropped=20),
            redis=RedisServices(load_settings({})),
            databases=ServerCounts(
                used=1, healthy=2, switches=29, cluster_size=3, several_writers=True, replication=REPLICATION
            ),
        )
    )
    scraped = without_buckets(samples)
    assert {name: value for name, value in scraped.items() if value} == NUMBERS
    assert samples['fiesta_request_seconds_bucket{le="0.2",route="/health"}'] == "0.0"
    assert samples['fiesta_request_seconds_bucket{le="0.5",route="/health"}'] == "1.0"
    assert samples['fiesta_commit_seconds_bucket{le="+Inf"}'] == "1.0"


def test_every_number_of_redis_and_outages_is_told_once(sources: Sources) -> None:
    store, redis = sources.store, sources.redis
    assert isinstance(store, OutageGuard)
    assert redis.limits is not None
    assert redis.spill is not None
    store.outages, store.late_commits = 1, 2
    names = Names(store, CAPS, SERIES_CAPS)
    redis.limits.counts = LimitCounts(round_trips=3, failed_trips=4, waits=5, fallbacks=6)
    redis.news = KeyNews(RedisAddress("127.0.0.1", 1), print)
    redis.news.counts = KeyNewsCounts(published=0, not_published=8, received=7)
    redis.spill.counts = SpillCounts(put=0, refused=12, in_doubt=13)
    redis.spill.state = SpillState(entries=20, bytes=21, bad=22, lag_seconds=23.5, fault=None)
    redis.drain = Drain(redis.spill, store, names, GroupCommit(store, names).in_slot)
    redis.drain.counts = DrainCounts(entries=14, points=15, left_out=16, rejected=17, bad=18, postponed=19)
    redis.drain.counts.overflow_points = 24
    writes = WriteCounts(spilled_groups=9, spilled_requests=10, spilled_points=11)
    samples = without_buckets(scrape(replace(sources, writes=writes)))
    table = {
        "store_outages_total": 1,
        "late_commits_total": 2,
        "limit_round_trips_total": 3,
        "limit_trips_failed_total": 4,
        "limit_waits_total": 5,
        "limit_fallbacks_total": 6,
        "key_changes_heard_total": 7,
        "key_changes_not_told_total": 8,
        "spilled_groups_total": 9,
        "spilled_requests_total": 10,
        "spilled_points_total": 11,
        "spill_refused_total": 12,
        "spill_in_doubt_total": 13,
        "drained_entries_total": 14,
        "drained_points_total": 15,
        "drain_left_out_total": 16,
        "drain_rejected_total": 17,
        "drain_bad_total": 18,
        "drain_postponed_total": 19,
        "series_overflow_points_total": 24,
        "spill_entries": 20,
        "spill_bytes": 21,
        "spill_bad_entries": 22,
        "spill_lag_seconds": 23.5,
        "store_down": 0,
        "limits_alone": 0,
        "spill_closed": 0,
    }
    assert {name: samples[f"fiesta_{name}"] for name in table} == table


async def test_what_is_wrong_is_1(sources: Sources) -> None:
    store, redis = sources.store, sources.redis
    assert isinstance(store, OutageGuard)
    assert redis.limits is not None
    await redis.limits.hit(1, 5, 0)
    store.up.clear()
    samples = scrape(sources)
    assert [samples[f"fiesta_{name}"] for name in ("store_down", "limits_alone", "spill_closed")] == ["1.0"] * 3


async def test_what_a_process_does_not_use_counts_0(tmp_path: Path) -> None:
    store = DuckStore(tmp_path)
    samples = without_buckets(scrape(sources_of(store, RedisServices(load_settings({})))))
    await store.close()
    parts = ("store_", "late_", "limit", "key_changes", "spill", "drain")
    unused = {name: value for name, value in samples.items() if name.removeprefix("fiesta_").startswith(parts)}
    assert len(unused) == 26
    assert set(unused.values()) == {0}


def test_a_count_by_reason_is_there_from_the_start_for_every_reason(sources: Sources) -> None:
    """Or its first burst would be invisible to ``increase()``."""
    coded = "".join((ROOT / path).read_text() for path in ("protocol/item.py", "central/ingest/names.py"))
    codes = {NOT_ALLOWED, *re.findall(r'Fault\(\s*"([A-Z_]+)"', coded)}
    assert len(codes) > 5
    scraped = {name: value for name, value in scrape(sources).items() if name.startswith("fiesta_items_rejected")}
    assert scraped == {f'fiesta_items_rejected_total{{code="{code}"}}': "0.0" for code in codes}


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
    for row in FAMILIES:  # one that has nothing to count here shows no labels
        shown = f"fiesta_{row.name}{'_total' * (row.kind is CounterMetricFamily)}"
        labels[shown] = labels.get(shown) or set(row.labels)
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
        "fiesta_key_verifications_total": 0,
        "fiesta_key_cache_misses_total": 2,
        "fiesta_requests_waiting": 0,
    }
    assert {sample: await central.meter(sample) for sample in table} == table

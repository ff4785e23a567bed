"""central/redis_meters.py: every fact once, each from its owner."""

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from central.access.redis_key_news import KeyNews, KeyNewsCounts
from central.access.redis_limit import LimitCounts
from central.ingest.names import Names
from central.redis_link import RedisAddress
from central.redis_meters import RedisMeters
from central.redis_services import RedisServices
from central.settings import load_settings
from central.spill.drain import Drain, DrainCounts
from central.spill.spill import SpillCounts, SpillState
from central.store.duck.store import DuckStore
from central.store.outage_guard import Guarded
from central.write.group_commit import GroupCommit
from central.write.store_or_spill import WriteCounts
from tests.central.store_help import CAPS

GAUGES = {"store_down", "limits_alone", *(f"spill_{name}" for name in ("entries", "bytes", "bad_entries"))}
GAUGES |= {"spill_lag_seconds", "spill_closed"}


def scrape(parts: RedisServices, writes: WriteCounts, store: Guarded) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(RedisMeters(parts, writes, store))
    lines = generate_latest(registry).decode().splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name.removeprefix("fiesta_").removesuffix("_total"): float(value) for name, value in samples.items()}


async def test_every_fact_is_told_once(tmp_path: Path) -> None:
    store = Guarded(DuckStore(tmp_path))
    store.outages, store.late_commits = 1, 2
    names = Names(store, CAPS)
    parts = RedisServices(load_settings({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1", "QUEUE_CONNECTION": "redis"}))
    assert parts.limits is not None
    assert parts.spill is not None
    parts.limits.counts = LimitCounts(round_trips=3, failed_trips=4, waits=5, fallbacks=6)
    parts.news = KeyNews(RedisAddress("127.0.0.1", 1), print)
    parts.news.counts = KeyNewsCounts(told=0, not_told=8, heard=7)
    parts.spill.counts = SpillCounts(put=0, refused=12, in_doubt=13)
    parts.spill.state = SpillState(entries=20, bytes=21, bad=22, lag_seconds=23.5, fault=None)
    parts.drain = Drain(parts.spill, store, names, GroupCommit(store, names).in_turn)
    parts.drain.counts = DrainCounts(entries=14, points=15, left_out=16, rejected=17, bad=18, postponed=19)
    samples = scrape(parts, WriteCounts(spilled_groups=9, spilled_requests=10, spilled_points=11), store)
    assert [value for name, value in samples.items() if name not in GAUGES] == list(range(1, 20))
    assert {name: value for name, value in samples.items() if name in GAUGES} == {
        "store_down": 0,
        "limits_alone": 0,
        "spill_entries": 20,
        "spill_bytes": 21,
        "spill_bad_entries": 22,
        "spill_lag_seconds": 23.5,
        "spill_closed": 0,
    }
    await parts.close()
    await store.close()


async def test_what_is_wrong_is_1(tmp_path: Path) -> None:
    store = Guarded(DuckStore(tmp_path))
    parts = RedisServices(load_settings({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1", "QUEUE_CONNECTION": "redis"}))
    assert parts.limits is not None
    await parts.limits.hit(1, 5, 0)
    store.up.clear()
    samples = scrape(parts, WriteCounts(), store)
    assert [samples[name] for name in ("store_down", "limits_alone", "spill_closed")] == [1, 1, 1]
    await parts.close()
    await store.close()

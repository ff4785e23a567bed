"""The endpoints for probes and scrapers, without a key: liveness, readiness, Prometheus metrics."""

import json
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from central.errors import RETRY_SECONDS
from central.redis_services import RedisServices
from central.spill.spill import Spill
from central.store.base import Store, StoreError
from central.store.mysql.replication import ReplicationCounts
from central.web.middleware import JSON, Handler
from central.write.write_check import WriteCheck
from protocol.limits import SKEW_HEADER
from runtime.plausible_clock import PlausibleClock


def health(skew: int) -> Handler:
    """The handler of /health: the process is alive. ``skew`` is how many seconds a time may lie in the future."""

    async def handle(_: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": JSON, SKEW_HEADER: str(skew)}
        return web.Response(body=b'{"success":true,"status":"ok"}', headers=headers)

    return handle


def ready(
    store: Store, redis: RedisServices, check: WriteCheck, clock: PlausibleClock, replication: ReplicationCounts
) -> Handler:
    """The handler of /ready: the state of each dependency. 200 while writes can be acknowledged, else 503."""

    async def handle(_: web.Request) -> web.StreamResponse:
        spill = redis.spill
        asked = {"store": await _said_by(store, check)}
        if redis.used:
            asked["redis"] = await redis.fault() or "ok"
        if replication.servers:
            asked["replication"] = replication.fault or "ok"
        asked["clock"] = clock.fault() or "ok"
        whole = all(said == "ok" for said in asked.values())
        good = asked["store"] == "ok" or (spill is not None and spill.fault is None)
        good = good and not clock.doubtful()
        status = "ready" if whole else "degraded" if good else "not ready"
        body: dict[str, Any] = {"success": good, "status": status, "dependencies": asked}
        if spill is not None:
            # If the store did not answer, do not wait for it a second time: a probe has a short time limit.
            body["spill"] = _waiting(spill, await _rejected(store) if asked["store"] == "ok" else None)
        if replication.servers:
            body["databases"] = _databases(replication)
        headers = {"Content-Type": JSON} if good else {"Content-Type": JSON, "Retry-After": str(RETRY_SECONDS)}
        return web.Response(status=200 if good else 503, body=json.dumps(body).encode(), headers=headers)

    return handle


def _databases(replication: ReplicationCounts) -> list[dict[str, Any]]:
    """Each server of the database, what is wrong with its replication, and how far it is behind."""
    return [
        {"server": address, "replication": health.fault or "ok", "lag_seconds": health.lag}
        for address, health in replication.servers.items()
    ]


async def _said_by(store: Store, check: WriteCheck) -> str:
    try:
        await store.ping()
    except StoreError as error:
        return str(error)
    return await check.fault() or "ok"


async def _rejected(store: Store) -> int | None:
    try:
        return await store.count_rejected()
    except StoreError:
        return None


def _waiting(spill: Spill, rejected: int | None) -> dict[str, Any]:
    """What waits in the spill, and how many of its points could not be stored; null if the store does not answer."""
    state = spill.state
    return {
        "entries": state.entries,
        "bytes": state.bytes,
        "lag_seconds": round(state.lag_seconds, 3),
        "bad_entries": state.bad,
        "rejected_points": rejected,
    }


def metrics(registry: CollectorRegistry) -> Handler:
    """The handler of /metrics: Prometheus' text format."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handle

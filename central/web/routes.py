"""All paths of the service, and the endpoint that answers each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from central.errors import ApiError
from central.retention import Retention
from central.web import retention, static_page
from central.web.admin import BackupEndpoint, MetricEndpoints
from central.web.agents import AgentEndpoints
from central.web.bodies import Bodies
from central.web.export import ExportEndpoint
from central.web.gate import Endpoint, Gate
from central.web.graphite import GraphiteEndpoints
from central.web.graphite_render import GraphiteDrawing
from central.web.ingest import IngestEndpoints
from central.web.keys import KeyEndpoints
from central.web.listing import ListEndpoint
from central.web.middleware import Handler
from central.web.openapi.document import openapi
from central.web.query import QueryEndpoints
from central.web.series import SeriesEndpoints
from protocol.limits import MAX_BODY_BYTES
from runtime.addresses import may_mean_loopback


@dataclass(frozen=True, slots=True)
class Endpoints:
    """All endpoints. central.app makes them, and owns what they use."""

    ingest: IngestEndpoints
    queries: QueryEndpoints
    listing: ListEndpoint
    export: ExportEndpoint
    series: SeriesEndpoints
    graphite: GraphiteEndpoints
    drawing: GraphiteDrawing
    keys: KeyEndpoints
    metrics: MetricEndpoints
    agents: AgentEndpoints
    backup: BackupEndpoint
    retention: Retention
    bodies: Bodies
    health: Handler
    ready: Handler
    scrape: Handler


def application(
    endpoints: Endpoints, gate: Gate, middleware: Any, version: str, loopback: str | None = None
) -> web.Application:
    """The aiohttp application: all paths are behind the middleware, and those that need a key behind the gate.

    ``loopback`` is the address that the service listens on, if only programs on this host can reach it and there is no
    proxy; else None.
    """
    app = web.Application(middlewares=[middleware], client_max_size=MAX_BODY_BYTES)
    _add_metrics(app.router, endpoints, gate)
    _add_graphite(app.router, endpoints, partial(gate, "query", basic=True))
    _add_admin(app.router, endpoints, gate)
    _add_open(app.router, endpoints, version, loopback)
    return app


def _add_metrics(route: web.UrlDispatcher, endpoints: Endpoints, gate: Gate) -> None:
    ingest, queries = endpoints.ingest, endpoints.queries
    for kind in ("counter", "value"):
        route.add_post(f"/api/metrics/{kind}", gate("ingest", ingest.single(kind)))
    route.add_post("/api/metrics/batch", gate("ingest", ingest.batch))
    route.add_get("/api/metrics/aggregate", gate("query", queries.aggregate))
    route.add_get("/api/metrics/export", endpoints.export.behind(gate), allow_head=False)
    route.add_get("/api/metrics", gate("query", endpoints.listing.answer))
    route.add_get("/api/metrics/{name}/tags", gate("query", endpoints.series.keys))
    route.add_get("/api/metrics/{name}/tags/{key:.+}", gate("query", endpoints.series.values))
    route.add_get("/api/metrics/{name}/series", gate("query", endpoints.series.list))


def _add_graphite(route: web.UrlDispatcher, endpoints: Endpoints, behind: Callable[[Endpoint], Handler]) -> None:
    graphite = endpoints.graphite
    route.add_get("/graphite/metrics/find", behind(graphite.find))
    route.add_post("/graphite/metrics/find", behind(graphite.find))
    route.add_get("/graphite/metrics/expand", behind(graphite.expand))
    route.add_post("/graphite/metrics/expand", behind(graphite.expand))
    route.add_get("/graphite/metrics/index.json", behind(graphite.index))
    route.add_get("/graphite/tags", behind(graphite.tags))
    route.add_get("/graphite/tags/autoComplete/tags", behind(graphite.complete_tags))
    route.add_get("/graphite/tags/autoComplete/values", behind(graphite.complete_values))
    route.add_get("/graphite/tags/findSeries", behind(graphite.series))
    route.add_get("/graphite/tags/{tag:.+}", behind(graphite.tag))
    route.add_get("/graphite/version", behind(graphite.version))
    route.add_get("/graphite/events/get_data", behind(graphite.events))
    route.add_get("/graphite/render", behind(endpoints.drawing.render))
    route.add_post("/graphite/render", behind(endpoints.drawing.render))
    route.add_get("/graphite/functions", behind(endpoints.drawing.functions))


def _add_admin(route: web.UrlDispatcher, endpoints: Endpoints, gate: Gate) -> None:
    keys, held = endpoints.keys, endpoints.retention
    route.add_get("/api/admin/keys", gate("admin", keys.list))
    route.add_post("/api/admin/keys", gate("admin", keys.create))
    route.add_delete("/api/admin/keys/{id:[0-9]{1,18}}", gate("admin", keys.revoke))
    route.add_patch("/api/admin/keys/{id:[0-9]{1,18}}", gate("admin", keys.change))
    route.add_post("/api/admin/keys/{id:[0-9]{1,18}}/rotate", gate("admin", keys.rotate))
    route.add_delete("/api/admin/metrics/{name}", gate("admin", endpoints.metrics.delete))
    route.add_delete("/api/admin/metrics/{name}/series", gate("admin", endpoints.series.delete))
    route.add_get("/api/agents", gate("admin", endpoints.agents.list))
    route.add_get("/api/admin/backup", endpoints.backup.behind(gate), allow_head=False)
    route.add_get("/api/admin/retention", gate("admin", retention.show(held)))
    route.add_post("/api/admin/retention/run", gate("admin", retention.run(held)))
    route.add_post("/api/admin/retention/restore", gate("admin", retention.restore(held, endpoints.bodies)))


def _add_open(route: web.UrlDispatcher, endpoints: Endpoints, version: str, loopback: str | None) -> None:
    """Add the paths that need no key. On loopback, they answer only if the Host header names this host."""

    def meant(handler: Handler) -> Handler:
        return handler if loopback is None else _meant_for(loopback, handler)

    description = static_page.document(json.dumps(openapi(version)).encode(), "application/json")
    route.add_get("/health", endpoints.health)  # for every Host: it reveals nothing, and probes use many names
    route.add_get("/ready", meant(endpoints.ready))
    route.add_get("/metrics", meant(endpoints.scrape))
    route.add_get("/openapi.json", meant(description))
    route.add_get("/", meant(static_page.page()))
    route.add_get("/docs", meant(static_page.page()))
    route.add_get("/page/{file:.+}", meant(static_page.assets()))


def _meant_for(loopback: str, handler: Handler) -> Handler:
    """``handler``, but 403 if the Host header does not name ``loopback``.

    Such a request comes from a web page whose domain resolves to this host (DNS rebinding).
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Host", loopback)
        if not may_mean_loopback(asked, loopback):
            message = (
                f"this service listens on {loopback}, but the Host header is {asked[:80]!r}; use localhost, or set "
                "METRICS_BEHIND_PROXY=true if a proxy forwards requests"
            )
            raise ApiError(403, "FORBIDDEN", message, details={"field": "Host"})
        return await handler(request)

    return handle

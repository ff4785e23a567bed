"""Every path of the service and what answers it."""

import json

from aiohttp import web
from prometheus_client import CollectorRegistry

from central.access.auth import Key
from central.ingest.answers import Answer
from central.web import admin, ingest, query, retention
from central.web import probes as open
from central.web import static_page as page
from central.web.openapi.document import openapi
from central.web.service import Service, careful, gated, middleware
from protocol.limits import MAX_BODY_BYTES


def application(service: Service, registry: CollectorRegistry, version: str) -> web.Application:
    """The aiohttp application of a service."""
    app = web.Application(middlewares=[middleware(service)], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(careful)
    route = app.router
    for kind in ("counter", "value"):
        route.add_post(f"/api/metrics/{kind}", gated(service, "ingest", ingest.single_endpoint(service, kind)))
    route.add_post("/api/metrics/batch", gated(service, "ingest", ingest.batch_endpoint(service)))
    route.add_get("/api/metrics/aggregate", gated(service, "query", query.aggregate_endpoint(service)))
    route.add_get("/api/metrics", gated(service, "query", query.list_endpoint(service)))

    route.add_get("/api/admin/keys", gated(service, "admin", admin.list_keys(service)))
    route.add_post("/api/admin/keys", gated(service, "admin", admin.create_key(service)))
    route.add_delete("/api/admin/keys/{id:[0-9]{1,18}}", gated(service, "admin", admin.revoke_key(service)))
    route.add_post("/api/admin/keys/{id:[0-9]{1,18}}/rotate", gated(service, "admin", admin.rotate_key(service)))
    route.add_delete("/api/admin/metrics/{name}", gated(service, "admin", admin.delete_metric(service)))
    route.add_get("/api/admin/backup", admin.backup(service, gated(service, "admin", _pass)), allow_head=False)
    route.add_get("/api/admin/retention", gated(service, "admin", retention.show(service)))
    route.add_post("/api/admin/retention/run", gated(service, "admin", retention.run(service)))
    route.add_post("/api/admin/retention/restore", gated(service, "admin", retention.restore(service)))

    route.add_get("/health", open.health)
    route.add_get("/ready", open.ready(service))
    route.add_get("/metrics", open.metrics(registry))
    route.add_get("/openapi.json", page.document(json.dumps(openapi(version)).encode(), "application/json"))
    route.add_get("/", page.page())
    route.add_get("/docs", page.page())
    route.add_get("/page/{file}", page.assets())
    return app


async def _pass(_: web.Request, key: Key) -> Answer:
    return Answer(200, b"", {})

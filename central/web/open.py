"""What needs no key: liveness, readiness, Prometheus metrics, the API's description and its page."""

import json

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from central.store.base import StoreError
from central.web.service import JSON, Handler, Service

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def health(_: web.Request) -> web.StreamResponse:
    """Live: the process answers."""
    return web.Response(body=b'{"success":true,"status":"ok"}', headers={"Content-Type": JSON})


def ready(service: Service) -> Handler:
    """200 when each dependency answers, else 503 with what each said."""

    async def handle(_: web.Request) -> web.StreamResponse:
        try:
            await service.store.ping()
            store = "ok"
        except StoreError as error:
            store = str(error)
        good = store == "ok"
        body = {"success": good, "status": "ready" if good else "not ready", "dependencies": {"store": store}}
        return web.Response(status=200 if good else 503, body=json.dumps(body).encode(), headers={"Content-Type": JSON})

    return handle


def metrics(registry: CollectorRegistry) -> Handler:
    """Prometheus text."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handle


def fixed(body: bytes, content_type: str) -> Handler:
    """A document made once at start."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": content_type, **_PAGE_HEADERS})

    return handle

"""The local HTTP port: /metrics, /health and /status. Reads, and changes nothing."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from agent.report import AgentCollector, Snapshot, health, status


def local_app(take: Callable[[], Snapshot]) -> web.Application:
    """The three pages; ``take`` is called once for each request."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(take))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthy(_request: web.Request) -> web.Response:
        reasons = health(take())
        answer = {"status": "unhealthy" if reasons else "healthy", "reasons": reasons}
        return web.json_response(answer, status=503 if reasons else 200)

    async def full(_request: web.Request) -> web.Response:
        return web.json_response(status(take()))

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/health", healthy), web.get("/status", full)])
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; returns the runner, to be cleaned up by the caller, and the port. Raises OSError."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]

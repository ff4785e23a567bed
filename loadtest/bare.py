"""The yardstick: ``python -m loadtest.bare PORT`` serves one aiohttp POST handler and nothing else."""

import sys

import uvloop
from aiohttp import web


async def _post(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"success": True, "message": "read"}, status=201)


async def _health(_: web.Request) -> web.Response:
    return web.Response()


def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    app.router.add_post("/api/metrics/counter", _post)
    app.router.add_get("/health", _health)
    port = int(sys.argv[1])
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()

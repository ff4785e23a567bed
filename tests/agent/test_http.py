"""The local HTTP port, for real."""

import aiohttp
import pytest

from agent.http import local_app, serve
from agent.report import Snapshot
from tests.agent.test_report import FINE, but


@pytest.mark.parametrize(
    ("snapshot", "status", "healthy"),
    [(FINE, 200, "healthy"), (but(spool_overflowing=True), 503, "unhealthy")],
)
async def test_the_three_pages(snapshot: Snapshot, status: int, healthy: str) -> None:
    runner, port = await serve(local_app(lambda: snapshot), "127.0.0.1", 0)
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert "fiesta_agent_samples_received_total 100.0" in await answer.text()
        async with session.get(f"{base}/health") as answer:
            assert answer.status == status
            body = await answer.json()
            assert body["status"] == healthy
            assert len(body["reasons"]) == (status != 200)
        async with session.get(f"{base}/status") as answer:
            assert (await answer.json())["received"] == 100
        async with session.get(f"{base}/nothing") as answer:
            assert answer.status == 404
    await runner.cleanup()


async def test_a_port_in_use_is_an_oserror() -> None:
    runner, port = await serve(local_app(lambda: FINE), "127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await serve(local_app(lambda: FINE), "127.0.0.1", port)
    await runner.cleanup()

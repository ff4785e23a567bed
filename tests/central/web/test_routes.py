"""central/web/routes.py: paths without a key, and the Host headers that they accept."""

from pathlib import Path

import pytest

from tests.central.harness import Central, running

OPEN = ("/ready", "/metrics", "/openapi.json", "/", "/docs", "/page/page.css")


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", ""])
async def test_a_page_led_to_loopback_by_its_own_name_learns_nothing(central: Central, host: str) -> None:
    for path in OPEN:
        refused = await central.ask("GET", path, key=None, headers={"Host": host})
        assert refused.error == (403, "FORBIDDEN", "Host"), path


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:8080", "10.1.2.3:80"])
async def test_a_name_of_this_host_opens_the_pages(central: Central, host: str) -> None:
    for path in ("/health", "/ready", "/metrics", "/openapi.json", "/"):
        assert (await central.ask("GET", path, key=None, headers={"Host": host})).status == 200


async def test_health_has_nothing_to_hide(central: Central) -> None:
    assert (await central.ask("GET", "/health", key=None, headers={"Host": "lb-3.internal"})).status == 200


async def test_who_shows_a_key_may_come_by_any_name(central: Central) -> None:
    headers = {"Host": "metrics.internal"}
    assert (await central.counter("a", headers=headers)).status == 201
    assert (await central.ask("GET", "/api/metrics", headers=headers)).status == 200


async def test_behind_a_proxy_any_name_opens_the_pages(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_BEHIND_PROXY": "true"}) as central:
        for path in ("/ready", "/metrics"):
            assert (await central.ask("GET", path, key=None, headers={"Host": "metrics.internal"})).status == 200

"""The page's part for administrators in a real Chromium: keys are made, changed, rotated and revoked by hand."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.central.page.browser import WAIT_MS, Site, window
from tests.central.page.test_browser import answering, fault

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WAIT_MS)
KEY = re.compile(r"gf_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")
AGENT = {
    **{"id": "a" * 32, "host": "web-1", "version": "1.0.0", "key_id": 2, "state": "live"},
    **{"started_at": "2026-02-14T06:00:00Z", "seen_at": "2026-02-15T09:30:12Z", "names": 4, "series": 0},
    **{"received": 5001, "recovered": 0, "acknowledged": 4870, "left_out": 0, "in_window": 120, "in_spool": 10},
    **{"spool_batches": 1, "spool_bytes": 2210, "clock_ahead": 0.4, "dropped": {}, "lost": {}},
    **{"points_heard": 96, "points_answered": 96, "missing_points": 0, "shared_id": False},
}


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="Keys as a table").locator("tbody tr", has_text=name)


async def listed(site: Site, name: str) -> dict[str, Any]:
    reply = await site.central.ask("GET", "/api/admin/keys")
    (found,) = [key for key in reply.json["data"] if key["name"] == name]
    return dict(found)


async def shown_key(page: Page) -> str:
    """The new key in the dialog, which closes."""
    text = await page.locator("dialog .fresh").inner_text()
    assert KEY.fullmatch(text)
    await page.get_by_role("button", name="Done").click()
    await expect(page.locator("dialog")).to_have_count(0)
    assert text not in await page.content()
    return text


async def test_a_key_is_made_changed_rotated_and_revoked(site: Site) -> None:
    async with window(site, "/#admin", key=site.central.key) as page:
        await page.get_by_role("button", name="Make a key").click()
        await expect(page.get_by_label("Name", exact=True)).to_be_focused()
        await page.keyboard.type("page checkout")
        await page.get_by_label("Requests per minute", exact=True).fill("7")
        await page.get_by_label("Names that begin with", exact=True).fill("page., web.")
        await page.get_by_role("button", name="Make it").click()
        first = await shown_key(page)
        await expect(page.get_by_role("button", name="Make a key")).to_be_focused()
        await expect(row(page, "page checkout")).to_contain_text("0 of 7")
        await expect(row(page, "page checkout")).to_contain_text("ingest, query")
        await expect(row(page, "page checkout")).to_contain_text("names that begin with page. or web.")
        assert (await site.central.counter("page.counted", key=first)).status == 201
        assert (await site.central.counter("counted", key=first)).status == 403

        await page.get_by_role("button", name="Change page checkout").click()
        await page.get_by_label("Requests per minute", exact=True).fill("9000")
        await page.locator("#scope-ingest").uncheck()
        await expect(page.get_by_label("Names that begin with", exact=True)).to_have_value("page., web.")
        await page.get_by_label("Names that begin with", exact=True).fill("")
        await page.get_by_role("button", name="Change it").click()
        await expect(row(page, "page checkout")).to_contain_text("of 9,000")
        await expect(page.get_by_role("button", name="Change page checkout")).to_be_focused()
        found = await listed(site, "page checkout")
        assert (found["scopes"], found["names"], found["rate_limit"]) == (["query"], None, 9000)

        await page.get_by_role("button", name="Rotate page checkout").click()
        await page.get_by_role("button", name="Rotate it").click()
        second = await shown_key(page)
        assert (await site.central.ask("GET", "/api/metrics", key=first)).status == 401
        assert (await site.central.ask("GET", "/api/metrics", key=second)).status == 200

        await page.get_by_role("button", name="Revoke page checkout").click()
        await expect(page.get_by_role("button", name="Keep it")).to_be_focused()  # Enter alone revokes nothing
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Revoke page checkout")).to_be_focused()
        assert (await listed(site, "page checkout"))["revoked_at"] is None
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Revoke it").click()
        await expect(row(page, "page checkout")).to_be_hidden()
        assert await page.evaluate("document.activeElement !== document.body")
        assert (await listed(site, "page checkout"))["revoked_at"] is not None
        await page.get_by_label("revoked").check()
        await expect(row(page, "page checkout")).to_contain_text("revoked")
        assert await page.evaluate("localStorage.length") == 0


async def test_an_admin_key_given_here_is_in_no_storage_of_the_browser(site: Site) -> None:
    stored = "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, location.href])"
    async with window(site, "/#admin", refused={401, 403}) as page:
        field = page.get_by_label("Admin key", exact=True)
        await expect(page.get_by_text("This part needs a key with the scope admin")).to_be_visible()
        await field.fill(f"gf_aaaaaaaaaaaa_{'x' * 43}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The service does not take this key")).to_be_visible()
        await expect(field).to_be_focused()
        await field.fill(f" API key {site.central.key}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Keys")).to_be_focused()
        await expect(page.get_by_text("kept in the memory of this tab only: a reload forgets it")).to_be_visible()
        assert site.central.key not in await page.evaluate(stored) + await page.content()
        await page.get_by_role("button", name="Forget the admin key").click()
        await expect(field).to_be_focused()
        await expect(page.get_by_role("region", name="Keys as a table")).to_be_hidden()


async def test_the_last_admin_key_is_revoked_only_by_a_second_yes(site: Site) -> None:
    revoke = "/api/admin/keys/1"
    refusal = answering(409, fault("LAST_ADMIN_KEY", "key 1 is the last admin key", field="id"))
    async with window(
        site, "/#admin", key=site.central.key, refused={409}, blocked={revoke: refusal, f"{revoke}?force=true": refusal}
    ) as page:
        await page.get_by_role("button", name="Revoke admin", exact=True).click()
        await expect(page.get_by_text("It is the key that you use here")).to_be_visible()
        await page.get_by_role("button", name="Revoke it").click()
        await expect(page.get_by_text("This is the last admin key", exact=True)).to_be_visible()
        async with page.expect_request(f"**{revoke}?force=true"):
            await page.get_by_role("button", name="Do it anyway").click()


async def test_the_focus_stays_when_a_dialog_closes_or_its_row_goes(site: Site) -> None:
    await site.central.new_key("query", name="page focus")
    async with window(site, "/#admin", key=site.central.key) as page:
        for name in ("Change page focus", "Rotate page focus", "Revoke page focus"):
            button = page.get_by_role("button", name=name)
            await button.focus()
            await page.keyboard.press("Enter")
            await expect(page.locator("dialog")).to_have_count(1)
            await page.keyboard.press("Escape")
            await expect(page.locator("dialog")).to_have_count(0)
            await expect(button).to_be_focused()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Revoke it").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Revoke page focus")).to_have_count(0)
        assert not await page.evaluate("document.activeElement === document.body")


async def test_agents_and_retention_are_shown_beside_the_keys(site: Site) -> None:
    silent = {**AGENT, "host": "web-2", "state": "silent", "dropped": {"spool_full": 12_000}, "clock_ahead": -31.25}
    answer = {"success": True, "states": {"live": 1, "silent": 1, "stopped": 0}, "data": [AGENT, silent], "next": None}
    blocked = {"/api/agents?*": answering(200, answer)}
    async with window(site, "/#admin", key=site.central.key) as page:
        await expect(page.get_by_text("No agent has sent a report yet.")).to_be_visible()  # what the service says
    async with window(site, "/#admin", key=site.central.key, blocked=blocked) as page:
        agents = page.get_by_role("region", name="Agents as a table").locator("tbody tr")
        await expect(agents).to_have_count(2)
        await expect(agents.first).to_contain_text("silent")
        await expect(agents.first).to_contain_text("12,000 spool full")
        await expect(agents.first).to_contain_text("31.3 s behind")
        await expect(agents.last).to_contain_text("5,001")
        await expect(page.locator("[aria-label=Retention]")).to_contain_text("90 days, then hidden for 7 more")


async def test_nobody_without_a_key_sees_anything(site: Site) -> None:
    async with window(site, "/#admin", key=None) as page:
        await expect(page.get_by_text("Paste one here.")).to_be_visible()
        await expect(page.get_by_role("region", name="Keys as a table")).to_be_hidden()

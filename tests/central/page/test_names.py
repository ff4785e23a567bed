"""The page's list of all names in a real Chromium: search, what is known of each, and what is drawn from there."""

import json
import re

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.central.page.browser import EXACT, WAIT_MS, Site, window
from tests.central.page.test_browser import answering

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WAIT_MS)


def rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Names as a table").locator("tbody tr")


async def test_a_name_is_found_by_any_part_in_any_case(site: Site) -> None:
    async with window(site, "/#names") as page:
        await expect(rows(page).filter(has_text="big.number")).to_be_visible()
        await page.get_by_label("Search by any part").fill("OP.ORD")
        await expect(rows(page)).to_have_count(1)
        await expect(rows(page).locator("td[data-label='Last value']")).to_have_text("1,200")
        await expect(rows(page).locator("td[data-label='Last seen']")).to_have_text(re.compile(r"min ago$"))
        await expect(rows(page).get_by_role("img")).to_have_attribute(
            "aria-label", re.compile("^the last day by the hour: from ")
        )
        assert page.url.endswith("#names?search=OP.ORD")
        await page.reload()
        await expect(rows(page)).to_have_count(1)
        await page.get_by_label("Search by any part").fill("shop.*")
        await expect(rows(page).locator("th")).to_have_text(["shop.orders", "shop.refunds"])
        await page.get_by_label("Search by any part").fill("a b")
        await expect(page.locator("#browse-hint")).to_contain_text("A name has letters, digits, dots")


async def test_chosen_names_are_drawn_together(site: Site) -> None:
    async with window(site, "/#names?search=shop.") as page:
        for name in ("shop.orders", "shop.refunds"):
            await page.get_by_label(f"Choose {name}").focus()
            await page.keyboard.press("Space")
        await page.get_by_role("button", name="Draw these 2").click()
        await expect(page.locator(".what")).to_have_text("avg of shop.orders, shop.refunds per 5 minutes")
        await page.go_back()
        await rows(page).get_by_role("link", name="shop.refunds").click()
        await expect(page.locator(".what")).to_have_text("avg of shop.refunds per 5 minutes")
        assert "last=24h" in page.url


async def test_a_name_that_is_not_there_is_said_with_the_nearest(site: Site) -> None:
    async with window(site, "/#names?search=shop.ordres") as page:
        await expect(page.get_by_text("No name holds “shop.ordres”")).to_be_visible()
        await page.get_by_role("button", name="shop.orders").click()
        await expect(page.get_by_label("Search by any part")).to_be_focused()
        await expect(rows(page)).to_have_count(1)
        await expect(page.get_by_text("No name holds")).to_be_hidden()


async def test_a_dead_host_looks_dead_and_more_names_follow(site: Site) -> None:
    def entry(name: str, age: int, *hours: int | None) -> dict[str, object]:
        seen = {"first_seen": "2026-02-14T06:00:00Z", "last_seen": "2026-02-15T06:00:00Z", "age_seconds": age}
        return {"name": name, "type": "value", **seen, "last_value": 4, "tags": ["host"], "sparkline": [*hours]}

    living, dead = entry("a.living", 60, *[5] * 24), entry("a.dead", 7 * 3600, *[5] * 17, *[None] * 7)
    answer = {"success": True, "data": [living, dead], "next": "a.dead", "sparkline": {}}
    last = {"success": True, "data": [entry("b.now_and_then", 20 * 3600, *[None] * 4, 5, *[None] * 19)], "next": None}
    blocked = {"/api/metrics?*": answering(200, answer), "/api/metrics?*after=a.dead*": answering(200, last)}
    async with window(site, "/#names", blocked=blocked) as page:
        await expect(rows(page).locator("td[data-label='Last seen']")).to_have_text(["60 s ago", "silent, 7 h ago"])
        await expect(page.locator("tr.dead th")).to_have_text(["a.dead"])
        await page.get_by_role("button", name="Show more").click()
        await expect(rows(page)).to_have_count(3)
        await expect(page.get_by_role("link", name="b.now_and_then")).to_be_focused()
        await expect(page.locator("tr.dead th")).to_have_text(["a.dead"])


@pytest.mark.parametrize(("value", "lines"), [("1564.4412", 1), ("9998000000000000", 1), (EXACT, 2)])
async def test_a_number_is_whole_on_a_phone_unless_it_is_very_long(site: Site, value: str, lines: int) -> None:
    seen = {"first_seen": "2026-02-14T06:00:00Z", "last_seen": "2026-02-15T06:00:00Z", "age_seconds": 7 * 3600}
    entry = {"name": "a.dead", "type": "value", **seen, "last_value": 0, "tags": [], "sparkline": [5] * 17 + [None] * 7}
    text = json.dumps({"success": True, "data": [entry], "next": None}).replace(
        '"last_value": 0', f'"last_value": {value}'
    )

    async def answer(route: Route) -> None:
        await route.fulfill(status=200, body=text, content_type="application/json")

    async with window(site, "/#names", blocked={"/api/metrics?*": answer}, width=360) as page:
        await expect(rows(page)).to_contain_text("silent, 7 h ago")
        height = "(cell) => cell.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight)"
        assert round(await rows(page).locator("td[data-label='Last value']").evaluate(height)) == lines
        assert round(await rows(page).locator("td[data-label='Last seen']").evaluate(height)) == 1
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_the_list_says_when_the_service_is_away(site: Site) -> None:
    async with window(site, "/#names", blocked={"/api/metrics?*": lambda route: route.abort()}) as page:
        trouble = page.get_by_role("alert").filter(has_text="The service does not answer")
        await expect(trouble).to_contain_text("This page asks again by itself.")
        await expect(page.get_by_role("table")).to_be_hidden()  # it would be empty

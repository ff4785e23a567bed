"""The page in a real Chromium: the reference and try-it, the service's rates, and everybody can use it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Locator, Page, expect

from central.web.openapi.components import CODES
from central.web.openapi.document import openapi
from tests.central.page.browser import WAIT_MS, Site, shell, window
from tests.patience import a_moment

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WAIT_MS)
SPEC: Final = openapi("test")
OPERATIONS: Final = [
    (path, method, operation) for path, methods in SPEC["paths"].items() for method, operation in methods.items()
]
AXE: Final = Path(__file__).parents[2] / "end_to_end" / "node" / "node_modules" / "axe-core" / "axe.min.js"
WIDER: Final = "document.documentElement.scrollWidth - window.innerWidth"
DRAWN: Final = f"/#metrics?name=shop.orders,shop.refunds,{'long.name.' * 8}&window=1m"
PARTS: Final = {
    "/": ".hero",
    DRAWN: ".result canvas",
    "/#api": "#op-errors",
    "/#service": ".facts dt",
    "/#admin": ".acts button",
    "/#names": ".names a",
}
"""Each part of the page by its address, and what is there once it is drawn."""


def key_of(site: Site, address: str) -> str | None:
    """The key with which a part is looked at."""
    return {"/": None, "/#admin": site.central.key}.get(address, site.key)


async def opened(page: Page, name: str) -> Locator:
    """The article of an operation, its form open."""
    article = page.locator(f"#op-{name}")
    await article.locator(".try summary").click()
    return article


async def sent(article: Locator) -> tuple[str, str]:
    """Press the button; the status line and the body of the answer."""
    await article.locator("form button").click()
    await expect(article.locator(".status-line")).to_be_visible()
    return await article.locator(".status-line strong").inner_text(), await article.locator(".answer pre").inner_text()


# --- the reference


async def test_the_reference_has_all_that_the_description_has(site: Site) -> None:
    async with window(site, "/docs", key=None) as page:
        await expect(page.locator("article")).to_have_count(len(OPERATIONS) + 1)
        for path, method, operation in OPERATIONS:
            article = page.locator(f"#op-{operation['operationId']}")
            text = await article.inner_text()
            assert await article.locator("h3").first.inner_text() == operation["summary"]
            assert (await article.locator(".route").inner_text()).replace("\n", " ") in (
                f"{method.upper()} {path} scope {operation.get('x-required-scope')}",
                f"{method.upper()} {path} no key",
            )
            assert operation["description"] in text
            named = set(await article.locator("dt code").all_inner_texts())
            assert {parameter["name"] for parameter in operation.get("parameters", [])} <= named
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                (schema,) = operation["requestBody"]["content"]["application/json"]["schema"].values()
                assert set(SPEC["components"]["schemas"][schema.split("/")[-1]]["properties"]) <= named
            answers = await article.locator(".answers > summary").inner_text()
            assert answers == f"Answers: {', '.join(sorted(operation['responses']))}"
            link = page.locator(f'.contents a[href="#api/{operation["operationId"]}"]')
            await expect(link).to_have_text(operation["summary"])
        rows = await page.locator("#op-errors .rows dt").all_inner_texts()
        assert [row.split() for row in rows] == [[code, "status", str(entry.status)] for code, entry in CODES.items()]
        assert await page.locator("#op-errors .rows dd").all_inner_texts() == [
            entry.meaning for entry in CODES.values()
        ]


async def test_a_link_leads_to_its_part(site: Site) -> None:
    async with window(site, "/docs") as page:
        await page.get_by_role("link", name="List keys").click()
        await expect(page.locator("#op-listKeys")).to_be_focused()
        await expect(page.locator("#op-listKeys h3")).to_be_in_viewport()
    async with window(site, "/#api/backup") as page:
        await expect(page.locator("#op-backup h3")).to_be_in_viewport()


async def test_every_curl_is_one_command_for_its_operation(site: Site) -> None:
    async with window(site, "/docs") as page:
        await expect(page.locator("article")).to_have_count(len(OPERATIONS) + 1)
        for path, method, operation in OPERATIONS:
            article = page.locator(f"#op-{operation['operationId']}")
            if "{" in path:
                await article.locator(".try summary").click()
                for field in await article.locator("form input[required]").all():
                    await field.fill("7")
            command = await article.locator(".command code").inner_text()
            words = shell("curl() { printf '%s\\0' \"$@\"; }\n" + command, METRICS_KEY="k").split("\0")
            url = site.central.url + re.sub(r"\{\w+\}", "7", path)
            assert any(word.partition("?")[0] == url for word in words)
            assert ("X-API-Key: k" in words) == bool(operation["security"])
            verb = words[words.index("-X") + 1] if "-X" in words else "POST" if "--data-raw" in words else "GET"
            assert verb == method.upper()
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                example = operation["requestBody"]["content"]["application/json"]["example"]
                assert json.loads(words[words.index("--data-raw") + 1]) == example


# --- try it


async def test_try_it_sends_what_its_curl_sends(site: Site) -> None:
    async with window(site, "/docs") as page:
        article = await opened(page, "recordCounter")
        await article.get_by_label("Body (JSON)").fill('{\n  "name": "page.tried", "value": 2.5\n}')
        assert await site.central.total("page.tried") == 0  # nothing goes before the button
        status, body = await sent(article)
        assert (status, json.loads(body)["success"]) == ("201 Created", True)
        await expect(article.locator(".headers")).to_contain_text("RateLimit-Remaining")
        assert await site.central.total("page.tried") == 2.5
        command = await article.locator(".command code").inner_text()
        assert json.loads(shell(command, METRICS_KEY=site.key)) == json.loads(body)
        assert await site.central.total("page.tried") == 5  # a new id: the curl is a request of its own
        shell(command, METRICS_KEY=site.key)
        assert await site.central.total("page.tried") == 5  # and once more it is a retry
        article = await opened(page, "aggregate")
        await article.get_by_label("name", exact=True).fill("page.tried")
        status, body = await sent(article)
        assert status == "200 OK"
        assert json.loads(
            shell(await article.locator(".command code").inner_text(), METRICS_KEY=site.key)
        ) == json.loads(body)


async def test_try_it_says_errors_in_words_and_quotes_what_is_typed(site: Site) -> None:
    nasty = '{"name": "it\'s $(id) `id` \\"x\\"", "value": "\n@/etc/passwd"}'.replace("\n", "\\n")
    async with window(site, "/docs", refused={400, 403}) as page:
        article = await opened(page, "recordValue")
        await article.get_by_label("Body (JSON)").fill(nasty)
        status, body = await sent(article)
        assert (status, json.loads(body)["error"]["details"]) == ("400 Bad Request", {"field": "name"})
        await expect(article.locator(".notice")).to_contain_text("Please check: name")
        assert json.loads(
            shell(await article.locator(".command code").inner_text(), METRICS_KEY=site.key)
        ) == json.loads(body)
        status, _ = await sent(await opened(page, "listKeys"))
        assert status == "403 Forbidden"
        await expect(page.locator("#op-listKeys .notice")).to_contain_text("This key may not do that")
    async with window(site, "/docs", key=None, refused={401}) as page:
        status, _ = await sent(await opened(page, "listMetrics"))
        assert status == "401 Unauthorized"
        await expect(page.locator("#op-listMetrics .notice")).to_contain_text("A key is needed")


async def test_what_a_path_names_is_never_filled_in_and_a_file_can_be_saved(site: Site) -> None:
    async with window(site, "/docs", key=site.central.key) as page:
        article = await opened(page, "revokeKey")
        await expect(article.get_by_label("id (required)")).to_have_value("")
        await article.locator("form button").click()
        await expect(article.locator(".answer")).to_be_empty()
        article = await opened(page, "backup")
        await article.locator("form button").click()
        async with page.expect_download() as download:
            await article.get_by_role("link", name="Save the file").click()
        assert (await download.value).suggested_filename == "metrics-copy.duckdb"


# --- the service's own rates


def shown_rate(page: Page, chart: str, name: str) -> Locator:
    return page.get_by_role("figure", name=chart).locator("li", has_text=name).locator(".value")


async def test_rates_and_errors_of_the_service_are_seen(site: Site) -> None:
    async with window(site, "/#service", key=None) as page:
        points = shown_rate(page, "Points stored per second", "counters")
        errors = shown_rate(page, "Errors per second", "refused")
        await expect(points).to_have_text("0")
        seen: set[str] = set()

        async def until_seen() -> None:
            while not {"points", "errors"} <= seen:
                await site.central.batch(*[{"name": "page.rate", "type": "counter", "value": 1}] * 100)
                await site.central.counter("a b")
                await a_moment()
                seen.update({"points"} if await points.inner_text() != "0" else ())
                seen.update({"errors"} if await errors.inner_text() != "0" else ())

        await asyncio.wait_for(until_seen(), WAIT_MS / 1000)
        await expect(page.locator("#state-text")).to_have_text("Ready")
        facts = await page.locator("#view-service .facts dt").all_inner_texts()
        assert facts[:2] == ["State", "Store"]


async def test_a_service_that_is_not_there_any_more_is_said(site: Site) -> None:
    async with window(site, "/#service", key=None, blocked={"/metrics": lambda route: route.abort()}) as page:
        await expect(page.locator("#state-text")).to_have_text("No answer")
        await expect(page.locator("#view-service .facts")).to_contain_text("Does the service run")


# --- for everybody


SEEN: Final = """() => {
  let node = document.activeElement;
  for (let up = 0; node && up < 3; up += 1, node = node.parentElement) {
    const style = getComputedStyle(node);
    if (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) return true;
  }
  return document.activeElement === document.body;
}"""


async def test_all_can_be_done_with_the_keyboard_and_focus_is_seen(site: Site) -> None:
    async with window(site, key=None) as page:
        await expect(page.locator("#key-input")).to_be_focused()
        await page.keyboard.type(site.key)
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        await expect(page.locator(".what")).to_be_visible()
        for expected in ("Forget it", "Remove big.number"):
            await page.keyboard.press("Tab")
            await expect(page.get_by_role("button", name=expected)).to_be_focused()
        await page.keyboard.press("Enter")
        names = page.locator("#names-input")
        await expect(names).to_be_focused()
        await page.keyboard.type("shop.o")
        await expect(page.get_by_role("option", name="shop.orders")).to_be_visible()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Escape")
        await page.keyboard.press("Tab")
        await expect(page.locator("#operation-sum, #operation-avg").locator("visible=true").first).to_be_attached()
        await page.keyboard.press("ArrowRight")
        chosen = await page.evaluate("document.activeElement.value")
        await expect(page.locator(".what")).to_have_text(f"{chosen} of shop.orders per minute")
        unseen = []
        for _ in range(12):
            await page.keyboard.press("Tab")
            if not await page.evaluate(SEEN):
                unseen.append(await page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
        assert unseen == []
    async with window(site) as page:
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()


async def test_colours_follow_the_system_until_a_person_chooses(site: Site) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(246, 246, 244)", "rgb(16, 20, 26)"
    async with window(site, scheme="light") as page:
        assert await page.evaluate(ground) == light
        await page.emulate_media(color_scheme="dark")
        assert await page.evaluate(ground) == dark
        await page.emulate_media(color_scheme="light")
        await page.get_by_label("Colours").select_option("Dark")
        assert await page.evaluate(ground) == dark
        await page.reload()
        assert await page.evaluate(ground) == dark
        await page.get_by_label("Colours").select_option("Auto")
        assert await page.evaluate(ground) == light


@pytest.mark.parametrize("address", PARTS)
async def test_axe_finds_nothing_and_a_phone_needs_no_scrolling_sideways(site: Site, address: str) -> None:
    """In light and dark; and with all that can be opened on a narrow screen."""
    only = {"runOnly": ["color-contrast"]}  # nothing else depends on the scheme
    found = {}
    async with window(site, address, key=key_of(site, address), csp=False) as page:
        await expect(page.locator(PARTS[address]).first).to_be_attached()
        await page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        await page.evaluate(AXE.read_text())
        for scheme, rules in {"light": {}, "dark": only}.items():
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            answer = await page.evaluate(f"axe.run({json.dumps({'resultTypes': ['violations'], **rules})})")
            for violation in answer["violations"]:
                found[f"{scheme} {violation['id']}"] = [node["html"][:200] for node in violation["nodes"][:3]]
        assert found == {}
        await page.set_viewport_size({"width": 375, "height": 800})
        if address == DRAWN:
            await page.get_by_text("Custom", exact=True).click()
        assert await page.evaluate(WIDER) <= 0

"""A real Chromium before a real central process: one of each for all tests of the page, a new tab for each test."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from protocol.times import format_time
from tests.central.harness import Central, process
from tests.patience import PATIENCE

FLAGS: Final = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--renderer-process-limit=1",  # a process per tab would start for each test
    "--disable-site-isolation-trials",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WAIT_MS: Final = PATIENCE * 1_000
ZONE: Final = "Asia/Kolkata"
"""Of the browser: half an hour off, so that a time that was not turned into it is seen."""
EXACT: Final = "9999999999999999.9999"


@dataclass
class Site:
    """What the tests of the page work with. ``key`` may ask and send; ``minute`` is the first with data.

    ``contexts`` have the tabs, by whether the policy holds there. A tab has a storage of its own for the key, and what
    it puts into the storage of all is removed with it. One tab stays open in each, so that Chromium keeps the process
    that draws: a tab costs half of what a context of its own does.
    """

    central: Central
    browser: Browser
    key: str
    minute: int
    contexts: dict[bool, BrowserContext]

    def points(self) -> dict[str, dict[int, str]]:
        """What was sent, by name and the start of its minute: with a gap, a negative number and all digits."""
        at = [self.minute + 60 * index for index in range(6)]
        return {
            "shop.orders": {at[0]: "5", at[1]: "7", at[3]: "4.5", at[4]: "1200"},
            "shop.refunds": {at[0]: "1", at[4]: "-2.25"},
            "big.number": {at[2]: EXACT},
        }


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """A service with known points and a browser."""
    async with process(folder) as (_, central), async_playwright() as playwright:
        path = shutil.which("chromium")
        assert path is not None, "chromium is missing; make test installs it"
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        _, key = await central.new_key("ingest", "query")
        contexts = {csp: await _context(browser, csp=csp) for csp in (True, False)}
        for context in contexts.values():
            await (await context.new_page()).goto(f"{central.url}/health")
        made = Site(central, browser, key, int(time.time()) // 60 * 60 - 600, contexts)
        items = ",".join(
            f'{{"name":"{name}","type":"value","value":{value},"recorded_at":"{format_time(at)}"}}'
            for name, values in made.points().items()
            for at, value in values.items()
        )
        reply = await central.post("/api/metrics/batch", f'{{"metrics":[{items}]}}')
        assert reply.json["rejected"] == 0, reply.text
        yield made
        await browser.close()


async def _context(browser: Browser, *, csp: bool) -> BrowserContext:
    context = await browser.new_context(
        timezone_id=ZONE, locale="en-GB", permissions=["clipboard-read", "clipboard-write"], bypass_csp=not csp
    )
    context.set_default_timeout(WAIT_MS)
    return context


@dataclass
class Watched:
    """What a window must not do: write errors to its console, break the policy, ask another host."""

    home: str
    faults: list[str] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    """Statuses of answers that were no success: the console has a line for each."""

    def follow(self, page: Page) -> None:
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.faults.append(f"raised: {error}"))
        page.on("request", lambda request: self._request(request.url))
        page.on("response", lambda answer: self.refusals.append(answer.status) if answer.status >= 400 else None)

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.faults.append(f"{kind}: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.faults.append(f"asked {url}")


@asynccontextmanager
async def window(
    site: Site,
    address: str = "/",
    *,
    key: str | None = "",
    width: int = 1280,
    scheme: Any = "light",
    refused: set[int] | None = None,
    blocked: dict[str, Any] | None = None,
    csp: bool = True,
    strict: bool = True,
    own: bool = False,
) -> AsyncIterator[Page]:
    """A tab at ``address`` that has a key, the site's unless given. ``blocked``: answers by path, not ours.

    At its end nothing may have gone wrong that the test did not announce by the statuses in ``refused``, unless it is
    not ``strict``. Without ``csp`` the policy is not held, for tools that put scripts into the page. With its ``own``
    context the tab may have another clock.
    """
    context = await _context(site.browser, csp=csp) if own else site.contexts[csp]
    page = await context.new_page()
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    watched = Watched(site.central.url)
    watched.follow(page)
    if key is not None:
        await page.add_init_script(f"sessionStorage.setItem('api-key', '{key or site.key}')")
    for path, answer in (blocked or {}).items():
        await page.route(f"{site.central.url}{path}", answer)
    await page.goto(site.central.url + address)
    try:
        yield page
    except Exception as error:
        error.add_note(f"the window: {watched.faults}, answers without success: {watched.refusals}")
        raise
    finally:
        await page.evaluate("localStorage.clear()")
        await (context if own else page).close()
    if strict:
        assert watched.faults == []
        assert set(watched.refusals) == (refused or set())


RUNS: Final = """(host) => {
  const canvas = host.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [...host.querySelectorAll('.readout .swatch')].map((swatch) => {
    const ink = getComputedStyle(swatch).color.match(/\\d+/g).map(Number);
    const found = [];
    for (let x = 0; x < canvas.width; x += 1) {
      let height = 0;
      for (let y = 0; y < canvas.height; y += 1) {
        const at = 4 * (y * canvas.width + x);
        height += data[at + 3] > 200 && ink.every((part, index) => Math.abs(part - data[at + index]) < 12);
      }
      if (height && found.at(-1)?.to !== x - 1) found.push({ from: x, to: x, height });
      const last = found.at(-1);
      if (height) Object.assign(last, { to: x, height: Math.max(last.height, height) });
    }
    return found;
  });
}"""
"""Of a chart: for each line, the stretches of the canvas that have its full colour, with their heights in pixels."""


async def drawn(page: Page, chart: str = ".result .chart") -> list[list[dict[str, int]]]:
    """See RUNS. It reads what a person sees."""
    await page.locator(f"{chart} canvas").wait_for()
    found: list[list[dict[str, int]]] = await page.locator(chart).evaluate(RUNS)
    return found


async def until_drawn(page: Page, columns: int) -> None:
    """Wait until the first line of the chart has so many columns: an older answer may be drawn before the new one."""
    async with asyncio.timeout(PATIENCE):
        while [len(line) for line in (await drawn(page))[:1]] != [columns]:
            await page.evaluate("new Promise(requestAnimationFrame)")


def shell(command: str, **environ: str) -> str:
    """What a real shell prints for a command."""
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={"PATH": "/usr/bin:/bin", **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

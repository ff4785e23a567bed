"""The page in a real Chromium: zoom and Back, comparison, scales, tags, files, and a link that holds all of it."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from protocol.times import format_time
from tests.central.page.browser import WAIT_MS, Site, drawn, window
from tests.central.page.test_browser import BOTH, ORDERS, answering, rows

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WAIT_MS)
FALLEN: Final = "document.activeElement === document.body"
TAGGED: Final = "/#metrics?name=page.tagged&operation=sum&window=1m&zone=utc"


async def tag(site: Site) -> None:
    """Three series of one name, in the site's first minute."""
    tags = [{"env": "prod", "host": "web-1"}, {"env": "prod", "host": "web-2"}, {"env": "test", "host": "web-1"}]
    at = format_time(site.minute)
    items = [
        {"name": "page.tagged", "type": "counter", "value": 10**place, "tags": one, "recorded_at": at}
        for place, one in enumerate(tags)
    ]
    reply = await site.central.batch(*items, headers={"Idempotency-Key": f"page-tagged-{site.minute}"})
    assert reply.json["rejected"] == 0, reply.text


async def drag(page: Page, start: float, end: float) -> None:
    """Drag across the chart, from one part of its width to another."""
    over = await page.locator(".u-over").bounding_box()
    assert over is not None
    height = over["y"] + over["height"] / 2
    await page.mouse.move(over["x"] + start * over["width"], height)
    await page.mouse.down()
    await page.mouse.move(over["x"] + (start + end) / 2 * over["width"], height)
    await page.mouse.move(over["x"] + end * over["width"], height)
    await page.mouse.up()


async def legend(page: Page) -> list[str]:
    return await page.locator(".result .readout .name").all_inner_texts()


async def test_a_drag_zooms_in_and_the_browsers_back_returns(site: Site) -> None:
    async with window(site, ORDERS) as page:
        await expect(page.locator(".what")).to_be_visible()
        whole = page.url
        await drag(page, 0.25, 0.75)
        await expect(page.get_by_label("From", exact=True)).to_be_visible()
        span = re.findall(r"(?:from|to)=[^&]*T\d\d:(\d\d)", page.url)
        assert (int(span[1]) - int(span[0])) % 60 == pytest.approx(30, abs=1)
        await page.get_by_role("button", name="Zoom in").click()
        await expect(page.get_by_role("button", name="Zoom in")).to_be_focused()
        inner = page.url
        await page.go_back()
        await expect(page).not_to_have_url(inner)
        await page.go_back()
        await expect(page).to_have_url(whole)
        await expect(page.get_by_label("From", exact=True)).to_be_hidden()
        await page.go_forward()
        await expect(page.get_by_label("From", exact=True)).to_be_visible()
        for name in ("Earlier", "Later", "Zoom out"):
            before = page.url
            await page.get_by_role("button", name=name).click()
            await expect(page).not_to_have_url(before)


FIRST_NAME_COMES_LATE = """async () => {
  const real = window.fetch;
  const text = async () => '{"success":true,"data":[{"name":"big.number","type":"value"}],"next":null}';
  const headers = new Headers({ 'Content-Type': 'application/json' });
  let release;
  window.fetch = (path, ...rest) => path === '/api/metrics?limit=1'
    ? new Promise((answer) => { release = () => answer({ ok: true, status: 200, headers, text }); })
    : real(path, ...rest);
  location.hash = '#metrics';
  while (!release) await new Promise((again) => { setTimeout(again, 10); });
  location.hash = '#metrics?name=shop.refunds&operation=sum&last=1h&window=1m';
  release(); // its answer is read before the page is told of the new address
}"""


async def test_an_address_holds_while_the_first_name_is_looked_for(site: Site) -> None:
    async with window(site, "/#names") as page:
        await page.locator(".names a").first.wait_for()
        await page.evaluate(FIRST_NAME_COMES_LATE)
        await expect(page.locator(".what")).to_have_text("sum of shop.refunds per minute")


async def test_two_fingers_zoom_in_and_out_on_a_phone(site: Site) -> None:
    async with window(site, ORDERS, width=390) as page:
        chart = page.locator(".result .u-over")
        fingers = await page.context.new_cdp_session(page)

        async def pinch(*steps: tuple[float, float]) -> None:
            """Two fingers go from place to place, as shares of the chart's width, and are lifted."""
            await chart.scroll_into_view_if_needed()
            box = await chart.bounding_box()
            assert box is not None
            kinds = ["touchStart", *["touchMove"] * (len(steps) - 1), "touchEnd"]
            for kind, places in zip(kinds, [*steps, ()], strict=True):
                points = [
                    {"x": box["x"] + box["width"] * place, "y": box["y"] + box["height"] / 2, "id": number}
                    for number, place in enumerate(places)
                ]
                await fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await pinch((0.4, 0.6), (0.3, 0.7), (0.2, 0.8))
        await expect(page.get_by_label("From", exact=True)).to_be_visible()
        span = re.findall(r"(?:from|to)=[^&]*T\d\d:(\d\d)", page.url)
        assert (int(span[1]) - int(span[0])) % 60 == pytest.approx(20, abs=2)
        inner = page.url
        await pinch((0.2, 0.8), (0.4, 0.6))
        await expect(page).not_to_have_url(inner)
        await page.go_back()
        await expect(page).to_have_url(inner)


async def test_the_period_before_lies_over_the_range(site: Site) -> None:
    ends = {"from": format_time(site.minute + 180), "to": format_time(site.minute + 360)}
    address = f"/#metrics?name=shop.orders&operation=max&window=1m&from={ends['from']}&to={ends['to']}&zone=utc"
    async with window(site, address) as page:
        await page.get_by_label("Compare with").select_option("The period before")
        await expect(page.locator(".result .readout .name")).to_have_text(
            ["shop.orders", "shop.orders, the period before"]
        )
        await expect(page.locator(".result .readout .value")).to_have_text(["1,200", "7"])
        await page.get_by_role("slider").focus()
        await page.keyboard.press("Home")  # 4.5 now, and 5 three minutes before
        await expect(page.locator(".result .readout .value")).to_have_text(["4.5", "5"])
        await page.reload()
        await expect(page.get_by_label("Compare with")).to_have_value("period")
        await expect(page.locator(".result .readout .before .name")).to_have_text("shop.orders, the period before")


async def test_what_is_far_apart_has_a_scale_of_its_own(site: Site) -> None:
    async with window(site, "/#metrics?name=shop.orders,big.number&operation=max&window=1m&zone=utc") as page:
        await expect(page.locator(".readout li", has=page.get_by_text("right scale"))).to_contain_text("big.number")
        two = await drawn(page)
        await page.get_by_label("Scales").select_option("One")
        await expect(page.get_by_text("right scale")).to_be_hidden()
        one = await drawn(page)
        high, low = (max(run["height"] for run in lines[0]) for lines in (two, one))
        assert high > 3 * low
        assert "scales=one" in page.url


async def test_a_line_can_be_hidden_and_the_link_says_so(site: Site) -> None:
    async with window(site, BOTH) as page:
        toggle = page.get_by_role("button", name="shop.orders", exact=True)
        await toggle.focus()
        await page.keyboard.press("Enter")
        await expect(toggle).to_have_attribute("aria-pressed", "false")
        await expect(toggle).to_be_focused()
        await expect(page.locator(".result .readout .value").first).to_have_text("hidden")
        assert (await drawn(page))[0] == []
        assert page.url.endswith("&hide=shop.orders")
        await page.reload()
        await expect(toggle).to_have_attribute("aria-pressed", "false")
        await toggle.click()
        await expect(page.locator(".result .readout .value").first).to_have_text("1,200")


async def test_a_chart_without_points_says_so_and_has_no_scale(site: Site) -> None:
    """The texts that the page writes on its canvas are collected."""
    listen = """() => {
      window.written = [];
      const write = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        written.push(text);
        write.call(this, text, ...rest);
      };
    }"""
    words = "written.splice(0).filter((text) => !/^\\d\\d:\\d\\d$|^\\d+ [A-Z]/.test(text))"  # without the times
    async with window(site, BOTH) as page:
        await page.locator(".result canvas").wait_for()
        await page.evaluate(listen)
        for name in ("shop.orders", "shop.refunds"):
            await page.get_by_role("button", name=name, exact=True).click()
        await expect(page.locator(".result .readout .value")).to_have_text(["hidden", "hidden"])
        assert (await page.evaluate(words))[-1] == "All lines are hidden"
        await page.go_back()
        await page.go_back()
        await expect(page.locator(".result .readout .value").first).to_have_text("1,200")
        assert "500" in await page.evaluate(words)
        before = f"from={format_time(site.minute - 3600)}&to={format_time(site.minute - 1800)}"
        await page.evaluate(f"location.hash = '{BOTH.removeprefix('/')}&{before}'")
        await expect(page.locator(".notice strong")).to_have_text("No data in this range")
        assert set(await page.evaluate(words)) == {"Nothing to draw in this range"}


async def test_tags_are_chosen_from_what_the_service_has(site: Site) -> None:
    await tag(site)
    async with window(site, TAGGED) as page:
        tags, groups = page.get_by_label("Tags", exact=True), page.get_by_label("Group by", exact=True)
        await tags.focus()
        await expect(page.locator("#tags-list [role=option]")).to_have_text(["env2 values", "host2 values"])
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")  # the key; now its values
        await expect(page.locator("#tags-list [role=option]")).to_have_text(["env:prod2 series", "env:test1 series"])
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.locator(".what")).to_have_text("sum of page.tagged per minute, with env:prod")
        await expect(page.locator(".result .readout .value")).to_have_text("11")
        await groups.focus()
        await page.keyboard.type("hos")
        await expect(page.locator("#groups-list [role=option]")).to_have_text(["host2 values"])
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.locator(".what")).to_have_text("sum of page.tagged per minute, by host, with env:prod")
        assert await legend(page) == ["host:web-2", "host:web-1"]
        await tags.fill("nothing")
        await page.keyboard.press("Enter")
        await expect(page.locator("#tags-hint")).to_contain_text("a condition is a key, a colon and a value")
        await tags.fill("host:web-*")
        await page.keyboard.press("Enter")
        await expect(page.locator(".what")).to_contain_text("with env:prod, host:web-*")
        shown = page.url
        await page.reload()
        await expect(page.get_by_role("button", name="Remove host:web-*")).to_be_visible()
        assert page.url == shown


async def test_the_values_and_the_chart_can_be_saved(site: Site, tmp_path: Path) -> None:
    async with window(site, BOTH) as page:
        await expect(page.locator(".result canvas")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save as CSV").click()
        saved = await download.value
        assert saved.suggested_filename == "shop.orders-shop.refunds-sum.csv"
        await saved.save_as(tmp_path / "values.csv")
        lines = (tmp_path / "values.csv").read_bytes().decode().split("\r\n")
        assert lines[0] == "name,timestamp,value,partial"  # the last window is open
        assert f"shop.orders,{format_time(site.minute + 240)},1200," in lines
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save as PNG").click()
        saved = await download.value
        assert saved.suggested_filename == "sum-of-shop.orders-shop.refunds-per-minute.png"
        await saved.save_as(tmp_path / "chart.png")
        assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


async def test_all_begins_with_the_first_data(site: Site) -> None:
    async with window(site, "/#metrics?name=shop.orders&operation=max&zone=utc&last=all") as page:
        await expect(page.locator(".what")).to_have_text(re.compile("max of shop.orders per (minute|5 minutes)"))
        await expect(page.locator(".result .readout .value")).to_have_text("1,200")


async def test_fifty_names_are_fifty_lines_from_a_short_link(site: Site) -> None:
    names = [f"fleet.region-{at % 2}.node-{at}.requests" for at in range(50)]
    line = rows(site, 3)["data"]
    answer = {"success": True, "operation": "max", "window": "1m", "data": dict.fromkeys(names, line)}
    address = f"/#metrics?name={','.join(names)}&operation=max&window=1m"
    async with window(site, address, blocked={"/api/metrics/aggregate?*": answering(200, answer)}) as page:
        await expect(page.locator(".result .readout li")).to_have_count(50)
        assert await legend(page) == names
        assert len(page.url) < 1_500
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_values_and_ages_of_many_lines_stand_below_each_other(site: Site) -> None:
    """On a tablet and on paper, and also if some names are so long that they need two lines."""
    names = [f"fleet.region-{at % 2}.{'rack-1.' * (at % 5)}node-{at}" for at in range(12)]
    answer = {"success": True, "operation": "max", "window": "1m", "data": dict.fromkeys(names, rows(site, 3)["data"])}
    address = f"/#metrics?name={','.join(names)}&operation=max&window=1m"
    edges = "(all) => [...new Set(all.map((one) => Math.round(one.getBoundingClientRect().right)))]"
    async with window(site, address, blocked={"/api/metrics/aggregate?*": answering(200, answer)}, width=768) as page:
        await expect(page.locator(".result .readout li")).to_have_count(12)
        assert await legend(page) == names
        sizes: tuple[tuple[Any, int], ...] = (("screen", 768), ("print", 680))
        for media, width in sizes:
            await page.emulate_media(media=media)
            await page.set_viewport_size({"width": width, "height": 800})
            assert len(await page.locator(".result .readout .value").evaluate_all(edges)) == 2
            ages = page.locator(".result .readout .value + span")
            assert len(await ages.evaluate_all(edges.replace("right", "left"))) == 2


async def test_a_pattern_picks_all_names_that_fit(site: Site) -> None:
    async with window(site, ORDERS) as page:
        names = page.get_by_role("combobox", name="Metrics")
        await names.fill("shop.{orders,refunds}")
        await expect(page.locator("#names-list [role=option]")).to_have_text(["shop.refundsvalue"])
        await page.keyboard.press("Enter")
        await expect(page.locator(".what")).to_have_text("sum of shop.orders, shop.refunds per minute")
        await names.fill("nothing.*")
        await page.keyboard.press("Enter")
        await expect(page.locator("#names-hint")).to_have_text("No name fits nothing.*.")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (768, "dark"), (1280, "light")])
async def test_the_keyboard_alone_leads_everywhere(site: Site, width: int, scheme: str) -> None:
    """Tab through each part, with a look at what has the focus after each key."""
    parts = {BOTH: (".result canvas", 14), "/#names": (".names a", 6), "/#service": ("#view-service dt", 5)}
    async with window(site, width=width, scheme=scheme) as page:
        for address, (ready, stops) in parts.items():
            await page.goto(site.central.url + address)
            await page.locator(ready).first.wait_for()
            await page.locator("#main").focus()
            for _ in range(stops):
                await page.keyboard.press("Tab")
                assert not await page.evaluate(FALLEN)
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await page.get_by_role("button", name="Forget it").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()


async def test_the_focus_never_falls_when_what_has_it_vanishes(site: Site) -> None:
    async with window(site, BOTH, width=768) as page:
        for remove in ("shop.refunds", "shop.orders"):
            await page.get_by_role("button", name=f"Remove {remove}").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("combobox", name="Metrics")).to_be_focused()
        await page.go_back()
        await expect(page.locator(".what")).to_have_text("sum of shop.orders per minute")
        await page.locator("#range-").focus()
        await page.keyboard.press("Space")
        await page.get_by_label("From", exact=True).focus()
        await page.go_back()  # the field vanishes
        await expect(page.get_by_label("From", exact=True)).to_be_hidden()
        await page.keyboard.press("Shift")
        await page.wait_for_function(f"!({FALLEN})")

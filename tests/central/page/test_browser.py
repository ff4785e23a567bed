"""The page in a real Chromium before a real service: what it shows is right, and it does nothing it should not."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from central.query.operations import OFFERED
from central.store.plan import WINDOWS
from protocol.times import format_time
from tests.central.page.browser import EXACT, WAIT_MS, ZONE, Site, drawn, shell, until_drawn, window

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WAIT_MS)
BOTH = "/#metrics?name=shop.orders,shop.refunds&operation=sum&window=1m&zone=utc"
ORDERS = "/#metrics?name=shop.orders&operation=sum&window=1m&zone=utc"
EVIL = "<img src=x onerror=alert(1)>"


async def table(page: Page) -> list[list[str]]:
    """The rows of the table beside the chart, newest first."""
    await page.locator(".as-table summary").click()
    await expect(page.locator(".as-table tbody tr").first).to_be_visible()
    rows = await page.locator(".as-table tbody tr").all()
    return [await row.locator("th, td").all_inner_texts() for row in rows]


def answering(status: int, body: Any, **headers: str) -> Any:
    """A stand-in for an answer of the service."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, json=body, headers=headers)

    return answer


def fault(code: str, message: str, **details: Any) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message, "details": details}}


# --- from nothing to a chart


async def test_a_pasted_key_gives_a_chart_and_is_kept_in_the_tab_alone(site: Site) -> None:
    async with window(site, key=None) as page:
        await expect(page.get_by_role("heading", level=1)).to_have_text("See what your applications count.")
        await expect(page.locator("#key-input")).to_be_focused()
        await page.keyboard.insert_text(f"  API key      {site.key} ")
        await page.keyboard.press("Enter")
        await expect(page.locator(".what")).to_have_text("avg of big.number per minute")
        await expect(page.locator(".result canvas")).to_be_visible()
        assert site.key not in page.url
        assert await page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]") == [
            [site.key],
            [],
            "",
        ]
        assert site.key not in await page.content()
        await page.reload()
        await expect(page.locator(".what")).to_have_text("avg of big.number per minute")
        await page.get_by_role("button", name="Forget it").click()
        await expect(page.locator("#key-input")).to_be_focused()
        await expect(page.locator(".what")).to_be_hidden()
        assert await page.evaluate("sessionStorage.length") == 0


async def test_before_anything_was_sent_the_page_says_how_and_then_draws_it(site: Site) -> None:
    async with window(
        site, blocked={"/api/metrics?*": answering(200, {"success": True, "data": [], "next": None})}
    ) as page:
        await expect(page.get_by_role("heading", name="Nothing has been counted yet")).to_be_visible()
        command = (await page.locator(".first code").inner_text()).replace("shop.orders", "page.first")
        assert json.loads(shell(command, METRICS_KEY=site.key))["success"]
        assert await site.central.total("page.first") == 1
        await page.unroute_all()
        await expect(page.locator(".what")).to_have_text("avg of big.number per minute")


async def test_names_are_picked_while_typing_with_the_services_options(site: Site) -> None:
    async with window(site, ORDERS) as page:
        await page.locator("#names-input").fill("shop.")
        await expect(page.locator("#names-list [role=option]")).to_have_text(["shop.refundsvalue"])
        await page.locator("#names-list [role=option]").click()
        await expect(page.locator(".what")).to_have_text("sum of shop.orders, shop.refunds per minute")
        await expect(page.locator(".readout").first.locator(".name")).to_have_text(["shop.orders", "shop.refunds"])
        assert await page.get_by_role("radio").evaluate_all("all => all.map((one) => one.value)") == [
            *OFFERED,
            "",
            *("15m", "1h", "6h", "24h", "7d", "30d", "90d", "all", ""),
            *("local", "utc"),
        ]
        assert await page.get_by_label("Window", exact=True).locator("option").evaluate_all(
            "all => all.map((o) => o.value)"
        ) == [
            "",
            *WINDOWS,
        ]
        await page.get_by_role("button", name="Remove shop.orders").click()
        await expect(page.locator(".what")).to_have_text("sum of shop.refunds per minute")
        assert "name=shop.refunds&operation=sum" in page.url


# --- the chart


async def test_the_chart_the_table_and_the_curl_say_what_the_service_says(site: Site) -> None:
    async with window(site, BOTH) as page:
        rows = await table(page)
        both = ("shop.orders", "shop.refunds")
        orders, refunds = (site.points()[name] for name in both)
        times = sorted({*orders, *refunds}, reverse=True)
        assert [row[0][-5:] for row in rows] == [format_time(at)[11:16] for at in times]
        shown = [[cell.replace(",", "").replace("\u2013", "none") for cell in row[1:]] for row in rows]
        assert shown == [[orders.get(at, "none"), refunds.get(at, "none")] for at in times]
        lines = await drawn(page)
        assert [len(line) for line in lines] == [2, 2]  # broken at gaps
        assert lines[0][0]["to"] - lines[0][0]["from"] > 8 > lines[1][0]["to"] - lines[1][0]["from"]  # a line, a dot

        said = json.loads(shell(await page.locator(".made code").inner_text(), METRICS_KEY=site.key))
        answered = {name: {point["timestamp"]: point["value"] for point in said["data"][name]} for name in both}
        for name, values in zip(both, (orders, refunds), strict=True):
            assert answered[name] == {format_time(at): float(value) for at, value in values.items()}
        await page.locator(".made").get_by_role("button", name="Copy with key").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert json.loads(shell(copied)) == said
        assert site.key in copied
        assert site.key not in await page.content()


def rows(site: Site, *values: float | None, **others: Any) -> dict[str, Any]:
    """An answer about shop.orders: a value for each minute from the site's first on."""
    data = [
        {"timestamp": format_time(site.minute + 60 * place), "value": value, **others}
        for place, value in enumerate(values)
        if value is not None
    ]
    return {"success": True, "metric": "shop.orders", "operation": "sum", "window": "1m", "data": data}


async def test_columns_stand_for_their_values(site: Site) -> None:
    answer = answering(200, rows(site, 300, 600, None, 1200, -300))
    async with window(site, ORDERS, blocked={"/api/metrics/aggregate?*": answer}) as page:
        ((low, middle, high, under),) = await drawn(page)
        assert middle["height"] == pytest.approx(2 * low["height"], abs=2)
        assert high["height"] == pytest.approx(4 * low["height"], abs=2)
        assert under["height"] == pytest.approx(low["height"], abs=2)
        assert low["from"] < middle["from"] < high["from"] < under["from"]
        assert high["from"] - middle["from"] == pytest.approx(2 * (middle["from"] - low["from"]), abs=3)  # the gap
        assert (await page.locator(".result [role=img]").get_attribute("aria-label") or "").endswith(
            "shop.orders: 4 windows with data, from -300 to 1,200, latest -300."
        )


async def test_several_operations_are_a_line_each(site: Site) -> None:
    async with window(site, ORDERS) as page:
        await page.get_by_text("Other", exact=True).click()
        await expect(page.get_by_label("Operations", exact=True)).to_have_value("p50,p95,p99")
        await expect(page.locator(".what")).to_have_text("p50, p95, p99 of shop.orders per minute")
        await page.get_by_label("Operations", exact=True).fill("max, avg,rate")
        await page.keyboard.press("Enter")
        await expect(page.locator(".result .readout .name")).to_have_text(["max", "avg", "rate"])
        await expect(page.locator(".result .readout .value")).to_have_text(["1,200", "1,200", "0.0167"])
        await expect(page.locator(".chips .swatch")).to_be_hidden()
        await expect(page.locator(".made code")).to_contain_text("operation=max,avg,rate")
        assert len((await table(page))[0]) == 4
        assert "&operation=max,avg,rate&" in page.url
        await page.reload()
        await expect(page.locator(".result .readout .name")).to_have_text(["max", "avg", "rate"])
        await page.get_by_text("min", exact=True).click()
        await expect(page.locator(".what")).to_have_text("min of shop.orders per minute")
        await expect(page.get_by_label("Operations", exact=True)).to_be_hidden()


@pytest.mark.parametrize(("operation", "column"), [("p95", 1), ("p50,p95", 2)])
async def test_a_percentile_is_drawn(site: Site, operation: str, column: int) -> None:
    async with window(site, ORDERS.replace("sum", operation)) as page:
        rows = await table(page)
        assert [row[column].replace(",", "") for row in rows] == list(site.points()["shop.orders"].values())[::-1]


async def test_what_cannot_be_drawn_is_said_in_words(site: Site) -> None:
    rows = [{"timestamp": format_time(site.minute + 60), "unavailable": True, "p50": None, "max": 3}]
    answer = {"success": True, "metric": "shop.orders", "operation": "p50,max", "window": "1m", "data": rows}
    two = ORDERS.replace("sum", "p50,max")
    async with window(site, two, blocked={"/api/metrics/aggregate?*": answering(200, answer)}) as page:
        await expect(page.locator(".notice strong")).to_have_text("Percentiles are not available in 1 window")
        await expect(page.locator(".result .readout .value")).to_have_text(["no data", "3"])
    async with window(site, BOTH.replace("sum", ",".join(f"p{rank}" for rank in range(26)))) as page:
        await expect(page.get_by_role("alert").get_by_text("52 lines would be drawn")).to_be_visible()
    await site.central.counter("page.counter")
    async with window(site, "/#metrics?name=page.counter&operation=p95", refused={400}) as page:
        await expect(page.get_by_role("alert").get_by_text("Please check: operation")).to_be_visible()
        await expect(page.get_by_role("alert").get_by_text("a counter has sum, count, avg")).to_be_visible()
    assert (await site.central.ask("DELETE", "/api/admin/metrics/page.counter")).status == 200


async def test_all_digits_are_shown(site: Site) -> None:
    async with window(site, "/#metrics?name=big.number&operation=max&window=1m") as page:
        await expect(page.locator(".readout .value").first).to_have_text("9,999,999,999,999,999.9999")
        ((_, cell),) = await table(page)
        assert cell.replace(",", "") == EXACT


async def test_the_pointer_and_the_keyboard_read_the_same_windows(site: Site) -> None:
    answer = answering(200, rows(site, 300, 7, None, 4.5, 1200))
    async with window(site, ORDERS, blocked={"/api/metrics/aggregate?*": answer}) as page:
        slider = page.get_by_role("slider", name="Chart of the metrics: time of the read-out")
        ((first, *_),) = await drawn(page)
        over = await page.locator(".u-over").bounding_box()
        canvas = await page.locator(".result canvas").bounding_box()
        assert over is not None
        assert canvas is not None
        minute = over["width"] / 60
        await page.mouse.move(canvas["x"] + (first["from"] + first["to"]) / 2 + minute, over["y"] + 40)
        clock = format_time(site.minute + 60)[11:16]
        await expect(page.locator(".result .readout .time")).to_contain_text(clock)
        await expect(page.locator(".result .readout .value")).to_have_text("7")
        await expect(page.locator(".u-cursor-pt").first).to_be_visible()
        await page.mouse.move(5, 5)
        await expect(page.locator(".result .readout .value")).to_have_text("1,200")
        await slider.focus()
        for key, value in {"ArrowLeft": "4.5", "ArrowRight": "1,200", "Home": "no data"}.items():
            await page.keyboard.press(key)
            await expect(page.locator(".result .readout .value")).to_have_text(value)
            assert (await slider.get_attribute("aria-valuetext") or "").endswith(f": shop.orders {value}")


async def test_times_are_local_or_utc_and_the_page_says_which(site: Site) -> None:
    async with window(site, ORDERS) as page:
        shown = page.locator(".result .readout .time")
        await expect(shown).to_contain_text(format_time(site.minute + 240)[11:16])
        await expect(page.locator(".result > .hint")).to_contain_text("Times: UTC.")
        await page.get_by_text("Local", exact=True).click()
        await expect(shown).to_contain_text(format_time(site.minute + 240 + 19_800)[11:16])
        await expect(page.locator(".result > .hint")).to_contain_text("(UTC+05:30)")
        assert ZONE == "Asia/Kolkata"


async def test_a_range_from_to_is_asked_as_it_was_given(site: Site) -> None:
    async with window(site, ORDERS) as page:
        await page.get_by_text("Custom", exact=True).click()
        await page.get_by_label("From", exact=True).fill(format_time(site.minute)[:16])
        await page.get_by_label("To", exact=True).fill(format_time(site.minute + 120)[:16])
        await page.get_by_label("To", exact=True).press("Tab")
        await until_drawn(page, 2)
        command = page.locator(".made code")
        await expect(command).to_contain_text(f"start={format_time(site.minute)}")
        await expect(command).to_contain_text(f"end={format_time(site.minute + 120)}")
        await page.reload()
        await until_drawn(page, 2)


# --- errors in words


async def test_a_key_that_is_not_taken_is_said_in_words(site: Site) -> None:
    async with window(site, key=None, refused={401}) as page:
        for wrong, words in {
            "é": "That is not a key",
            f"gf_aaaaaaaaaaaa_{'x' * 43}": "The service does not take this key",
        }.items():
            await page.locator("#key-input").fill(wrong)
            await page.get_by_role("button", name="Use this key").click()
            await expect(page.get_by_role("alert").get_by_text(words)).to_be_visible()
            await expect(page.locator("#key-input")).to_be_focused()


async def test_a_range_that_is_too_long_says_which_window_fits_and_offers_it(site: Site) -> None:
    async with window(
        site, "/#metrics?name=a,b,c,d,e,shop.orders&operation=sum&window=1m&last=30d", refused={400}
    ) as page:
        await expect(page.get_by_role("alert").get_by_text("use window=5m")).to_be_visible()
        await page.get_by_role("button", name="Use window 5m").click()
        await expect(page.get_by_label("Window", exact=True)).to_be_focused()
        await expect(page.locator(".what")).to_have_text("sum of 6 metrics per 5 minutes")
        await expect(page.get_by_text("Too many windows for one answer")).to_be_hidden()


async def test_a_used_up_limit_says_when_to_go_on(site: Site) -> None:
    _, key = await site.central.new_key("query", rate_limit=1)
    async with window(site, key=key, refused={429}) as page:
        await expect(page.get_by_role("alert").get_by_text("This minute's requests are used up")).to_be_visible()
        words = re.compile(r"; try again in \d+ s\. This page asks again by itself\.$")
        await expect(page.get_by_role("alert").get_by_text(words)).to_be_visible()


async def test_a_key_that_may_not_ask_is_told_so(site: Site) -> None:
    _, key = await site.central.new_key("ingest")
    async with window(site, key=key, refused={403}) as page:
        await expect(page.get_by_role("alert").get_by_text("This key may not do that")).to_be_visible()


async def test_a_service_that_cannot_answer_is_asked_again(site: Site) -> None:
    busy = answering(503, fault("SERVICE_UNAVAILABLE", "the store is busy"), **{"Retry-After": "1"})
    async with window(site, ORDERS, refused={503}, blocked={"/api/metrics/aggregate?*": busy}) as page:
        words = "The store is busy. Try again in 1 s. This page asks again by itself."
        await expect(page.get_by_role("alert").get_by_text(words)).to_be_visible()
        await page.unroute_all()
        await expect(page.locator(".what")).to_be_visible()


async def test_a_service_that_hangs_is_waited_for_with_words_and_not_for_ever(site: Site) -> None:
    async with window(site, ORDERS, own=True) as page:
        await expect(page.locator(".what")).to_be_visible()
        await expect(page.get_by_text("Asking the service…")).to_be_hidden()
        for path in ("/api/metrics/aggregate?*", "/metrics", "/ready"):
            await page.route(f"{site.central.url}{path}", lambda route: None)
        await page.clock.install()
        await page.locator("label[for=operation-max]").click()
        await expect(page.get_by_text("Asking the service…")).to_be_visible()
        await page.clock.run_for(30_000)
        await expect(page.get_by_role("alert").get_by_text("The service does not answer")).to_be_visible()
        await expect(page.get_by_text("Asking the service…")).to_be_hidden()
        await expect(page.locator("#state-text")).to_have_text("No answer")


async def test_no_answer_at_all_is_said_in_words(site: Site) -> None:
    async with window(site, ORDERS, blocked={"/api/metrics/aggregate?*": lambda route: route.abort()}) as page:
        await expect(page.get_by_role("alert").get_by_text("The service does not answer")).to_be_visible()


# --- nothing that comes from outside becomes markup


async def test_hostile_names_and_messages_are_shown_as_text(site: Site) -> None:
    names = {"success": True, "data": [{"name": EVIL, "type": EVIL}], "next": None}
    blocked = {"/api/metrics?*": answering(200, names), "/api/metrics/aggregate?*": answering(400, fault("X", EVIL))}
    async with window(site, refused={400}, blocked=blocked) as page:
        await expect(page.get_by_role("alert").get_by_text(EVIL)).to_be_visible()
        await expect(page.locator(".chips span")).to_have_text([EVIL])
        await page.locator("#names-input").press("Backspace")
        assert await page.locator("main img, main script").count() == 0
    async with window(site, f"/#metrics?name={EVIL}&operation=sum", refused={400}) as page:
        await expect(page.locator(".chips span")).to_have_text([EVIL])
        await expect(page.get_by_role("alert").get_by_text("Please check: name")).to_be_visible()
        shown = json.loads(shell(await page.locator(".made code").inner_text(), METRICS_KEY=site.key))
        assert shown["error"]["details"] == {"field": "name"}
    spec = json.loads((await site.central.ask("GET", "/openapi.json", key=None)).text)
    spec["info"]["description"] = spec["paths"]["/health"]["get"]["summary"] = EVIL
    async with window(site, "/docs", blocked={"/openapi.json": answering(200, spec)}) as page:
        await expect(page.locator("#op-health h3")).to_have_text(EVIL)
        assert await page.locator("main img, main script").count() == 0


async def test_the_policy_holds_in_the_browser(site: Site) -> None:
    async with window(site, strict=False) as page:
        tried = """async () => {
          const refusals = [];
          document.addEventListener('securitypolicyviolation', (event) => refusals.push(event.effectiveDirective));
          try { document.body.innerHTML = '<b>x</b>'; } catch { refusals.push('refused'); }
          const style = document.createElement('style');
          style.textContent = 'body { color: red }';
          document.head.append(style);
          const image = new Image(); image.src = 'http://other.invalid/x.png'; document.body.append(image);
          await fetch('http://other.invalid/').catch(() => refusals.push('not sent'));
          await new Promise((done) => setTimeout(done, 50));
          return refusals;
        }"""
        refusals = await page.evaluate(tried)
        assert {"refused", "style-src-elem", "img-src", "connect-src", "not sent"} <= set(refusals)


# --- what is not whole, old or unknown


async def test_a_window_that_the_range_cuts_is_marked_in_chart_table_and_words(site: Site) -> None:
    ends = {"from": format_time(site.minute + 30), "to": format_time(site.minute + 270)}
    cut = f"/#metrics?name=shop.orders&operation=sum&window=1m&from={ends['from']}&to={ends['to']}&zone=utc"
    async with window(site, cut) as page:
        assert len((await drawn(page))[0]) == 2  # the third is pale
        await expect(page.locator(".result > .hint")).to_contain_text("Pale or dashed: a part of a window")
        rows = await table(page)
        assert ["(part)" in row[0] for row in rows] == [True, False, False]


async def test_the_latest_values_show_their_age_and_old_ones_look_old(site: Site) -> None:
    async with window(site, ORDERS) as page:
        await expect(page.locator(".readout .age.stale").first).to_have_text(re.compile(r"^\d+ min ago$"))


async def test_a_name_that_does_not_exist_is_named_with_the_nearest_to_choose(site: Site) -> None:
    async with window(site, ORDERS.replace("shop.orders", "shop.ordres")) as page:
        await expect(page.locator(".result .notice strong")).to_have_text("There is no metric shop.ordres")
        await page.locator(".result .notice").get_by_role("button", name="shop.orders").click()
        await expect(page.locator(".what")).to_have_text("sum of shop.orders per minute")
        await expect(page.locator(".result .notice")).to_have_count(0)


async def test_days_are_those_of_the_browsers_zone(site: Site) -> None:
    async with window(site, "/#metrics?name=shop.orders&operation=sum&window=1d&last=7d") as page:
        await expect(page.locator(".what")).to_have_text("sum of shop.orders per day")
        await expect(page.locator(".made code")).to_contain_text(re.compile("tz=Asia/(Kolkata|Calcutta)"))

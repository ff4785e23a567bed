"""The pure parts of central/page, run in a real browser as it loads them: tables of inputs and outcomes."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from protocol.times import format_time
from tests.central.page.browser import Site, shell, window

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scripts(site: Site) -> AsyncIterator[Page]:
    """A window for all tests here: pure functions leave nothing in it."""
    async with window(site, "/health", key=None, csp=False) as page:
        yield page


async def run(scripts: Page, module: str, expression: str, *rows: Any) -> list[Any]:
    """The value of ``expression``, in which ``m`` is the module and ``x`` a row, for each row."""
    script = f"async (rows) => {{ const m = await import('/page/{module}'); return rows.map((x) => {expression}); }}"
    found = await scripts.evaluate(script, list(rows))
    assert isinstance(found, list)
    return found


NASTY = [
    "plain",
    "",
    "a b",
    "it's",
    "''",
    '"$(id)" `id` $HOME \\',
    "two\nlines",
    "@/etc/passwd",
    "-X",
    "é😀",
    "!!",
    "a;b&c|d>e<f",
    "*?[x]{y,z}~",
    "\t#",
]


async def test_a_quoted_word_is_one_word_for_a_shell(scripts: Page) -> None:
    quoted = await run(scripts, "shell.js", "m.quote(x)", *NASTY)
    assert [shell(f"printf %s {word}") for word in quoted] == NASTY


async def test_a_curl_says_the_same_to_a_shell_as_the_request(scripts: Page) -> None:
    nasty = 'it\'s "$(id)" `id`\n@x'
    flat = nasty.replace("\n", "")
    requests = [
        {"url": "http://h/a"},
        {"url": "http://h/a", "query": [["name", nasty]], "headers": [["X", flat]]},
        {"url": "http://h/a", "method": "POST", "body": nasty},
        {"url": "http://h/a", "method": "POST", "keyless": True},
        {"url": "http://h/it's", "method": "DELETE", "file": "a b"},
    ]
    wanted = [
        ["http://h/a", "-H", "X-API-Key: it's"],
        ["-G", "http://h/a", "-H", "X-API-Key: it's", "-H", f"X: {flat}", "--data-urlencode", f"name={nasty}"],
        ["http://h/a", "-H", "X-API-Key: it's", "--data-raw", nasty],
        ["-X", "POST", "http://h/a"],
        ["-X", "DELETE", "http://h/it's", "-H", "X-API-Key: it's", "-o", "a b"],
    ]
    for with_key in ("", "it's"):  # the variable stands for it, or the key is in it
        commands = await run(scripts, "shell.js", f'm.curl(x, "{with_key}")', *requests)
        said = [shell("curl() { printf '%s\\0' \"$@\"; }\n" + command, METRICS_KEY="it's") for command in commands]
        assert [words.split("\0")[:-1] for words in said] == wanted


async def test_a_key_is_found_in_what_is_pasted(scripts: Page) -> None:
    key = f"gf_q7w3k9x2m5ab_{'x' * 40}-_A"
    rows = [key, f"  API key      {key}\n", f"curl -H 'X-API-Key: {key}' 'http://h/'", " other-key "]
    assert await run(scripts, "api.js", "m.keyIn(x)", *rows) == [key, key, key, "other-key"]


async def test_a_proxy_that_cannot_reach_the_service_is_said_in_words(scripts: Page) -> None:
    page = "<html><h1>502 Bad Gateway</h1></html>"
    rows = [[502, page], [504, " \n<!doctype html>"], [413, page], [502, "upstream reset"], [500, "failed"], [502, ""]]
    reply = "{ status: x[0], text: x[1], headers: new Headers() }"
    explain = f"(({{ title, text, retry }}) => [title, text, retry])(m.explain({reply}))"
    proxy = "This answer is not the service's but a proxy's"
    assert await run(scripts, "api.js", explain, *rows) == [
        ["The service failed", f"{proxy}: 502. Try again in 5 s.", 5],
        ["The service failed", f"{proxy}: 504. Try again in 5 s.", 5],
        ["Refused (413)", f"{proxy}: 413.", 0],
        ["The service failed", "Upstream reset. Try again in 5 s.", 5],
        ["The service failed", "Failed. Try again in a moment.", 0],
        ["The service failed", "Try again in 5 s.", 5],
    ]


async def test_numbers_keep_their_digits_and_get_groups(scripts: Page) -> None:
    texts = ["0", "-5", "1234567", "-1234.5", "9999999999999999.9999", "-9999999999999999.9999", "0.0001", "999"]
    shown = ["0", "-5", "1,234,567", "-1,234.5", "9,999,999,999,999,999.9999", "-9,999,999,999,999,999.9999", "0.0001"]
    assert await run(scripts, "numbers.js", "m.digits(JSON.parse(x, m.exact))", *texts) == [*shown, "999"]


async def test_marks_of_an_axis_are_round_and_hold_all_values(scripts: Page) -> None:
    rows: list[tuple[float, float, int]] = [(0, 1, 4), (0, 141, 4), (-2.25, 7, 4), (3, 3, 4)]
    rows += [(0, 1e16, 4), (0.0001, 0.0003, 4), (-5, -5, 2), (0, 0, 4)]
    for (low, high, count), found in zip(rows, await run(scripts, "numbers.js", "m.marks(...x)", *rows), strict=True):
        values, step = found["values"], found["step"]
        assert values[0] <= low
        assert high <= values[-1]
        assert 2 <= len(values) <= count * 2 + 3
        assert f"{step:e}"[0] in "125"
        assert all(abs(after - before - step) < step / 1e6 for before, after in pairwise(values))


async def test_labels_of_an_axis_are_short(scripts: Page) -> None:
    rows = [[0, 1], [0.0002, 0.0001], [1500, 500], [20_000, 10_000], [-2_500_000, 500_000], [8e14, 2e14], [1e16, 2e15]]
    assert await run(scripts, "numbers.js", "m.short(...x)", *rows) == [
        "0", "0.0002", "1,500", "20K", "-2.5M", "800T", "1E16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "marks", "step"),
    [
        (["0", "5K", "10K"], [0, 5_000, 10_000], 5_000),
        (["0", "500", "1,000"], [0, 500, 1_000], 500),
        (["123.456K", "123.457K"], [123_456, 123_457], 1),
        (["950T", "1000T", "1050T"], [950e12, 1e15, 1050e12], 50e12),
        (["0E0", "5E15", "1E16"], [0, 5e15, 1e16], 5e15),
        (["-20K", "-19.995K"], [-20_000, -19_995], 5),
    ],
)
async def test_labels_of_an_axis_are_all_of_a_kind_and_differ(
    scripts: Page, labels: list[str], marks: list[float], step: float
) -> None:
    largest = max(map(abs, marks))
    assert await run(scripts, "numbers.js", "m.short(...x)", *([mark, step, largest] for mark in marks)) == labels


async def test_marks_of_time_are_round_in_the_zone(scripts: Page) -> None:
    start = 1_796_083_200  # 2026-12-01T00:00:00Z, 05:30 in the browser's zone
    rows = [
        [start, start + 3600, 6, "utc"],
        [start, start + 3600, 6, "local"],
        [start, start + 86_400, 4, "utc"],
        [start, start + 86_400, 4, "local"],
        [start, start + 7 * 86_400, 7, "local"],
        [start, start + 90 * 86_400, 3, "utc"],
        [start, start + 720 * 86_400, 8, "local"],
    ]
    found = await run(scripts, "time.js", "m.timeMarks(...x).map((mark) => mark.label)", *rows)
    assert found == [
        ["1 Dec", "00:10", "00:20", "00:30", "00:40", "00:50"],
        ["05:30", "05:40", "05:50", "06:00", "06:10", "06:20"],
        ["1 Dec", "06:00", "12:00", "18:00"],
        ["06:00", "12:00", "18:00", "2 Dec"],
        ["2 Dec", "3 Dec", "4 Dec", "5 Dec", "6 Dec", "7 Dec", "8 Dec"],
        ["Dec 2026", "Jan 2027", "Feb 2027"],
        ["Jan 2027", "Apr 2027", "Jul 2027", "Oct 2027", "Jan 2028", "Apr 2028", "Jul 2028", "Oct 2028"],
    ]


async def test_times_come_back_from_a_control_as_they_went_in(scripts: Page) -> None:
    now = 1_796_083_260
    rows = [[now, "utc"], [now, "local"]]
    assert await run(scripts, "time.js", "m.fromControl(m.toControl(...x), x[1])", *rows) == [now, now]
    assert await run(scripts, "time.js", "m.toControl(...x)", *rows) == ["2026-12-01T00:01", "2026-12-01T05:31"]
    assert await run(scripts, "time.js", "m.fromControl(x, 'utc')", "2026-12-01T00:01:00.250") == [now + 1]
    assert await run(scripts, "time.js", "m.iso(x)", now) == [format_time(now)]
    assert await run(scripts, "time.js", "m.moment(...x)", *rows) == ["Tue 1 Dec 2026, 00:01", "Tue 1 Dec 2026, 05:31"]
    assert await run(scripts, "time.js", "m.zoneName(x)", "utc", "local") == ["UTC", "Asia/Calcutta (UTC+05:30)"]


async def test_a_question_survives_its_address(scripts: Page) -> None:
    plain = {"names": ["a", "b"], "operation": "max", "chosen": True, "window": "5m", "last": "24h"}
    plain |= {"tags": "", "groupBy": "", "compare": "", "scales": "", "hidden": []}
    rows = [
        {**plain, "compare": "week", "scales": "one", "hidden": ["a,b", "c&d"], "from": 0, "to": 0, "zone": "local"},
        {**plain, "tags": "env:prod,!host:a b+c%", "groupBy": "a,b", "from": 0, "to": 0, "zone": "local"},
        {**plain, "from": 0, "to": 0, "zone": "local"},
        {**plain, "last": "", "from": 1_796_083_260, "to": 1_796_083_320, "zone": "utc", "window": ""},
        *({**plain, "operation": text, "from": 0, "to": 0, "zone": "local"} for text in ("p99.9", "max,p5,sum")),
    ]
    allowed = '["sum","max"], ["1m","5m"]'
    assert await run(scripts, "question.js", f"m.fromHash(m.toHash(x), {allowed})", *rows) == rows
    (found,) = await run(
        scripts, "question.js", f"m.fromHash(x, {allowed})", "#metrics?operation=drop&window=9y&last=x&from=z"
    )
    assert (found["names"], found["operation"], found["window"], found["last"]) == ([], "sum", "", "1h")
    bad = ["", "drop", "max,drop", "max,,sum", "P95", "p", "p1234", "p9.9999"]
    addresses = [f"#metrics?operation={text}" for text in bad]
    assert await run(scripts, "question.js", f"m.fromHash(x, {allowed}).operation", *addresses) == ["sum"] * len(bad)
    (found,) = await run(
        scripts,
        "question.js",
        f"m.fromHash(x, {allowed})",
        "#metrics?from=2026-12-01T00:01:00.5Z&to=2026-12-01T23:59:59.999Z",
    )
    assert (found["from"], found["to"]) == (1_796_083_261, 1_796_169_600)


async def test_groups_are_lines_that_say_their_tags(scripts: Page) -> None:
    points = [{"timestamp": "2026-12-01T00:01:00Z", "value": 3}]
    groups = [
        {"metric": "a", "tags": {"env": "prod", "host": None}, "points": points},
        {"metric": "a", "tags": {}, "rest": True, "points": points},
    ]
    answer = {"operation": "sum", "data": groups}
    rows = [[[answer], ["a"]], [[answer], ["a", "b"]], [[{"operation": "sum", "metric": "a", "data": []}], ["a"]]]
    assert await run(scripts, "answer.js", "m.seriesOf(...x).map((one) => one.name)", *rows) == [
        ["env:prod,no host", "rest"],
        ["a env:prod,no host", "a rest"],
        ["a"],
    ]
    asked = {"names": ["a"], "operation": "sum", "last": "1h", "zone": "utc", "tags": "env:prod", "groupBy": "host"}
    ranged = "m.requestsOf(x, '1m', { start: 0, end: 60, step: 60 })[0].query.slice(5)"
    assert await run(scripts, "question.js", ranged, asked, {**asked, "tags": "", "groupBy": ""}) == [
        [["tags", "env:prod"], ["group_by", "host"], ["top", "19"]],
        [],
    ]


async def test_a_range_is_whole_windows_and_ends_with_the_one_that_is_open(scripts: Page) -> None:
    now = 1_796_083_260 + 30
    rows = [["15m", "1m"], ["1h", "1m"], ["24h", "15m"], ["7d", "1h"], ["15m", "1d"], ["30d", "1h"], ["90d", "1d"]]
    found = await run(scripts, "question.js", f"m.rangeOf({{ last: x[0], zone: 'utc' }}, x[1], {now})", *rows)
    for (last, _), span in zip(rows, found, strict=True):
        assert span["start"] % span["step"] == span["end"] % span["step"] == 0
        assert now < span["end"] <= now + span["step"]
        days = {"7d": 604_800, "30d": 2_592_000, "90d": 7_776_000}
        seconds = {"15m": 900, "1h": 3600, "24h": 86_400, **days}[last]
        assert span["end"] - span["start"] == max(seconds, span["step"])


async def test_a_link_holds_many_names_in_a_short_text(scripts: Page) -> None:
    rows = [
        ["shop.orders"],
        ["a.b.c", "a.b.d", "a.b", "a.b.d.e", "a", "b"],
        ["a..b", "a..c", "a.", "a", ".a", ".b", "."],
        [f"fleet.region-{at % 3}.node-{at}.requests_per_second" for at in range(50)],
    ]
    assert await run(scripts, "names.js", "m.unpacked(m.packed(x))", *rows) == rows
    assert await run(scripts, "names.js", "m.packed(x)", *rows[:2]) == ["shop.orders", "a.b.c,~~d,~b,~~d.e,a,b"]
    assert await run(scripts, "names.js", "m.unpacked(x)", "a,b.c", "~a,b,~~~~c", "") == [
        ["a", "b.c"],
        ["a", "b", "b.c"],
        [],
    ]


async def test_many_names_are_asked_in_as_many_requests_as_they_need(scripts: Page) -> None:
    plain = {"operation": "sum", "last": "1h", "zone": "utc", "tags": "", "groupBy": ""}
    rows = [
        [[f"n{at}" for at in range(50)], 60],
        [[f"n{at}" for at in range(50)], 10_000],
        [[f"{at:02}{'x' * 253}" for at in range(50)], 60],
        [["n"], 1_000_000],
    ]
    sizes = (
        "m.requestsOf({...x[2], names: x[0]}, '1m', {start: 0, end: 60 * x[1], step: 60})"
        ".map((one) => one.query[0][1].split(',').length)"
    )
    found = await run(scripts, "question.js", sizes, *([*row, plain] for row in rows))
    assert found[:2] == [[50], [5] * 10]
    assert sum(found[2]) == 50
    assert max(found[2]) * 258 < 8_000
    assert found[3] == [1]


async def test_a_second_scale_is_there_where_units_are_ten_times_apart(scripts: Page) -> None:
    def line(unit: str, *values: float) -> dict[str, Any]:
        return {"unit": unit, "points": [{"at": at, "value": value} for at, value in enumerate(values)]}

    rows = [
        [line("a", 1, 9), line("b", 5, 80)],
        [line("a", 1, 9), line("b", 5, 90)],
        [line("a", 9), line("a", 9_000)],
        [line("a", 500), line("b", 4), line("c", 5)],
        [line("a", 1), line("b", 20), line("c", 20_000)],
        [line("a"), line("b", -0.01), line("c", 5)],
    ]
    found = await run(scripts, "grid.js", "m.sidesOf(x)", *rows)
    assert found == [[0, 0], [0, 1], [0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]]


async def test_windows_without_data_are_gaps_and_parts_stand_apart(scripts: Page) -> None:
    points = [{"at": 0, "value": 1}, {"at": 120, "value": 2}, {"at": 180, "value": 3, "partial": True}]
    frame = {"start": 0, "end": 300, "step": 60, "now": 300}
    days = [{"points": [{"at": 0, "value": 1}, {"at": 82_800, "value": 2}]}]  # the first day has 23 hours
    rows: list[Any] = [[[{"points": points}], frame], [days, {"start": 0, "end": 255_600, "step": 86_400}]]
    windows = await run(scripts, "grid.js", "m.windowsOf(...x)", *rows)
    assert windows == [[0, 60, 120, 180, 240], [0, 82_800, 169_200]]
    whole, parts, columns = [1, None, 2, None, None], [None, None, 2, 3, None], [None, None, None, 3, None]
    joined = [[{"points": points}, windows[0], frame, flag] for flag in (True, False)]
    assert await run(scripts, "grid.js", "m.rowsOf(...x)", *joined) == [[whole, parts], [whole, columns]]


async def test_what_came_steadily_and_stopped_is_late_and_then_silent(scripts: Page) -> None:
    none = None
    rows = [
        [None, [none] * 24],
        [90_000, [none] * 24],
        [60, [1] * 24],
        [1000, [1] * 24],
        [5_400, [1] * 24],
        [7_200, [*[1] * 22, none, none]],
        [7_200, [none] * 20 + [1, 1, none, none]],
        [80_000, [none, 1, *[none] * 22]],
        [4_000, [1, *[none] * 5] * 4],
    ]
    ask = "m.stateOf({ age_seconds: x[0], sparkline: x[1] })"
    assert await run(scripts, "namerow.js", ask, *rows) == [
        *("silent", "silent", "", "late", "silent", "silent", "", "", ""),
    ]


async def test_csv_answers_are_one_table(scripts: Page) -> None:
    texts = ["name,timestamp,value\r\na,t,1\r\n", 'name,timestamp,value,partial\r\nb,t,2,true\r\nc,t,,""\r\n']
    (found,) = await run(scripts, "download.js", "m.joinedCsv(x)", texts)
    assert found == 'name,timestamp,value,partial\r\na,t,1,\r\nb,t,2,true\r\nc,t,,""\r\n'


async def test_prometheus_text_is_read_with_its_labels(scripts: Page) -> None:
    text = (
        '# HELP a b\n# TYPE a counter\na_total{route="/x",status="200"} 3.0\n'
        'a_total{route="q\\"\\\\\\n}",status="500"} 1e3\n'
        'b 2\nc_bucket{le="+Inf"} +Inf\n\n'
    )
    (found,) = await run(scripts, "prometheus.js", "m.samples(x)", text)
    assert found == [
        {"name": "a_total", "labels": {"route": "/x", "status": "200"}, "value": 3},
        {"name": "a_total", "labels": {"route": 'q"\\\n}', "status": "500"}, "value": 1000},
        {"name": "b", "labels": {}, "value": 2},
        {"name": "c_bucket", "labels": {"le": "+Inf"}, "value": float("inf")},
    ]
    rows = [[0, 10, 2], [10, 10, 2], [10, 3, 2], [None, 3, 2], [1, 2, 0]]
    assert await run(scripts, "prometheus.js", "m.rate(x[0] ?? undefined, x[1], x[2])", *rows) == [
        5,
        0,
        None,
        None,
        None,
    ]


async def test_json_is_laid_out_with_its_digits(scripts: Page) -> None:
    rows = ['{"a":[1,{"b":9999999999999999.9999}],"c":"x:{,}\\"[","e":{}}', "[]", "1"]
    found = await run(scripts, "schema.js", "m.pretty(x)", *rows)
    assert found == [
        '{\n  "a": [\n    1,\n    {\n      "b": 9999999999999999.9999\n    }\n  ],\n  "c": "x:{,}\\"[",\n  "e": {}\n}',
        "[]",
        "1",
    ]

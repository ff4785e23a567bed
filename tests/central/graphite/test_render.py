"""/graphite/render and /graphite/functions over HTTP and on both stores."""

import time
from datetime import UTC
from typing import Any

import numpy as np
import pytest

from central.graphite import render
from central.graphite.functions.table import FUNCTIONS
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError
from protocol.times import format_time
from tests.central.harness import Central

DAY = 86_400
START = (int(time.time()) - 3 * DAY) // DAY * DAY
COPRIME = ("7919min", "7907min", "7901min")
"""Only a window of a million years holds whole ones of each."""
WINDOW = {"from": str(START), "until": str(START + 180)}


def sent(name: str, kind: str, minute: int, value: float, **tags: str) -> dict[str, Any]:
    moment = format_time(START + 60 * minute + 5)
    return {"name": name, "type": kind, "value": value, "recorded_at": moment, "tags": tags}


ITEMS = [
    sent("shop.orders", "counter", 0, 2, env="prod"),
    sent("shop.orders", "counter", 0, 1, env="test"),
    sent("shop.orders", "counter", 2, 60, env="prod"),
    sent("shop.orders.eu", "counter", 1, 7),
    *(sent("shop.checkout_ms", "value", 0, value) for value in range(1, 101)),
    sent("shop.checkout_ms", "value", 2, 500),
]


@pytest.fixture
async def central(central: Central) -> Central:
    """A service on each kind of store, with the points of ITEMS."""
    reply = await central.batch(*ITEMS)
    assert (reply.status, reply.json["rejected"]) == (201, 0), reply.text
    return central


async def drawn(central: Central, target: str, **given: str) -> dict[str, list[Any]]:
    """The numbers of each line by its name; the moments are checked."""
    reply = await central.ask("GET", "/graphite/render", params={"target": target, "format": "json", **WINDOW, **given})
    assert reply.status == 200, reply.text
    for line in reply.json:
        moments = [moment for _, moment in line["datapoints"]]
        assert moments == sorted(set(moments))
        assert not moments or moments[0] == START
    return {
        line["target"]: [None if number is None else float(number) for number, _ in line["datapoints"]]
        for line in reply.json
    }


DRAWN: list[tuple[str, dict[str, Any]]] = [
    ("shop.orders.sum", {"shop.orders.sum": [3, None, 60]}),
    ("shop.orders", {"shop.orders": [3, None, 60]}),
    ("shop.orders.rate", {"shop.orders.rate": [0.05, None, 1]}),
    ("shop.checkout_ms.{avg,p50,p99.9}", {}),
    ("shop.checkout_ms.{avg,count,p95}", {"shop.checkout_ms.avg": [50.5, None, 500]}),
    ("shop.checkout_ms.p99.9", {"shop.checkout_ms.p99.9": [100, None, 500]}),
    ("shop.orders.sum;env=prod", {"shop.orders.sum;env=prod": [2, None, 60]}),
    ("sumSeries(shop.orders.sum, shop.orders.eu)", {"sumSeries(shop.orders.sum,shop.orders.eu)": [3, 7, 60]}),
    ("alias(seriesByTag('name=shop.orders.sum', 'env=test'), 'test')", {"test": [1, None, None]}),
    ("aliasByTags(seriesByTag('name=shop.orders.sum', 'env=~.'), 'env')", {"prod": [2, None, 60]}),
    (
        "groupByTags(seriesByTag('name=shop.orders.sum'), 'sum', 'env')",
        {"shop.orders.sum;env=prod": [2, None, 60], "shop.orders.sum;env=": None},
    ),
    (
        "groupByTags(seriesByTag('name=shop.orders.eu.sum'), 'sum', 'env')",
        {"shop.orders.eu.sum;env=": [None, 7, None]},
    ),
    ("shop.orders.sum|scale(10)|alias('x')", {"x": [30, None, 600]}),
    ("alias(transformNull(shop.orders.sum), 'x')", {"x": [3, 0, 60]}),
    ("alias(timeShift(shop.orders.sum, '-1min'), 'x')", {"x": [None, 3, None]}),
    ("alias(timeShift(shop.orders.sum, '+2min'), 'x')", {"x": [60, None, None]}),
    ("alias(movingSum(transformNull(shop.orders.sum), 2), 'x')", {"x": [0, 3, 3]}),
    ("alias(summarize(shop.checkout_ms.avg, '1d', 'avg'), 'x')", {"x": [pytest.approx(5550 / 101, abs=1e-4)]}),
    ("alias(summarize(scale(shop.orders.sum, 1), '1h'), 'x')", {"x": [63]}),
    ("constantLine(4)", {"4": [4, 4, 4]}),
    ("applyByNode(shop.orders.*.sum, 2, 'scale(%.sum, 2)', '% twice')", {"shop.orders.eu twice": [None, 14, None]}),
    ("aliasQuery(shop.orders.eu.sum, '.eu', '', '%d orders')", {"60 orders": [None, 7, None]}),
    ("useSeriesAbove(shop.{orders,checkout_ms}.max, 100, 'max', 'min')", {"shop.checkout_ms.min": [1, None, 500]}),
    (
        "asPercent(shop.orders.{sum,max}, None, 1)",
        {"asPercent(shop.orders.max,sumSeries(shop.orders.{sum,max}))": [pytest.approx(40), None, 50]},
    ),
    ("nothing.here", {}),
    ("sumSeries(nothing.*)", {}),
]


async def test_a_target_is_drawn(central: Central) -> None:
    for target, lines in DRAWN:
        found = await drawn(central, target)
        assert {name: found.get(name) for name in lines} == lines, target  # None is a line that is not there
        posted = await central.ask("POST", "/graphite/render", data={"target": target, **WINDOW})
        assert {line["target"] for line in posted.json} == set(found), target


async def test_fewer_points_are_larger_windows_of_the_store(central: Central) -> None:
    assert await drawn(central, "shop.checkout_ms.avg", maxDataPoints="1") == {
        "shop.checkout_ms.avg": [pytest.approx(5550 / 101, abs=1e-4)]
    }
    assert await drawn(central, "shop.orders.sum", maxDataPoints="2") == {"shop.orders.sum": [3, 60]}
    assert await drawn(central, "shop.orders.sum", noNullPoints="true") == {"shop.orders.sum": [3, 60]}


async def test_csv_has_a_line_for_each_point(central: Central) -> None:
    given = {"target": "shop.orders.eu", "format": "csv", **WINDOW}
    reply = await central.ask("GET", "/graphite/render", params=given)
    day = format_time(START)[:10]
    assert reply.text == "".join(
        f"shop.orders.eu,{day} 00:0{minute}:00,{value}\r\n" for minute, value in enumerate(("", "7.0", ""))
    )


async def test_raw_has_a_text_line_for_each_line(central: Central) -> None:
    reply = await central.ask("GET", "/graphite/render", params={"target": "shop.orders.eu", "format": "raw", **WINDOW})
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert reply.text == f"shop.orders.eu,{START},{START + 180},60|None,7.0,None\n"


async def test_a_time_in_a_target_counts_from_now(central: Central) -> None:
    minute = int(time.time()) - START - 60
    assert await drawn(central, f"alias(timeSlice(shop.orders.eu, '-{minute + 30}s', 'now'), 'a')") == {
        "a": [None, 7, None]
    }
    assert await drawn(central, "alias(timeSlice(shop.orders.eu, '-1min'), 'a')") == {"a": [None] * 3}


WRONG: list[tuple[dict[str, str], str, str]] = [
    ({}, "target", "target must be given 1 to 100 times; it was given 0 times"),
    ({"target": "sumSeries(a.b"}, "target", "target 'sumSeries(a.b': sumSeries(...) should go on with ',' or ')'"),
    ({"target": "scal(a.b, 1)"}, "target", "target 'scal(a.b, 1)': the function scal does not exist; did you mean"),
    ({"target": "nope(a.b)"}, "target", "target 'nope(a.b)': the function nope does not exist; there are absolute"),
    ({"target": "scale(a.b)"}, "target", "target 'scale(a.b)': scale: factor is missing"),
    ({"target": "scale(a.b, 'x')"}, "target", "target \"scale(a.b, 'x')\": scale: factor must be a number"),
    ({"target": "scale(a.b, 1, 2)"}, "target", "target 'scale(a.b, 1, 2)': scale takes 2 arguments"),
    ({"target": "a.b", "from": "soon"}, "from", "from: 'soon' is not a time"),
    ({"target": "a.b", "from": "now", "until": "-1h"}, "from", "from must be before until"),
    ({"target": "a.b", "tz": "Moon"}, "tz", "tz 'Moon' is not known; give an IANA time zone"),
    ({"target": "a.b", "format": "png"}, "format", "format must be one of json, csv, raw"),
    ({"target": "a.b", "maxDataPoints": "0"}, "maxDataPoints", "maxDataPoints must be a whole number"),
    ({"target": "a.b", "jsonp": "f"}, "jsonp", "jsonp is not supported"),
    ({"target": "a.b", "noNullPoints": "x"}, "noNullPoints", "noNullPoints must be true or false"),
    ({"target": "a.[b"}, "target", "target has a '['"),
    ({"target": "timeSlice(a, 'x')"}, "target", "target \"timeSlice(a, 'x')\": startSliceAt: 'x' is not a time"),
    ({"target": "timeStack(a, '1d', 3, 3)"}, "target", "target \"timeStack(a, '1d', 3, 3)\": timeStack: timeShift"),
    ({"target": "grep(shop.orders.sum, '(')"}, "target", "target \"grep(shop.orders.sum, '(')\": pattern has"),
    (
        {"target": "applyByNode(shop.*.sum, 1, 'scal(%)')"},
        "target",
        "target applyByNode asks for 'scal(shop.checkout_ms)'",
    ),
    (
        {"target": "aliasQuery(shop.orders.sum, 'sum', 'x', '%d')"},
        "target",
        "target \"aliasQuery(shop.orders.sum, 's",
    ),
    ({"target": "aliasQuery(shop.orders.sum, 'x', 'x', '%d %d')"}, "target", 'target "aliasQuery(shop.orders.sum'),
    ({"target": "reduceSeries(shop.orders.sum, 'timeShift', 2, 'sum')"}, "target", 'target "reduceSeries(shop.ord'),
    ({"target": "seriesByTag('env')"}, "target", "target has 'env'; an expression is like env=prod"),
    ({"target": "seriesByTag(a)"}, "target", "target 'seriesByTag(a)': seriesByTag takes expressions in quotes"),
]


async def test_a_wrong_request_says_what_is_wrong(central: Central) -> None:
    for given, field, message in WRONG:
        reply = await central.ask("GET", "/graphite/render", params=given)
        assert reply.error == (400, "VALIDATION_ERROR", field), given
        assert reply.message.startswith(message), given


EXTREME = [
    ("timeShift(shop.orders.sum, '9999999y')", 200),
    ("timeShift(shop.orders.sum, '+9999999y')", 200),
    ("movingAverage(shop.orders.sum, 100000000)", 400),
    ("movingAverage(shop.orders.sum, '9999999y')", 400),
    ("movingAverage(shop.orders.sum, 0)", 400),
    ("summarize(shop.orders.sum, '9999999y')", 400),
    ("smartSummarize(shop.orders.sum, '101y')", 400),
    (f"sumSeries({','.join(f'summarize(shop.orders.max, {minutes!r})' for minutes in COPRIME)})", 200),
    ("summarize(shop.orders.sum, '0s')", 400),
    ("scale(" * 20 + "shop.*.*" + ", 1e300)" * 20, 200),
    ("scale(" * 40 + "a" + ", 1)" * 40, 400),
    ("delay(shop.orders.sum, -1000000000)", 200),
    (r"aliasSub(shop.orders.sum, '(.*)', '\7')", 400),
    ("groupByTags(seriesByTag('name=shop.orders.sum', 'env!='), 'sum', 'env')", 200),
    ("asPercent(shop.orders.sum, 0)", 200),
    ("shop.orders.sum;env", 400),
    ("shop.orders.sum;name=x", 200),
    ("{" * 30, 400),
    ("\ud800", 200),
]


async def test_an_extreme_target_is_answered_or_refused(central: Central) -> None:
    for target, status in EXTREME:
        for given in ({}, WINDOW, {"from": "19700101", "until": "20991231"}):
            reply = await central.ask(
                "POST", "/graphite/render", data={"target": target.encode("utf-8", "replace").decode(), **given}
            )
            assert reply.status == status, (target, reply.text)


def test_an_answer_with_too_many_points_is_refused() -> None:
    drawing = render.Drawing([], Range(0, 60, 60), 11_000, "json", without_gaps=False, zone=UTC)
    lines = [Line("a", 0, 60, np.zeros(11_000), "a")] * 91
    assert render.drawn(drawing, lines[:90]).startswith(b'[{"target":"a"')
    with pytest.raises(TargetError, match="would have 1,001,000 points, and may have 1,000,000; ask for fewer lines"):
        render.drawn(drawing, lines)


def test_an_answer_with_too_long_names_is_refused() -> None:
    drawing = render.Drawing([], Range(0, 60, 60), 1, "json", without_gaps=False, zone=UTC)
    lines = [Line("n" * 10_000, 0, 60, np.zeros(1), "a")] * 1_001
    assert len(render.drawn(drawing, lines[:1_000])) > 10_000_000
    with pytest.raises(TargetError, match="would have 10,010,000 characters, and may have 10,000,000"):
        render.drawn(drawing, lines)


async def test_the_functions_are_listed_with_their_parameters(central: Central) -> None:
    listed = await central.ask("GET", "/graphite/functions")
    assert set(listed.json) == set(FUNCTIONS)
    assert all(one["description"] and one["name"] == name for name, one in listed.json.items())


async def test_targets_ask_for_further_ones_four_times_in_turn(central: Central) -> None:
    def nested(times: int) -> str:
        return "applyByNode(" * times + "shop.*.sum" + ",1,'%.sum')" * times

    assert list(await drawn(central, nested(4))) == ["shop.checkout_ms.sum", "shop.orders.sum"]
    reply = await central.ask("GET", "/graphite/render", params={"target": nested(5), **WINDOW})
    assert reply.error == (400, "VALIDATION_ERROR", "target")
    assert "may ask for further targets 4 times in turn" in reply.message


async def test_drawing_needs_a_key_that_may_query(central: Central) -> None:
    _, key = await central.new_key("ingest")
    for path in ("/graphite/render?target=a", "/graphite/functions"):
        assert (await central.ask("GET", path, key=None)).status == 401
        assert (await central.ask("GET", path, key=key)).status == 403

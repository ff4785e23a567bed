"""GET /api/metrics/aggregate: rates, several operations at once, percentiles and shares, through real HTTP."""

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from protocol.times import format_time
from tests.central.harness import Central, running

DAY = 86_400
MIDNIGHT = int(time.time()) // DAY * DAY - DAY
AGGREGATE = "/api/metrics/aggregate"


def at(hours: float, seconds: float = 0) -> str:
    """A time of yesterday."""
    return format_time(int(MIDNIGHT + hours * 3600 + seconds))


SPAN = {"start": at(0), "end": at(24)}


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Central]:
    """A service that holds a counter, a value of 1 to 100, and one whose second hour has a summary alone."""
    counted = {"name": "api.requests", "type": "counter"}
    spread = [{"name": "db.time", "type": "value", "value": one, "recorded_at": at(2, one)} for one in range(1, 101)]
    mixed = {"name": "mixed", "type": "value"}
    async with running(tmp_path) as central:
        reply = await central.batch(
            {**counted, "value": 1500, "recorded_at": at(0)},
            {**counted, "value": 1458, "recorded_at": at(3)},
            *spread,
            {**mixed, "value": 7, "recorded_at": at(1)},
            {**mixed, "value": 7, "recorded_at": at(2)},
            {**mixed, "value": 20, "count": 4, "min": 2, "max": 9, "recorded_at": at(2)},
        )
        assert reply.json["rejected"] == 0, reply.text
        yield central


@pytest.mark.parametrize(
    ("name", "window", "rate"),
    [
        ("api.requests", "1h", "0.4167"),
        ("api.requests", "1d", "0.0342"),
        ("db.time", "1m", "0.9833"),
        ("db.time", "1h", "0.0278"),
    ],
)
async def test_a_rate_is_per_second_of_its_window(stored: Central, name: str, window: str, rate: str) -> None:
    reply = await stored.query(name, "rate", window, **SPAN)
    assert reply.json["data"][0]["value"] == Decimal(rate)


async def test_several_operations_are_a_field_each_and_a_column_each(stored: Central) -> None:
    reply = await stored.query("db.time", "avg,max,p0,rate", "1h", **SPAN)
    assert reply.json["operation"] == "avg,max,p0,rate"
    assert reply.text.endswith(f'"data":[{{"timestamp":"{at(2)}","avg":50.5,"max":100,"p0":1,"rate":0.0278}}]}}')
    reply = await stored.query("api.requests,db.time", "count,sum", "1d", format="csv", **SPAN)
    assert reply.text == f"name,timestamp,count,sum\r\napi.requests,{at(0)},2,2958\r\ndb.time,{at(0)},100,5050\r\n"


async def test_a_percentile_is_the_middle_of_the_bucket_of_its_rank(stored: Central) -> None:
    reply = await stored.query("db.time", "median,p1,p95,p99.5,p100", "1h", **SPAN)
    middles = '"median":50.0736,"p1":1.0016,"p95":94.8224,"p99.5":100,"p100":100'
    assert reply.text.endswith(f'"data":[{{"timestamp":"{at(2)}",{middles}}}]}}')
    reply = await stored.query("db.time", "p95", "1d", tz="Asia/Kolkata", **SPAN)
    assert [point["value"] for point in reply.json["data"]] == [Decimal("94.8224")]


async def test_percentiles_of_many_windows_are_read_in_pieces(stored: Central) -> None:
    asked = {"start": at(-24 * 6), "end": at(24), "format": "csv"}
    reply = await stored.query("db.time,mixed", "p50", "1m", **asked)
    assert reply.text.splitlines() == [
        "name,timestamp,value,unavailable",
        f"db.time,{at(2)},30.0032,",
        f"db.time,{at(2, 60)},80.0768,",
        f"mixed,{at(1)},7,",
        f"mixed,{at(2)},,true",
    ]


async def test_the_share_below_a_value_stands_alone_or_beside_operations(stored: Central) -> None:
    asked = {"name": "db.time", "window": "1h", "fraction_below": "96.5", **SPAN}
    reply = await stored.ask("GET", AGGREGATE, params=asked)
    assert reply.text.endswith(f'"fraction_below":96.5,"data":[{{"timestamp":"{at(2)}","value":0.96}}]}}')
    reply = await stored.ask("GET", AGGREGATE, params={**asked, "operation": "count", "format": "csv"})
    assert reply.text == f"name,timestamp,count,fraction_below\r\ndb.time,{at(2)},100,0.96\r\n"


async def test_a_window_with_a_summary_that_has_no_histogram_says_so(stored: Central) -> None:
    reply = await stored.query("mixed", "count,p50,p100", "1h", **SPAN)
    assert reply.json["data"] == [
        {"timestamp": at(1), "count": 1, "p50": 7, "p100": 7},
        {"timestamp": at(2), "unavailable": True, "count": 5, "p50": None, "p100": 9},
    ]
    reply = await stored.query("mixed", "p50", "1h", format="csv", **SPAN)
    assert reply.text == f"name,timestamp,value,unavailable\r\nmixed,{at(1)},7,\r\nmixed,{at(2)},,true\r\n"
    reply = await stored.query("mixed", "p50", "1d", **SPAN)
    assert reply.json["data"] == [{"timestamp": at(0), "unavailable": True, "value": None}]


@pytest.mark.parametrize(
    ("changes", "code", "field", "says"),
    [
        *(
            ({"operation": text}, "VALIDATION_ERROR", "operation", "pN, where N is 0 to 100 with at most 3 decimals")
            for text in ("", "mean", "p", "p101", "p99.9999", "sum,", "sum;avg", "fraction_below", "p-1")
        ),
        ({"operation": "sum,sum"}, "VALIDATION_ERROR", "operation", "'sum' was given twice; give each once"),
        ({"name": "api.requests", "operation": "median"}, "VALIDATION_ERROR", "operation", "is a counter"),
        ({"name": "db.time,api.requests", "operation": "sum,p0"}, "VALIDATION_ERROR", "operation", "has no p0"),
        ({"fraction_below": "abc"}, "INVALID_VALUE", "fraction_below", "a plain number, such as 300"),
        ({"fraction_below": ""}, "INVALID_VALUE", "fraction_below", "a plain number, such as 300"),
        ({"name": "api.requests", "fraction_below": "3"}, "VALIDATION_ERROR", "fraction_below", "is a counter"),
        ({"window": "1m", "operation": "sum,avg,max,rate,p0,p1", "end": at(24 * 7)}, "RANGE_TOO_LARGE", "window",
         "10,080 windows of 1m, times 6 operations"),
    ],
)  # fmt: skip
async def test_a_bad_operation_is_refused_in_words(
    stored: Central, changes: dict[str, str], code: str, field: str, says: str
) -> None:
    query = {"name": "db.time", "operation": "sum", "window": "1h", **SPAN, **changes}
    reply = await stored.ask("GET", AGGREGATE, params=query)
    assert reply.error == (400, code, field)
    assert says in reply.message

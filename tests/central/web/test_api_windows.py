"""Windows that are not whole, names that do not exist, and local days, over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from protocol.times import format_time, parse_time
from tests.central.harness import QUICK_HASH, Central, Clock, running
from tests.central.mysql_help import environ_of

NOON = parse_time("2026-10-26T12:00:00Z")
RANGE = {"start": "2026-10-24T22:00:00Z", "end": "2026-10-26T23:00:00Z"}


@pytest.fixture(params=["duckdb", "mysql"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "duckdb":
        return {}
    return environ_of(request.getfixturevalue("mariadb"), request.getfixturevalue("database"))


@pytest.fixture
async def central(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Central]:
    """A service at noon of a day; a point at each half hour of the two days before, in which a clock is put back."""
    async with running(tmp_path, environ, outside=Outside(clock=Clock(NOON), bcrypt_cost=QUICK_HASH)) as central:
        for first in range(0, 110, 55):
            times = [NOON - 1_800 * number for number in range(first, first + 55)]
            item = {"name": "shop.orders", "type": "counter", "value": 1}
            reply = await central.batch(*({**item, "recorded_at": format_time(time)} for time in times))
            assert reply.json["accepted"] == 55
        yield central


def windows_in(reply: Any) -> list[tuple[str, int, bool]]:
    return [(row["timestamp"], row["value"], row.get("partial", False)) for row in reply.json["data"]]


async def test_days_of_a_time_zone_have_its_hours(central: Central) -> None:
    reply = await central.query("shop.orders", "count", "1d", tz="Europe/Berlin", **RANGE)
    assert reply.json["tz"] == "Europe/Berlin"
    assert windows_in(reply) == [("2026-10-24T22:00:00Z", 50, False), ("2026-10-25T23:00:00Z", 27, True)]
    filled = await central.query("shop.orders", "count", "1d", tz="Europe/Berlin", fill="zero", **RANGE)
    assert windows_in(filled) == windows_in(reply)


async def test_hours_of_a_day_in_which_a_clock_is_put_back(central: Central) -> None:
    """From midnight to four there are five hours: the one from two to three comes twice."""
    span = {"start": "2026-10-24T22:00:00Z", "end": "2026-10-25T03:00:00Z"}
    reply = await central.query("shop.orders", "count", "1h", tz="Europe/Berlin", **span)
    starts = [f"2026-10-{day}:00:00Z" for day in ("24T22", "24T23", "25T00", "25T01", "25T02")]
    assert windows_in(reply) == [(start, 2, False) for start in starts]


async def test_hours_of_a_zone_with_half_an_hour_begin_there(central: Central) -> None:
    span = {"start": "2026-10-26T08:30:00Z", "end": "2026-10-26T10:30:00Z"}
    reply = await central.query("shop.orders", "count", "1h", tz="Asia/Kolkata", **span)
    assert windows_in(reply) == [("2026-10-26T08:30:00Z", 2, False), ("2026-10-26T09:30:00Z", 2, False)]


async def test_a_zone_that_does_not_exist_is_refused(central: Central) -> None:
    for zone in ("Europe/Berlim", "../../etc/passwd", "", "local", "Europe", "zone.tab", "/UTC", "É"):
        assert (await central.query("shop.orders", "sum", tz=zone)).error == (400, "VALIDATION_ERROR", "tz"), zone


@pytest.mark.parametrize("window", ["1h", "1d"])
@pytest.mark.parametrize(("start", "end"), [("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-31T23:59:59.9Z")])
async def test_a_zone_can_be_asked_at_the_ends_of_the_calendar(
    central: Central, window: str, start: str, end: str
) -> None:
    for zone in ("Pacific/Kiritimati", "America/New_York"):
        reply = await central.query("shop.orders", "sum", window, start=start, end=end, tz=zone, fill="zero")
        assert reply.status == 200, reply.text
        assert len(reply.json["data"]) >= 2


async def test_a_zone_with_a_plus_is_understood(central: Central) -> None:
    raw = f"name=shop.orders&operation=count&window=1d&start={RANGE['start']}&end={RANGE['end']}&tz=Etc/GMT+5"
    reply = await central.ask("GET", f"/api/metrics/aggregate?{raw}")
    assert reply.json["tz"] == "Etc/GMT+5"


async def test_csv_has_the_same_columns_with_data_and_without(central: Central) -> None:
    span = {"start": "2026-10-26T10:15:00Z", "end": "2026-10-26T13:00:00Z", "format": "csv"}
    for name in ("shop.orders", "nobody"):
        reply = await central.query(name, "count", "1h", **span)
        assert reply.text.splitlines()[0] == "name,timestamp,value,partial"


async def test_a_window_cut_by_the_range_or_still_open_is_marked(central: Central) -> None:
    span = {"start": "2026-10-26T10:15:00Z", "end": "2026-10-26T13:00:00Z"}
    reply = await central.query("shop.orders", "count", "1h", **span)
    assert windows_in(reply) == [
        ("2026-10-26T10:00:00Z", 1, True),
        ("2026-10-26T11:00:00Z", 2, False),
        ("2026-10-26T12:00:00Z", 1, True),
    ]
    lines = (await central.query("shop.orders", "count", "1h", format="csv", **span)).text.split()
    assert [line.rpartition(",")[2] for line in lines] == ["partial", "true", "", "true"]


async def test_an_unknown_name_is_told_with_the_nearest_beside_the_others(central: Central) -> None:
    reply = await central.query("shop.order,shop.orders,xyz", "sum", **RANGE)
    near = {entry["name"]: entry["near"] for entry in reply.json["unknown"]}
    assert near == {"shop.order": ["shop.orders"], "xyz": []}
    assert reply.headers["Metrics-Unknown"] == "shop.order,xyz"
    assert [len(reply.json["data"][name]) for name in ("shop.order", "shop.orders", "xyz")] == [0, 3, 0]
    csv = await central.query("shop.order", "sum", format="csv", **RANGE)
    assert csv.headers["Metrics-Unknown"] == "shop.order"


async def test_a_whole_answer_says_nothing_beside_its_numbers(central: Central) -> None:
    span = {"start": "2026-10-25T00:00:00Z", "end": "2026-10-26T00:00:00Z"}
    reply = await central.query("shop.orders", "count", "1d", **span)
    assert reply.json.keys() == {"success", "metric", "operation", "window", "data"}
    assert reply.json["data"] == [{"timestamp": "2026-10-25T00:00:00Z", "value": 48}]

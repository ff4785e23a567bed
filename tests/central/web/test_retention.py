"""Retention through real HTTP and the real command line, on the embedded store with a clock of the test's."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from click.testing import CliRunner, Result

from central.access.auth import ALL_SCOPES, Key
from central.app import Outside
from central.commands import main as cli
from central.store.base import StoreUnavailable
from central.store.duck.store import DuckStore
from central.store.retention import State
from central.web import retention
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, Clock, Overlay, Reply, running

DAY = 86_400
START = 20_600 * DAY + 3_600
PATH = "/api/admin/retention"
SETTINGS = {"METRICS_RETENTION_DAYS": "8", "METRICS_RETENTION_GRACE_DAYS": "2"}


def day(number: int) -> str:
    """The start of the day ``number`` days after the first."""
    return format_time((START // DAY + number) * DAY)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
async def central(tmp_path: Path, clock: Clock) -> AsyncIterator[Central]:
    """A service whose clock has gone on for 13 days, with a point of 1, 2, 4 ... at noon of each, and a fresh run."""
    async with running(
        tmp_path, SETTINGS, outside=Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)
    ) as central:
        clock.now = START + DAY / 2
        for number in range(14):
            assert (await central.counter("a", str(2**number))).status == 201
            clock.now += DAY
        clock.now -= DAY
        assert (await post(central, "run")).status == 201
        yield central


async def post(central: Central, action: str, body: Any = None) -> Reply:
    """run or restore; the answer."""
    return await central.post(f"{PATH}/{action}", "" if body is None else body)


async def days_shown(central: Central, **changes: str) -> list[int]:
    """Numbers of the days whose point a query over everything gives."""
    span = {"start": day(-30), "end": day(30), **changes}
    reply = await central.query("a", "sum", "1d", **span)
    assert reply.status == 200, reply.text
    return [int(point["value"]).bit_length() - 1 for point in reply.json["data"] if point["value"]]


async def shown(central: Central) -> Any:
    reply = await central.ask("GET", PATH)
    assert (reply.status, reply.json["success"]) == (200, True)
    return reply.json["data"]


async def test_points_before_the_line_are_hidden_from_queries(central: Central) -> None:
    assert await days_shown(central) == list(range(5, 14))
    assert await days_shown(central, start=day(3), end=day(7)) == [5, 6]
    assert await days_shown(central, start=day(1), end=day(5)) == []
    assert (await central.query("a", "sum", "1m", start=day(4), end=day(5))).json["data"] == []
    assert (await central.query("a", "count", "1h", start=day(4), end=day(6))).json["data"][0]["value"] == 1


async def test_windows_before_the_line_are_filled_as_empty_ones(central: Central) -> None:
    reply = await central.query("a", "sum", "1d", start=day(3), end=day(7), fill="zero")
    assert [point["value"] for point in reply.json["data"]] == [0, 0, 32, 64]


async def test_what_is_shown_of_it(central: Central) -> None:
    data = await shown(central)
    log = data.pop("log")
    last_run = format_time(START + 13 * DAY + DAY // 2)
    assert data == {
        "retention_days": 8,
        "grace_days": 2,
        "line": day(5),
        "drop_line": None,
        "held_until": None,
        "last_run": last_run,
    }
    assert log[0] == {"at": last_run, "action": "hide", "line": day(5), "actor": "key 1", "rows": 0, "parts": 0}


async def test_after_the_grace_time_points_are_removed_and_cannot_come_back(central: Central, clock: Clock) -> None:
    for _ in range(2):
        clock.now += DAY
        reply = await post(central, "run")
    assert (reply.status, reply.json["message"]) == (201, "Retention ran")
    data = reply.json["data"]
    assert (data["line"], data["drop_line"], data["log"][0]["action"]) == (day(7), day(5), "drop")
    removed = data["log"][0]["rows"]
    assert removed in (5, 15)  # five points, and a minute and an hour of each where they were folded already
    refused = await post(central, "restore", {"days": 11})
    assert refused.error == (400, "VALIDATION_ERROR", "days")
    assert f"points before {day(5)} are removed; ask for at most 10 days" in refused.message
    assert (await post(central, "restore")).json["data"]["line"] == day(5)
    assert await days_shown(central) == list(range(5, 14))
    assert await central.meter("fiesta_retention_rows_total") == removed
    assert await central.meter("fiesta_retention_dropped_seconds") == (START // DAY + 5) * DAY


async def test_within_the_grace_time_the_line_can_be_moved_back(central: Central, clock: Clock) -> None:
    reply = await post(central, "restore", {"days": 11})
    assert (reply.status, reply.json["message"]) == (201, "Line moved back")
    assert reply.json["data"]["line"] == day(2)
    assert reply.json["data"]["held_until"] == format_time(int(clock.now) + 2 * DAY)
    assert await days_shown(central) == list(range(2, 14))
    assert (await post(central, "run")).json["data"]["line"] == day(5)
    assert await days_shown(central) == list(range(5, 14))
    assert (await post(central, "restore", {"days": None})).json["data"]["line"] is None
    assert await days_shown(central) == list(range(14))


async def test_a_held_line_outlives_a_restart(tmp_path: Path, clock: Clock) -> None:
    outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)
    async with running(tmp_path, SETTINGS, outside=outside) as central:
        await post(central, "run")
        await post(central, "restore", {"days": 20})
    clock.now += DAY
    async with running(tmp_path, SETTINGS, outside=outside) as central:
        data = await shown(central)
        assert (data["line"], data["held_until"]) == (day(-20), format_time(START + 2 * DAY))


async def test_a_clock_that_jumped_removes_nothing_also_for_a_person(central: Central, clock: Clock) -> None:
    steady = clock.now
    for ahead in (2, 40, -9):
        clock.ahead = ahead * DAY
        reply = await post(central, "run")
        assert (reply.status, reply.json["data"]["drop_line"]) == (201, None)
    clock.ahead = 0
    assert clock() == steady
    assert (await post(central, "run")).json["data"]["line"] == day(5)
    assert (await post(central, "restore")).json["data"]["line"] is None
    assert await days_shown(central) == list(range(14))
    assert await central.meter("fiesta_clock_jumps_total") == 4
    assert await central.meter("fiesta_removal_wait_seconds") == 3_600


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ("[]", "body", "empty or a JSON object"),
        ("7", "body", "empty or a JSON object"),
        ('{"line":"2026-01-01"}', "line", "unknown field 'line'; the only one is days"),
        ('{"days":0}', "days", "whole number from 1 to 36500"),
        ('{"days":-1}', "days", "whole number"),
        ('{"days":1.5}', "days", "whole number"),
        ('{"days":"9"}', "days", "whole number"),
        ('{"days":true}', "days", "whole number"),
        ('{"days":36501}', "days", "whole number"),
        ('{"days":8}', "days", "the last 8 days are shown already; ask for more days than that"),
    ],
)
async def test_a_bad_restore_is_refused_and_its_field_named(central: Central, body: str, field: str, says: str) -> None:
    reply = await post(central, "restore", body)
    assert reply.error == (400, "VALIDATION_ERROR", field)
    assert says in reply.message
    assert (await shown(central))["line"] == day(5)


async def test_a_body_that_is_no_json_is_refused(central: Central) -> None:
    assert (await post(central, "restore", "{")).error == (400, "INVALID_JSON", "body")


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", f"{PATH}/run"), ("POST", f"{PATH}/restore")])
async def test_it_takes_a_key_with_scope_admin(central: Central, method: str, path: str) -> None:
    _, key = await central.new_key("ingest", "query")
    assert (await central.ask(method, path, key=None)).error == (401, "UNAUTHORIZED", None)
    assert (await central.ask(method, path, key=key)).error == (403, "FORBIDDEN", None)


async def test_what_another_process_does_or_a_store_that_is_down_is_a_503(tmp_path: Path, clock: Clock) -> None:
    stores: list[DuckStore] = []

    def wrap(real: DuckStore) -> Any:
        stores.append(real)
        return Overlay(real)

    outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH, wrap_store=wrap)
    async with running(tmp_path, SETTINGS, outside=outside) as central:
        await post(central, "run")
        real = stores[0].retention
        state = await real.state()
        assert await real.replace(state, state._replace(lease_owner="another", lease_until=int(clock.now) + 60))
        reply = await post(central, "run")
        assert reply.error == (503, "SERVICE_UNAVAILABLE", None)
        assert (reply.headers["Retry-After"], "another process is running retention" in reply.message) == ("2", True)

        async def down() -> State:
            raise StoreUnavailable("gone for a while")

        real.state = down  # type: ignore[method-assign]
        for method, path in (("GET", PATH), ("POST", f"{PATH}/run"), ("POST", f"{PATH}/restore")):
            reply = await central.ask(method, path)
            assert reply.error == (503, "SERVICE_UNAVAILABLE", None), path
            assert "gone for a while" in reply.message


async def test_a_run_that_takes_long_is_answered_before_its_end_and_goes_on() -> None:
    let_go, ended = asyncio.Event(), asyncio.Event()

    class Slow:
        async def run(self, actor: str) -> None:
            await let_go.wait()
            ended.set()

        async def show(self) -> dict[str, Any]:
            return {"line": None}

    slow: Any = Slow()
    request = make_mocked_request("POST", f"{PATH}/run")
    answer = await retention.run(slow, seconds=0)(request, Key(1, 1, ALL_SCOPES))
    assert (answer.status, json.loads(answer.body)["message"]) == (201, "Retention is running; removing goes on")
    let_go.set()
    await ended.wait()


# --- the command line


async def command(central: Central, *arguments: str) -> Result:
    """``fiesta-central retention ...`` against the service."""
    environ = {
        "METRICS_LISTEN": central.url.removeprefix("http://"),
        "METRICS_DATA_DIR": str(central.folder),
        **SETTINGS,
    }
    return await asyncio.to_thread(CliRunner().invoke, cli.main, ["retention", *arguments], env=environ)


async def test_show_prints_facts_and_log_for_other_programs(central: Central) -> None:
    result = await command(central, "show")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[:5] == [
        "setting\tvalue",
        "retention_days\t8",
        "grace_days\t2",
        f"line\t{day(5)}",
        "drop_line\t-",
    ]
    assert lines[7] == "at\taction\tline\tactor\trows\tparts"
    assert lines[8].split("\t")[1:] == ["hide", day(5), "key 1", "0", "0"]


async def test_show_gives_the_services_own_answer_when_asked(central: Central) -> None:
    assert json.loads((await command(central, "show", "--json")).stdout)["data"] == await shown(central)


async def test_restore_and_run(central: Central) -> None:
    result = await command(central, "restore", "--days", "11")
    assert (result.exit_code, result.stderr) == (0, "Line moved back\n")
    assert f"line\t{day(2)}" in result.stdout.splitlines()
    result = await command(central, "run")
    assert (result.exit_code, result.stderr) == (0, "Retention ran\n")
    assert f"line\t{day(5)}" in result.stdout.splitlines()
    assert (await command(central, "restore")).exit_code == 0
    assert await days_shown(central) == list(range(14))


async def test_what_cannot_be_is_said_in_one_line(central: Central) -> None:
    result = await command(central, "restore", "--days", "8")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert "ask for more days than that" in result.stderr
    assert (await command(central, "restore", "--days", "0")).exit_code == 2

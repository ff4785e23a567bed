"""GET /api/agents through real HTTP: what came beside batches, and what nobody may write there."""

from pathlib import Path
from typing import Any

import pytest

from central.app import Outside
from protocol.report import PROCESS_HEADER, REPORT_HEADER, AgentReport, write_report
from tests.central.harness import QUICK_HASH, Central, Clock, running

ITEMS = ({"name": "a", "type": "counter", "value": 1}, {"name": "b", "type": "counter", "value": 1})


def report(number: int = 1, **fields: Any) -> dict[str, str]:
    made = AgentReport(
        **{"id": f"{number:032x}", "run": "a" * 16, "host": f"web-{number}", "version": "1", "started": 5, **fields}
    )
    return {REPORT_HEADER: write_report(made)}


async def agents(central: Central, query: str = "") -> Any:
    reply = await central.ask("GET", f"/api/agents{query}")
    assert reply.status == 200, reply.text
    return reply.json


async def test_an_agent_is_listed_with_its_report_and_both_counts(central: Central) -> None:
    key_id, key = await central.new_key("ingest")
    first = await central.batch(*ITEMS, key=key, headers=report())
    process = first.headers[PROCESS_HEADER]
    counts: dict[str, Any] = {
        "received": 9,
        "dropped": {"bad_value": 1},
        "lost": {"kernel_drops": 2},
        "points": {process: 2},
    }
    await central.batch(*ITEMS, key=key, headers=report(clock_ahead=-0.25, **counts))
    answer = await agents(central)
    (agent,) = answer["data"]
    shown = {"host": "web-1", "key_id": key_id, "state": "live", "received": 9, "dropped": {"bad_value": 1}}
    counted = {"points_heard": 2, "points_answered": 4, "missing_points": 0, "shared_id": False}
    assert (
        agent.items() >= {**shown, **counted, "lost": {"kernel_drops": 2}, "started_at": "1970-01-01T00:00:05Z"}.items()
    )
    assert float(agent["clock_ahead"]) == -0.25
    assert (answer["states"], answer["next"]) == ({"live": 1, "silent": 0, "stopped": 0}, None)
    assert await central.meter('fiesta_agents{state="live"}') == 1


async def test_a_retry_of_a_batch_with_a_newer_report_is_the_same_batch(central: Central) -> None:
    for received, replayed in ((1, None), (2, "true")):
        headers = {"Idempotency-Key": "k", **report(received=received)}
        reply = await central.batch(*ITEMS, headers=headers)
        assert (reply.status, reply.headers.get("Idempotency-Replayed")) == (201, replayed)
    (agent,) = (await agents(central))["data"]
    assert (agent["received"], agent["points_answered"]) == (2, 2)


async def test_rejected_items_are_no_points(central: Central) -> None:
    await central.batch(*ITEMS, {"name": "c", "type": "value"}, headers=report())
    assert (await agents(central))["data"][0]["points_answered"] == 2


@pytest.mark.parametrize(
    "header", ["", "x", "{}", '{"id":"\\u001b[2J"}', "[" * 4_000, '{"host":"' + "x" * 7_000 + '"}']
)
async def test_a_header_that_is_no_report_refuses_nothing(central: Central, header: str) -> None:
    reply = await central.batch(*ITEMS, headers={REPORT_HEADER: header})
    assert (reply.status, PROCESS_HEADER in reply.headers) == (201, False)
    assert (await agents(central))["data"] == []
    assert await central.meter("fiesta_agent_reports_unreadable_total") == 1


async def test_an_agent_of_an_older_version_goes_on(central: Central) -> None:
    reply = await central.batch(*ITEMS)
    assert (reply.status, PROCESS_HEADER in reply.headers) == (201, False)
    assert (await agents(central))["data"] == []


async def test_a_key_without_the_scope_cannot_list_agents(central: Central) -> None:
    _, key = await central.new_key("ingest", "query")
    assert (await central.ask("GET", "/api/agents", key=key)).error == (403, "FORBIDDEN", None)


@pytest.mark.parametrize(("query", "field"), [("?limit=0", "limit"), ("?after=x", "after"), ("?host=a", "host")])
async def test_a_parameter_that_breaks_a_rule_is_named(central: Central, query: str, field: str) -> None:
    assert (await central.ask("GET", f"/api/agents{query}")).error == (400, "VALIDATION_ERROR", field)


async def test_agents_come_page_by_page(central: Central) -> None:
    for number in (3, 1, 2):
        await central.batch(*ITEMS, headers=report(number))
    first = await agents(central, "?limit=2")
    rest = await agents(central, f"?limit=2&after={first['next']}")
    assert [[one["host"] for one in page["data"]] for page in (first, rest)] == [["web-1", "web-2"], ["web-3"]]
    assert rest["next"] is None


async def test_agents_are_known_after_a_restart_and_silent_ones_are_marked(tmp_path: Path) -> None:
    clock = Clock()
    async with running(tmp_path, outside=Outside(clock=clock, bcrypt_cost=QUICK_HASH)) as central:
        await central.batch(*ITEMS, headers=report(1, received=7))
        await central.batch(*ITEMS, headers=report(2, stopping=True))
    clock.now += 301
    async with running(tmp_path, outside=Outside(clock=clock, bcrypt_cost=QUICK_HASH)) as central:
        await central.batch(*ITEMS, headers=report(3))
        shown = {one["host"]: (one["state"], one["points_answered"]) for one in (await agents(central))["data"]}
        assert shown == {"web-1": ("silent", None), "web-2": ("stopped", None), "web-3": ("live", 2)}
        assert await central.meter('fiesta_agents{state="silent"}') == 1

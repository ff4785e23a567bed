"""The command that lists agents against a small fake service."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from central.commands import agents as command
from tests.central.commands.command_help import Run, ok, refusal
from tests.central.fake_service import FakeService

PATH = "GET /api/agents?limit=1000"
AGENT: dict[str, Any] = {
    "id": "9f" * 16,
    "host": "web-1",
    "version": "1.0.0",
    "key_id": 2,
    "state": "live",
    "started_at": "2026-02-14T06:00:00Z",
    "seen_at": "2026-02-15T09:30:12Z",
    "names": 412,
    "series": 0,
    "received": 5_001,
    "recovered": 0,
    "acknowledged": 4_870,
    "left_out": 0,
    "in_window": 120,
    "in_spool": 10,
    "spool_batches": 1,
    "spool_bytes": 2_210,
    "clock_ahead": 0.5,
    "dropped": {},
    "lost": {},
    "points_heard": 96,
    "points_answered": 96,
    "missing_points": 0,
    "shared_id": False,
}
STATES = {"live": 1, "silent": 1, "stopped": 0}
SILENT = {**AGENT, "id": "0" * 32, "host": "db-1", "state": "silent", "clock_ahead": None}


def test_agents_are_listed_by_host_as_lines_with_tabs(run: Run, fake: FakeService) -> None:
    fake.answer(PATH, 200, ok(states=STATES, data=[AGENT, SILENT], next=None))
    result = run("agents")
    assert result.stdout.splitlines() == [
        "id\thost\tversion\tstate\tseen_at\tnames\treceived\tacknowledged\tdropped\tin_spool\tclock_ahead"
        "\tmissing_points",
        f"{'0' * 32}\tdb-1\t1.0.0\tsilent\t2026-02-15T09:30:12Z\t412\t5001\t4870\t0\t10\t-\t0",
        f"{'9f' * 16}\tweb-1\t1.0.0\tlive\t2026-02-15T09:30:12Z\t412\t5001\t4870\t0\t10\t0.5\t0",
    ]
    assert result.stderr == "db-1: silent since 2026-02-15T09:30:12Z\n1 live, 1 silent, 0 stopped\n"


def test_all_pages_are_read(run: Run, fake: FakeService) -> None:
    fake.answer(PATH, 200, ok(states=STATES, data=[SILENT], next="0" * 32))
    fake.answer(f"{PATH}&after={'0' * 32}", 200, ok(states=STATES, data=[AGENT], next=None))
    result = run("agents", "--json")
    assert json.loads(result.stdout) == {"success": True, "states": STATES, "data": [SILENT, AGENT]}


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"dropped": {"a": 1, "b": 2_000}, "lost": {"c": 5}}, "lost: 2,000 b, 5 c, 1 a"),
        ({"clock_ahead": 90.4}, "its clock is 90 s ahead of the service's"),
        ({"clock_ahead": -90.4}, "its clock is 90 s behind the service's"),
        (
            {"missing_points": 1_234},
            "it counts 1,234 points as acknowledged that the service did not acknowledge",
        ),
        ({"shared_id": True}, "two agents have its id: stop one, remove agent-id from its spool folder, and start it"),
    ],
)
def test_what_to_look_at_is_a_line_of_its_own(run: Run, fake: FakeService, fields: dict[str, Any], note: str) -> None:
    fake.answer(PATH, 200, ok(states=STATES, data=[{**AGENT, **fields}], next=None))
    assert run("agents").stderr.splitlines()[0] == f"web-1: {note}"


def test_nothing_of_an_agent_reaches_the_terminal_as_a_command(run: Run, fake: FakeService) -> None:
    fake.answer(PATH, 200, ok(states=STATES, data=[{**AGENT, "host": "\x1b[2J", "state": "silent"}], next=None))
    result = run("agents")
    assert "\x1b" not in result.output


def test_a_refusal_is_one_line(run: Run, fake: FakeService) -> None:
    fake.answer(PATH, 403, refusal("FORBIDDEN", "this key lacks the scope 'admin'"))
    result = run("agents")
    assert (result.exit_code, result.stderr) == (1, "Error: this key lacks the scope 'admin' (FORBIDDEN)\n")


def test_the_table_fits_80_columns() -> None:
    console = Console(width=80, force_terminal=True, file=io.StringIO(), color_system=None)
    wide = {**AGENT, "host": "web-1.example.com", "received": 123_456_789, "dropped": {"a": 4_567}}
    command.show(console, [wide, SILENT], now=1_771_150_000.0)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    assert "web-1.example.com" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "silent 36m" in console.file.getvalue()  # type: ignore[attr-defined]

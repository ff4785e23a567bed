"""The guide "Move in a week without a gap", with real daemons behind the mirror and the page's own script."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import statsd

from tests.doc_pages import ROOT, blocks
from tests.end_to_end import old_daemons
from tests.end_to_end.conftest import Agent, Central, eventually
from tests.end_to_end.old_daemons import OldDaemon, waiting

PAGE: Final = "docs/migrating.md"
ROUNDS: Final = 100
LINES: Final = 100
"""Of each round. A daemon's own buffer holds those of some ten rounds."""


def block(contains: str, language: str = "text") -> str:
    """The only block of the page with this in it."""
    (found,) = (one.text for one in blocks(PAGE) if one.language == language and contains in one.text)
    return found


DAEMONS: Final[dict[str, Callable[[Path], AbstractContextManager[OldDaemon]]]] = {
    "statsd": old_daemons.statsd,
    "collectd": lambda folder: old_daemons.collectd(folder, block("LoadPlugin statsd")),
    "netdata": lambda folder: old_daemons.netdata(folder, block("[statsd]")),
}


@pytest.fixture(params=DAEMONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OldDaemon]:
    folder = tmp_path / request.param
    folder.mkdir()
    with DAEMONS[request.param](folder) as daemon:
        yield daemon


@pytest.fixture
def mirroring(central: Central, old: OldDaemon, tmp_path: Path, processes: ExitStack) -> Agent:
    """An agent that hands everything on to the old daemon."""
    agent = Agent(tmp_path / "spool", central, FIESTA_AGENT_MIRROR=f"udp://127.0.0.1:{old.port}")
    processes.callback(agent.close)
    agent.start()
    return agent


@contextmanager
def a_client(port: int) -> Iterator[statsd.StatsClient]:
    """The PyPI client."""
    client = statsd.StatsClient("127.0.0.1", port, prefix="shop")
    yield client
    client.close()


Row = tuple[str, str, str]
"""A name, the number of the old side, and ours, as they are printed."""


def compare(central: Central, old: OldDaemon, *names: str) -> tuple[int, list[Row], str]:
    """Run the script of the page. Returns its exit code, its rows, and all that it said."""
    now = datetime.now(UTC)
    bounds = [(now + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z") for days in (-1, 2)]
    done = subprocess.run(
        [sys.executable, "-c", block("Compare an old daemon", "python"), *bounds, *names],
        env={**os.environ, **old.variables, "METRICS_URL": central.url, "METRICS_KEY": central.key},
        capture_output=True,
        text=True,
        check=False,
    )
    rows = re.findall(r"^(\S+) +(-?[\d,.]+) +(-?[\d,.]+) +[\d.]+%$", done.stdout, re.MULTILINE)
    return done.returncode, rows, done.stdout + done.stderr


def same(*expected: tuple[str, int]) -> list[Row]:
    return [(name, f"{number:,}", f"{number:,}") for name, number in expected]


def test_both_sides_of_a_move_have_the_same_numbers(central: Central, old: OldDaemon, mirroring: Agent) -> None:
    with a_client(mirroring.port) as client:
        for number in range(ROUNDS):
            with client.pipeline() as several:
                for line in range(LINES // 2):
                    several.incr("orders", 3)
                    several.timing(f"db.time.{line % 5}", number + line + 1)
            # What waits there may not become more than the old daemon's buffer holds: it would drop it in silence.
            eventually(lambda: not waiting(mirroring.port) and not waiting(old.port), "both have read what came")
    mirroring.settled(ROUNDS * LINES)
    orders, timings = ROUNDS * LINES // 2 * 3, ROUNDS * LINES // 10
    expected = same(("shop.orders", orders), *((f"shop.db.time.{name}", timings) for name in range(5)))
    names = [name for name, _, _ in expected]
    eventually(lambda: compare(central, old, *names)[1] == expected, "both sides have the same numbers")
    assert compare(central, old, *names)[0] == 0

    with a_client(old.port) as client:
        client.incr("orders", 500)  # past the agent
    expected = [("shop.orders", f"{orders + 500:,}", f"{orders:,}")]
    eventually(lambda: compare(central, old, "shop.orders")[1] == expected, "the old daemon has flushed the others")
    code, _, said = compare(central, old, "shop.orders")
    assert (code, "3.226%" in said) == (1, True)


def table() -> tuple[list[str], list[list[str]]]:
    """The page's table of lines that old daemons read in another way: what stands above the columns, and the rows."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    head, _, *rows = re.findall(r"^\| (.+) \|$", text[text.index("| Line | agent |") :].split("\n\n")[0], re.MULTILINE)
    return head.split(" | "), [row.split(" | ") for row in rows]


def test_daemons_read_some_lines_as_the_page_says(
    central: Central, old: OldDaemon, mirroring: Agent, request: pytest.FixtureRequest
) -> None:
    head, rows = table()
    (column,) = (place for place, title in enumerate(head) if title.startswith(request.node.callspec.params["old"]))
    lines = [row[0].strip("`").replace("\\|", "|") for row in rows]
    mirroring.send(*(line.encode() for line in [*lines, "last:1|c"]))
    eventually(lambda: compare(central, old, "last")[1] == same(("last", 1)), "both sides have the last line")
    expected = [(line.partition(":")[0], row[column], row[1]) for line, row in zip(lines, rows, strict=True)]
    assert compare(central, old, *(name for name, _, _ in expected))[1] == expected

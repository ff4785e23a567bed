"""docs/operations.md and docs/loss.md explain every warning, health reason and reason of a loss that the code knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from agent.ledger import CUT_LINES, DEAD_LETTER, OVER_CAP, SPOOL_REASONS
from agent.settings import load_settings
from protocol.statsd import Reason
from tests.doc_pages import ROOT, blocks

OPERATIONS = "".join((ROOT / "docs" / page).read_text() for page in ("operations.md", "logs.md"))
LOSS = (ROOT / "docs" / "loss.md").read_text()


def calls(folder: str) -> Iterator[tuple[Path, str, str]]:
    """File, function as written, and first argument of every call whose first argument is a plain string."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name) and node.args:
                first, name = node.args[0], ast.unparse(node.func)
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield path, name, first.value


def missing(found: set[str], page: str) -> list[str]:
    assert found
    return sorted(word for word in found if f"`{word}`" not in page)


def test_every_warning_and_error_of_the_service_says_what_to_do() -> None:
    loud = re.compile(r"(_log|structlog\.get_logger\(__name__\))\.(warning|error|exception|critical)")
    events = {event for _, function, event in calls("central") if loud.fullmatch(function)}
    assert missing(events, OPERATIONS) == [], "add them to the last table of docs/operations.md, or to docs/logs.md"


def test_every_event_of_the_agent_is_explained() -> None:
    events = {event for _, function, event in calls("agent") if function.rpartition(".")[2] in {"tell", "_tell"}}
    assert missing(events, OPERATIONS) == [], "add them to the agent's log in docs/operations.md"


def test_every_reason_of_an_unhealthy_agent_is_explained() -> None:
    source = (ROOT / "agent" / "telemetry" / "snapshot.py").read_text()
    reasons = re.findall(r'reasons\.append\(\s*f?"([^{"]+)', source.replace("(held_message(", "("))
    assert len(reasons) >= 4
    for reason in reasons:
        assert reason.split(":")[0].strip(" ;") in OPERATIONS, f"explain {reason!r} in docs/operations.md"


def test_every_reason_to_drop_a_sample_is_in_the_budget() -> None:
    reasons = {*get_args(Reason), *CUT_LINES, *OVER_CAP, *SPOOL_REASONS, DEAD_LETTER}
    assert missing(reasons, LOSS) == [], "add them to docs/loss.md"


def test_the_configuration_for_those_who_come_from_elsewhere_is_one(tmp_path: Path) -> None:
    (text,) = (block.text for block in blocks("docs/migrating.md") if block.language == "toml")
    file = tmp_path / "agent.toml"
    file.write_text(text)
    assert load_settings({}, file).host_tags == (("host", "web1"),)

"""docs/operations.md and docs/loss.md explain every warning, health reason and reason of a loss that the code knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agent.settings import load_settings
from tests.doc_pages import ROOT, blocks

OPERATIONS = "".join((ROOT / "docs" / page).read_text() for page in ("operations.md", "logs.md"))
LOSS = (ROOT / "docs" / "loss.md").read_text()


def calls(folder: str) -> Iterator[tuple[Path, str, str]]:
    """File, method and first argument of every call whose first argument is a plain string."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name) and node.args:
                first = node.args[0]
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield path, name, first.value


def missing(found: set[str], page: str) -> list[str]:
    assert found
    return sorted(word for word in found if f"`{word}`" not in page)


def test_every_warning_and_error_of_the_service_says_what_to_do() -> None:
    loud = {"warning", "error", "exception", "critical"}
    events = {event for _, method, event in calls("central") if method in loud and re.fullmatch(r"[a-z_]+", event)}
    assert missing(events, OPERATIONS) == [], "add them to the last table of docs/operations.md, or to docs/logs.md"


def test_every_event_of_the_agent_is_explained() -> None:
    events = {event for _, method, event in calls("agent") if method in {"tell", "_tell"}}
    assert missing(events, OPERATIONS) == [], "add them to the agent's log in docs/operations.md"


def test_every_reason_of_an_unhealthy_agent_is_explained() -> None:
    source = (ROOT / "agent" / "report.py").read_text()
    reasons = re.findall(r'reasons\.append\(\s*f?"([^{"]+)', source.replace("(held_message(", "("))
    assert len(reasons) >= 4
    for reason in reasons:
        assert reason.split(":")[0].strip(" ;") in OPERATIONS, f"explain {reason!r} in docs/operations.md"


def test_every_reason_to_drop_a_sample_is_in_the_budget() -> None:
    grammar = re.search(r"^Reason = Literal\[(.+?)\]", (ROOT / "protocol" / "lines.py").read_text(), re.S | re.M)
    assert grammar
    reasons = set(re.findall(r'"(\w+)"', grammar[1]))
    for path, method, word in calls("agent"):
        if method in {"drop", "_drop"} and path.name != "report.py":
            reasons.add(word)
    source = "".join(path.read_text() for path in (ROOT / "agent").glob("*.py"))
    reasons |= set(re.findall(r'_drop\(\w+, "(\w+)"\)', source)) | set(re.findall(r'"(\w+_over_cap)"', source))
    reasons |= set(re.findall(r'"(spool_\w+)" if', source))
    assert {"spool_age", "dead_letter", "names_over_cap", "spool_files"} <= reasons
    assert missing(reasons, LOSS) == [], "add them to docs/loss.md"


def test_the_configuration_for_those_who_come_from_elsewhere_is_one(tmp_path: Path) -> None:
    (text,) = (block.text for block in blocks("docs/migrating.md") if block.language == "toml")
    file = tmp_path / "agent.toml"
    file.write_text(text)
    assert load_settings({}, file).prefix

"""The documentation keeps up with the code.

``python -m tests.test_docs`` writes the help in docs/cli.md and the index of decisions anew.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import get_args

import click
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

import agent.commands.main
import central.commands.main
import tests.agent.telemetry.test_snapshot
from agent.ledger import AGENT_FAULT, BAD_TIMES, CUT_LINES, DEAD_LETTER, KNOWN_NOTES, OVER_CAP, SPOOL_REASONS
from agent.telemetry.snapshot import AgentCollector
from central.access.auth import TRIES
from central.settings import OF_CLIENTS
from central.web.admin import BACKUPS
from central.web.bodies import ARRIVING, LONG
from central.web.connections import CONNECTIONS, UNREAD
from central.web.export import EXPORTS
from central.web.openapi.components import CODES
from central.web.openapi.document import openapi
from central.web.query import QUERIES
from protocol.statsd import Reason
from runtime.addresses import join_address
from runtime.settings import Setting
from tests.doc_pages import pages
from tests.every_setting import EVERY, EVERY_NAME

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROGRAMS: tuple[tuple[str, click.Command], ...] = (
    ("fiesta-central", central.commands.main.main),
    ("fiesta-agent", agent.commands.main.main),
)
DECISION = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\n"
    r"- Date: (?P<date>\d{4}-\d\d-\d\d)\n"
    r"- Status: (?P<status>accepted|partly replaced|replaced)\n"
    r"- Replaced by: (?P<by>—|\[\d+\]\(0\d{3}-[a-z0-9-]+\.md\))\n\n## Context\n"
)
"""How the page of a decision begins."""
CLI_HELP = re.compile(r"^## `(?P<command>[^`]+)`\n\n```text\n(?P<help>.*?)```\n", re.DOTALL | re.MULTILINE)


def commands(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
    """Each command with its help, 80 columns wide, the program itself first."""
    program, *arguments = name.split()
    root = dict(PROGRAMS)[program]
    shown = CliRunner().invoke(root, [*arguments, "--help"], prog_name=program, terminal_width=80)
    yield name, shown.output
    if isinstance(command, click.Group):
        for child, nested in command.commands.items():
            yield from commands(f"{name} {child}", nested)


def all_commands() -> dict[str, str]:
    return {name: text for program, command in PROGRAMS for name, text in commands(program, command)}


def decisions() -> list[Path]:
    return sorted((DOCS / "decisions").glob("0*.md"))


def settings_sections() -> dict[str, str]:
    text = (DOCS / "settings.md").read_text()
    return dict(re.findall(r"^### (\S+)\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE))


def default_of(section: str) -> str | None:
    """The default a section gives; None for "none"."""
    (line,) = re.findall(r"^Default: (.+)$", section, re.MULTILINE)
    return None if line == "none" else str(line).strip("`")


def shown_default(value: object) -> str | None:
    """A default as one would set it."""
    if value in (None, "", ()):
        return None
    if isinstance(value, tuple):
        return join_address(*value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_every_setting_has_a_section_and_no_section_is_of_another_time() -> None:
    assert sorted(settings_sections()) == sorted(EVERY_NAME)


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.variable)
def test_the_section_of_a_setting_says_what_its_field_says(setting: Setting) -> None:
    section = settings_sections()[setting.variable]
    assert " ".join(section.split()).startswith(f"{setting.about} "), "the section begins with the field's sentence"
    assert default_of(section) == shown_default(setting.default)


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.variable)
def test_a_default_keeps_the_rule_of_its_setting(setting: Setting) -> None:
    text = shown_default(setting.default)
    assert text is None or setting.rule(text) == setting.default


def test_every_error_code_is_documented_with_its_status_and_meaning() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \| (.+) \|$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert rows == [(code, str(entry.status), entry.meaning) for code, entry in CODES.items()]


def test_every_metric_of_the_agent_is_documented_with_its_type_and_labels() -> None:
    text = (DOCS / "agent-metrics.md").read_text()
    rows = re.findall(r"^\| `(fiesta_agent_\w+)` \| (\w+) \| (?:`(\w+)`)? ?\| (?!\|)", text, re.MULTILINE)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(lambda: tests.agent.telemetry.test_snapshot.FINE))
    known = {
        (
            family.name + "_total" * (family.type == "counter"),
            family.type,
            "".join({label for sample in family.samples for label in sample.labels}),
        )
        for family in registry.collect()
    }
    assert set(rows) == known


def test_every_reason_of_a_drop_is_documented() -> None:
    text = (DOCS / "agent-metrics.md").read_text().partition("## Reasons")[2]
    reasons = {*get_args(Reason), *CUT_LINES, *OVER_CAP, *BAD_TIMES, *SPOOL_REASONS, DEAD_LETTER, AGENT_FAULT}
    assert {name for name in re.findall(r"`([a-z_]+)`", text) if name != "rejected_"} == reasons
    used = "".join((ROOT / "agent" / "spool" / name).read_text() for name in ("spool.py", "index.py"))
    assert set(re.findall(r'"(spool_\w+|dead_\w+)"', used)) == {*SPOOL_REASONS, DEAD_LETTER}


def test_every_note_is_documented() -> None:
    section = (DOCS / "agent-metrics.md").read_text().partition("## Notes\n")[2].partition("\n## ")[0]
    first_cells = " ".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))
    assert sorted(re.findall(r"`(\w+)`", first_cells)) == sorted(KNOWN_NOTES)


def test_every_kind_of_too_much_is_documented() -> None:
    section = (DOCS / "metrics.md").read_text().partition("## What was too much\n")[2].partition("\n## ")[0]
    first_cells = " ".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))
    kinds = {ARRIVING, LONG, QUERIES, EXPORTS, BACKUPS, TRIES, UNREAD, CONNECTIONS}
    assert set(re.findall(r"`([^`]+)`", first_cells)) - {"fiesta_busy_total"} == kinds


def test_every_endpoint_is_documented() -> None:
    text = (DOCS / "api.md").read_text()
    described = openapi("1")["paths"]
    missing = [
        f"{method.upper()} {path}"
        for path, methods in described.items()
        for method in methods
        if f"{method.upper()} {path}" not in text
    ]
    assert missing == []


def test_the_help_in_the_docs_is_what_the_programs_print() -> None:
    written = {found["command"]: found["help"] for found in CLI_HELP.finditer((DOCS / "cli.md").read_text())}
    assert written == all_commands(), "run: python -m tests.test_docs"


def test_the_pages_name_targets_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", all_pages(), re.MULTILINE))
    assert {"run", "test", "lint"} <= named <= targets


def test_the_settings_shown_anywhere_are_settings() -> None:
    known = {*settings_sections(), *OF_CLIENTS}
    assert set(re.findall(r"\b(?:METRICS|FIESTA_AGENT)_[A-Z_]+", all_pages())) <= known


def test_the_commands_shown_anywhere_are_commands() -> None:
    """The first two words after a program's name in a block or between backticks."""
    known = set(all_commands())
    for program, words in re.findall(
        r"(?:`|^|/)(fiesta-(?:central|agent)) ([a-z]+(?: [a-z]+)?)", all_pages(), re.MULTILINE
    ):
        first, second = f"{program} {words.split()[0]}", f"{program} {words}"
        assert second in known or (first in known and not any(name.startswith(f"{first} ") for name in known)), second


def test_the_index_of_decisions_has_each_of_them() -> None:
    assert (DOCS / "decisions" / "README.md").read_text() == index_of_decisions(), "run: python -m tests.test_docs"
    numbers = [path.name[:4] for path in decisions()]
    assert len(set(numbers)) == len(numbers), "two decisions have one number: rename the newer one"


@pytest.mark.parametrize("path", decisions(), ids=lambda path: path.name[:4])
def test_a_decision_begins_with_its_date_status_and_successor(path: Path) -> None:
    head = DECISION.match(path.read_text())
    assert head, f"{path.name} must begin as the other decisions do"
    assert int(head["number"]) == int(path.name[:4])
    assert date.fromisoformat(head["date"])
    assert (head["status"] == "accepted") == (head["by"] == "—"), "only a replaced decision has a successor"


def all_pages() -> str:
    return "\n".join((ROOT / page).read_text() for page in pages())


def index_of_decisions() -> str:
    """The page that lists all decisions: its own words, then a row for each."""
    own, line, _ = (DOCS / "decisions" / "README.md").read_text().partition("|---|---|---|---|\n")
    rows = []
    for path in decisions():
        if head := DECISION.match(path.read_text()):
            status = head["status"] if head["by"] == "—" else f"{head['status']} by {head['by']}"
            rows.append(f"| {path.name[:4]} | [{head['title']}]({path.name}) | {head['date']} | {status} |\n")
    return own + line + "".join(rows)


def write_help() -> None:
    """Put the help that the programs print now into docs/cli.md, after its own words."""
    page = DOCS / "cli.md"
    own, _, _ = page.read_text().partition("## `")
    parts = [f"## `{name}`\n\n```text\n{text}```\n" for name, text in all_commands().items()]
    page.write_text(own + "\n".join(parts))


if __name__ == "__main__":
    write_help()
    (DOCS / "decisions" / "README.md").write_text(index_of_decisions())

"""deploy/prometheus/alerts.yml: a rule for each threshold of the documentation, and nothing that does not exist."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doc_pages import ROOT, anchors
from tests.servers import program

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
CASES = ROOT / "tests" / "data" / "alerts_test.yml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
_NAME = re.compile(r"\b((?:fiesta|process)_\w+)")
_ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|.*\|([^|]*)\|$", re.MULTILINE)


def documented() -> dict[str, str]:
    """Each metric, and in words when somebody should look into it."""
    found = {}
    for page in ("metrics.md", "agent-metrics.md"):
        for name, kind, threshold in _ROW.findall((ROOT / "docs" / page).read_text().replace("\\|", "/")):
            names = [f"{name}_{end}" for end in ("bucket", "count", "sum")] if kind == "histogram" else []
            found.update(dict.fromkeys([name, *names], ""))
            found[name] = threshold.strip()
    return found


def asked(rule: dict[str, Any]) -> set[str]:
    """The metrics that a rule reads."""
    return set(_NAME.findall(rule["expr"]))


def test_every_metric_with_a_threshold_has_a_rule() -> None:
    used = {re.sub(r"_(bucket|count|sum)$", "", name) for rule in RULES for name in asked(rule)}
    assert {name for name, threshold in documented().items() if threshold} - used == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_reads_metrics_that_exist_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert asked(rule) - documented().keys() == set()
    assert rule["labels"]["severity"] in {"page", "warn", "ticket"}
    page, _, heading = rule["annotations"]["docs"].partition("#")
    assert not heading or heading in anchors(page)
    assert rule["annotations"]["summary"].endswith(".")


def test_no_two_rules_have_one_name() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_prometheus_takes_the_rules() -> None:
    output = promtool("check", "rules", str(ALERTS))
    assert f"{len(RULES)} rules found" in output


def test_the_rules_say_what_they_should(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yml"
    cases.write_text(CASES.read_text().replace("ALERTS", str(ALERTS)))
    assert "SUCCESS" in promtool("test", "rules", str(cases))


def promtool(*arguments: str) -> str:
    """What promtool says; it must succeed."""
    done = subprocess.run([program("promtool"), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

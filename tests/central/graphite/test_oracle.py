"""Debian's graphite-web and the service compute the same targets over the same random data."""

import contextlib
import json
import math
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from central.graphite.evaluate import Budget, Want, asks, evaluate, grown, resolve, wants
from central.graphite.functions.table import FUNCTIONS
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError, parse_target
from central.query.globs import parse_globs
from tests.central.graphite.oracle_targets import TARGETS

ORACLE = Path(__file__).parent / "graphite_web.py"
STEP, MARGIN, POINTS = 60, 120, 90
BEGIN = 1_771_113_600
SPAN = Range(BEGIN + MARGIN * STEP, BEGIN + (MARGIN + POINTS) * STEP, STEP)


def made() -> dict[str, list[float | None]]:
    """Random series with gaps; one is empty, and one has values below 0."""
    chance = random.Random(13)
    count = 2 * MARGIN + POINTS
    series: dict[str, list[float | None]] = {
        f"shop.web{host}.{what}": [chance.choice([None, chance.randint(0, 100)]) for _ in range(count)]
        for host in (1, 2, 3, 10)
        for what in ("orders", "errors")
    }
    series["shop.web1.load"] = [chance.choice([None, chance.uniform(-5, 5)]) for _ in range(count)]
    series["shop.web2.load"] = [None] * count
    return series


SERIES = made()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Graphite's answer to each target."""
    asked = {"series": SERIES, "start": BEGIN, "step": STEP, "from": SPAN.start, "until": SPAN.end, "targets": TARGETS}
    command = ["/usr/bin/python3", str(ORACLE), str(tmp_path_factory.mktemp("graphite"))]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(TARGETS, json.loads(done.stdout), strict=True))


def lines_of(want: Want) -> list[Line]:
    """The series that a path means, as the store would give them."""
    first, after = ((moment - BEGIN) // STEP for moment in want.span[:2])
    paths = [
        path
        for path in sorted(SERIES)
        for glob in parse_globs(want.text)
        if len(glob) == path.count(".") + 1
        and all(node.matches(text) for node, text in zip(glob, path.split("."), strict=True))
    ]
    return [
        Line(path, want.span.start, STEP, np.array(SERIES[path][first:after], float), want.text, {"name": path})
        for path in paths
    ]


def computed(target: str) -> list[list[Any]]:
    node, found, budget = resolve(parse_target(target), SPAN), dict[Want, list[Line]](), Budget()
    while True:
        found |= {want: lines_of(want) for want in wants(node)}
        if not asks(node):
            break
        node = grown(node, found, budget)
    lines = evaluate(node, found, budget)
    return [[line.name, line.start, line.step, line.values.tolist()] for line in lines]


def comparable(lines: list[list[Any]]) -> list[list[Any]]:
    """Name, start, step and numbers of each line, up to the end of the range and without gaps at the end.

    Graphite's summarize has one empty point after the range, and some functions make a number of it.
    """
    made = []
    for *head, numbers in lines:
        within = max(0, math.ceil((SPAN.end - head[1]) / head[2]))
        plain = [math.nan if number is None else float(number) for number in numbers[:within]]
        while plain and math.isnan(plain[-1]):
            plain.pop()
        made.append([*head, plain])
    return made


@pytest.mark.parametrize("path", ["shop.nothing.*", "shop.web2.load"])
def test_no_target_fails_over_no_lines_or_over_one_without_numbers(path: str) -> None:
    for target in TARGETS:
        with contextlib.suppress(TargetError):
            computed(re.sub(r"shop\.[^,()\"']*", path, target))


def test_the_page_says_how_many_targets_there_are() -> None:
    assert len(set(TARGETS)) == len(TARGETS) >= 150
    page = (Path(__file__).parents[3] / "docs" / "graphite.md").read_text()
    assert f"the same answer to each of {len(TARGETS)} targets" in page
    assert f"lists the {len(FUNCTIONS)} functions" in page


@pytest.mark.parametrize("target", TARGETS)
def test_graphite_computes_the_same(answers: dict[str, Any], target: str) -> None:
    expected = answers[target]
    assert isinstance(expected, list), expected
    ours, theirs = comparable(computed(target)), comparable(expected)
    assert [line[:3] for line in ours] == [line[:3] for line in theirs]
    for (name, *_, numbers), (*_, wanted) in zip(ours, theirs, strict=True):
        assert numbers == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True), name
